"""Splits the slices of a series into volumes that are each one grid, or says why that cannot be done."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from medviewer.io.dicom_frames import Frame, is_finite
from medviewer.io.dicom_geometry import JITTER_MM, JITTER_SHARE, NotAGrid, Stack, build_stack, normal_of
from medviewer.io.dicom_groups import grouped, hard_groups
from medviewer.io.dicom_irregular import build_regularised, far_parts
from medviewer.io.dicom_resampling import CORNER_MM

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
_TIMES = ("TriggerTime", "AcquisitionDateTime", "AcquisitionTime", "ContentTime")  # run on within one acquisition
REPEAT = "repeat"  # word of volumes that only their instance numbers tell apart
_UNLIKE = 3.0  # parts whose slice distances differ by more are volumes of their own
_MOST_PARTS = 4  # pieces of one series, between wide gaps or by acquisition
_A_LITTLE_OFF = 0.25  # of the slice distance
_FEWEST_SLICES = 3  # of a piece that an acquisition, echo or time makes on its own


@dataclass
class Split:
    """The volumes of a series, each with the words that tell it apart, and what was refused and why."""

    stacks: list[tuple[Stack, str]] = field(default_factory=list)
    refused: list[tuple[Sequence[Frame], str]] = field(default_factory=list)

    @property
    def loaded(self) -> int:
        return sum(len(stack.frames) for stack, _ in self.stacks)

    @property
    def worth(self) -> tuple[int, int, int]:
        """More slices shown is better, then more of them as they were acquired, then fewer volumes."""
        acquired = sum(len(stack.frames) for stack, _ in self.stacks if stack.plan is None)
        return self.loaded, acquired, -len(self.stacks)

    def add(self, other: Split) -> None:
        self.stacks += other.stacks
        self.refused += other.refused


def split_series(frames: Sequence[Frame], mend: bool = True) -> Split:
    """Split by what a volume must share, then by what tells repeats apart; with `mend`, the rest is resampled."""
    result = Split()
    for part, words in hard_groups(frames):
        exact = _partition(part, SOFT_KEYS, words, mend=False)
        if exact.refused and mend:
            mended = _partition(part, SOFT_KEYS, words, mend=True)
            exact = mended if mended.worth >= exact.worth else exact
        result.add(exact)
    return result


def _partition(frames: list[Frame], keys: Sequence[tuple[str, str]], words: str, mend: bool) -> Split:
    """One volume if regular; else the split by one of `keys` that leaves the fewest slices unreadable.

    `mend` allows volumes that are resampled.
    """
    try:
        return Split([(build_stack(frames), words)])
    except NotAGrid as error:
        problem = error
    if not problem.duplicates:
        return _irregular(frames, problem, keys, words, mend)
    whole = Split(refused=[(frames, str(problem))])
    best = whole
    for candidate in _candidates(frames, keys, words, mend):
        best = max(best, candidate, key=lambda split: split.worth)
    if best.refused or len(best.stacks) > len(_places(frames)[0]):
        ranked = _by_rank(frames, words)
        best = ranked if ranked is not None else best
    if best.refused and mend and best.loaded * 2 <= len(frames):
        whole = _extras_apart(frames, words)
        best = max(whole, best, key=lambda split: split.worth)
    return best if best.loaded * 2 > len(frames) else whole


def _candidates(frames: list[Frame], keys: Sequence[tuple[str, str]], words: str, mend: bool) -> Iterator[Split]:
    """The split by each key that makes groups of at least two slices on average."""
    for index, (keyword, name) in enumerate(keys):
        groups = grouped(frames, lambda frame, keyword=keyword: _hashable(frame.get(keyword)))  # type: ignore[misc]
        if not 1 < len(groups) <= len(frames) // 2:
            continue
        candidate = Split()
        for group in groups:
            label = f"{name} {_shown(group[0].get(keyword))}"
            candidate.add(_partition(group, keys[index + 1 :], _joined(words, label), mend))
        yield candidate


def _irregular(
    frames: list[Frame], problem: NotAGrid, keys: Sequence[tuple[str, str]], words: str, mend: bool
) -> Split:
    """Slices at different places that form no grid: several acquisitions, pieces far apart, or one to be resampled."""
    for candidate in _candidates(frames, [key for key in keys if key[0] not in _TIMES], words, mend=False):
        if not candidate.refused and (_in_pieces(candidate) or _repeats(candidate)):
            return candidate
    pieces = [part for part in (problem.parts, _far_parts(frames)) if 1 < len(part) <= _MOST_PARTS]
    for parts in pieces:
        if parts is not problem.parts or _unlike(problem.parts):
            return _by_spacing(parts, problem, words, mend)
    if mend:
        try:
            return Split([(build_regularised(frames), words)])
        except NotAGrid as error:
            problem = error
    return Split(refused=[(frames, str(problem))])


def _far_parts(frames: list[Frame]) -> Sequence[tuple[Frame, ...]]:
    try:
        return far_parts(frames)
    except NotAGrid:
        return ()


def _in_pieces(split: Split) -> bool:
    """Are these acquisitions, each of several slices, that lie one after another and not inside each other?"""
    if len(split.stacks) > _MOST_PARTS or any(len(stack.frames) < _FEWEST_SLICES for stack, _ in split.stacks):
        return False
    normal = normal_of(split.stacks[0][0].frames[0])
    spans = sorted(
        (float(np.dot(stack.frames[0].position, normal)), float(np.dot(stack.frames[-1].position, normal)))  # type: ignore[arg-type]
        for stack, _ in split.stacks
    )
    return all(first[1] < second[0] for first, second in pairwise(spans))


def _repeats(split: Split) -> bool:
    """Are these the same places again, a little off each other, as time points of a scan that follows motion?"""
    steps = [stack.affine[:3, 2] for stack, _ in split.stacks]
    if any(len(stack.frames) < _FEWEST_SLICES for stack, _ in split.stacks) or not np.allclose(
        steps, steps[0], atol=JITTER_MM
    ):
        return False
    starts = np.array([stack.affine[:3, 3] for stack, _ in split.stacks])
    off = (starts - starts[0]) @ steps[0] / (steps[0] @ steps[0])
    return bool(np.abs(off - np.rint(off)).max() <= _A_LITTLE_OFF)


def _unlike(parts: Sequence[tuple[Frame, ...]]) -> bool:
    """Do the slice distances of evenly spaced parts differ so much that one grid would be mostly made up?"""
    distances = [float(np.linalg.norm(np.subtract(part[1].position, part[0].position))) for part in parts]  # type: ignore[arg-type]
    return max(distances) > _UNLIKE * min(distances)


def _by_spacing(parts: Sequence[tuple[Frame, ...]], problem: NotAGrid, words: str, mend: bool) -> Split:
    """Each piece as its own volume, saying so."""
    result = Split()
    note = f"In this series {problem}; it is shown as {len(parts)} volumes."
    as_listed = sorted(parts, key=lambda part: min(map(_number, part)))
    for number, part in enumerate(as_listed, start=1):
        label = _joined(words, f"part {number} of {len(parts)}")
        found = _partition(list(part), (), label, mend)
        result.refused += found.refused
        result.stacks += [(_noted(stack, note), name) for stack, name in found.stacks]
    return result


def _repeated(frames: list[Frame]) -> str:
    """What is wrong where different pictures cannot be told apart."""
    path = frames[0].header.path
    if all(frame.header.path == path for frame in frames):
        return f"different frames of {path.name} lie at the same position"
    return "different images carry the same identifier (SOP Instance UID) and position"


def _extras_apart(frames: list[Frame], words: str) -> Split:
    """Different pictures at some places: the first of each place as the volume, the others by themselves."""
    places = [sorted(place, key=_number) for place in _places(frames)]
    uids = [frame.header.get("SOPInstanceUID") for place in places if len(place) > 1 for frame in place]
    twice = sum(len(place) > 1 for place in places)
    if not twice:
        return Split(refused=[(frames, "some slices lie closer to each other than positions are rounded")])
    if len(set(uids)) < len(uids) or twice * 2 > len(places):
        return Split(refused=[(frames, _repeated(frames))])
    note = (
        f"At {twice} position{'s' if twice > 1 else ''} lie several different images: this volume uses those with the "
        "lowest instance numbers, the others are volumes of their own."
    )
    main = _partition([place[0] for place in places], (), _joined(words, "first images"), mend=True)
    result = Split([(_noted(stack, note), name) for stack, name in main.stacks], list(main.refused))
    others = [frame for place in places for frame in place[1:]]
    rest = _partition(others, (), _joined(words, "further images at the same positions"), mend=True)
    result.add(Split([(_noted(stack, note), name) for stack, name in rest.stacks], rest.refused))
    return result


def _noted(stack: Stack, note: str) -> Stack:
    """A regularisation's sentence stays the first warning."""
    return replace(stack, warnings=(*stack.warnings, note))


