"""Segmentations as .seg.nrrd in 3D Slicer's convention; overlapping segments are kept in separate layers."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused, OutputNotWritten
from medviewer.core.geometry import Affine
from medviewer.core.progress import Progress, silent
from medviewer.core.provenance import Provenance
from medviewer.core.segmentation import Color, Segment
from medviewer.core.volume import Volume
from medviewer.io.export_notes import licence_notes, notes_of, origin_from
from medviewer.io.label_sidecar import NOTICE, CodeLike, TermMap
from medviewer.io.nrrd_header import read_info, read_stored

AFFINE_TOLERANCE_MM = 1e-3
_CONTEXT = "Segmentation category and type - DICOM master list"


@dataclass(frozen=True, eq=False)
class ReadSegment:
    """A segment as a file holds it: bool mask (i, j, k) on the file's own grid."""

    name: str
    mask: NDArray[np.bool_]
    color: Color = (76, 194, 255)
    term_id: str | None = None
    side: str | None = None
    notes: tuple[str, ...] = ()  # what was done to the stored values
    code: tuple[str, str] | None = None  # scheme and value of what it is, for instance ("SCT", "64033007")
    origin: Provenance | None = None  # who made it, where the file says so


def write(
    path: Path, volume: Volume, segments: Sequence[Segment], progress: Progress, terms: TermMap | None = None
) -> None:
    """Write all segments, empty ones too; label value = 1-based position. Raises OSError of the drive."""
    progress.report(0.0, "Writing .seg.nrrd")
    layer_of = _layers(segments)
    data = _stack(volume.shape, segments, layer_of)
    header = _header(volume, segments, layer_of, data, terms or {})
    with open(path, "wb") as file:
        file.write(header.encode("utf-8"))
        _deflate(file, data)


def verify(path: Path, volume: Volume, segments: Sequence[Segment]) -> None:
    """Re-open with pynrrd alone and compare every mask, name and the position. Raises OutputNotWritten."""
    import nrrd

    data, header = nrrd.read(str(path))
    data = data if data.ndim == 4 else data[None]
    for number, segment in enumerate(segments):
        layer = int(header[f"Segment{number}_Layer"])
        if not np.array_equal(data[layer] == int(header[f"Segment{number}_LabelValue"]), segment.mask):
            raise _differs(path, f"voxels of {segment.name}")
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(header["space directions"], float)[-3:].T
    affine[:3, 3] = np.asarray(header["space origin"], float)
    far = float(np.abs(affine - _affine_of(volume)).max()) > AFFINE_TOLERANCE_MM
    if far or header.get("space") != "left-posterior-superior":
        raise _differs(path, "positions")


def read(path: Path) -> tuple[list[ReadSegment], Affine | None]:
    """The segments of a .seg.nrrd (or a plain NRRD label map) on its own grid, and the grid's affine to LPS mm."""
    info = read_info(path)
    stored = read_stored(info, silent())
    layers = stored if info.extra is not None else stored[..., None]
    count = 0
    segments = []
    origins = _origins(info.fields)
    while f"Segment{count}_ID" in info.fields:
        origin = origins[count] if count < len(origins) else None
        segments.append(replace(_read_one(info.fields, f"Segment{count}_", layers), origin=origin))
        count += 1
    if not segments:
        raise InputRefused(f"{path.name} holds no named segments.", "Choose a .seg.nrrd file.")
    return segments, info.affine


def _origins(fields: dict[str, Any]) -> list[Provenance | None]:
    """Who made each segment, where the file is ours."""
    try:
        stated = json.loads(str(fields.get("medviewer_Provenance", "[]")))
    except (ValueError, RecursionError):
        return []
    return [origin_from(values) for values in stated] if isinstance(stated, list) else []


def _read_one(fields: dict[str, Any], prefix: str, layers: NDArray[Any]) -> ReadSegment:
    layer, value = int(fields.get(prefix + "Layer", 0)), int(fields.get(prefix + "LabelValue", 1))
    mask = np.asarray(layers[..., layer] == value, order="F")
    name = str(fields.get(prefix + "Name", fields[prefix + "ID"]))
    tags = dict(part.split(":", 1) for part in str(fields.get(prefix + "Tags", "")).split("|") if ":" in part)
    return ReadSegment(
        name, mask, _read_color(fields.get(prefix + "Color")), tags.get("medviewer.term") or None,
        tags.get("medviewer.side") or None,
    )  # fmt: skip


def _read_color(text: Any) -> Color:
    try:
        red, green, blue = (min(max(round(float(word) * 255), 0), 255) for word in str(text).split())
    except ValueError:
        return 76, 194, 255
    return red, green, blue


def _layers(segments: Sequence[Segment]) -> list[int]:
    """The first layer in which a segment overlaps none that is there already."""
    occupied: list[NDArray[np.bool_]] = []
    chosen = []
    for segment in segments:
        for number, taken in enumerate(occupied):
            if not np.any(taken & segment.mask):
                taken |= segment.mask
                chosen.append(number)
                break
        else:
            chosen.append(len(occupied))
            occupied.append(segment.mask.copy(order="F"))
    return chosen


