"""Reading a case through the program's readers, its masks on the grid of its scan; nothing is resampled or guessed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.core.geometry import Affine, spacing_of, volume_corners, voxel_to_lps
from medviewer.core.progress import silent
from medviewer.core.volume import Volume
from medviewer.io import dicom_series, image_file, metaimage, nifti, nrrd_file
from medviewer.io.training_set import plain_name

from .cases import Array, CaseFile, Loaded, MaskFile

SAME_PLACE_MM = 1e-3
NOT_A_NUMBER = "no number (NaN"
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
VOLUMES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".hdr")
DICOM = (".dcm", ".dicom", ".ima")
ENDINGS = (*VOLUMES, *PICTURES, *DICOM)
_READERS = {".nrrd": nrrd_file, ".nhdr": nrrd_file, ".mha": metaimage, ".mhd": metaimage}
_BINARY = ({0}, {1}, {255}, {0, 1}, {0, 255})
_MOST_VALUES_TOLD = 6


def load_case(case: CaseFile) -> Loaded:
    """Scan and masks of a case. Raises InputRefused where a file cannot be read or the two do not belong together."""
    volume = read_volume(case.image, case.series)
    if volume.affine is None and volume.shape[2] > 1:
        raise InputRefused(
            f"{case.image.name} holds {volume.shape[2]} frames without a place in the patient, expected one picture or "
            "one volume.",
            "Save each frame as a picture of its own.",
        )
    return _combined(case, volume)


def read_volume(path: Path, series: str | None = None) -> Volume:
    """The one scan of a file, or of a DICOM folder, through the program's reader. Raises InputRefused."""
    result = _reader(path).scan(path, silent())
    entries = [entry for entry in result.entries if series in (None, entry.id)]
    if not entries and result.refused:
        raise InputRefused(result.refused[0].reason)
    if len(entries) != 1:
        raise InputRefused(f"{path.name} holds {len(entries)} scans, expected one.", "Give each case one scan.")
    volume: Volume = _reader(path).load(entries[0], silent())
    return volume


def ending_of(path: Path) -> str:
    """The known ending of a name in lower case, "" where it has none."""
    name = path.name.lower()
    return next((end for end in ENDINGS if name.endswith(end) and len(name) > len(end)), "")


def is_named(path: Path) -> bool:
    """Whether a mask file names its own segments."""
    return path.name.lower().endswith(".seg.nrrd") or ending_of(path) in DICOM


def _reader(path: Path) -> ModuleType:
    ending = ending_of(path)
    if path.is_dir() or ending in DICOM or (not ending and path.is_file()):
        return dicom_series
    if ending in PICTURES:
        return image_file
    return _READERS.get(ending, nifti)


# -- masks ------------------------------------------------------------------------------------------------------------
def _combined(case: CaseFile, volume: Volume) -> Loaded:
    """All masks of a case as one array of codes."""
    if len(case.masks) == 1 and case.masks[0].encoding in ("index", "bitmask"):
        values = mask_values(case.masks[0].path, volume)
        codes, meanings = _decoded(case.masks[0], values)
        return Loaded(volume, codes, meanings)
    layers = _Layers(volume.shape)
    for mask in case.masks:
        for name, where in _layers_of(mask, volume).items():
            layers.add(name, where)
    return Loaded(volume, layers.codes, dict(enumerate(layers.meanings)))


