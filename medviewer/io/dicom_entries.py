"""Builds the entries a user chooses from: regular volumes, single images and cine loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from medviewer.core.errors import InputRefused
from medviewer.core.volume import Fact, Refused, SeriesEntry
from medviewer.io.dicom_classes import is_enhanced, is_planar
from medviewer.io.dicom_copies import without_copies, without_equal_pictures
from medviewer.io.dicom_enhanced import enhanced_frames
from medviewer.io.dicom_facts import facts_of, patient_of, title_of, units_of, value_warnings, window_of
from medviewer.io.dicom_frames import Frame, classic_frame
from medviewer.io.dicom_geometry import Stack
from medviewer.io.dicom_handle import FrameRef, Handle, PixelFormat, frame_ref, pixel_format
from medviewer.io.dicom_header import Header, NotReadable
from medviewer.io.dicom_nuclear import is_reconstructed_tomography, tomographic_frames
from medviewer.io.dicom_planar import planar_entry
from medviewer.io.dicom_split import Split, patient_key, split_series

_HINTS = {
    "missing": "Copy the whole series again; medviewer does not interpolate missing slices.",
    "sheared": "Ask for a reconstruction without tilt; medviewer does not resample tilted series yet.",
    "varies": "Open the parts with even spacing one by one; medviewer does not interpolate.",
    "same position": "Remove the duplicates, or export each time point as its own series.",
}


@dataclass
class Found:
    """Entries and refusals of one series, before they get their ids."""

    entries: list[SeriesEntry] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def series_entries(headers: Sequence[Header], series_id: str, opened: Path) -> Found:
    """All entries of one series. Never raises for bad files: they are refused by name."""
    found = Found()
    slices: list[Frame] = []
    for header in headers:
        try:
            slices += _sort_out(header, found, opened)
        except NotReadable as error:
            found.refused.append(Refused(header.path, str(error)))
        except InputRefused as error:
            found.refused.append(Refused(header.path, str(error)))
    _refuse_unplaced(found)
    _add_volumes(slices, found, opened)
    found.entries = _with_ids(found.entries, series_id)
    return found


def _sort_out(header: Header, found: Found, opened: Path) -> list[Frame]:
    """Frames that belong into volumes; a planar image becomes its entry at once."""
    frames = enhanced_frames(header) if is_enhanced(header) else _classic_frames(header)
    multi = (header.get("NumberOfFrames") or 1) > 1
    if not is_planar(header):
        if all(frame.placed for frame in frames) and (len(frames) > 1 or not multi):
            return frames
        if is_enhanced(header) and multi:
            raise InputRefused(
                f"{header.path.name} does not state where each of its {len(frames)} frames lies.", "Export it again."
            )
    found.entries.append(planar_entry(header, frames[0], opened))
    return []


def _classic_frames(header: Header) -> list[Frame]:
    tomographic = tomographic_frames(header) if is_reconstructed_tomography(header) else None
    return tomographic or [classic_frame(header)]


def _refuse_unplaced(found: Found) -> None:
    """Several CT, MR or PET images without a place are slices of something, but nobody can say of what."""
    unplaced = [e for e in found.entries if e.kind == "image" and e.modality in ("CT", "MR", "PT")]
    if len(unplaced) < 2:
        return
    dropped = {id(entry) for entry in unplaced}
    found.entries = [entry for entry in found.entries if id(entry) not in dropped]
    first = unplaced[0].handle.frames[0].path
    found.refused.append(
        Refused(
            first,
            f"{len(unplaced)} images of {unplaced[0].title!r} do not state where they lie in the patient "
            "(no image position, orientation or pixel spacing), so they cannot be stacked. "
            "Open one file by itself to see it as a picture.",
        )
    )


def _add_volumes(slices: list[Frame], found: Found, opened: Path) -> None:
    if not slices:
        return
    broken = _broken_slice(slices)
    if broken:
        found.refused.append(broken)
        return
    split, notes = _split(slices)
    apart = sum(entry.modality == slices[0].get("Modality") for entry in found.entries)
    if apart:
        notes += (f"{apart} images of this series have no usable position and are listed by themselves.",)
    people = {patient_key(frame) for frame in slices}
    if len(people) > 1:
        notes += (f"This series UID is used for {len(people)} patients; they were kept apart.",)
    for frames, reason in split.refused:
        found.refused.append(Refused(_place(frames, opened), _refusal(frames, reason)))
    if split.refused:
        lost = sum(len(frames) for frames, _ in split.refused)
        notes += (f"{lost} images of this series were left out: {split.refused[0][1]}.",)
    for stack, words in split.stacks:
        try:
            found.entries.append(_volume_entry(stack, words, notes, opened))
        except InputRefused as error:
            found.refused.append(Refused(stack.frames[0].header.path, str(error)))


def _broken_slice(slices: list[Frame]) -> Refused | None:
    """One slice with missing pixels costs its series: a volume with a hole would be a wrong volume."""
    formats: dict[int, PixelFormat] = {}
    for frame in slices:
        header = frame.header
        try:
            if id(header) not in formats:
                formats[id(header)] = pixel_format(header)
                frame_ref(frame, formats[id(header)])
        except InputRefused as error:
            others = len(slices) - 1
            text = f"{error.message} The series of {others + 1} images is not opened without it. {error.hint}"
            return Refused(header.path, text if others else str(error))
    return None


def _split(slices: list[Frame]) -> tuple[Split, tuple[str, ...]]:
    """The volumes of a series, without images that are there twice; (split, what to tell about it)."""
    unique = without_copies(slices)
    split = split_series(unique)
    if any("same position" in reason for _, reason in split.refused):
        fewer = without_equal_pictures(unique)
        if len(fewer) < len(unique):
            unique, split = fewer, split_series(fewer)
    copies = len(slices) - len(unique)
    what = "1 image was" if copies == 1 else f"{copies} images were"
    return split, ((f"{what} here twice; each is used once.",) if copies else ())


def _place(frames: Sequence[Frame], opened: Path) -> Path:
    paths = {frame.header.path for frame in frames}
    return min(paths) if paths else opened


def _refusal(frames: Sequence[Frame], reason: str) -> str:
    hint = next((hint for word, hint in _HINTS.items() if word in reason), "Export the series again.")
    number = frames[0].get("SeriesNumber")
    series = f"series {number} ({title_of(frames[0])})" if number is not None else f"series {title_of(frames[0])!r}"
    count = "1 image" if len(frames) == 1 else f"{len(frames)} images"
    return f"{count} of {series} cannot be shown as a volume: {reason}. {hint}"


def _volume_entry(stack: Stack, words: str, notes: tuple[str, ...], opened: Path) -> SeriesEntry:
    middle = stack.frames[len(stack.frames) // 2]
    formats: dict[int, PixelFormat] = {}
    refs = tuple(_ref(frame, formats) for frame in stack.frames)
    units, unit_note = units_of(middle)
    first = refs[0].format
    oddities = tuple(
        f"{note[0].upper()}{note[1:]}." for note in sorted({n for f in stack.frames for n in f.header.notes})
    )
    return SeriesEntry(
        id="",
        format="dicom",
        title=title_of(middle, words),
        kind="volume",
        modality=middle.get("Modality"),
        shape_xyz=(first.columns, first.rows, len(refs)),
        spacing_mm=_spacing(stack.affine),
        affine_lps=stack.affine,
        units=units,
        facts=_volume_facts(middle, words),
        warnings=tuple(w for w in (*notes, *stack.warnings, unit_note, *value_warnings(middle), *oddities) if w),
        patient=patient_of(middle.header),
        path=opened,
        handle=_handle(stack, refs, middle),
    )


def _ref(frame: Frame, formats: dict[int, PixelFormat]) -> FrameRef:
    key = id(frame.header)
    if key not in formats:
        formats[key] = pixel_format(frame.header)
    return frame_ref(frame, formats[key])


def _volume_facts(middle: Frame, words: str) -> dict[str, Fact]:
    facts = facts_of(middle)
    if words:
        facts["split_by"] = Fact(words, "DICOM")
    return facts


def _spacing(affine: Any) -> tuple[float, float, float]:
    i, j, k = np.linalg.norm(affine[:3, :3], axis=0)
    return float(i), float(j), float(k)


def _handle(stack: Stack, refs: tuple[FrameRef, ...], middle: Frame) -> Handle:
    headers = [frame.header for frame in stack.frames]
    return Handle(
        frames=refs,
        series_uid=headers[0].get("SeriesInstanceUID"),
        instance_uids=tuple(header.get("SOPInstanceUID") or "" for header in headers),
        instance_numbers=tuple(header.get("InstanceNumber") for header in headers),
        window=window_of(middle),
        inverted=refs[0].format.photometric == "MONOCHROME1",
    )


def _with_ids(entries: list[SeriesEntry], series_id: str) -> list[SeriesEntry]:
    """Ids that are the same in every run: ordered by kind, first instance number and UID."""

    def order(entry: SeriesEntry) -> tuple[str, int, str, int]:
        handle: Handle = entry.handle
        first = min(zip((n or 0 for n in handle.instance_numbers), handle.instance_uids, strict=True))
        return (entry.kind != "volume" and entry.kind) or "", *first, min(ref.index for ref in handle.frames)

    return [
        replace(entry, id=series_id if not index else f"{series_id}/{index + 1}")
        for index, entry in enumerate(sorted(entries, key=order))
    ]
