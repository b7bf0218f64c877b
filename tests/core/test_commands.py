"""Undo steps: their records, their packing, and what counts as saved."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from medviewer.core.commands import AddSegment, ChangeSegment, DeleteSegment, RefineSegment, command_from
from medviewer.core.provenance import Provenance
from medviewer.core.scene import Scan, Scene
from medviewer.core.segmentation import Segment
from medviewer.core.undo import Command
from medviewer.core.volume import Volume

SHAPE = (9, 8, 7)


def make_scan(key: str = "a") -> Scan:
    scan = Scan(Volume(np.zeros(SHAPE, np.int16, order="F"), np.eye(4)), key)
    scan.segments.append(Segment("Liver", box(1, 4), id="liver", opacity=0.4, provenance=Provenance(prompt="liver")))
    return scan


def box(start: int, stop: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool, order="F")
    mask[start:stop, start:stop, start:stop] = True
    return mask


def state(scan: Scan) -> list[object]:
    return [(s.id, s.name, s.color, s.visible, s.opacity, s.mask.tobytes(), s.provenance) for s in scan.segments]


def refined(scan: Scan) -> Command:
    before = scan.get("liver")
    mask = before.mask.copy(order="F")
    mask[3:, 3:, 3:] ^= True
    return RefineSegment(
        scan, before.changed(mask=mask, cut_edges=("upper",), provenance=before.provenance.edited("x"))
    )


MAKERS: dict[str, Callable[[Scan], Command]] = {
    "add": lambda scan: AddSegment(scan, Segment("Spleen", box(2, 6), (1, 2, 3), tested="Dice 0.9", id="s"), 1),
    "add empty": lambda scan: AddSegment(scan, Segment("Nothing", np.zeros(SHAPE, bool), id="n"), 0, "open Nothing"),
    "delete": lambda scan: DeleteSegment(scan, "liver"),
    "refine": refined,
    "rename": lambda scan: ChangeSegment(scan, "liver", name="Leber, groß"),
    "recolour": lambda scan: ChangeSegment(scan, "liver", color=(9, 8, 7)),
}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_step_comes_back_from_its_record(kind: str, packed: bool) -> None:
    """On the same state the step of the record does, undoes and redoes exactly the same."""
    here, there = make_scan("a"), make_scan("a")
    command = MAKERS[kind](here)
    if packed:
        command.pack()
    header, data = command.record()
    again = command_from(there, json.loads(json.dumps(header)), data)
    assert (again.title, again.scan_key) == (command.title, command.scan_key)
    for move in ("do", "undo", "do"):
        getattr(command, move)()
        getattr(again, move)()
        assert state(here) == state(there)
    assert json.dumps(again.record()[0]) == json.dumps(header)
    assert again.record()[1] == data


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("when", ["before", "between", "never"])
def test_packing_changes_nothing(kind: str, when: str) -> None:
    scan = make_scan()
    before, command = state(scan), MAKERS[kind](scan)
    if when == "before":
        command.pack()
    command.do()
    after = state(scan)
    if when == "between":
        command.pack()
    command.undo()
    assert state(scan) == before
    command.do()
    assert state(scan) == after


def test_a_packed_change_holds_only_the_voxels_that_changed() -> None:
    rng = np.random.default_rng(0)
    scan = Scan(Volume(np.zeros((128, 128, 128), np.int16, order="F"), np.eye(4)))
    mask = np.asfortranarray(rng.random((128, 128, 128)) < 0.5)  # noise: cannot be compressed
    scan.segments.append(Segment("Noise", mask, id="x"))
    after = mask.copy(order="F")
    after[10:30, 10:30, 10:30] ^= True
    command = RefineSegment(scan, scan.get("x").changed(mask=after))
    assert len(command.record()[1]) < 20**3 / 8 + 100


def test_a_step_does_not_copy_the_masks_it_is_made_of() -> None:
    """What an edit costs at once is independent of the size of the masks."""
    scan = make_scan()
    after = scan.get("liver").changed(mask=box(0, 7))
    command = RefineSegment(scan, after)
    command.do()
    assert scan.get("liver").mask is after.mask


@pytest.mark.parametrize(
    "change",
    [
        {"do": "explode"}, {"do": None}, {"id": "unknown"}, {"after": {"mask": 1}}, {"after": 7}, {"id": None},
    ],
)  # fmt: skip
def test_a_record_that_does_not_fit_is_refused(change: dict[str, object]) -> None:
    scan = make_scan()
    header, data = MAKERS["rename"](scan).record()
    before = state(scan)
    with pytest.raises(ValueError, match=r"record|change"):
        command_from(scan, header | change, data)
    assert state(scan) == before


def test_a_change_of_another_grid_is_refused() -> None:
    header, data = refined(make_scan()).record()
    other = Scan(Volume(np.zeros((4, 4, 4), np.int16), np.eye(4)))
    other.segments.append(Segment("Liver", np.zeros((4, 4, 4), bool), id="liver"))
    with pytest.raises(ValueError, match="another grid"):
        command_from(other, header, data)


# -- what is saved, per scan ------------------------------------------------------------
@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    for _ in range(2):
        scene.add_volume(Volume(np.zeros(SHAPE, np.int16, order="F"), np.eye(4)))
    return scene


def add(scene: Scene, scan: Scan, name: str) -> None:
    scene.activate(scan)
    scene.add_segment(Segment(name, box(1, 3)))


def test_saving_one_scan_leaves_the_other_unsaved(scene: Scene) -> None:
    first, second = scene.scans
    stack = scene.undo_stack
    add(scene, first, "A")
    add(scene, second, "B")
    stack.mark_saved({first.key: stack.newest(first.key)})
    assert not stack.unsaved_in(first.key)
    assert stack.unsaved_in(second.key)
    assert stack.unsaved


def test_an_edit_made_while_it_was_saved_stays_unsaved(scene: Scene) -> None:
    """Also where the newer step has the same title."""
    first, stack = scene.scans[0], scene.undo_stack
    add(scene, first, "A")
    steps = {first.key: stack.newest(first.key)}
    add(scene, first, "A")
    stack.mark_saved(steps)
    assert stack.unsaved_in(first.key)
    stack.undo()
    assert not stack.unsaved_in(first.key)


def test_a_saved_state_that_is_out_of_reach_never_counts_as_saved(scene: Scene) -> None:
    first, stack = scene.scans[0], scene.undo_stack
    add(scene, first, "A")
    stack.mark_saved()
    stack.undo()
    assert stack.unsaved_in(first.key)
    add(scene, first, "B")  # the saved step can no longer be redone
    stack.undo()
    assert stack.unsaved_in(first.key)


def test_undone_steps_of_a_scan_that_was_never_saved_are_work(scene: Scene) -> None:
    first, stack = scene.scans[0], scene.undo_stack
    add(scene, first, "A")
    stack.undo()
    assert not stack.unsaved_in(first.key)
    assert stack.has_work(first.key)


def test_adopting_brings_scans_steps_and_what_is_saved(scene: Scene) -> None:
    other = Scene()
    scan = other.add_volume(Volume(np.zeros(SHAPE, np.int16, order="F"), np.eye(4)))
    add(other, scan, "A")
    other.undo_stack.mark_saved()
    add(other, scan, "B")
    other.undo()
    add(scene, scene.scans[0], "C")
    scene.adopt(other)
    assert scene.active is scan
    assert not scene.undo_stack.unsaved_in(scan.key)
    scene.redo()
    assert [s.name for s in scan.segments] == ["A", "B"]
    for expected in (["A"], [], []):
        scene.undo()
        assert [s.name for s in scan.segments] == expected
    assert scene.scans[0].segments == []  # the third undo took back "C"
