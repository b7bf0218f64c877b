"""A seeded session of random edits on a scene, and the hash by which states are compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medviewer.core.prediction import Answer, BoxPrompt, PointPrompt, Prediction
from medviewer.core.provenance import Provenance
from medviewer.core.scene import Scan, Scene
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.services.open_data import with_modality

SHAPE = (112, 96, 80)


def write_scan(path: Path, seed: int, shape: tuple[int, int, int] = SHAPE) -> None:
    """A NIfTI file with noise."""
    import nibabel

    values = np.random.default_rng(seed).integers(-1000, 1500, shape, np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 2.0, 3.0, 1.0])), path)


def open_scan(path: Path) -> Volume:
    """The one scan of a file."""
    from medviewer.services.open_data import open_volume

    return open_volume(path)


def state_hash(scene: Scene) -> str:
    """Of everything that a crash must not take: segments, their order and looks, steps, previews, statements, prompts
    of the scans with unsaved work. Identifiers that are random are left out."""
    stack = scene.undo_stack
    scans = [scan for scan in scene.scans if scan.preview is not None or stack.has_work(scan.key)]
    keys = [scan.key for scan in scans]
    parts: list[object] = [_scan_state(scan, scene) for scan in scans]
    parts += [(c.title, keys.index(c.scan_key)) for c in stack.done if c.scan_key in keys]
    parts += ["undone", *((c.title, keys.index(c.scan_key)) for c in stack.undone_steps if c.scan_key in keys)]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]


def _scan_state(scan: Scan, scene: Scene) -> list[object]:
    preview = scan.preview
    shown = None
    if preview is not None:
        shown = (preview.prompt, preview.answer.value, mask_hash(preview.mask), scan.preview_points, scan.preview_box)
    segments = [
        (s.name, s.color, s.visible, s.opacity, mask_hash(s.mask), s.provenance.as_dict(), s.cut_edges)
        for s in scan.segments
    ]
    saved = scene.undo_stack.unsaved_in(scan.key)
    return [segments, shown, scan.volume.modality, scan.prompts, saved]


def mask_hash(mask: NDArray[np.bool_]) -> str:
    """Of shape and voxels, whatever the memory order."""
    return hashlib.blake2b(str(mask.shape).encode() + np.packbits(mask).tobytes(), digest_size=8).hexdigest()


def has_work(scene: Scene) -> bool:
    """Whether a crash would lose anything."""
    return any(scan.preview is not None or scene.undo_stack.has_work(scan.key) for scan in scene.scans)


@dataclass
class Editor:
    """Makes one random edit after the other; equal seeds on equal scans give equal states."""

    scene: Scene
    seed: int
    undo: Callable[[], object] | None = None  # another way to undo and redo, for instance a window's actions
    redo: Callable[[], object] | None = None
    count: int = 0
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    @property
    def scan(self) -> Scan:
        assert self.scene.active is not None
        return self.scene.active

    def edit(self) -> str:
        """One edit; its name."""
        names = ("preview", "accept", "add", "click", "click", "box", "rename", "recolour", "delete", "undo", "undo",
                 "redo", "show", "state", "prompt", "discard", "save", "switch")  # fmt: skip
        weights = np.array([3, 3, 2, 4, 4, 2, 1, 1, 1, 3, 2, 3, 1, 0.3, 0.5, 0.4, 0.4, 0.6])
        while True:
            name = str(self.rng.choice(names, p=weights / weights.sum()))
            if getattr(self, f"_{name}")() is not False:
                break
        self.count += 1
        self.names.append(name)
        return name

    # -- the edits; False where one is not possible now -------------------------------
    def _preview(self) -> None:
        mask = self._ball()
        places = [tuple(map(float, self.rng.normal(0, 50, 3))) for _ in range(self.rng.integers(3))]
        points = tuple(PointPrompt(place, bool(n % 2)) for n, place in enumerate(places))
        box = BoxPrompt((0.0, 0.0, 0.0), (9.0, 9.0, 9.0)) if self.rng.random() < 0.3 else None
        provenance = Provenance(model_id="m", prompt="liver", parameters={"threshold": 0.5, "planes": [1, 2]})
        answer = Prediction("liver", Answer.FOUND, mask, 0.9, title="Liver", provenance=provenance)
        self.scene.set_preview(answer, points, box)

    def _accept(self) -> bool:
        self.scene.mark_preview_painted()
        return self.scene.accept_preview() is not None

    def _discard(self) -> bool | None:
        return False if self.scan.preview is None else self.scene.set_preview(None)

    def _add(self) -> None:
        self.scene.add_segment(Segment(f"Opened {self.count}", self._ball()), f"open {self.count}")

    def _click(self) -> bool | None:
        segment = self._one()
        if segment is None:
            return False
        mask = segment.mask.copy(order="F")
        mask[self._ball(3, 14)] = bool(self.rng.random() < 0.6)
        return self._refined(segment, mask, "1 click")

    def _box(self) -> bool | None:
        segment = self._one()
        if segment is None:
            return False
        mask = segment.mask.copy(order="F")
        low = [int(self.rng.integers(0, n - 5)) for n in mask.shape]
        mask[low[0] : low[0] + 20, low[1] : low[1] + 20, low[2] : low[2] + 10] ^= True
        return self._refined(segment, mask, "a box")

    def _refined(self, segment: Segment, mask: NDArray[np.bool_], what: str) -> None:
        provenance = segment.provenance.edited(f"refined with {what}")
        self.scene.refine_segment(segment.changed(mask=mask, provenance=provenance))

    def _rename(self) -> bool | None:
        segment = self._one()
        return False if segment is None else self.scene.rename_segment(segment.id, f"Näme {self.count}")

    def _recolour(self) -> bool | None:
        segment, rgb = self._one(), self.rng.integers(0, 256, 3)
        return False if segment is None else self.scene.recolor_segment(segment.id, tuple(map(int, rgb)))

    def _delete(self) -> bool | None:
        segment = self._one()
        return False if segment is None else self.scene.delete_segment(segment.id)

    def _show(self) -> bool | None:
        segment = self._one()
        if segment is None:
            return False
        opacity = round(float(self.rng.random()), 2)
        return self.scene.show_segment(segment.id, visible=not segment.visible, opacity=opacity)

    def _undo(self) -> bool | None:
        if self.scene.undo_stack.undo_title is None:
            return False
        (self.undo or self.scene.undo)()
        return None

    def _redo(self) -> bool | None:
        if self.scene.undo_stack.redo_title is None:
            return False
        (self.redo or self.scene.redo)()
        return None

    def _state(self) -> None:
        modality = str(self.rng.choice(["CT", "MR", "OT"]))
        self.scene.replace_volume(self.scan, with_modality(self.scan.volume, modality))

    def _prompt(self) -> None:
        self.scene.note_prompt(f"prompt {self.count}")

    def _save(self) -> None:
        self.scene.undo_stack.mark_saved()

    def _switch(self) -> bool | None:
        if len(self.scene.scans) < 2:
            return False
        self.scene.activate(self.scene.scans[int(self.rng.integers(len(self.scene.scans)))])
        return None

    def _one(self) -> Segment | None:
        segments = self.scan.segments
        return segments[int(self.rng.integers(len(segments)))] if segments else None

    def _ball(self, smallest: float = 5, largest: float = 25) -> NDArray[np.bool_]:
        shape = self.scan.volume.shape
        grid = np.ogrid[tuple(slice(0, n) for n in shape)]
        centre = [self.rng.uniform(0, n) for n in shape]
        distance = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))
        return np.asfortranarray(distance < self.rng.uniform(smallest, largest) ** 2)
