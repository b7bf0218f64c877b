"""What one case of a training set is made of: which picture or volume, which masks, and what is known of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import OutputNotWritten
from medviewer.core.provenance import Provenance
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.core.voxel_hash import voxel_hash
from medviewer.io.export_notes import notes_of
from medviewer.io.training_set import plain_name

IMAGES, MASKS = "images", "masks"
_READ = "read from a file"
_MODEL_ALONE = "model alone"


@dataclass(frozen=True, eq=False)
class Item:
    """One case. `volume` is a volume or one picture; `masks` (i, j, k) by label, in the order of the segments; segments
    of one name are united. `source` is the file it was read from, where that already is a file of the set."""

    id: str
    volume: Volume
    masks: Mapping[str, NDArray[np.bool_]]
    segments: Sequence[Segment]
    source: Path | None = None
    warnings: tuple[str, ...] = ()
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def overlaps(self) -> bool:
        """Whether two labels share a voxel."""
        seen = np.zeros(self.volume.shape, np.bool_)
        for mask in self.masks.values():
            if (seen & mask).any():
                return True
            seen |= mask
        return False


def items_of(volume: Volume, segments: Sequence[Segment], folder: Path, only_corrected: bool) -> list[Item]:
    """The cases of a scan: one, or for a cine one per frame with segments; none where nothing is to be exported.

    Raises OutputNotWritten for a scan that no file of a training set can hold.
    """
    chosen = [segment for segment in segments if not (only_corrected and verified(segment.provenance) == _MODEL_ALONE)]
    if not chosen:
        return []
    if volume.affine is None and volume.kind == "volume" and volume.shape[2] > 1:
        raise OutputNotWritten("its place in the patient is not known.", "Convert it to NIfTI with its geometry first.")
    if volume.kind == "cine":
        frames = sorted({k for segment in chosen for k in _frames(segment)})
        return [_item(_frame(volume, k), [_on_frame(s, k) for s in chosen if k in _frames(s)], folder) for k in frames]
    return [_item(volume, chosen, folder)]


def verified(provenance: Provenance) -> str:
    """Who stands for a mask: "human", "human-corrected", "model alone", or "read from a file" where it is not known."""
    later = provenance.edits[-1:] and provenance.edits[-1] != _READ
    if provenance.algorithm == "MANUAL":
        return "human"
    if provenance.algorithm == "AUTOMATIC":
        return _MODEL_ALONE
    return "human-corrected" if later or _READ not in provenance.edits else _READ


def segment_record(label: str, segment: Segment) -> dict[str, Any]:
    """What the set tells of a segment's origin; JSON-ready."""
    origin = segment.provenance
    told = {
        "label": label, "verified": verified(origin), "term": segment.term_id, "side": segment.side,
        "algorithm": origin.algorithm, "model_id": origin.model_id, "model_version": origin.model_version,
        "weights_sha256": origin.weights_sha256, "prompt": origin.prompt, "licence": origin.licence,
        "edits": list(origin.edits), "tags": list(origin.tags), "cut_edges": list(segment.cut_edges),
        "program_version": origin.program_version,
    }  # fmt: skip
    return {name: value for name, value in told.items() if value not in ("", None, [])}


def title_of(volume: Volume) -> str:
    """What the user calls a scan."""
    return volume.title or volume.source.path.name or "scan"


def label_of(segment: Segment) -> str:
    """The label of a segment: its name as one plain line. Raises OutputNotWritten for an empty one."""
    label = plain_name(segment.name)
    if not label or label.casefold() == "background":
        raise OutputNotWritten(f'a segment is called "{segment.name}".', "Give it the name of the structure.")
    return label


def _item(volume: Volume, segments: Sequence[Segment], folder: Path) -> Item:
    masks: dict[str, NDArray[np.bool_]] = {}
    for segment in segments:
        label = next((known for known in masks if known.casefold() == label_of(segment).casefold()), label_of(segment))
        masks[label] = masks[label] | segment.mask if label in masks else segment.mask
    source = _inside(volume, folder)
    identity = source.name.split(".")[0] if source is not None else _hash(volume)
    return Item(identity, volume, masks, segments, source, tuple(_warnings(volume, segments)), notes_of(volume))


def _inside(volume: Volume, folder: Path) -> Path | None:
    """The image file of the set that a scan was opened from: then it is that case."""
    path = volume.source.path
    if volume.source.format == "generated" or path == Path() or path.resolve().parent != (folder / IMAGES).resolve():
        return None
    return path.resolve()


def _hash(volume: Volume) -> str:
    return hashlib.sha256(voxel_hash(volume).encode()).hexdigest()[:16]


def _frames(segment: Segment) -> list[int]:
    if segment.frame is not None:
        return [segment.frame]
    return [int(k) for k in np.flatnonzero(segment.mask.any(axis=(0, 1)))]


def _frame(volume: Volume, k: int) -> Volume:
    array = volume.array[:, :, k : k + 1]
    return volume.with_changes(array=array, kind="image", affine=None, calibrated_regions=())


def _on_frame(segment: Segment, k: int) -> Segment:
    return segment.changed(mask=segment.mask[:, :, k : k + 1], frame=None)


def _warnings(volume: Volume, segments: Sequence[Segment]) -> list[str]:
    title = title_of(volume)
    found = [f"{title}: {note}" for note in notes_of(volume)]
    burned_in = volume.facts.get("burned_in_annotation")
    if burned_in is not None and str(burned_in.value).upper() == "YES":
        found.append(f"{title}: the file says that text is burned into its pixels; it may identify the patient.")
    if volume.affine is not None and not volume.orientation_recorded:
        found.append(f"{title} does not record its orientation: left and right are not known in the set, too.")
    for segment in segments:
        if segment.incomplete:
            edges = " and ".join(segment.cut_edges)
            found.append(f"{title}: {segment.name} is incomplete: cut at the {edges} edge of the scan.")
    terms = sorted({segment.provenance.licence for segment in segments} - {""})
    return found + [f"Masks come from a model whose weights have these terms: {terms_of}." for terms_of in terms]
