"""What one volume must share: frame of reference, modality, matrix, pixel spacing, orientation. Else it is several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from medviewer.io.dicom_frames import Frame, is_finite, is_localizer
from medviewer.io.dicom_geometry import normal_of

_SAME_DIRECTION = 1e-3  # cosines that differ by less
_PLANES = ("sagittal", "coronal", "axial")
Groups = list[tuple[list[Frame], str]]


def hard_groups(frames: Sequence[Frame]) -> Groups:
    """Groups that can never be one volume, each with the words that say what is different about it."""
    keys = {name: key for name, (key, _) in _KEYS.items()}
    if len({_units(frame) for frame in frames} - {""}) < 2:
        del keys["units"]  # not stated everywhere is no contradiction
    groups = grouped(frames, lambda frame: tuple(key(frame) for key in keys.values()))
    differing = [name for name, key in keys.items() if len({key(group[0]) for group in groups}) > 1]
    result: Groups = []
    for number, group in enumerate(groups, start=1):
        words = [_KEYS[name][1](group[0], number) for name in differing]
        result += [(plane, ", ".join(filter(None, (*words, turned)))) for plane, turned in _by_orientation(group)]
    return result


def grouped(frames: Sequence[Frame], key: Callable[[Frame], Hashable]) -> list[list[Frame]]:
    """Frames by key, in the order in which the keys appear."""
    groups: dict[Hashable, list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[key(frame)].append(frame)
    return list(groups.values())


def _spacing(frame: Frame) -> Hashable:
    if not is_finite(frame.spacing):
        return None
    assert frame.spacing is not None
    return tuple(round(value, 3) for value in frame.spacing)


def _matrix(frame: Frame) -> Hashable:
    return frame.header.get("Columns"), frame.header.get("Rows")


def _pixels(frame: Frame) -> Hashable:
    return frame.header.get("SamplesPerPixel"), frame.header.get("PhotometricInterpretation")


def _units(frame: Frame) -> str:
    """What the numbers are, as far as it is stated: slices of other units would be wrong numbers in one volume."""
    return str(frame.get("RescaleType") or frame.header.get("Units") or "").upper()


def _spacing_words(frame: Frame, _: int) -> str:
    return " x ".join(f"{value:g}" for value in reversed(frame.spacing or ())) + " mm pixels"


# what differs: (its value, how a group is called by it)
_KEYS: dict[str, tuple[Callable[[Frame], Hashable], Callable[[Frame, int], str]]] = {
    "localizer": (is_localizer, lambda frame, _: "localizer" if is_localizer(frame) else ""),
    "modality": (lambda frame: frame.header.get("Modality"), lambda frame, _: str(frame.header.get("Modality"))),
    "matrix": (_matrix, lambda frame, _: "{} x {} pixels".format(*_pair(_matrix(frame)))),
    "spacing": (_spacing, _spacing_words),
    "pixels": (_pixels, lambda frame, _: str(frame.header.get("PhotometricInterpretation"))),
    "units": (lambda frame: _units(frame) or None, lambda frame, _: "in " + (_units(frame) or "unknown units")),
    "place": (
        lambda frame: frame.header.get("FrameOfReferenceUID"),
        lambda _, number: f"frame of reference {number}",
    ),
}


def _pair(value: Any) -> tuple[Any, Any]:
    return value[0], value[1]


def _by_orientation(frames: list[Frame]) -> Groups:
    """Slices whose six orientation cosines agree within 1e-3, called by their plane where there are several."""
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
            if np.abs(representative - vector).max() < _SAME_DIRECTION:
                collected += members
                break
        else:
            clusters.append((vector, list(members)))
    groups = [members for _, members in clusters]
    return list(zip(groups, _plane_words(groups), strict=True))


def _plane_words(groups: list[list[Frame]]) -> list[str]:
    """The plane, "axial" for instance, with a number where groups share it; nothing where there is one group."""
    if len(groups) < 2:
        return [""]
    names = [_plane(group[0]) for group in groups]
    words = []
    for index, name in enumerate(names):
        words.append(f"{name} {names[: index + 1].count(name)}" if names.count(name) > 1 else name)
    return words


def _plane(frame: Frame) -> str:
    if not is_finite(frame.orientation):
        return "no orientation"
    return _PLANES[int(np.argmax(np.abs(normal_of(frame))))]
