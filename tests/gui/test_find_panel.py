"""The Find tab by typing: what Enter, Ctrl+Enter and Esc do, and what is said."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import small_ct
from PySide6.QtCore import QMimeData, Qt
from PySide6.QtWidgets import QApplication, QPushButton

from medviewer.core.prediction import PointPrompt


def type_and_run(qtbot, panel, text: str) -> None:
    panel.prompt.setFocus()
    panel.prompt.clear()
    qtbot.keyClicks(panel.prompt, text)
    qtbot.keyClick(panel.prompt, Qt.Key.Key_Return)


def wait_idle(qtbot, window) -> None:
    qtbot.waitUntil(lambda: window.jobs.current is None, timeout=20000)


def wait_painted(qtbot, window) -> None:
    qtbot.waitUntil(lambda: window.scene.active.preview_painted, timeout=20000)


def answers(panel) -> list[tuple[str, str]]:
    return [(card.text.title, card.text.answer) for card in panel.cards]


def test_enter_runs_and_shows_a_preview(qtbot, ct_window, panel) -> None:
    type_and_run(qtbot, panel, "left kidney")
    wait_painted(qtbot, ct_window)
    assert answers(panel) == [("Left kidney", "Found · model score 0.98")]
    assert ct_window.scene.active.segments == []
    assert ct_window.scene.active.preview.title == "Left kidney"


def test_enter_never_accepts(qtbot, ct_window, panel) -> None:
    type_and_run(qtbot, panel, "liver")
    wait_painted(qtbot, ct_window)
    for _ in range(3):
        qtbot.keyClick(panel.prompt, Qt.Key.Key_Return)
        qtbot.keyClick(panel.prompt, Qt.Key.Key_Enter, Qt.KeyboardModifier.KeypadModifier)
    assert ct_window.scene.active.segments == []
    assert ct_window.scene.active.preview is not None


def test_control_enter_accepts_and_undo_redo_follow(qtbot, ct_window, panel) -> None:
    type_and_run(qtbot, panel, "liver")
    wait_painted(qtbot, ct_window)
    qtbot.keyClick(panel.prompt, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert [s.name for s in ct_window.scene.active.segments] == ["Liver"]
    assert ct_window.scene.active.preview is None
    qtbot.keyClick(panel.prompt, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: ct_window.scene.active.segments == [])
    qtbot.keyClick(panel.prompt, Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: len(ct_window.scene.active.segments) == 1)


def test_accept_is_refused_until_the_mask_was_painted(qtbot, ct_window, panel) -> None:
    type_and_run(qtbot, panel, "liver")
    wait_painted(qtbot, ct_window)
    ct_window.scene.active.preview_painted = False
    panel.accept()
    assert ct_window.scene.active.segments == []
    assert ct_window.scene.active.preview is not None
    ct_window.scene.mark_preview_painted()
    panel.accept()
    assert len(ct_window.scene.active.segments) == 1


def test_escape_discards(qtbot, ct_window, panel) -> None:
    type_and_run(qtbot, panel, "liver")
    wait_painted(qtbot, ct_window)
    qtbot.keyClick(panel.prompt, Qt.Key.Key_Escape)
    assert ct_window.scene.active.preview is None
    assert answers(panel)[0][1].startswith("Discarded")
    panel.accept()
    assert ct_window.scene.active.segments == []


def test_several_prompts_are_answered_in_the_order_typed(qtbot, ct_window, panel) -> None:
    type_and_run(qtbot, panel, "left kidney; kidney, right; spleen")
    wait_idle(qtbot, ct_window)
    assert [title for title, _ in answers(panel)] == ["Left kidney", "Right kidney", "Spleen"]
    names = []
    while ct_window.scene.active.preview is not None:
        wait_painted(qtbot, ct_window)
        names.append(panel.finder.accept().name)
    assert names == ["Left kidney", "Right kidney", "Spleen"]
    assert len({s.color for s in ct_window.scene.active.segments}) == 3


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("pancreas", "Not found by the model · score 0.11 · this does not exclude it"),
        ("brain", "Outside the scanned region"),
        ("something unheard of", "Not trained for this term"),
        ("no liver", "Negation is not supported"),
        ("kein Leber", "Negation is not supported"),
    ],
)
def test_every_answer_has_its_words(qtbot, ct_window, panel, prompt: str, said: str) -> None:
    type_and_run(qtbot, panel, prompt)
    wait_idle(qtbot, ct_window)
    assert [answer for _, answer in answers(panel)] == [said]
    assert ct_window.scene.active.preview is None


def test_a_cut_structure_has_no_volume(qtbot, ct_window, panel) -> None:
    type_and_run(qtbot, panel, "liver; left kidney")
    wait_idle(qtbot, ct_window)
    liver, kidney = (card.text for card in panel.cards)
    assert "Volume" not in dict(liver.rows)
    assert any("cut at the upper edge" in w for w in liver.warnings)
    assert dict(kidney.rows)["Volume"].endswith(" ml")


@pytest.mark.parametrize("prompt", ["", "   ", ";;", "x" * 10_000])
def test_what_cannot_be_asked_is_said_in_one_place(qtbot, ct_window, panel, fake, prompt: str) -> None:
    panel.prompt.setText(prompt)
    qtbot.keyClick(panel.prompt, Qt.Key.Key_Return)
    assert panel.problem.isVisible()
    assert panel.problem.text().count(". ") <= 1
    assert fake.requests == []
    assert panel.cards == []


def test_a_missing_model_is_a_card_with_the_fix(qtbot, ct_window, panel) -> None:
    type_and_run(qtbot, panel, "aorta")
    wait_idle(qtbot, ct_window)
    assert answers(panel) == [("Aorta", "Not answered")]
    assert "Install" in panel.cards[0].text.advice


def test_single_keys_are_dead_while_typing(qtbot, ct_window, panel) -> None:
    before = (ct_window.tools.tool, ct_window.scene.active.window, ct_window.scene.active.inverted)
    panel.prompt.setFocus()
    for letter in "wabnsih123456789":
        qtbot.keyClick(panel.prompt, letter)
    qtbot.keyClick(panel.prompt, Qt.Key.Key_Space)
    assert panel.prompt.text() == "wabnsih123456789 "
    assert (ct_window.tools.tool, ct_window.scene.active.window, ct_window.scene.active.inverted) == before


def test_single_keys_work_in_the_views(qtbot, ct_window) -> None:
    view = ct_window.views.grid.active_view
    ct_window.views.focus_views()
    qtbot.waitUntil(view.hasFocus)
    qtbot.keyClick(view, Qt.Key.Key_B)
    assert ct_window.tools.tool == "box"
    assert ct_window.actions_["box"].isChecked()


def test_history_walks_with_up_and_down(qtbot, ct_window, panel) -> None:
    for prompt in ("pancreas", "brain"):
        type_and_run(qtbot, panel, prompt)
        wait_idle(qtbot, ct_window)
    assert panel.prompt.text() == ""
    qtbot.keyClick(panel.prompt, Qt.Key.Key_Up)
    assert panel.prompt.text() == "brain"
    qtbot.keyClick(panel.prompt, Qt.Key.Key_Up)
    assert panel.prompt.text() == "pancreas"
    qtbot.keyClick(panel.prompt, Qt.Key.Key_Down)
    qtbot.keyClick(panel.prompt, Qt.Key.Key_Down)
    assert panel.prompt.text() == ""


def test_pasted_lines_become_prompts(qtbot, ct_window, panel, fake) -> None:
    data = QMimeData()
    data.setText("liver\nleft kidney\n\n")
    QApplication.clipboard().setMimeData(data)
    panel.prompt.setFocus()
    qtbot.keyClick(panel.prompt, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(panel.prompt, Qt.Key.Key_Return)
    wait_idle(qtbot, ct_window)
    assert [r.prompt for r in fake.requests] == ["liver", "left kidney"]


def test_completion_of_the_last_part_completes_and_accepts_nothing(qtbot, ct_window, panel, fake) -> None:
    panel.prompt.setFocus()
    qtbot.keyClicks(panel.prompt, "liver; panc")
    popup = panel.prompt.completer().popup()
    qtbot.waitUntil(popup.isVisible)
    qtbot.keyClick(popup, Qt.Key.Key_Down)
    qtbot.keyClick(popup, Qt.Key.Key_Return)
    assert panel.prompt.text() == "liver; pancreas"
    assert fake.requests == []
    assert ct_window.scene.active.segments == []


def test_a_late_answer_of_a_closed_scan_is_dropped(qtbot, ct_window, panel, fake) -> None:
    fake.gate.clear()
    type_and_run(qtbot, panel, "liver")
    qtbot.waitUntil(lambda: len(fake.requests) == 1)
    ct_window.documents.close(ct_window.scene.active)
    fake.gate.set()
    wait_idle(qtbot, ct_window)
    assert ct_window.scene.scans == []
    assert panel.cards == []


def test_cancel_stops_the_prompt(qtbot, ct_window, panel, fake) -> None:
    fake.gate.clear()
    type_and_run(qtbot, panel, "liver")
    qtbot.waitUntil(lambda: ct_window.status.bar.fraction > 0 and ct_window.status.cancel.isVisible())
    qtbot.mouseClick(ct_window.status.cancel, Qt.MouseButton.LeftButton)
    wait_idle(qtbot, ct_window)
    assert answers(panel) == [("Liver", "Cancelled")]


def test_a_click_refines_the_preview(qtbot, ct_window, panel, fake) -> None:
    type_and_run(qtbot, panel, "left kidney")
    wait_painted(qtbot, ct_window)
    first = ct_window.scene.active.preview
    ct_window.views.clicked.emit(PointPrompt((1.0, 2.0, 3.0)))
    wait_idle(qtbot, ct_window)
    ct_window.views.clicked.emit(PointPrompt((4.0, 2.0, 3.0), positive=False))
    wait_idle(qtbot, ct_window)
    assert [len(r.points) for r in fake.requests] == [0, 1, 2]
    assert fake.requests[1].previous is not None
    assert ct_window.scene.active.preview is not first
    assert dict(panel.cards[0].text.rows)["Corrected with"] == "2 clicks"
    assert ct_window.scene.active.segments == []


def test_a_click_on_an_accepted_segment_is_one_undoable_step(qtbot, ct_window, panel, fake) -> None:
    type_and_run(qtbot, panel, "left kidney")
    wait_painted(qtbot, ct_window)
    panel.accept()
    scene = ct_window.scene
    before = scene.active.segments[0]
    scene.select(before.id)
    ct_window.views.clicked.emit(PointPrompt((1.0, 2.0, 3.0)))
    wait_idle(qtbot, ct_window)
    after = scene.active.segments[0]
    assert after.id == before.id
    assert (after.mask != before.mask).sum() == 9
    assert after.provenance.algorithm == "SEMIAUTOMATIC"
    scene.undo()
    assert (scene.active.segments[0].mask == before.mask).all()
    scene.redo()
    assert (scene.active.segments[0].mask == after.mask).all()


def test_suggestions_are_the_trained_names_that_fit(monkeypatch, qtbot, ct_window, panel) -> None:
    trained = {"liver": frozenset({"CT"}), "clavicle": frozenset({"XR"}), "spleen": frozenset({"CT", "MR"})}
    panel.finder._trained = trained
    panel._show_chips()
    assert [chip.text() for chip in panel.chips.findChildren(QPushButton)] == ["liver", "spleen"]
    qtbot.mouseClick(panel.chips.findChildren(QPushButton)[0], Qt.MouseButton.LeftButton)
    wait_painted(qtbot, ct_window)
    assert answers(panel)[0][0] == "Liver"


def test_the_views_go_to_a_mask_that_none_of_them_shows(qtbot, ct_window, panel, fake) -> None:
    scene = ct_window.scene
    mask = np.zeros(scene.active.volume.shape, bool)
    mask[2:4, 2:4, 2:4] = True
    fake.truth["spleen"] = mask
    type_and_run(qtbot, panel, "spleen")
    wait_painted(qtbot, ct_window)
    index = tuple(round(c / s) for c, s in zip(scene.active.cursor, scene.active.volume.spacing_mm, strict=True))
    assert mask[index]


def test_a_mask_in_sight_moves_nothing(qtbot, ct_window, panel) -> None:
    before = ct_window.scene.active.cursor
    type_and_run(qtbot, panel, "liver")
    wait_painted(qtbot, ct_window)
    assert ct_window.scene.active.cursor == before


def test_the_same_prompt_on_two_scans_is_answered_on_both(qtbot, ct_window, panel, fake) -> None:
    fake.gate.clear()
    first = ct_window.scene.active
    type_and_run(qtbot, panel, "liver")
    ct_window.scene.add_volume(small_ct())
    type_and_run(qtbot, panel, "liver")
    fake.gate.set()
    wait_idle(qtbot, ct_window)
    wait_painted(qtbot, ct_window)
    ct_window.scene.activate(first)
    wait_painted(qtbot, ct_window)
    assert answers(panel) == [("Liver", "Found · model score 0.98")]


def test_a_card_is_never_a_window_of_its_own(qtbot, ct_window, panel) -> None:
    type_and_run(qtbot, panel, "liver")
    wait_painted(qtbot, ct_window)
    panel.refresh()
    cards = panel.cards  # added, and replaced before they were shown
    panel.refresh()
    QApplication.processEvents()
    assert not any(card.isVisible() for card in cards)


@pytest.mark.parametrize("shape", [(48, 40, 90), (48, 40, 30)])
def test_going_back_to_an_answered_scan_shows_that_scan(qtbot, ct_window, panel, fake, shape) -> None:
    fake.gate.clear()
    first = ct_window.scene.active
    type_and_run(qtbot, panel, "liver")
    ct_window.scene.add_volume(small_ct(shape))
    ct_window.scene.set_cursor((30.0, 30.0, shape[2] * 5.0 - 5.0))
    fake.gate.set()
    wait_idle(qtbot, ct_window)
    ct_window.scene.activate(first)
    shown = [view.view.volume for view in ct_window.views.grid.slices.values() if view.plane != "native"]
    assert all(volume is first.volume for volume in shown)
    wait_painted(qtbot, ct_window)


def test_decided_cards_hold_no_masks(qtbot, ct_window, panel) -> None:
    type_and_run(qtbot, panel, "liver; left kidney; pancreas")
    wait_idle(qtbot, ct_window)
    wait_painted(qtbot, ct_window)
    panel.accept()
    wait_painted(qtbot, ct_window)
    panel.discard()
    assert [e.prediction.mask.size for e in panel.finder.entries] == [0, 0, 0]
    assert len(answers(panel)) == 3


def test_a_refinement_that_comes_after_escape_is_dropped(qtbot, ct_window, panel, fake) -> None:
    type_and_run(qtbot, panel, "left kidney")
    wait_painted(qtbot, ct_window)
    fake.gate.clear()
    ct_window.views.clicked.emit(PointPrompt((1.0, 2.0, 3.0)))
    panel.discard()
    fake.gate.set()
    wait_idle(qtbot, ct_window)
    assert ct_window.scene.active.preview is None
    assert answers(panel)[0][1].startswith("Discarded")
