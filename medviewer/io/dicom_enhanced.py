"""Enhanced multi-frame objects: place and rescale of each frame from the functional groups (PS3.3 C.7.6.16)."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

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
    """All frames of an enhanced file, in stored order. Raises `NotReadable`."""
    count = header.get("NumberOfFrames") or 1
    try:
        shared, per_frame = _read_groups(header)
        if len(per_frame) == count or (not per_frame and count == 1):
            return [_frame(header, index, shared, group) for index, group in enumerate(per_frame or [None])]
    except Exception as error:  # pydicom raises many kinds for damaged sequences
        raise NotReadable(
            f"The frame descriptions of {header.path.name} are damaged ({type(error).__name__}). Export it again."
        ) from None
    raise NotReadable(
        f"{header.path.name} describes {len(per_frame)} frames but claims {count}. Export the series again."
    )


def _read_groups(header: Header) -> tuple[Any, list[Any]]:
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(header.path, force=True, stop_before_pixels=True, specific_tags=_GROUPS)
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


def _frame(header: Header, index: int, shared: Any, own: Any) -> Frame:
    groups = (own, shared)
    slope = _value(groups, "PixelValueTransformationSequence", "RescaleSlope")
    intercept = _value(groups, "PixelValueTransformationSequence", "RescaleIntercept")
    return Frame(
        header,
        index,
        _floats(_value(groups, "PlanePositionSequence", "ImagePositionPatient"), 3),
        _floats(_value(groups, "PlaneOrientationSequence", "ImageOrientationPatient"), 6),
        _floats(_value(groups, "PixelMeasuresSequence", "PixelSpacing"), 2),
        1.0 if slope is None else float(slope),
        0.0 if intercept is None else float(intercept),
        _extra(groups),
    )


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
