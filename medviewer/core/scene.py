"""The one root of state: open scans, what is accepted on them, what is previewed, and where the reader looks.

Only the GUI thread changes a scene (the command line has one thread). Listeners connect to the psygnal signals.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from psygnal import Signal

from medviewer.core.commands import AddSegment, ChangeSegment, DeleteSegment, RefineSegment
from medviewer.core.geometry import volume_corners, voxel_to_lps
from medviewer.core.prediction import BoxPrompt, PointPrompt, Prediction
from medviewer.core.segmentation import Color, Segment
from medviewer.core.undo import UndoStack
from medviewer.core.volume import Volume

PALETTE: tuple[Color, ...] = (
    (76, 194, 255), (61, 220, 151), (255, 176, 84), (176, 120, 255),
    (255, 107, 107), (255, 212, 121), (94, 224, 208), (255, 138, 208),
)  # fmt: skip

Position = tuple[float, float, float]


@dataclass(eq=False)
class Scan:
    """One open volume with its segments and view state. Change segments through `Scene`, so that it can be undone.

    `cursor` is in LPS mm, or in voxel indices (i, j, k) where the volume has no affine. `window` is
    (width, centre) or None for the default of the modality. `frame` is the shown frame of a cine. `inverted` is
    the user's choice on top of the volume's own.
    """

    volume: Volume
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    segments: list[Segment] = field(default_factory=list)
    cursor: Position = (0.0, 0.0, 0.0)
    window: tuple[float, float] | None = None
    frame: int = 0
    inverted: bool = False
    preview: Prediction | None = None
    preview_painted: bool = False
    preview_points: tuple[PointPrompt, ...] = ()  # the clicks and the box that led to the preview, where known
    preview_box: BoxPrompt | None = None
    prompts: list[str] = field(default_factory=list)  # what was asked on this scan, oldest first
    notes: dict[str, str] = field(default_factory=dict)  # what plugins keep with the scan, by plugin id
    saved_notes: dict[str, str] = field(default_factory=dict)  # as the session's file has them
    recovered_notes: frozenset[str] = frozenset()  # the plugins whose note came back after a crash

    def __post_init__(self) -> None:
        self.cursor = centre_of(self.volume)

    def get(self, segment_id: str) -> Segment:
        """Raises KeyError if there is no such segment."""
        return self.segments[self.index(segment_id)]

    def index(self, segment_id: str) -> int:
        for index, segment in enumerate(self.segments):
            if segment.id == segment_id:
                return index
        raise KeyError(segment_id)

    def insert(self, index: int, segment: Segment) -> None:
        if segment.mask.shape != self.volume.shape:
            raise ValueError(f"mask {segment.mask.shape} is not on the scan's grid {self.volume.shape}")
        self.segments.insert(index, segment)

    def remove(self, segment_id: str) -> int:
        index = self.index(segment_id)
        del self.segments[index]
        return index

    def replace(self, segment: Segment) -> None:
        self.segments[self.index(segment.id)] = segment


class Scene:
    """Open scans, the active one, and the undo stack."""

    scans_changed = Signal()
    active_changed = Signal()  # another scan is shown (also when the last one closed)
    segments_changed = Signal()  # of the active scan: added, removed, mask, name, colour, visibility, opacity
    selection_changed = Signal()
    preview_changed = Signal()
    cursor_changed = Signal()
    window_changed = Signal()  # window/level or inversion
    frame_changed = Signal()
    scan_opened = Signal(object)  # Scan
    scan_closed = Signal(object)  # Scan
    volume_replaced = Signal(object)  # Scan whose description changed
    prompt_asked = Signal(object)  # Scan
    segment_shown = Signal(object, str)  # Scan, id of the segment that was hidden, shown or faded
    note_kept = Signal(object)  # Scan
    saving = Signal()  # what plugins keep is about to be read
    previewed = Signal(object)  # Scan whose preview was set or taken away

    def __init__(self) -> None:
        self.scans: list[Scan] = []
        self.active: Scan | None = None
        self.selected_id: str | None = None
        self.undo_stack = UndoStack()

    # -- scans ---------------------------------------------------------------
    def add_volume(self, volume: Volume, *, activate: bool = True) -> Scan:
        """Open a volume; the caller keeps nothing alive but the scene."""
        scan = Scan(volume)
        self.scans.append(scan)
        self.scan_opened.emit(scan)
        self.scans_changed.emit()
        if activate:
            self.activate(scan)
        return scan

    def adopt(self, other: Scene) -> None:
        """Take over the scans and the steps of another scene, which must not be used afterwards."""
        self.scans += other.scans
        self.scans_changed.emit()
        if other.scans:
            self.activate(other.scans[-1])
        self.undo_stack.adopt(other.undo_stack)
        self._segments_may_have_changed()
        if self.active is not None and self.active.preview is not None:
            self.preview_changed.emit()

    def replace_volume(self, scan: Scan, volume: Volume) -> None:
        """Other facts (modality, orientation stated by the user) over the same grid. Raises ValueError otherwise."""
        if volume.shape != scan.volume.shape:
            raise ValueError("another grid")
        scan.volume = volume
        self.volume_replaced.emit(scan)
        self.scans_changed.emit()
        if scan is self.active:
            self.active_changed.emit()

    def activate(self, scan: Scan | None) -> None:
        if scan is self.active:
            return
        self.active, self.selected_id = scan, None
        self.active_changed.emit()

    def close(self, scan: Scan) -> None:
        """Forget a scan, its segments and its undo steps."""
        self.scans.remove(scan)
        self.undo_stack.drop(scan.key)
        self.scan_closed.emit(scan)
        if scan is self.active:
            self.active, self.selected_id = (self.scans[-1] if self.scans else None), None
            self.active_changed.emit()
        self.scans_changed.emit()

    # -- segments (undoable) ---------------------------------------------------
    def accept_preview(self) -> Segment | None:
        """Turn the preview of the active scan into a segment; None unless one was found and has been painted."""
        scan = self.active
        if scan is None or scan.preview is None or not scan.preview.found or not scan.preview_painted:
            return None
        segment = segment_of(scan.preview, self.next_color(scan), scan)
        scan.preview, scan.preview_painted, scan.preview_points, scan.preview_box = None, False, (), None
        self.add_segment(segment)  # one step for a journal: the preview has gone when it hears of the segment
        self.preview_changed.emit()
        return segment

    def add_segment(self, segment: Segment, title: str = "") -> None:
        scan = self._require_active()
        self._push(AddSegment(scan, segment, len(scan.segments), title))
        self.select(segment.id)

    def add_segments(self, segments: Iterable[Segment], title: str = "") -> None:
        """Add several, each an undoable step; listeners are told once, and nothing is selected."""
        scan = self._require_active()
        for segment in segments:
            self.undo_stack.push(AddSegment(scan, segment, len(scan.segments), title))
        self._segments_may_have_changed()

    def delete_segment(self, segment_id: str) -> None:
        self._push(DeleteSegment(self._require_active(), segment_id))
        if self.selected_id == segment_id:
            self.select(None)

    def rename_segment(self, segment_id: str, name: str) -> None:
        self._push(ChangeSegment(self._require_active(), segment_id, name=name))

    def recolor_segment(self, segment_id: str, color: Color) -> None:
        self._push(ChangeSegment(self._require_active(), segment_id, color=color))

    def refine_segment(self, after: Segment) -> None:
        """Replace the mask of an accepted segment by a corrected one (same id)."""
        self._push(RefineSegment(self._require_active(), after))

    def undo(self) -> None:
        self.undo_stack.undo()
        self._segments_may_have_changed()

    def redo(self) -> None:
        self.undo_stack.redo()
        self._segments_may_have_changed()

    def _push(self, command: Any) -> None:
        self.undo_stack.push(command)
        self._segments_may_have_changed()

    def _segments_may_have_changed(self) -> None:
        ids = {s.id for s in self.active.segments} if self.active else set()
        if self.selected_id is not None and self.selected_id not in ids:
            self.select(None)
        self.segments_changed.emit()

    # -- views (not undoable) -----------------------------------------------------
    def show_segment(self, segment_id: str, *, visible: bool | None = None, opacity: float | None = None) -> None:
        """Hide, show or fade a segment."""
        scan = self._require_active()
        changes: dict[str, Any] = {} if visible is None else {"visible": visible}
        if opacity is not None:
            changes["opacity"] = min(max(opacity, 0.0), 1.0)
        scan.replace(scan.get(segment_id).changed(**changes))
        self.segment_shown.emit(scan, segment_id)
        self.segments_changed.emit()

    def select(self, segment_id: str | None) -> None:
        if segment_id != self.selected_id:
            self.selected_id = segment_id
            self.selection_changed.emit()

    def note_prompt(self, text: str) -> None:
        """Remember what was asked on the active scan."""
        scan = self._require_active()
        scan.prompts.append(text)
        self.prompt_asked.emit(scan)

    def keep_note(self, scan: Scan, plugin_id: str, text: str) -> None:
        """Keep a plugin's text with a scan; a session saves it. Not an undoable step."""
        if scan.notes.get(plugin_id) != text:
            scan.notes[plugin_id] = text
            self.note_kept.emit(scan)

    def set_preview(
        self, prediction: Prediction | None, points: tuple[PointPrompt, ...] = (), box: BoxPrompt | None = None
    ) -> None:
        """Show a result beside the untouched scan; it must be painted before it can be accepted.

        `points` and `box` are the corrections that led to it: LPS mm, voxel indices without affine.
        """
        scan = self._require_active()
        scan.preview, scan.preview_painted = prediction, False
        scan.preview_points, scan.preview_box = points, box
        self.previewed.emit(scan)
        self.preview_changed.emit()

    def mark_preview_painted(self) -> None:
        """Called by a view after the preview mask has been drawn."""
        if self.active is not None and self.active.preview is not None:
            self.active.preview_painted = True

    def set_cursor(self, position: Position) -> None:
        """LPS mm (voxel indices without affine), clamped to the scan."""
        scan = self._require_active()
        clamped = clamp_to(scan.volume, position)
        if clamped != scan.cursor:
            scan.cursor = clamped
            self.cursor_changed.emit()

    def set_window(self, window: tuple[float, float] | None) -> None:
        """(width, centre); None returns to the default of the scan."""
        self._require_active().window = window
        self.window_changed.emit()

    def set_inverted(self, inverted: bool) -> None:
        self._require_active().inverted = inverted
        self.window_changed.emit()

    def set_frame(self, frame: int) -> None:
        """Cine: show another frame, clamped, no wrap."""
        scan = self._require_active()
        frame = min(max(int(frame), 0), scan.volume.shape[2] - 1)
        if frame != scan.frame:
            scan.frame = frame
            self.frame_changed.emit()

    def next_color(self, scan: Scan) -> Color:
        """The first palette colour not in use."""
        used = {s.color for s in scan.segments}
        free = [c for c in PALETTE if c not in used]
        return free[0] if free else PALETTE[len(scan.segments) % len(PALETTE)]

    def _require_active(self) -> Scan:
        if self.active is None:
            raise RuntimeError("no scan is open")
        return self.active


