"""Builds the entries a user chooses from: volumes, single images and cine loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from medviewer.core.errors import InputRefused
from medviewer.core.geometry import spacing_of
from medviewer.core.volume import Fact, Refused, SeriesEntry
from medviewer.io.dicom_classes import is_enhanced, is_planar
from medviewer.io.dicom_copies import without_copies, without_equal_pictures
from medviewer.io.dicom_enhanced import enhanced_frames
from medviewer.io.dicom_facts import facts_of, patient_of, title_of, units_of, value_warnings, window_of
from medviewer.io.dicom_frames import Frame, classic_frame
from medviewer.io.dicom_geometry import Stack, places_of
from medviewer.io.dicom_handle import FrameRef, Handle, PixelFormat, frame_ref, pixel_format
from medviewer.io.dicom_header import Header, NotReadable
from medviewer.io.dicom_irregular import MOST_MISSING
from medviewer.io.dicom_nuclear import is_reconstructed_tomography, tomographic_frames
from medviewer.io.dicom_patients import patients
from medviewer.io.dicom_planar import planar_entry
from medviewer.io.dicom_split import REPEAT, Split, split_series
from medviewer.io.dicom_unplaced import stacked_pictures

_HINTS = {
    "missing": "Copy the whole series again: too much of it is not here.",
    "too wide": "Copy the whole series again: too much of it is not here.",
    "lean": "Ask for a reconstruction whose slices are stacked straight.",
    "turned against": "Ask for parallel slices; radial and rotated ones form no volume.",
    "varies": "Export the parts with even spacing as series of their own.",
    "same position": "Remove the duplicates, or export each time point as its own series.",
    "same identifier": "Find out which of the files is right and remove the other.",
}


@dataclass
class Found:
    """Entries and refusals of one series, before they get their ids."""

    entries: list[SeriesEntry] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def series_entries(headers: Sequence[Header], series_id: str, opened: Path) -> Found:
    """All entries of one series. Never raises for bad files: they are refused by name."""
    found = Found()
    people = patients(headers)
    if len(people) > 1:
        found.refused.append(Refused(headers[0].path, _several_people(len(people), len(headers))))
        return found
    slices: list[Frame] = []
    for header in headers:
        try:
            slices += _sort_out(header, found, opened)
        except NotReadable as error:
            found.refused.append(Refused(header.path, str(error)))
        except InputRefused as error:
            found.refused.append(Refused(header.path, str(error)))
    found.entries = stacked_pictures(found.entries)
    _add_volumes(slices, found, opened)
    found.entries = _with_ids(found.entries, series_id)
    return found


def _several_people(people: int, images: int) -> str:
    return (
        f"One series identifier is used for {people} different patients ({images} images): the patient's name, ID or "
        "date of birth differs between its images, so none of them is shown. "
        "Find out whose images these are and export each patient's series again."
    )


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


def _add_volumes(slices: list[Frame], found: Found, opened: Path) -> None:
    slices, notes = _sound(slices, found)
    if not slices:
        return
    split, told = _split(slices)
    notes += told
    apart = sum(entry.modality == slices[0].get("Modality") for entry in found.entries)
    if apart:
        notes += (f"{apart} images of this series have no usable position and are listed by themselves.",)
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


def _sound(slices: list[Frame], found: Found) -> tuple[list[Frame], tuple[str, ...]]:
    """The frames whose pixels are there, and what to tell about the others, which are refused by name.

    Where too many are damaged, or one file holds them all, none is left.
    """
    broken: dict[int, tuple[Header, InputRefused]] = {}
    formats: dict[int, PixelFormat] = {}
    for frame in slices:
        key = id(frame.header)
        try:
            if key not in formats and key not in broken:
                formats[key] = pixel_format(frame.header)
                frame_ref(frame, formats[key])
        except InputRefused as error:
            broken[key] = frame.header, error
    sound = [frame for frame in slices if id(frame.header) not in broken]
    hopeless = len(slices) - len(sound) > MOST_MISSING * len(slices)
    for header, reason in broken.values():
        others = f" The series of {len(slices)} images is not opened without it." if hopeless and sound else ""
        found.refused.append(Refused(header.path, f"{reason.message}{others} {reason.hint}".strip()))
    if hopeless:
        return [], ()
    return sound, tuple(f"{reason.message} It was left out of this series." for _, reason in broken.values())


def _split(slices: list[Frame]) -> tuple[Split, tuple[str, ...]]:
    """The volumes of a series, without images that are there twice; (split, what to tell about it)."""
    unique = without_copies(slices)
    split = split_series(unique, mend=False)
    if any("same position" in reason for _, reason in split.refused) or _repeats(split):
        fewer = without_equal_pictures(unique)
        again = split_series(fewer)
        unique, split = (unique, split) if _repeats(again) and not split.refused else (fewer, again)
    elif split.refused:
        split = split_series(unique)
    copies = len(slices) - len(unique)
    what = "1 image was" if copies == 1 else f"{copies} images were"
    return split, ((f"{what} here twice; each is used once.",) if copies else ())


def _repeats(split: Split) -> bool:
    """Are there volumes told apart by number only? They may be one that was sent twice."""
    return any(REPEAT in words for _, words in split.stacks)


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
        shape_xyz=stack.plan.shape if stack.plan else (first.columns, first.rows, len(refs)),
        spacing_mm=spacing_of(stack.affine),
        affine_lps=stack.affine,
        units=units,
        facts=_volume_facts(middle, words),
        warnings=tuple(w for w in (*stack.warnings, *notes, unit_note, *value_warnings(middle), *oddities) if w),
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


def _handle(stack: Stack, refs: tuple[FrameRef, ...], middle: Frame) -> Handle:
    headers = [frame.header for frame in stack.frames]
    padding = facts_of(middle)["pixel_padding_value"].value
    return Handle(
        frames=refs,
        series_uid=headers[0].get("SeriesInstanceUID"),
        instance_uids=tuple(header.get("SOPInstanceUID") or "" for header in headers),
        instance_numbers=tuple(header.get("InstanceNumber") for header in headers),
        window=window_of(middle),
        inverted=refs[0].format.photometric == "MONOCHROME1",
        places=places_of(stack.frames),
        deviation_mm=stack.deviation,
        plan=stack.plan,
        padding=padding if isinstance(padding, float) else None,
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
