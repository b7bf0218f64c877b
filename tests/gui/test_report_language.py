"""Sentences of a local language model in the Report tab, with small random models in the layout of LLaVA."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from clipping import clipped
from PySide6.QtWidgets import QApplication
from report_panel_kit import idle, sign_dialog

pytest.importorskip("transformers")

from tests.models.vision_language_kit import save_llava

SAYS = (
    "**Findings:**\n", "Liver: Enlarged.\n", "The heart is large.\n", "The bowel gas pattern is unremarkable.\n",
    "## Impression\n1. Enlarged liver.\n2. Large heart.\n",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llava(tmp_path_factory.mktemp("language-models") / "writer-7b", SAYS)


@pytest.fixture
def bar(drafted, folder: Path, settings):
    """The part of the tab that asks language models; the model is chosen and its terms are accepted."""
    bar = drafted.language
    bar.choose_folder = lambda parent: folder
    bar.ask_licence = lambda model, parent: True
    return bar


def ask(qtbot, panel) -> None:
    panel.language.add.click()
    bar = panel.language
    qtbot.waitUntil(lambda: bool(bar.writer.work.problem or said(panel) or bar.writer.suggestions), timeout=30000)
    idle(qtbot, panel)


def said(panel):
    return [f for f in panel.desk.reviewed.report.findings if f.origin == "model" and f.heading != "impression"]


def by_words(panel, words: str):
    return next(f for f in panel.desk.reviewed.report.findings if words in f.text)


def test_the_sentences_of_a_model_appear_as_its_drafts_with_their_marks(qtbot, drafted, bar) -> None:
    before = [f.text for f in drafted.desk.reviewed.report.findings]
    ask(qtbot, drafted)
    assert ("liver", "Liver: Enlarged.", "draft") in [(f.heading, f.text, f.state) for f in said(drafted)]
    row = drafted.page.rows[by_words(drafted, "unremarkable").id]
    assert row.state.text().startswith("○ Draft · by the model writer-7b · not yet shown")
    assert {"normal", "no evidence"} <= {mark.guard for mark in row.finding.marks}
    assert set(before) <= {f.text for f in drafted.desk.reviewed.report.findings}
    assert drafted.desk.reviewed.report.impression == ()
    assert any("writer-7b are drafts" in line for line in drafted.desk.reviewed.report.limitations)
    assert drafted.desk.reviewed.report.provenance[-1].licence == "small-model-terms"
    assert drafted.desk.draft.is_touched  # a new draft asks before it drops them


def test_a_structure_that_a_sentence_names_gets_a_mask_and_is_measured(qtbot, report_window, drafted, bar) -> None:
    assert "Heart" not in [s.name for s in report_window.scene.active.segments]
    ask(qtbot, drafted)
    heart = next(s for s in report_window.scene.active.segments if s.name == "Heart")
    assert {e.segment_id for e in by_words(drafted, "heart is large").evidence} == {heart.id}
    assert any(f.origin == "measured" and "Heart" in f.text for f in drafted.desk.reviewed.report.findings)
    assert by_words(drafted, "heart is large").origin == "model"
    assert not by_words(drafted, "heart is large").changed


def test_the_licence_is_asked_before_the_first_use_and_remembered(qtbot, drafted, bar, settings) -> None:
    asked: list[str] = []
    bar.ask_licence = lambda model, parent: asked.append(model.licence_text) is not None
    bar.add.click()
    qtbot.waitUntil(lambda: bool(asked), timeout=20000)
    QApplication.processEvents()
    assert "For tests only." in asked[0]
    assert not bar.writer.work.is_working
    assert said(drafted) == []
    assert settings.get("language_model", "") == ""
    bar.ask_licence = lambda model, parent: asked.append("again") or True
    ask(qtbot, drafted)
    ask(qtbot, drafted)
    assert len(asked) == 2
    assert len(settings.get("accepted_licences", [])) == 1
    assert "writer-7b" in bar.add.text()


def test_asked_twice_nothing_comes_twice_and_decisions_stay(qtbot, drafted, bar) -> None:
    ask(qtbot, drafted)
    finding = by_words(drafted, "Liver: Enlarged.")
    drafted.go_to(finding.id)
    drafted.desk.accept(finding.id)
    drafted.desk.edit(by_words(drafted, "unremarkable").id, "Bowel gas as expected.")
    texts = [f.text for f in drafted.desk.reviewed.report.findings]
    trail = len(drafted.desk.reviewed.trail)
    drafted.language.add.click()
    qtbot.waitUntil(lambda: len(drafted.desk.reviewed.trail) > trail, timeout=30000)
    assert [f.text for f in drafted.desk.reviewed.report.findings] == texts
    assert drafted.desk.reviewed.finding(finding.id).state == "accepted"


def test_the_text_is_shown_while_it_comes_and_cancel_leaves_the_report_as_it_was(
    qtbot, drafted, bar, tmp_path: Path, monkeypatch
) -> None:
    from medviewer.models.vision_language import generation

    tell = generation._Writing._tell
    monkeypatch.setattr(generation._Writing, "_tell", lambda self, text: (qtbot_free_wait(), tell(self, text))[1])
    before = drafted.desk.reviewed
    bar.add.click()
    qtbot.waitUntil(lambda: "Enlarged" in bar.text.text(), timeout=30000)
    assert bar.text.isVisible()
    assert bar.stop.isVisible()
    bar.stop.click()
    qtbot.waitUntil(lambda: not bar.writer.work.is_working, timeout=10000)
    assert drafted.desk.reviewed is before
    assert not bar.text.isVisible()
    assert bar.problem.text() == ""


def qtbot_free_wait() -> None:
    """In the worker's thread: slower than the window looks."""
    import time

    time.sleep(0.3)


