"""The scene: previews, undo of any depth, and what happens when scans close."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from medviewer.core.prediction import Answer, Prediction
from medviewer.core.scene import Scene
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume


def make_volume(shape: tuple[int, int, int] = (12, 10, 8)) -> Volume:
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = (-10, -20, -30)
    return Volume(np.zeros(shape, np.int16, order="F"), affine, "CT", "HU")


def found(volume: Volume, title: str = "Liver", start: int = 2) -> Prediction:
    mask = np.zeros(volume.shape, bool, order="F")
    mask[start : start + 4, 2:6, 2:5] = True
    return Prediction("liver", Answer.FOUND, mask, 0.9, title=title)


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.add_volume(make_volume())
    return scene


def accept(scene: Scene, **kwargs: object) -> Segment:
    assert scene.active is not None
    scene.set_preview(found(scene.active.volume, **kwargs))  # type: ignore[arg-type]
    scene.mark_preview_painted()
    segment = scene.accept_preview()
    assert segment is not None
    return segment


def state(scene: Scene) -> list[tuple[str, tuple[int, int, int], bytes]]:
    assert scene.active is not None
    return [(s.name, s.color, s.mask.tobytes()) for s in scene.active.segments]


def test_a_preview_is_accepted_only_after_it_was_painted(scene: Scene) -> None:
    assert scene.active is not None
    scene.set_preview(found(scene.active.volume))
    assert scene.accept_preview() is None
    scene.mark_preview_painted()
    assert scene.accept_preview() is not None
    assert scene.active.preview is None


def test_an_assumed_side_stays_said_after_accepting(scene: Scene) -> None:
    assert scene.active is not None
    note = "side assumed (display convention)"
    scene.set_preview(replace(found(scene.active.volume), side="left", side_note=note))
    scene.mark_preview_painted()
    segment = scene.accept_preview()
    assert segment is not None
    assert (segment.side, segment.side_note) == ("left", note)


def test_a_new_preview_must_be_painted_again(scene: Scene) -> None:
    assert scene.active is not None
    scene.set_preview(found(scene.active.volume))
    scene.mark_preview_painted()
    scene.set_preview(found(scene.active.volume))
    assert scene.accept_preview() is None


def test_not_found_cannot_be_accepted(scene: Scene) -> None:
    assert scene.active is not None
    empty = np.zeros(scene.active.volume.shape, bool)
    scene.set_preview(Prediction("liver", Answer.NOT_FOUND, empty, 0.1))
    scene.mark_preview_painted()
    assert scene.accept_preview() is None


def test_every_step_is_undone_and_redone_exactly(scene: Scene) -> None:
    assert scene.active is not None
    states = [state(scene)]
    first = accept(scene)
    states.append(state(scene))
    mask = first.mask.copy()
    mask[0, 0, 0] = True
    mask[3, 3, 3] = False
    scene.refine_segment(first.changed(mask=mask, provenance=first.provenance.edited("click")))
    states.append(state(scene))
    scene.rename_segment(first.id, "Liver, corrected")
    states.append(state(scene))
    scene.recolor_segment(first.id, (1, 2, 3))
    states.append(state(scene))
    accept(scene, title="Spleen", start=5)
    states.append(state(scene))
    scene.delete_segment(first.id)
    states.append(state(scene))
    for expected in reversed(states[:-1]):
        scene.undo()
        assert state(scene) == expected
    scene.undo()
    assert state(scene) == states[0]
    for expected in states[1:]:
        scene.redo()
        assert state(scene) == expected


def test_refining_records_the_human_change_and_undo_takes_it_back(scene: Scene) -> None:
    segment = accept(scene)
    scene.refine_segment(segment.changed(mask=~segment.mask, provenance=segment.provenance.edited("click +")))
    assert scene.active is not None
    assert scene.active.get(segment.id).provenance.algorithm == "SEMIAUTOMATIC"
    scene.undo()
    assert scene.active.get(segment.id).provenance.algorithm == "AUTOMATIC"


def test_hiding_is_not_an_undo_step(scene: Scene) -> None:
    segment = accept(scene)
    scene.show_segment(segment.id, visible=False, opacity=0.4)
    assert scene.undo_stack.undo_title == "accept Liver"
    scene.rename_segment(segment.id, "L")
    scene.undo()
    assert scene.active is not None
    assert scene.active.get(segment.id).visible is False


def test_a_new_step_forgets_what_was_undone(scene: Scene) -> None:
    accept(scene)
    scene.undo()
    accept(scene, title="Spleen")
    assert scene.undo_stack.redo_title is None


def test_closing_a_scan_frees_it_and_its_undo_steps(scene: Scene) -> None:
    accept(scene)
    assert scene.active is not None
    watched = weakref.ref(scene.active.volume)
    scene.close(scene.active)
    gc.collect()
    assert watched() is None
    assert scene.undo_stack.undo_title is None
    assert scene.active is None


def test_the_cursor_stays_inside_the_scan(scene: Scene) -> None:
    scene.set_cursor((1e6, -1e6, 0.0))
    assert scene.active is not None
    assert scene.active.cursor == pytest.approx((12.0, -20.0, -9.0))


def test_unsaved_follows_undo(scene: Scene) -> None:
    assert not scene.undo_stack.unsaved
    accept(scene)
    assert scene.undo_stack.unsaved
    scene.undo_stack.mark_saved()
    assert not scene.undo_stack.unsaved
    scene.undo()
    assert scene.undo_stack.unsaved


def test_a_mask_of_another_grid_is_refused(scene: Scene) -> None:
    with pytest.raises(ValueError, match="grid"):
        scene.add_segment(Segment("x", np.zeros((2, 2, 2), bool)))
