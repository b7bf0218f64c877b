"""Splits the slices of a series into volumes that are each one regular grid, or says why that cannot be done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from medviewer.io.dicom_frames import Frame, is_finite, is_localizer
from medviewer.io.dicom_geometry import NotAGrid, Stack, build_stack, normal_of

# What can tell volumes at the same place apart, the most meaningful first: (keyword, words for the title)
SOFT_KEYS: tuple[tuple[str, str], ...] = (
    ("StackID", "stack"),
    ("ImageType", "image type"),
    ("TemporalPositionIdentifier", "time point"),
    ("EchoNumbers", "echo"),
    ("EchoTime", "echo time"),
    ("InversionTime", "inversion time"),
    ("DiffusionBValue", "b-value"),
    ("DiffusionGradientOrientation", "gradient"),
    ("SequenceName", "sequence"),
    ("TriggerTime", "trigger time"),
    ("AcquisitionNumber", "acquisition"),
    ("ConvolutionKernel", "kernel"),
    ("AcquisitionDateTime", "acquired"),
    ("AcquisitionTime", "acquired"),
    ("ContentTime", "content time"),
)
_ALWAYS_APART = ("StackID", "ImageType")


@dataclass
class Split:
    """The regular volumes of a series, each with the words that tell it apart, and what was refused and why."""

    stacks: list[tuple[Stack, str]] = field(default_factory=list)
    refused: list[tuple[Sequence[Frame], str]] = field(default_factory=list)

    @property
    def loaded(self) -> int:
        return sum(len(stack.frames) for stack, _ in self.stacks)

    def add(self, other: Split) -> None:
        self.stacks += other.stacks
        self.refused += other.refused


def split_series(frames: Sequence[Frame]) -> Split:
    """Split by what a volume must share (patient, matrix, spacing, orientation), then by what tells repeats apart."""
    result = Split()
    for part in _groups(frames, _hard_key):
        for plane in _by_orientation(part):
            result.add(_partition(plane, SOFT_KEYS, ""))
    return result


def patient_key(frame: Frame) -> tuple[str, str, str]:
    """Who the slice is of, as far as the header tells."""
    get = frame.header.get
    name = (get("PatientName") or "").casefold()
    return (get("PatientID") or "").casefold(), name, get("PatientBirthDate") or ""


def _hard_key(frame: Frame) -> Hashable:
    get = frame.header.get
    spacing = frame.spacing if is_finite(frame.spacing) else None
    pixels = tuple(get(k) for k in ("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation"))
    size = tuple(round(value, 3) for value in spacing) if spacing else None
    return (patient_key(frame), get("FrameOfReferenceUID"), get("Modality"), pixels, size, is_localizer(frame))


def _groups(frames: Sequence[Frame], key: Callable[[Frame], Hashable]) -> list[list[Frame]]:
    groups: dict[Hashable, list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[key(frame)].append(frame)
    return list(groups.values())


def _by_orientation(frames: list[Frame]) -> list[list[Frame]]:
    """Slices whose six orientation cosines agree within 1e-3."""
    clusters: list[tuple[np.ndarray, list[Frame]]] = []  # type: ignore[type-arg]
    exact: dict[Hashable, list[Frame]] = defaultdict(list)
    for frame in frames:
        exact[frame.orientation].append(frame)
    for orientation, members in exact.items():
        if not is_finite(members[0].orientation):
            clusters.append((np.full(6, np.nan), members))
            continue
        vector = np.array(orientation, float)
        for representative, collected in clusters:
            if np.abs(representative - vector).max() < 1e-3:
                collected += members
                break
        else:
            clusters.append((vector, list(members)))
    return [members for _, members in clusters]


def _partition(frames: list[Frame], keys: Sequence[tuple[str, str]], words: str) -> Split:
    """One volume if regular; else the split by one of `keys` that leaves the fewest slices unreadable."""
    try:
        return Split([(build_stack(frames), words)])
    except NotAGrid as error:
        problem = error
    if problem.parts:
        return _by_spacing(problem, words)
    whole = Split(refused=[(frames, str(problem))])
    best = whole
    for index, (keyword, name) in enumerate(keys):
        if not problem.duplicates and keyword not in _ALWAYS_APART:
            continue  # a gap is a gap: slices that do not repeat belong together
        groups = _groups(frames, lambda frame, keyword=keyword: _hashable(frame.get(keyword)))  # type: ignore[misc]
        if not 1 < len(groups) <= len(frames) // 2:
            continue
        candidate = Split()
        for group in groups:
            label = f"{name} {_shown(group[0].get(keyword))}"
            candidate.add(_partition(group, keys[index + 1 :], f"{words}, {label}" if words else label))
        if (candidate.loaded, -len(candidate.stacks)) > (best.loaded, -len(best.stacks)):
            best = candidate
    if problem.duplicates and (best.refused or len(best.stacks) > len(_places(frames)[0])):
        ranked = _by_rank(frames, words)
        best = ranked if ranked is not None else best
    return best if best.loaded * 2 > len(frames) else whole


def _by_spacing(problem: NotAGrid, words: str) -> Split:
    """Each evenly spaced block as its own volume, saying so."""
    result = Split()
    note = f"In this series {problem}; each evenly spaced part is its own volume."
    for number, part in enumerate(problem.parts, start=1):
        label = f"part {number} of {len(problem.parts)}"
        try:
            stack = build_stack(part)
        except NotAGrid as error:
            result.refused.append((part, str(error)))
            continue
        named = Stack(stack.frames, stack.affine, (*stack.warnings, note))
        result.stacks.append((named, f"{words}, {label}" if words else label))
    return result


def _by_rank(frames: list[Frame], words: str) -> Split | None:
    """Repeats told apart by nothing but the order of their instance or frame numbers; said in a warning."""
    places = _places(frames)
    repeats = {len(place) for place in places}
    if len(repeats) != 1 or not 1 < (count := repeats.pop()) <= len(frames) // 2:
        return None
    result = Split()
    for rank in range(count):
        members = [sorted(place, key=_number)[rank] for place in places]
        try:
            stack = build_stack(members)
        except NotAGrid:
            return None
        note = "Several images lie at each position; they were told apart by instance number only."
        label = f"{words}, repeat {rank + 1}" if words else f"repeat {rank + 1}"
        result.stacks.append((Stack(stack.frames, stack.affine, (*stack.warnings, note)), label))
    return result


def _places(frames: list[Frame]) -> list[list[Frame]]:
    """Frames that share a position along the normal (within 0.01 mm)."""
    if not all(is_finite(frame.position) and is_finite(frame.orientation) for frame in frames):
        return [frames]
    normal = normal_of(frames[0])
    places: list[list[Frame]] = []
    last = -np.inf
    for along, _, frame in sorted(
        (float(np.asarray(frame.position) @ normal), index, frame) for index, frame in enumerate(frames)
    ):
        if along - last > 0.01:
            places.append([])
            last = along
        places[-1].append(frame)
    return places


def _number(frame: Frame) -> tuple[int, int]:
    return frame.header.get("InstanceNumber") or 0, frame.index


def _hashable(value: object) -> Hashable:
    return value if isinstance(value, Hashable) else repr(value)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return "/".join(f"{part:g}" if isinstance(part, float) else str(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else "not recorded" if value is None else str(value)
