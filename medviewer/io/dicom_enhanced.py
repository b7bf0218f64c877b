"""Enhanced multi-frame objects: place and rescale of each frame from the functional groups (PS3.3 C.7.6.16)."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from medviewer.io.decode_pool import WorkerFailed, ask_about
from medviewer.io.dicom_frames import Frame, numbers
from medviewer.io.dicom_header import Header, NotReadable

# keyword of the value: (macro sequence, attribute in it)
_TELLS_APART = {
    "StackID": ("FrameContentSequence", "StackID"),
    "TemporalPositionIdentifier": ("FrameContentSequence", "TemporalPositionIndex"),
    "EchoTime": ("MREchoSequence", "EffectiveEchoTime"),
    "DiffusionBValue": ("MRDiffusionSequence", "DiffusionBValue"),
    "TriggerTime": ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
    "SliceThickness": ("PixelMeasuresSequence", "SliceThickness"),
    "SpacingBetweenSlices": ("PixelMeasuresSequence", "SpacingBetweenSlices"),
    "RescaleType": ("PixelValueTransformationSequence", "RescaleType"),
    "WindowCenter": ("FrameVOILUTSequence", "WindowCenter"),
    "WindowWidth": ("FrameVOILUTSequence", "WindowWidth"),
    "RepetitionTime": ("MRTimingAndRelatedParametersSequence", "RepetitionTime"),
    "KVP": ("CTXRayDetailsSequence", "KVP"),
}
_FRAME_TYPES = (
    "MRImageFrameTypeSequence",
    "CTImageFrameTypeSequence",
    "PETFrameTypeSequence",
    "XRay3DFrameTypeSequence",
)
_GROUPS = ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "SpecificCharacterSet"]


def enhanced_frames(header: Header) -> list[Frame]:
    """All frames of an enhanced file, in stored order; a decode worker reads them. Raises `NotReadable`."""
    count, name = header.get("NumberOfFrames") or 1, header.path.name
    try:
        found = ask_about("functional groups", header.path, count=count)[0]
    except WorkerFailed as error:  # pydicom raises many kinds for damaged sequences
        why = "nested too deeply" if error.kind == "RecursionError" else error.kind or error.reason
        raise NotReadable(
            f"The frame descriptions of {name} are damaged ({why}). Export it again."
        ) from None
    if found["described"] != count:
        raise NotReadable(f"{name} describes {found['described']} frames but claims {count}. Export the series again.")
    return [_frame(header, index, values) for index, values in enumerate(found["frames"])]


def _frame(header: Header, index: int, values: list[Any]) -> Frame:
    position, orientation, spacing, slope, intercept, extra = (_tuples(value) for value in values)
    extra = {keyword: _tuples(value) for keyword, value in extra.items()}
    return Frame(header, index, position, orientation, spacing, slope, intercept, extra)


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def groups_task(path: Path, count: int) -> tuple[dict[str, Any], bytes]:
    """In the worker: how many frames the functional groups describe and, where it is `count`, what they say of each."""
    shared, per_frame = _read_groups(path)
    groups = per_frame or ([None] if count == 1 else [])
    frames = [_described(shared, group) for group in groups] if len(groups) == count else []
    return {"described": len(groups), "frames": frames}, b""


def _read_groups(path: Path) -> tuple[Any, list[Any]]:
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=_GROUPS)
        shared = dataset.get("SharedFunctionalGroupsSequence") or [None]
        return shared[0], list(dataset.get("PerFrameFunctionalGroupsSequence") or [])


def _value(groups: Iterable[Any], macro: str, attribute: str) -> Any:
    """An attribute of a macro: the frame's own group comes before the shared one."""
    for group in groups:
        sequence = group.get(macro) if group is not None else None
        if sequence and sequence[0].get(attribute) is not None:
            return sequence[0].get(attribute)
    return None


def _floats(value: Any, count: int) -> tuple[float, ...] | None:
    return numbers(tuple(float(v) for v in value), count) if value is not None else None


def _described(shared: Any, own: Any) -> list[Any]:
    """Position, orientation, pixel spacing, rescale and further values of one frame."""
    groups = (own, shared)
    slope = _value(groups, "PixelValueTransformationSequence", "RescaleSlope")
    intercept = _value(groups, "PixelValueTransformationSequence", "RescaleIntercept")
    return [
        _floats(_value(groups, "PlanePositionSequence", "ImagePositionPatient"), 3),
        _floats(_value(groups, "PlaneOrientationSequence", "ImageOrientationPatient"), 6),
        _floats(_value(groups, "PixelMeasuresSequence", "PixelSpacing"), 2),
        1.0 if slope is None else float(slope),
        0.0 if intercept is None else float(intercept),
        _extra(groups),
    ]


def _extra(groups: tuple[Any, Any]) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    for keyword, (macro, attribute) in _TELLS_APART.items():
        value = _value(groups, macro, attribute)
        if value is not None:
            extra[keyword] = _plain(keyword, value)
    for macro in _FRAME_TYPES:
        kind = _value(groups, macro, "FrameType")
        if kind is not None:
            extra["ImageType"] = tuple(str(part) for part in kind)
    direction = _gradient(groups)
    return extra | ({"DiffusionGradientOrientation": direction} if direction else {})


def _plain(keyword: str, value: Any) -> Any:
    if keyword in ("StackID", "RescaleType"):
        return str(value)
    if keyword in ("WindowCenter", "WindowWidth"):
        many = value if hasattr(value, "append") else [value]
        return tuple(float(v) for v in many)
    return float(value)


def _gradient(groups: tuple[Any, Any]) -> tuple[float, ...] | None:
    directions = _value(groups, "MRDiffusionSequence", "DiffusionGradientDirectionSequence")
    if not directions:
        return None
    return _floats(directions[0].get("DiffusionGradientOrientation"), 3)