def test_signing_demands_that_every_sentence_of_a_model_was_seen(qtbot, drafted, bar) -> None:
    """clinical.md 20."""
    ask(qtbot, drafted)
    drafted.desk.accept_measured()
    for finding in said(drafted):
        assert not drafted.desk.accept(finding.id)
        drafted.desk.edit(finding.id, f"{finding.text} Seen.")
    dialog = sign_dialog(drafted)
    assert "unseen" in [c.key for c in dialog.checks if c.blocks]
    dialog.deleteLater()
    for finding in drafted.desk.reviewed.report.findings:
        if finding.model:
            drafted.go_to(finding.id)
            assert drafted.desk.reviewed.finding(finding.id).seen  # without a mask: at the slice the model was shown
    dialog = sign_dialog(drafted)
    assert "unseen" not in [c.key for c in dialog.checks if c.blocks]
    dialog.deleteLater()


def test_a_renewed_draft_keeps_the_sentences_notices_and_origin_of_the_model(
    qtbot, report_window, drafted, bar
) -> None:
    ask(qtbot, drafted)
    texts = [f.text for f in said(drafted)]
    spleen = next(s for s in report_window.scene.active.segments if s.name == "Spleen")
    report_window.scene.delete_segment(spleen.id)
    idle(qtbot, drafted)
    report = drafted.desk.reviewed.report
    assert [f.text for f in said(drafted)] == texts
    assert any("writer-7b are drafts" in line for line in report.limitations)
    assert report.provenance[-1].model_id == "writer-7b"
    assert {"normal", "no evidence"} <= {mark.guard for mark in by_words(drafted, "unremarkable").marks}


def test_suggestions_go_into_the_impression_one_at_a_time_and_stay_the_models(qtbot, drafted, bar) -> None:
    """clinical.md 14."""
    ask(qtbot, drafted)
    assert drafted.desk.reviewed.report.impression == ()
    assert "(2)" in bar.offers.text()
    menu = bar.offers_menu()
    assert [a.text() for a in menu.actions()] == ["Enlarged liver.", "Large heart."]
    assert not menu.actions()[0].menu().actions()[0].isEnabled()  # nothing accepted that it could rest on
    menu.deleteLater()
    drafted.desk.accept_measured()
    menu = bar.offers_menu()
    action = next(a for a in menu.actions()[0].menu().actions() if a.isEnabled())
    assert "iver" in action.text()  # a finding about the same structure stands first
    action.trigger()
    (sentence,) = drafted.desk.reviewed.report.impression
    assert (sentence.text, sentence.origin, sentence.state) == ("Enlarged liver.", "model", "draft")
    assert (sentence.model, sentence.seen) == ("writer-7b", False)
    assert sentence.linked
    assert [f.text for f in bar.writer.suggestions] == ["Large heart."]
    menu.deleteLater()


def test_a_folder_that_cannot_be_used_is_told_in_the_tab(qtbot, drafted, bar, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    bar.choose_folder = lambda parent: tmp_path / "empty"
    bar.add.click()
    qtbot.waitUntil(lambda: "config.json is missing" in bar.problem.text().replace("\u200b", ""), timeout=20000)
    assert bar.problem.isVisible()


def test_too_little_memory_is_told_in_the_tab(qtbot, drafted, bar, monkeypatch) -> None:
    language = sys.modules[type(drafted).__module__.rsplit(".", 1)[0] + ".language"]
    monkeypatch.setattr(language, "available_memory", lambda: 10_000_000)
    bar.add.click()
    qtbot.waitUntil(lambda: "GB are free" in bar.problem.text().replace("\u200b", ""), timeout=30000)
    assert said(drafted) == []


def test_an_answer_that_comes_after_a_new_draft_of_another_kind_is_told_and_left_out(qtbot, drafted, bar) -> None:
    work = bar.writer.work
    ask(qtbot, drafted)
    answer = type("A", (), {"fits": lambda self, report: False})()
    work.waiting = answer
    before = drafted.desk.reviewed
    bar.writer.take_waiting()
    assert drafted.desk.reviewed is before
    assert "drafted anew" in work.problem


def test_the_dialog_of_the_licence_shows_it_and_cancel_is_the_default(qtbot, drafted, folder: Path) -> None:
    module = sys.modules[type(drafted.language).__module__]
    dialog = module.LicenceDialog(module.language_model(folder), drafted)
    dialog.show()
    assert "For tests only." in dialog.terms.toPlainText()
    assert not dialog.agree.isDefault()
    assert clipped(dialog) == []
    dialog.close()
    dialog.deleteLater()
