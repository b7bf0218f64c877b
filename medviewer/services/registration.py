"""Lays an earlier study over the current one: rigid, by mutual information, and honest about how far it can be trusted.

SimpleITK (Lowekamp et al. 2013, doi:10.3389/fninf.2013.00045), Mattes' mutual information (Mattes et al. 2003,
doi:10.1109/TMI.2003.809072). A rigid movement never swaps left and right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medviewer.core.comparison import Registration
from medviewer.core.comparison.rules import ComparisonRules
from medviewer.core.comparison.study import Quality, facts_of
from medviewer.core.errors import Cancelled
from medviewer.core.geometry import Affine, lps_to_voxel, voxel_to_lps
from medviewer.core.progress import Progress, silent
from medviewer.core.volume import Volume

_GRID_MM = 2.0  # voxels below this are joined ...
_MOST_VOXELS = 2_000_000  # ... and more than these are: a few dozen MB whatever the scan
_SAMPLES = 20_000
_BINS = 40
# Two levels; smoothed on the finest one, too, where the sharp edges of voxels would hold the search fast.
_SHRINK, _SMOOTH_MM = (4, 2), (4.0, 2.0)
_STEPS = 20  # rounds of Powell's method on each level; it ends by itself after three to eight
_LENGTH_MM = 1.0  # its first step; a turn of the same length at _ARM_MM
_ARM_MM = 100.0
_LEAST_OVERLAP = 0.25
_LARGEST_TURN = 45.0  # degrees; patients do not lie like this: the search went astray
_ASTRAY_MM = 25.0  # a good position is clearly better than one this far beside it
_CLEARLY = 1.02
_SEED = 20
Matrix = NDArray[np.float64]


def register_rigid(
    current: Volume, prior: Volume, progress: Progress | None = None, rules: ComparisonRules | None = None
) -> Registration:
    """The rigid movement (4x4, LPS mm) that lays `prior` over `current`.

    A shared DICOM frame of reference is the start (else the better of centre on centre, centre of mass on centre of
    mass, and the recorded place). What cannot be registered (flat images, no place in the patient) gets the quality
    "not checked" and the identity; nothing is guessed. `rules` add the sentences. Memory is bounded by joining voxels.
    Any thread but not the window's; raises Cancelled.
    """
    progress = progress or silent()
    progress.report(0.0, "Registering")
    found = _registered(current, prior, progress)
    progress.report(1.0, "Registering")
    return found if rules is None else worded(found, rules)


def worded(registration: Registration, rules: ComparisonRules) -> Registration:
    """The registration with its sentence in both languages."""
    keys = {"good": "reg_good", "low overlap": "reg_low", "not checked": "reg_not_checked",
            "by hand": "reg_by_hand"}  # fmt: skip
    values = {
        "turn": f"{registration.turn_deg:.1f}", "shift": f"{registration.shift_mm:.0f}",
        "overlap": f"{100 * (registration.overlap or 0.0):.0f}",
    }  # fmt: skip
    german = {key: value.replace(".", ",") for key, value in values.items()}
    key = keys[registration.quality]
    return replace(registration, texts={"en": rules.text("en", key, **values), "de": rules.text("de", key, **german)})


def nudged(
    registration: Registration, shift_mm: ArrayLike = (0, 0, 0), turn_deg: ArrayLike = (0, 0, 0)
) -> Registration:
    """The registration moved by hand: turned about the x, y, z axes of the patient (LPS, right-handed, in this order)
    through its centre, then shifted. Its quality is "by hand"."""
    middle = np.asarray(registration.centre, float)
    turn = _rotation(np.asarray(turn_deg, float))
    step = np.eye(4)
    step[:3, :3] = turn
    step[:3, 3] = middle - turn @ middle + np.asarray(shift_mm, float)
    matrix = np.asarray(step @ registration.matrix, np.float64)
    angle, shift = _size(matrix, middle)
    return replace(registration, matrix=matrix, quality="by hand", metric_after=None, turn_deg=angle, shift_mm=shift)


def _rotation(degrees: Matrix) -> Matrix:
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_euler("xyz", degrees, degrees=True).as_matrix(), np.float64)


# -- the work -----------------------------------------------------------------------
def _registered(current: Volume, prior: Volume, progress: Progress) -> Registration:
    frames = [facts_of(volume).frame_of_reference for volume in (current, prior)]
    same_frame = bool(frames[0]) and frames[0] == frames[1]
    x, y, z = (0.0, 0.0, 0.0) if current.affine is None else centre_of(current)
    unchecked = Registration(np.eye(4), "not checked", same_frame=same_frame, centre=(float(x), float(y), float(z)))
    if not all(_is_fit(volume) for volume in (current, prior)) or current.affine is None or prior.affine is None:
        return unchecked
    fixed, moving = _image(current), _image(prior)
    progress.report(0.1, "Registering")
    metric = _Metric(fixed, moving)
    starts = [np.eye(4)] if same_frame else _starts(current, prior)
    before = metric.value(starts[0])
    if before is None and same_frame:
        starts = _starts(current, prior)
    start = max(starts, key=lambda matrix: _known(metric.value(matrix)))
    if metric.value(start) is None:
        return replace(unchecked, quality="low overlap", overlap=_overlap(current, prior, np.eye(4)))
    forward = metric.best(start, progress.part(0.15, 0.95))
    return _judged(current, prior, metric, before, (start, forward), unchecked)


def _judged(
    current: Volume, prior: Volume, metric: _Metric, before: float | None, tried: Sequence[Matrix],
    unchecked: Registration,
) -> Registration:  # fmt: skip
    """Which position is kept, and what may be said of it. `tried`: current to prior, the start and the end."""
    start, end = (_known(metric.value(matrix)) for matrix in tried)
    forward = tried[1] if end >= start else tried[0]
    after = metric.value(forward)
    matrix = np.asarray(np.linalg.inv(forward), np.float64)
    angle, shift = _size(matrix, centre_of(current))
    overlap = _overlap(current, prior, forward)
    quality: Quality = "good"
    if overlap < _LEAST_OVERLAP:
        quality = "low overlap"
    if after is None or angle > _LARGEST_TURN or not _stands_out(metric, forward, after):
        quality = "not checked"
    if quality != "good" and not unchecked.same_frame:  # the movement proved nothing: the recorded place stays
        matrix, angle, shift = np.eye(4), 0.0, 0.0
    return replace(unchecked, matrix=matrix, quality=quality, metric_before=before, metric_after=after,
                   overlap=overlap, turn_deg=angle, shift_mm=shift)  # fmt: skip


def _stands_out(metric: _Metric, forward: Matrix, after: float) -> bool:
    """Whether the two scans fit clearly better here than beside it: noise and unlike scans fit equally well
    everywhere."""
    others = []
    for axis in range(3):
        for sign in (-1, 1):
            beside = forward.copy()
            beside[axis, 3] += sign * _ASTRAY_MM
            others.append(_known(metric.value(beside)))
    return after > _CLEARLY * max(others) and after > float(np.mean([max(o, 0.0) for o in others])) * 1.1


def _known(value: float | None) -> float:
    return -1.0 if value is None else value


def _is_fit(volume: Volume) -> bool:
    return volume.kind == "volume" and volume.affine is not None and min(volume.shape) >= 4


def centre_of(volume: Volume) -> Matrix:
    """The middle of the scan in LPS mm; it has a place in the patient."""
    assert volume.affine is not None
    return voxel_to_lps(volume.affine, [(n - 1) / 2 for n in volume.shape])


def _size(matrix: Matrix, centre: ArrayLike) -> tuple[float, float]:
    """Angle in degrees, and how far the centre of the current scan moves, in mm."""
    cosine = (np.trace(matrix[:3, :3]) - 1.0) / 2.0
    moved = voxel_to_lps(matrix, centre) - np.asarray(centre, float)
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))), float(np.linalg.norm(moved))


def _overlap(current: Volume, prior: Volume, forward: Matrix) -> float:
    """The share of the current scan that lies within the prior; `forward` maps current to prior."""
    assert current.affine is not None
    assert prior.affine is not None
    axes = [np.linspace(0, n - 1, min(n, 16)) for n in current.shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    there = lps_to_voxel(prior.affine, voxel_to_lps(forward, voxel_to_lps(current.affine, points)))
    inside = (there >= -0.5) & (there <= np.array(prior.shape) - 0.5)
    return float(inside.all(1).mean())


def _starts(current: Volume, prior: Volume) -> list[Matrix]:
    """Positions to start from, current to prior: as recorded, centre on centre, centre of mass on centre of mass."""
    found = [np.eye(4)]
    for place in (centre_of, _mass):
        start = np.eye(4)
        start[:3, 3] = place(prior) - place(current)
        found.append(start)
    return found


def _mass(volume: Volume) -> Matrix:
    array, affine = _reduced(volume)
    weights = array - float(np.percentile(array, 5))
    weights[weights < 0] = 0
    total = float(weights.sum(dtype=np.float64)) or 1.0
    sums = [weights.sum(tuple(a for a in range(3) if a != axis), dtype=np.float64) for axis in range(3)]
    return voxel_to_lps(affine, [float((s * np.arange(len(s))).sum()) / total for s in sums])


def _reduced(volume: Volume) -> tuple[NDArray[np.float32], Affine]:
    """The scan with voxels joined to at least `_GRID_MM` and at most `_MOST_VOXELS`, as float32 with its own affine.
    Block means: joining one slice after the other never needs a second copy of the scan."""
    assert volume.affine is not None
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    steps = np.clip(np.floor(_GRID_MM / spacing), 1, None).astype(int)
    while np.prod(np.array(volume.shape) // steps) > _MOST_VOXELS:
        steps[int(np.argmin(spacing * steps))] += 1
    steps = np.minimum(steps, volume.shape)
    counts = np.array(volume.shape) // steps
    source = volume.luminance()
    out = np.zeros(tuple(counts), np.float32)
    i, j, k = (int(s) for s in steps)
    for n in range(counts[2]):
        slab = np.asarray(source[: counts[0] * i, : counts[1] * j, n * k : (n + 1) * k], np.float32)
        out[:, :, n] = slab.reshape(counts[0], i, counts[1], j, k).mean((1, 3, 4))
    affine = np.array(volume.affine, np.float64)
    affine[:3, 3] = voxel_to_lps(volume.affine, (steps - 1) / 2.0)
    affine[:3, :3] *= steps
    low, high = np.percentile(out[:: max(1, counts[0] // 64)], (0.5, 99.5))  # metal would eat up the histogram
    return np.clip(np.nan_to_num(out), low, max(high, low + 1e-3)), affine


def _image(volume: Volume) -> Any:
    """The scan as an image of SimpleITK, which has LPS mm as well."""
    import SimpleITK as sitk

    array, affine = _reduced(volume)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    image.SetSpacing([float(s) for s in spacing])
    image.SetOrigin([float(v) for v in affine[:3, 3]])
    image.SetDirection([float(v) for v in (affine[:3, :3] / spacing).ravel()])
    return image


class _Metric:
    """Mutual information of two scans under a movement from the current one to the prior, and the search for the
    best."""

    def __init__(self, fixed: Any, moving: Any) -> None:
        self._fixed, self._moving = fixed, moving
        self._known: dict[bytes, float | None] = {}

    def value(self, forward: Matrix) -> float | None:
        """Higher is better; None where the scans do not overlap."""
        key = np.round(forward, 9).tobytes()
        if key not in self._known:
            self._known[key] = self._computed(forward)
        return self._known[key]

    def _computed(self, forward: Matrix) -> float | None:
        method = self._method()
        method.SetInitialTransform(self._transform(forward), inPlace=False)
        try:
            return -float(method.MetricEvaluate(self._fixed, self._moving))
        except RuntimeError:  # too few samples lie within both
            return None

    def best(self, start: Matrix, progress: Progress) -> Matrix:
        """The best position near `start`; `start` itself where the search fails. Raises Cancelled."""
        import SimpleITK as sitk

        method = self._method()
        method.SetOptimizerAsPowell(_STEPS, 20, _LENGTH_MM, 0.05, 1e-4)  # gradients of this metric led astray
        method.SetOptimizerScales([_ARM_MM] * 3 + [1.0] * 3)
        shrink = self._shrink()
        method.SetShrinkFactorsPerLevel(shrink)
        method.SetMetricSamplingPercentagePerLevel([self._share(factor) for factor in shrink], _SEED)
        method.SetSmoothingSigmasPerLevel(_SMOOTH_MM)
        method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
        method.SetInitialTransform(self._transform(start), inPlace=False)
        method.AddCommand(sitk.sitkIterationEvent, _teller(method, progress))
        try:
            found = method.Execute(self._fixed, self._moving)
        except RuntimeError:
            progress.check_cancelled()
            return start
        progress.check_cancelled()
        return _matrix_of(found)

    def _shrink(self) -> list[int]:
        """A scan of few slices is not shrunk to nothing."""
        smallest = min(*self._fixed.GetSize(), *self._moving.GetSize())
        return [max(1, min(factor, smallest // 8)) for factor in _SHRINK]

    def _share(self, shrink: int) -> float:
        """The share of the voxels that is looked at on a level: about as many on each."""
        return float(min(1.0, max(_SAMPLES * shrink**3 / max(1, int(np.prod(self._fixed.GetSize()))), 0.001)))

    def _method(self) -> Any:
        import SimpleITK as sitk

        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(_BINS)
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(self._share(1), _SEED)
        method.SetInterpolator(sitk.sitkLinear)
        return method

    def _transform(self, forward: Matrix) -> Any:
        """Turned about the middle of the current scan, so that turning and shifting hardly depend on each other."""
        import SimpleITK as sitk

        middle = np.asarray(self._fixed.TransformContinuousIndexToPhysicalPoint(
            [(n - 1) / 2 for n in self._fixed.GetSize()]
        ))  # fmt: skip
        transform = sitk.Euler3DTransform()
        transform.SetCenter([float(v) for v in middle])
        transform.SetMatrix([float(v) for v in forward[:3, :3].ravel()], 1e-6)
        transform.SetTranslation([float(v) for v in voxel_to_lps(forward, middle) - middle])
        return transform


def _matrix_of(transform: Any) -> Matrix:
    """The 4x4 of any rigid transform: where it takes the origin and the three axes."""
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.eye(4)
    for axis in range(3):
        point = [0.0, 0.0, 0.0]
        point[axis] = 1000.0  # mm: far from rounding
        matrix[:3, axis] = (np.array(transform.TransformPoint(point)) - origin) / 1000.0
    matrix[:3, 3] = origin
    return matrix


def _teller(method: Any, progress: Progress) -> Callable[[], None]:
    """Tells of every step, and stops the search when the work was cancelled: nothing may be raised inside of it."""

    def tell() -> None:
        level, step = method.GetCurrentLevel(), method.GetOptimizerIteration()
        try:
            progress.report((level + step / _STEPS) / len(_SHRINK), "Registering")
        except Cancelled:
            method.StopRegistration()

    return tell