def _stack(shape: tuple[int, int, int], segments: Sequence[Segment], layer_of: list[int]) -> NDArray[Any]:
    """(layer, i, j, k), Fortran order, values 1..n."""
    dtype = np.uint8 if len(segments) <= 255 else np.uint16
    data = np.zeros((max(layer_of, default=0) + 1, *shape), dtype, order="F")
    for number, (segment, layer) in enumerate(zip(segments, layer_of, strict=True), start=1):
        data[layer][segment.mask] = number
    return data


def _deflate(file: Any, data: NDArray[Any]) -> None:
    values: Any = data.reshape(-1, order="F").view(np.uint8)
    flat = memoryview(values).cast("B")
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    for start in range(0, len(flat), 1 << 22):
        file.write(packer.compress(flat[start : start + (1 << 22)]))
    file.write(packer.flush())


def _header(
    volume: Volume, segments: Sequence[Segment], layer_of: list[int], data: NDArray[Any], terms: TermMap
) -> str:
    affine = _affine_of(volume)
    several = data.shape[0] > 1
    sizes = data.shape if several else data.shape[1:]
    directions = [_vector(affine[:3, axis]) for axis in range(3)]
    lines = [
        "NRRD0005",
        f"type: {'unsigned char' if data.dtype == np.uint8 else 'unsigned short'}",
        f"dimension: {len(sizes)}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, sizes))}",
        f"space directions: {' '.join(['none'] * several + directions)}",
        f"kinds: {' '.join(['list'] * several + ['domain'] * 3)}",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(affine[:3, 3])}",
    ]
    for number, (segment, layer) in enumerate(zip(segments, layer_of, strict=True)):
        lines += _segment_lines(number, segment, layer, terms)
    notes = [f"medviewer_Note{number}:={_one_line(note)}" for number, note in enumerate(notes_of(volume), start=1)]
    terms_of_use = enumerate(licence_notes(segments), start=1)
    notes += [f"medviewer_Licence{number}:={_one_line(text)}" for number, text in terms_of_use]
    return "\n".join(lines + _segmentation_lines(segments) + notes) + "\n\n"


def _affine_of(volume: Volume) -> Affine:
    if volume.affine is None:
        raise OutputNotWritten("A .seg.nrrd needs the position of the image.", "Save the mask as .png instead.")
    return volume.affine


def _vector(values: NDArray[np.float64]) -> str:
    return "(" + ",".join(repr(float(value)) for value in values) + ")"


def _segmentation_lines(segments: Sequence[Segment]) -> list[str]:
    provenance = [segment.provenance.as_dict() for segment in segments]
    return [
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|",
        "Segmentation_ConversionParameters:=",
        "Segmentation_MasterRepresentation:=Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset:=0 0 0",
        f"medviewer_Notice:={NOTICE}",
        f"medviewer_Provenance:={_one_line(json.dumps(provenance, ensure_ascii=True))}",
    ]


def _segment_lines(number: int, segment: Segment, layer: int, terms: TermMap) -> list[str]:
    key = f"Segment{number}_"
    return [
        f"{key}Color:={' '.join(f'{value / 255:.6f}' for value in segment.color)}",
        f"{key}ColorAutoGenerated:=0",
        f"{key}Extent:={_extent(segment.mask)}",
        f"{key}ID:=Segment_{number + 1}",
        f"{key}LabelValue:={number + 1}",
        f"{key}Layer:={layer}",
        f"{key}Name:={_one_line(segment.name)}",
        f"{key}NameAutoGenerated:=0",
        f"{key}Tags:={_tags(segment, terms)}",
    ]


def _extent(mask: NDArray[np.bool_]) -> str:
    words = []
    for axis in range(3):
        used = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        words += [str(used[0]), str(used[-1])] if used.size else ["0", "-1"]
    return " ".join(words)


def _tags(segment: Segment, terms: TermMap) -> str:
    tags = ["Segmentation.Status:inprogress"]
    term = terms.get(segment.term_id or "")
    if term is not None and term.snomed is not None and term.category is not None:
        codes = f"{_code(term.category)}~{_code(term.snomed)}~^^"
        tags.append(f"TerminologyEntry:{_CONTEXT}~{codes}~~^^~^^")
    tags += [f"medviewer.term:{segment.term_id}"] if segment.term_id else []
    tags += [f"medviewer.side:{segment.side}"] if segment.side else []
    tags += [f"medviewer.incomplete:cut at the {', '.join(segment.cut_edges)} edge"] if segment.incomplete else []
    tags += [f"medviewer.tag:{_one_line(tag)}" for tag in segment.provenance.tags]
    return "|".join(tags) + "|"


def _code(code: CodeLike) -> str:
    return f"{code.scheme}^{code.value}^{_one_line(code.meaning)}"


def _one_line(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def _differs(path: Path, what: str) -> OutputNotWritten:
    return OutputNotWritten(
        f"{path.name} was not written: reading it back gave other {what} than were saved.",
        "Try another folder or drive; the old file, if there was one, is unchanged.",
    )