class _Layers:
    """Overlapping masks put together: one code per combination of names that occurs."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.codes = np.zeros(shape, np.uint16)
        self.meanings: list[frozenset[str]] = [frozenset()]

    def add(self, name: str, where: NDArray[np.bool_]) -> None:
        count = len(self.meanings)
        wide = self.codes.astype(np.int64) + where * count
        used = np.flatnonzero(np.bincount(wide.reshape(-1), minlength=2 * count))
        renumbered = np.zeros(2 * count, np.uint16)
        renumbered[used] = np.arange(len(used))
        both = [*self.meanings, *(names | {name} for names in self.meanings)]
        self.meanings = [both[code] for code in used]
        self.codes = renumbered[wide]


def _layers_of(mask: MaskFile, volume: Volume) -> dict[str, NDArray[np.bool_]]:
    if mask.encoding == "named":
        return _named_layers(mask.path, volume)
    values = mask_values(mask.path, volume)
    if mask.encoding == "binary":
        found = _present(values)
        if found not in _BINARY:
            raise InputRefused(
                f"{mask.path.name} holds the values {_told(found)}, expected 0 and 1 or 0 and 255 for "
                f'"{mask.labels[1]}".',
                "Save it as a PNG or NIfTI mask (JPEG blurs labels), or name its values in dataset.json.",
            )
        return {mask.labels[1]: values != 0}
    codes, meanings = _decoded(mask, values)
    held = [(name, [code for code, names in meanings.items() if name in names]) for name in mask.labels.values()]
    return {name: np.isin(codes, wanted) for name, wanted in held}


def _decoded(mask: MaskFile, values: Array) -> tuple[Array, dict[int, frozenset[str]]]:
    """Codes and their meaning of an index mask or a bitmask. Raises InputRefused for a value without a name."""
    found = _present(values)
    if mask.encoding == "bitmask":
        return _from_bits(mask, values, found)
    if len(mask.labels) == 1 and found <= {0, 255} and 255 not in mask.labels:  # a mask painted black and white
        value = next(iter(mask.labels))
        return np.where(values != 0, value, 0).astype(np.uint16), {value: frozenset(mask.labels.values())}
    unknown = found - {0} - set(mask.labels)
    if unknown:
        raise _unknown(mask, unknown)
    return values.astype(np.uint16), {value: frozenset({name}) for value, name in mask.labels.items()}


def _from_bits(mask: MaskFile, values: Array, found: set[int]) -> tuple[Array, dict[int, frozenset[str]]]:
    known = sum(mask.labels)
    unknown = {value for value in found if value & ~known}
    if unknown:
        raise _unknown(mask, unknown)
    order = sorted(found | {0})
    codes = np.searchsorted(np.array(order, np.int64), values.astype(np.int64)).astype(np.uint16)
    meanings = {
        code: frozenset(name for bit, name in mask.labels.items() if value & bit) for code, value in enumerate(order)
    }
    for bit, name in mask.labels.items():  # a structure that is nowhere keeps a code, so that its table exists
        if not any(value & bit for value in order):
            meanings[len(meanings)] = frozenset({name})
    return codes, meanings


def _unknown(mask: MaskFile, values: set[int]) -> InputRefused:
    known = ", ".join(f"{value} ({name})" for value, name in sorted(mask.labels.items())[:_MOST_VALUES_TOLD])
    more = ", ..." if len(mask.labels) > _MOST_VALUES_TOLD else ""
    return InputRefused(
        f"{mask.path.name} holds the unknown label value {_told(values)}, expected 0, {known}{more}.",
        "Name every value in dataset.json.",
    )


def _told(values: set[int]) -> str:
    listed = sorted(values)
    more = f" and {len(listed) - _MOST_VALUES_TOLD} more" if len(listed) > _MOST_VALUES_TOLD else ""
    return ", ".join(str(value) for value in listed[:_MOST_VALUES_TOLD]) + more


def _present(values: Array) -> set[int]:
    if values.dtype.itemsize <= 2 and values.dtype.kind in "ub":
        return {int(v) for v in np.flatnonzero(np.bincount(values.reshape(-1, order="A")))}
    return {int(v) for v in np.unique(values)}


def _named_layers(path: Path, volume: Volume) -> dict[str, NDArray[np.bool_]]:
    """Segments of a DICOM SEG or .seg.nrrd by name; several of one name are united."""
    from medviewer.io.dicom_seg_read import open_seg, read_masks_of
    from medviewer.io.write_nrrd_seg import read

    if path.name.lower().endswith(".seg.nrrd"):
        segments, affine = read(path)
        masks = [on_grid(path, segment.mask, affine, volume) for segment in segments]
    else:
        segments = read_masks_of(open_seg(path), volume)
        masks = [segment.mask for segment in segments]
    found: dict[str, NDArray[np.bool_]] = {}
    for segment, mask in zip(segments, masks, strict=True):
        name = plain_name(segment.name)
        found[name] = np.logical_or(found[name], mask) if name in found else np.asarray(mask, np.bool_)
    return found


def mask_values(path: Path, volume: Volume) -> Array:
    """Whole numbers (i, j, k) on the grid of `volume`. Raises InputRefused for another grid, colours and fractions."""
    mask = _palette_mask(path) or read_volume(path)
    if mask.is_color:
        raise InputRefused(
            f"{path.name} is a colour picture, expected one value per structure.", "Save it as a grey picture."
        )
    if any(NOT_A_NUMBER in warning for warning in mask.warnings):
        raise InputRefused(f"{path.name} holds values that are no numbers (NaN or infinite), expected labels.")
    place = mask.affine if mask.source.format != "image" else None
    return on_grid(path, _whole(path, mask.array), place, volume)


def _palette_mask(path: Path) -> Volume | None:
    """A picture with a colour table holds its labels as places in that table; the reader would give colours."""
    from PIL import Image

    if ending_of(path) not in PICTURES or not image_file.scan(path, silent()).entries:
        return None
    with Image.open(path) as picture:
        if picture.mode != "P" or getattr(picture, "n_frames", 1) > 1:
            return None
        try:
            indices = np.asarray(picture)
        except (OSError, SyntaxError, ValueError) as error:
            raise InputRefused(f"{path.name} is cut short or damaged.", "Copy or export it again.") from error
    return Volume(indices.T[:, :, None].copy(), None)


def _whole(path: Path, values: Array) -> Array:
    if values.dtype.kind in "ub":
        return values.astype(np.uint8) if values.dtype == np.bool_ else values
    numbers: NDArray[Any] = np.asarray(values)
    if numbers.dtype.kind == "f" and (np.rint(numbers) != numbers).any():
        raise InputRefused(f"{path.name} holds fractions, expected whole label values.", "Save the mask as integers.")
    if numbers.min() < 0 or numbers.max() > 2**32 - 1:
        raise InputRefused(
            f"{path.name} holds values from {numbers.min():g} to {numbers.max():g}, expected labels from 0.",
            "It looks like a scan, not like a mask.",
        )
    return numbers.astype(np.uint16 if numbers.max() <= 65535 else np.uint32)


# -- geometry ---------------------------------------------------------------------------------------------------------
def on_grid(path: Path, mask: Array, affine: Affine | None, volume: Volume) -> Array:
    """The mask (i, j, k) in the voxel order of `volume`: the same grid, its axes perhaps stored in another order or
    direction. `affine` is the mask's, voxels to LPS mm. Raises InputRefused saying what differs."""
    if affine is None or volume.affine is None:
        if mask.shape != volume.shape:
            raise _other_shape(path, mask.shape, volume)
        return mask
    steps = np.linalg.inv(affine[:3, :3]) @ volume.affine[:3, :3]
    turn = np.rint(steps)
    if (np.abs(turn).sum(0) != 1).any() or (np.abs(turn).sum(1) != 1).any():
        raise _elsewhere(path, mask.shape, affine, volume)
    order = np.abs(turn).argmax(0)  # the mask's axis along each axis of the scan
    turned = mask.transpose(order)
    if turned.shape != volume.shape:
        raise _other_shape(path, mask.shape, volume)
    back = [turn[order[axis], axis] < 0 for axis in range(3)]
    moved = affine @ _to_mask(order, back, volume.shape)
    distance = np.abs(volume_corners(volume.shape, moved) - volume_corners(volume.shape, volume.affine)).max()
    if distance > SAME_PLACE_MM:
        raise _elsewhere(path, mask.shape, affine, volume)
    return turned[tuple(slice(None, None, -1 if flip else 1) for flip in back)]


