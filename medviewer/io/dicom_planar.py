"""Single images and cine loops: CR, DX, MG, US, XA, photographs. Their frames are time, never slices."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from medviewer.core.volume import SeriesEntry
from medviewer.io.decode_pool import WorkerFailed, ask_about
from medviewer.io.dicom_classes import is_planar
from medviewer.io.dicom_facts import facts_of, patient_of, title_of, units_of, value_warnings, window_of
from medviewer.io.dicom_frames import Frame, is_finite, numbers
from medviewer.io.dicom_handle import Handle, frame_ref, pixel_format
from medviewer.io.dicom_header import Header

_CENTIMETRE = 3  # PhysicalUnitsXDirection
Regions = tuple[dict[str, float], ...]


def planar_entry(header: Header, first: Frame, opened: Path) -> SeriesEntry:
    """The entry of one file without a place in the patient. Raises `InputRefused`."""
    pixels = pixel_format(header)
    count = max(1, header.get("NumberOfFrames") or 1)
    reference = frame_ref(first, pixels)  # refuses claims the file does not hold, before a list of frames is made
    refs = tuple(replace(reference, index=k) for k in range(count))
    regions = ultrasound_regions(header)
    spacing, note = _spacing(header, first, regions)
    units, unit_note = units_of(first)
    return SeriesEntry(
        id="",
        format="dicom",
        title=title_of(first),
        kind="cine" if count > 1 else "image",
        modality=header.get("Modality"),
        shape_xyz=(pixels.columns, pixels.rows, count),
        spacing_mm=spacing,
        affine_lps=None,
        units=units,
        facts=facts_of(first),
        warnings=_warnings(first, spacing, note, unit_note),
        patient=patient_of(header),
        path=opened,
        handle=Handle(
            frames=refs,
            series_uid=header.get("SeriesInstanceUID"),
            instance_uids=(header.get("SOPInstanceUID") or "",) * count,
            instance_numbers=(header.get("InstanceNumber"),) * count,
            window=window_of(first),
            inverted=pixels.photometric == "MONOCHROME1",
            spacing_note=note,
            patient_orientation=_orientation(header),
            frame_time_ms=_frame_time(header) if count > 1 else None,
            calibrated_regions=regions,
        ),
    )


def _warnings(first: Frame, spacing: Any, note: str, unit_note: str) -> tuple[str, ...]:
    header, found = first.header, []
    if spacing is None:
        found.append("The pixel size is not recorded: lengths and areas can only be given in pixels.")
    elif note == "at the detector":
        found.append("The pixel size is that at the detector: lengths in the patient are shorter.")
    found += value_warnings(first)
    if (header.get("NumberOfFrames") or 1) > 1 and not is_planar(header):
        found.append(
            "The frames have no recorded place in the patient; they are shown one after the other, not stacked."
        )
    if header.get("BurnedInAnnotation") == "YES":
        found.append("Text is burned into the pixels and may identify the patient.")
    if unit_note and header.get("Modality") == "CT":
        found.append(unit_note)
    return (*found, *(f"{text[0].upper()}{text[1:]}." for text in header.notes))


def _spacing(header: Header, first: Frame, regions: Regions) -> tuple[tuple[float, float, float] | None, str]:
    """((mm per column step, mm per row step, 0), note), or (None, "") where unknown."""
    if header.get("Modality") in ("US", "IVUS"):
        steps = {(region["dx"], region["dy"]) for region in regions}
        if len(steps) == 1:
            dx, dy = steps.pop()
            return (dx, dy, 0.0), "inside the calibrated region"
        if regions:
            return None, ""
    imager = numbers(header.get("ImagerPixelSpacing"), 2)
    for values, note in ((first.spacing, ""), (imager, "at the detector")):
        if values and is_finite(values) and min(values) > 0:
            at_detector = note or ("at the detector" if values == imager else "")  # equal: not corrected (C.8.11.4)
            return (values[1], values[0], 0.0), at_detector
    return None, ""


def ultrasound_regions(header: Header) -> Regions:
    """Calibrated regions (PS3.3 C.8.5.5): pixels x0 y0 x1 y1 and mm per pixel dx dy; only those in centimetres."""
    if not header.get("SequenceOfUltrasoundRegions"):
        return ()
    try:
        found = ask_about("regions", header.path)[0]["regions"]
    except WorkerFailed:  # a damaged sequence only means: not calibrated
        return ()
    return tuple(found)


def regions_task(path: Path) -> tuple[dict[str, Any], bytes]:
    """In the worker: the calibrated regions of a file."""
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(
            path, force=True, stop_before_pixels=True, specific_tags=["SequenceOfUltrasoundRegions"]
        )
        regions = [_region(item) for item in dataset.get("SequenceOfUltrasoundRegions") or ()]
    return {"regions": [region for region in regions if region is not None]}, b""


def _region(item: Any) -> dict[str, float] | None:
    if item.get("PhysicalUnitsXDirection") != _CENTIMETRE or item.get("PhysicalUnitsYDirection") != _CENTIMETRE:
        return None
    dx, dy = abs(float(item.PhysicalDeltaX)) * 10.0, abs(float(item.PhysicalDeltaY)) * 10.0
    if not (is_finite((dx, dy)) and min(dx, dy) > 0):
        return None
    return {
        "x0": float(item.RegionLocationMinX0),
        "y0": float(item.RegionLocationMinY0),
        "x1": float(item.RegionLocationMaxX1),
        "y1": float(item.RegionLocationMaxY1),
        "dx": dx,
        "dy": dy,
    }


def _orientation(header: Header) -> tuple[str, str] | None:
    values = header.get("PatientOrientation")
    return (values[0], values[1]) if values and len(values) == 2 and all(values) else None


def _frame_time(header: Header) -> float | None:
    """Milliseconds per frame, as recorded."""
    vector = header.get("FrameTimeVector")
    rate = header.get("RecommendedDisplayFrameRate") or header.get("CineRate")
    candidates = (header.get("FrameTime"), sum(vector[1:]) / (len(vector) - 1) if vector and len(vector) > 1 else None)
    found = next((value for value in candidates if value and value > 0), None)
    return float(found) if found else 1000.0 / rate if rate and rate > 0 else None
