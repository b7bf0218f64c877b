"""Saving the whole scene as a session file (`.mvsession`), and restoring it. Scans are referred to, never copied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from medviewer.core import prediction_record, segment_record
from medviewer.core.errors import InputRefused, OutputNotWritten, UserError, WrongUsage
from medviewer.core.geometry import volume_corners
from medviewer.core.prediction import BoxPrompt, PointPrompt, Prediction
from medviewer.core.progress import Progress, silent
from medviewer.core.scene import Scan, Scene, clamp_to
from medviewer.core.segmentation import Segment
from medviewer.core.volume import SeriesEntry, Volume
from medviewer.io import session_file
from medviewer.io.session_file import SUFFIX, SessionFile, damaged
from medviewer.services.load_again import load_as
from medviewer.services.scan_identity import with_stated
from medviewer.services.session_document import (
    Record,
    SavedScan,
    ScanReference,
    SessionDocument,
    from_json,
    hash_of,
    reference_to,
    series_hash,
    to_json,
)

_SAME_PLACE_MM = 1e-3
_MOST_TRIED = 8  # series of the right size behind a path, where the id of none is the saved one
Replacements = Mapping[int, Path | None]


@dataclass(frozen=True, eq=False)
class ScanState:
    """One open scan as it is at a moment; all parts are immutable."""

    volume: Volume
    segments: tuple[Segment, ...] = ()
    cursor: tuple[float, float, float] | None = None
    window: tuple[float, float] | None = None
    frame: int = 0
    inverted: bool = False
    preview: Prediction | None = None
    preview_points: tuple[PointPrompt, ...] = ()
    preview_box: BoxPrompt | None = None
    prompts: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class SceneState:
    """What a session file holds. `active` is an index into `scans`."""

    scans: tuple[ScanState, ...]
    active: int | None = None
    selected: str | None = None
    layout: str = ""


def state_of(scene: Scene, layout: str = "") -> SceneState:
    """The scene of now, to be saved by any thread. Call on the thread that owns the scene; nothing is copied."""
    scene.saving.emit()
    scans = tuple(
        ScanState(
            s.volume, tuple(s.segments), s.cursor, s.window, s.frame, s.inverted, s.preview, s.preview_points,
            s.preview_box, tuple(s.prompts), dict(s.notes),
        ) for s in scene.scans
    )  # fmt: skip
    active = None if scene.active is None else scene.scans.index(scene.active)
    return SceneState(scans, active, scene.selected_id, layout)


@dataclass(frozen=True, eq=False)
class RestoredSession:
    """A session that was read: a scene of its own, made in any thread, not yet shown; `active` is one of its scans."""

    scene: Scene
    active: Scan | None = None
    selected: str | None = None
    layout: str = ""
    complete: bool = True  # False where scans were left out


def restore(scene: Scene, session: RestoredSession) -> list[Scan]:
    """Add a session to a scene, saved as it is; its segments are undoable steps. On the thread that owns the scene."""
    made = list(session.scene.scans)
    scene.adopt(session.scene)
    if session.active is not None:
        scene.activate(session.active)
    known = {segment.id for segment in scene.active.segments} if scene.active is not None else set()
    scene.select(session.selected if session.selected in known else None)
    return made


# -- saving -------------------------------------------------------------------
def save_session(path: Path | str, state: SceneState, progress: Progress | None = None) -> Path:
    """Write a session file; any thread. Read back and compared before it takes its place.

    Raises OutputNotWritten (the old file is then unchanged), also where a scan has no file to refer to; WrongUsage
    for a name without the ending `.mvsession`.
    """
    path, progress = Path(path), progress or silent()
    if not session_file.is_session(path):
        raise WrongUsage(f"{path.name} is not a session's name.", f"Give the file the ending {SUFFIX}.")
    scans = []
    for number, scan in enumerate(state.scans):
        progress.report(number / max(len(state.scans), 1), "Writing the session")
        scans.append(_saved(scan, path))
    document = SessionDocument(
        tuple(scans), state.active, state.selected, state.layout, _program(),
        datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
    values, masks = to_json(document)
    session_file.write(path, SessionFile(values, masks))
    return path


def _saved(state: ScanState, path: Path) -> SavedScan:
    try:
        reference = reference_to(state.volume, path)
    except ValueError as error:
        raise OutputNotWritten(
            "A session refers to the files of its scans, and one scan here has none.",
            "Export the segments instead, or save the scan as a file first.",
        ) from error
    segments = tuple(segment_record.to_record(segment) for segment in state.segments)
    preview = state.preview
    kept = None
    if preview is not None and preview.found:
        header, data = prediction_record.to_record(preview)
        kept = header | prediction_record.prompts_to_record(state.preview_points, state.preview_box), data
    return SavedScan(
        reference, segments, state.cursor, state.window, state.frame, state.inverted, kept, state.prompts, state.notes
    )


def _program() -> str:
    import medviewer

    return f"medviewer {medviewer.__version__}"


# -- opening ---------------------------------------------------------------------
def read_session(path: Path | str) -> SessionDocument:
    """What a session file holds, before any scan is read. Raises InputRefused."""
    path = Path(path)
    content = session_file.read(path)
    try:
        return from_json(content.document, content.masks)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise damaged(path) from error


def missing_scans(path: Path | str, document: SessionDocument) -> dict[int, Path]:
    """The scans (by index) that are not where the session expects them, and where that is."""
    places = {n: saved.scan.place(Path(path)) for n, saved in enumerate(document.scans) if not saved.scan.sample}
    return {number: place for number, place in places.items() if not _exists(place)}


def load_session(
    path: Path | str, progress: Progress | None = None, found: Replacements | None = None
) -> RestoredSession:
    """Read a session and its scans; any thread. `restore` puts it into a scene.

    `found` says where scans are now, by index; None leaves a scan out. Raises InputRefused for damage, a newer
    schema, a scan that is missing (code "scan-missing") and for another scan at its place (code "scan-differs").
    """
    path, progress, found = Path(path), progress or silent(), found or {}
    document = read_session(path)
    kept = [number for number in range(len(document.scans)) if found.get(number, path) is not None]
    scene = Scene()
    active = None
    for done, number in enumerate(kept):
        saved = document.scans[number]
        place = found.get(number) or saved.scan.place(path)
        volume = _scan_of(saved.scan, place, progress.part(done / len(kept), (done + 1) / len(kept)))
        try:
            scan = _add(scene, saved, volume)
        except ValueError as error:
            raise damaged(path) from error
        active = scan if number == document.active else active
    scene.undo_stack.mark_saved()
    return RestoredSession(scene, active, document.selected, document.layout, len(kept) == len(document.scans))


def _add(scene: Scene, saved: SavedScan, volume: Volume) -> Scan:
    """One scan as it was. Raises ValueError for a damaged record."""
    segments = [segment_record.from_record(*_on_grid(record, volume)) for record in saved.segments]
    scan = scene.add_volume(with_stated(volume, saved.scan.stated))
    for segment in segments:
        scene.add_segment(segment, f"open {segment.name}")
    scan.cursor = clamp_to(volume, saved.cursor) if saved.cursor is not None else scan.cursor
    scan.window, scan.inverted = saved.window, saved.inverted
    scan.frame = min(max(saved.frame, 0), volume.shape[2] - 1)
    scan.prompts.extend(saved.prompts)
    scan.notes, scan.saved_notes = dict(saved.notes), dict(saved.notes)
    if saved.preview is not None:
        scan.preview = prediction_record.from_record(*_on_grid(saved.preview, volume))
        scan.preview_points, scan.preview_box = prediction_record.prompts_from_record(saved.preview[0])
    return scan


def _on_grid(record: Record, volume: Volume) -> Record:
    """A mask is unpacked only where it has the scan's size: a forged one cannot ask for more memory."""
    if record[0].get("shape") != list(volume.shape):
        raise ValueError("a mask on another grid")
    return record