def _to_mask(order: NDArray[np.intp], back: list[bool], shape: tuple[int, int, int]) -> Affine:
    """Scan voxel to mask voxel for axes in another order and direction."""
    matrix = np.eye(4)
    matrix[:3, :3] = 0.0
    for axis, flip in enumerate(back):
        matrix[order[axis], axis] = -1.0 if flip else 1.0
        matrix[order[axis], 3] = shape[axis] - 1 if flip else 0.0
    return matrix


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in (shape[:2] if len(shape) == 3 and shape[2] == 1 else shape))


def _other_shape(path: Path, shape: tuple[int, ...], volume: Volume) -> InputRefused:
    unit = "pixels" if volume.shape[2] == 1 else "voxels"
    return InputRefused(
        f"{path.name} has {_size(shape)} {unit}, expected {_size(volume.shape)} as its image.",
        "Save the mask on the grid of the image.",
    )


def _elsewhere(path: Path, shape: tuple[int, ...], affine: Affine, volume: Volume) -> InputRefused:
    assert volume.affine is not None
    if sorted(shape) != sorted(volume.shape):
        return _other_shape(path, shape, volume)
    theirs, ours = spacing_of(affine), spacing_of(volume.affine)
    if np.abs(np.sort(theirs) - np.sort(ours)).max() > SAME_PLACE_MM:
        return InputRefused(
            f"{path.name} has voxels of {_mm(theirs)} mm, expected {_mm(ours)} mm as its image.",
            "Save the mask on the grid of the image.",
        )
    centre = [voxel_to_lps(a, (np.array(s) - 1) / 2) for a, s in ((affine, shape), (volume.affine, volume.shape))]
    distance = float(np.linalg.norm(centre[0] - centre[1]))
    what = f"lies {distance:.3g} mm away from its image" if distance > SAME_PLACE_MM else "is turned against its image"
    return InputRefused(f"{path.name} {what}, expected the same position.", "Save the mask on the grid of the image.")


def _mm(spacing: Mapping[int, float] | tuple[float, float, float]) -> str:
    return " x ".join(f"{spacing[axis]:.4g}" for axis in range(3))