def _joined(words: str, label: str) -> str:
    return f"{words}, {label}" if words else label


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
        result.stacks.append((_noted(stack, note), _joined(words, f"{REPEAT} {rank + 1}")))
    return result


def _places(frames: list[Frame]) -> list[list[Frame]]:
    """Frames that share a position along the normal, within rounding."""
    if not all(is_finite(frame.position) and is_finite(frame.orientation) for frame in frames):
        return [frames]
    normal = normal_of(frames[0])
    ordered = sorted((float(np.asarray(frame.position) @ normal), index) for index, frame in enumerate(frames))
    gaps = np.diff([along for along, _ in ordered])
    same = max(0.01, JITTER_SHARE * float(np.median(gaps[gaps > CORNER_MM]))) if (gaps > CORNER_MM).any() else 0.01
    places: list[list[Frame]] = []
    last = -np.inf
    for along, index in ordered:
        if along - last > same:
            places.append([])
            last = along
        places[-1].append(frames[index])
    return places


def _number(frame: Frame) -> tuple[int, int]:
    return frame.header.get("InstanceNumber") or 0, frame.index


def _hashable(value: object) -> Hashable:
    return value if isinstance(value, Hashable) else repr(value)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return "/".join(f"{part:g}" if isinstance(part, float) else str(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else "not recorded" if value is None else str(value)
