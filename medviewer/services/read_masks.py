"""Masks from files onto the grid of an open scan; another grid is resampled, never painted index by index."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.core.geometry import Affine, volume_corners
from medviewer.core.plain_text import one_line
from medviewer.core.progress import silent
from medviewer.core.provenance import Provenance
from medviewer.core.segmentation import Color, Segment
from medviewer.core.volume import Volume
from medviewer.io.write_nrrd_seg import ReadSegment
from medviewer.services.file_kinds import FileKind, kind_of

_SAME_PLACE_MM = 0.05
_MOST_LABELS = 1000
_LARGEST_LABEL = 2**53  # larger ones are not exact in a float
_ROUNDING = 0.01  # labels that a resampling left at 0.9999
_COLORS: tuple[Color, ...] = (
    (76, 194, 255), (255, 159, 67), (99, 205, 132), (238, 104, 139), (178, 140, 255), (255, 214, 90), (64, 210, 196),
)  # fmt: skip
_HINT = "Open the scan that the mask belongs to."


def read_segments(path: Path, volume: Volume) -> list[Segment]:
    """The segments in a mask file on the volume's grid, in the file's order. Raises InputRefused."""
    try:
        kind = kind_of(path)
    except OSError as error:
        raise InputRefused(f"{path.name} cannot be read: {error.strerror}.", "Check the name.") from error
    if kind is FileKind.DICOM:
        found, affine = _from_dicom(path, volume)
    elif kind is FileKind.NRRD:
        found, affine = _from_nrrd(path)
    elif kind in (FileKind.NIFTI, FileKind.METAIMAGE, FileKind.IMAGE):
        found, affine = _from_labels(path, kind, volume)
    else:
        raise InputRefused(f"{path.name} holds no masks.", "Choose a .nii.gz, .seg.nrrd, .dcm or .png mask.")
    history = _history(path)
    return [_on_grid(path, segment, affine, volume, history) for segment in found]


def _history(path: Path) -> list[str]:
    """What is known of how the masks of a file came about; goes into their provenance."""
    from medviewer.io.label_sidecar import changed_since

    changed = ["changed by another program after its labels were named"] if changed_since(path) else []
    return ["read from a file", *changed]


def _from_dicom(path: Path, volume: Volume) -> tuple[list[ReadSegment], Affine | None]:
    from medviewer.io.dicom_seg_read import frames_of, open_seg, read_masks_of, seg_grid

    dataset = open_seg(path)
    frames = frames_of(dataset)
    try:
        return read_masks_of(dataset, volume), volume.affine
    except InputRefused:
        grid = seg_grid(frames)
        if grid is None or volume.affine is None:
            raise
    own = volume.with_changes(array=np.zeros(grid[1], np.bool_), affine=grid[0], spacing_mm=None)
    return read_masks_of(dataset, own), grid[0]


def _from_nrrd(path: Path) -> tuple[list[ReadSegment], Affine | None]:
    from medviewer.io.nrrd_header import read_info, read_stored
    from medviewer.io.write_nrrd_seg import read

    info = read_info(path)
    if info.is_segmentation:
        return read(path)
    if info.extra is not None:
        raise InputRefused(f"{path.name} is not a label map.", _HINT)
    return _split(path, read_stored(info, silent())), info.affine


def _from_labels(path: Path, kind: FileKind, volume: Volume) -> tuple[list[ReadSegment], Affine | None]:
    from medviewer.services import open_data

    entries = open_data.scan_path(path).entries
    if len(entries) != 1:
        raise InputRefused(f"{path.name} is not a label map.", _HINT)
    labels = open_data.load(entries[0])
    if labels.is_color:
        raise InputRefused(f"{path.name} is a colour picture, not a mask.", _HINT)
    if labels.shape != entries[0].shape_xyz:  # labels cannot be averaged
        raise InputRefused(f"{path.name} does not fit into the free memory.", "Close other scans or programs first.")
    if any("no number (NaN" in warning for warning in labels.warnings):
        raise InputRefused(f"{path.name} holds values that are no numbers.", "Choose a label map or a mask.")
    return _split(path, labels.array), labels.affine if kind is not FileKind.IMAGE else volume.affine


def _split(path: Path, labels: NDArray[Any]) -> list[ReadSegment]:
    """One segment per value above 0, and those that the sidecar names though no voxel has them; one where all is 0."""
    from medviewer.io.label_sidecar import read_labels, read_origins

    values = _whole(path, labels)
    named, origins = {line.label: line for line in read_labels(path)}, read_origins(path)
    present = {int(value) for value in np.unique(values)} - {0}
    if len(present) > _MOST_LABELS or min(present, default=1) < 0:
        raise InputRefused(f"{path.name} looks like a scan, not like a label map.", _HINT)
    found = []
    for number, value in enumerate(sorted(present | named.keys()) or [1]):
        line = named.get(value)
        name = line.name if line else _plain_name(path, value, len(present))
        color = line.color if line else _COLORS[number % len(_COLORS)]
        mask = np.asarray(values == value, order="F")
        term_id = line.term_id if line else None
        found.append(ReadSegment(name, mask, color, term_id, origin=origins.get(value) if line else None))
    return found


def _whole(path: Path, labels: NDArray[Any]) -> NDArray[Any]:
    if labels.dtype.kind in "iub":
        return labels
    if not np.isfinite(labels).all():
        raise InputRefused(f"{path.name} holds values that are no numbers.", "Choose a label map or a mask.")
    rounded: NDArray[Any] = np.rint(labels)
    if np.abs(labels - rounded).max(initial=0.0) > _ROUNDING:
        raise InputRefused(f"{path.name} holds fractions, not labels.", "Choose a label map or a mask.")
    if np.abs(rounded).max(initial=0.0) > _LARGEST_LABEL:
        raise InputRefused(f"{path.name} looks like a scan, not like a label map.", _HINT)
    return rounded.astype(np.int64)


def _plain_name(path: Path, value: int, count: int) -> str:
    stem = path.name.split(".")[0]
    return stem if count <= 1 else f"{stem} {value}"


def _on_grid(
    path: Path, segment: ReadSegment, affine: Affine | None, volume: Volume, history: list[str]
) -> Segment:
    mask, edits = segment.mask, [*history, *segment.notes]
    if volume.affine is None or affine is None:
        if mask.shape != volume.shape:
            raise InputRefused(f"{path.name} has another size than this scan.", _HINT)
    elif not _same_grid(mask.shape, affine, volume):
        mask, edits = _resampled(path, mask, affine, volume), [*edits, "resampled to the scan's grid"]
    origin = segment.origin or Provenance(algorithm="SEMIAUTOMATIC")
    return Segment(
        one_line(segment.name),
        mask,
        segment.color,
        term_id=segment.term_id or _term_of(segment.code),
        side=segment.side,
        provenance=replace(origin, edits=(*origin.edits, *edits)),
    )


def _term_of(code: tuple[str, str] | None) -> str | None:
    """The one structure of the terminology with this code, so that a further export says the same."""
    from medviewer.services.resources import terminology

    if code is None:
        return None
    found = [
        term.id
        for term in terminology()
        if term.snomed is not None and not term.snomed_broader and (term.snomed.scheme, term.snomed.value) == code
    ]
    return found[0] if len(found) == 1 else None


def _same_grid(shape: tuple[int, ...], affine: Affine, volume: Volume) -> bool:
    if shape != volume.shape or volume.affine is None:
        return False
    return bool(
        np.abs(volume_corners(volume.shape, affine) - volume_corners(volume.shape, volume.affine)).max()
        < _SAME_PLACE_MM
    )


def _resampled(path: Path, mask: NDArray[np.bool_], affine: Affine, volume: Volume) -> NDArray[np.bool_]:
    """Nearest neighbour in patient space."""
    from scipy.ndimage import affine_transform

    assert volume.affine is not None
    matrix = np.linalg.inv(affine) @ volume.affine
    result = affine_transform(
        mask.astype(np.uint8), matrix[:3, :3], matrix[:3, 3], output_shape=volume.shape, order=0, mode="grid-constant"
    )
    if mask.any() and not result.any():
        raise InputRefused(f"{path.name} lies outside this scan.", _HINT)
    return np.asfortranarray(result.astype(np.bool_))