def _scan_of(wanted: ScanReference, place: Path, progress: Progress) -> Volume:
    from medviewer.services import open_data

    if wanted.sample:
        return _sample(wanted)
    if not _exists(place):
        raise InputRefused(
            f"The scan {wanted.name} of this session is not at {place}.",
            "Put it back, or say where it is now.",
            code="scan-missing",
        )
    tried = 0
    entries = open_data.scan_path(place, progress.part(0.0, 0.2)).entries
    for entry in _likely(entries, wanted):
        tried += 1
        volume = load_as(entry, wanted.shape, progress.part(0.2, 1.0))
        if hash_of(volume) == wanted.voxels and _same_place(volume, wanted):
            return volume
    raise _differs(wanted, place, tried)


def _likely(entries: tuple[SeriesEntry, ...], wanted: ScanReference) -> list[SeriesEntry]:
    """The series with the saved id; where the files were named anew, those of the saved size."""
    named = [entry for entry in entries if series_hash(entry.id) == wanted.series]
    return named or [entry for entry in entries if entry.shape_xyz == wanted.shape][:_MOST_TRIED]


def _same_place(volume: Volume, wanted: ScanReference) -> bool:
    if volume.affine is None or wanted.affine is None:
        return volume.affine is None and wanted.affine is None
    saved = np.array(wanted.affine).reshape(4, 4)
    distance = np.abs(volume_corners(volume.shape, volume.affine) - volume_corners(volume.shape, saved))
    return bool(distance.max() < _SAME_PLACE_MM)


def _differs(wanted: ScanReference, place: Path, tried: int) -> UserError:
    what = "holds other voxels or another position" if tried else "holds no scan of that size"
    return InputRefused(
        f"{place} is not the scan that this session was saved with: it {what}.",
        "Segments are only shown on their own scan. Say where that is, or put it back.",
        code="scan-differs",
    )


def _sample(wanted: ScanReference) -> Volume:
    from medviewer.core.phantom import torso_phantom

    volume = torso_phantom(seed=0).volume
    if hash_of(volume) != wanted.voxels:
        raise _differs(wanted, Path(wanted.sample), 1)
    return volume


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