def segment_of(prediction: Prediction, color: Color, scan: Scan) -> Segment:
    """The segment that accepting a prediction gives."""
    return Segment(
        name=prediction.title or prediction.prompt,
        mask=np.asfortranarray(prediction.mask),  # shared where it lies so: both are read-only from now on
        color=color,
        term_id=prediction.term_id,
        side=prediction.side,
        side_note=prediction.side_note,
        cut_edges=prediction.cut_edges,
        frame=scan.frame if scan.volume.kind == "cine" else None,
        presence=prediction.presence,
        tested=prediction.tested,
        provenance=prediction.provenance,
    )


def centre_of(volume: Volume) -> Position:
    """The middle voxel's centre, in LPS mm or voxel indices."""
    index = [(n - 1) // 2 for n in volume.shape]
    point = np.asarray(index, float) if volume.affine is None else voxel_to_lps(volume.affine, index)
    return float(point[0]), float(point[1]), float(point[2])


def clamp_to(volume: Volume, position: Position) -> Position:
    """The nearest position inside the scan's grid."""
    point = np.asarray(position, float)
    last = np.asarray(volume.shape, float) - 1
    if volume.affine is None:
        point = np.clip(point, 0, last)
    else:
        index = np.linalg.inv(volume.affine) @ np.append(point, 1.0)
        if ((index[:3] < 0) | (index[:3] > last)).any():
            point = voxel_to_lps(volume.affine, np.clip(index[:3], 0, last))
    return float(point[0]), float(point[1]), float(point[2])


def extent_of(volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest LPS mm over the volume's corner voxel centres. Raises ValueError without affine."""
    if volume.affine is None:
        raise ValueError("the volume has no place in space")
    corners = volume_corners(volume.shape, volume.affine)
    return corners.min(axis=0), corners.max(axis=0)
