"""A whole report in the Report tab: sign, export, copy, key images, sessions, and work that comes late or fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clipping import clipped
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QPushButton
from report_panel_kit import ReportHost, abdomen, add_model_sentence, draft, idle, row_of, sign_dialog

from medviewer.core.report.document import Evidence


def test_signing_shows_the_identity_and_refuses_while_anything_blocks(drafted) -> None:
    dialog = sign_dialog(drafted)
    assert "4711" in dialog.identity.text()
    dialog.name.setText("Dr. A. Reader")
    assert not dialog.sign.isEnabled()
    assert [c.key for c in dialog.checks if c.blocks] == ["undecided"]
    drafted.desk.accept_measured()
    dialog.deleteLater()
    dialog = sign_dialog(drafted)
    assert not dialog.sign.isEnabled()  # no name
    dialog.name.setText("Dr. A. Reader")
    assert [dialog.status.itemData(n) for n in range(dialog.status.count())] == ["preliminary"]
    dialog.sign.click()
    assert dialog.signed.report.status == "preliminary"
    dialog.deleteLater()


def test_a_final_report_needs_an_impression(drafted) -> None:
    drafted.desk.accept_measured()
    dialog = sign_dialog(drafted)
    dialog.name.setText("Dr. A. Reader")
    dialog.sign.click()
    drafted.desk.step(lambda _: dialog.signed)
    dialog.deleteLater()
    dialog = sign_dialog(drafted)
    assert dialog.status.currentData() == "final"
    assert [c.key for c in dialog.checks if c.blocks] == ["impression_empty"]
    assert not dialog.sign.isEnabled()
    dialog.deleteLater()


def test_a_signed_report_offers_no_changes_until_it_is_opened_again(drafted, monkeypatch) -> None:
    drafted.desk.accept_measured()
    dialog = sign_dialog(drafted)
    dialog.name.setText("Dr. A. Reader")
    dialog.sign.click()
    drafted.desk.step(lambda _: dialog.signed)
    dialog.deleteLater()
    assert all(row.offered == [] for row in drafted.page.rows.values())
    assert not drafted.top.template.isEnabled()
    assert "name entered, not an electronic signature" in drafted.top.state.text()
    monkeypatch.setitem(type(drafted).reopen.__globals__, "ask_sure", lambda *_: True)
    drafted.reopen()
    assert drafted.desk.reviewed.report.version == 2
    assert row_of(drafted, "Spleen: volume").offered != []


def test_a_new_draft_asks_before_it_drops_what_a_person_did(drafted, monkeypatch) -> None:
    asked: list[str] = []
    monkeypatch.setitem(type(drafted).draft.__globals__, "ask_sure", lambda *texts: asked.append(texts[1]) or False)
    row = row_of(drafted, "Spleen: volume")
    drafted.desk.accept(row.finding.id)
    drafted.draft()
    assert len(asked) == 1
    assert drafted.desk.draft.work == ""
    assert drafted.desk.reviewed.finding(row.finding.id).state == "accepted"


@pytest.mark.parametrize("suffix", [".json", ".html", ".txt"])
def test_export_writes_by_the_ending(qtbot, drafted, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"report{suffix}"
    drafted.export_to(path)
    qtbot.waitUntil(path.is_file, timeout=20000)
    assert "4711" in path.read_text("utf-8")
    if suffix == ".json":
        assert json.loads(path.read_text("utf-8"))["format"] == "medviewer report"


def test_an_export_that_fails_says_so_and_loses_nothing(qtbot, drafted, tmp_path: Path) -> None:
    drafted.export_to(tmp_path / "no such folder" / "report.html")
    qtbot.waitUntil(lambda: drafted.window().jobs.current is None, timeout=20000)
    assert any("no such folder" in w.text() for w in drafted.window().findChildren(QLabel) if w.isVisible())
    assert drafted.desk.reviewed is not None


def test_copied_text_says_that_it_is_a_draft(drafted) -> None:
    drafted.copy()
    text = QApplication.clipboard().text()
    assert "AI-assisted draft, not verified" in text
    assert "Research use only" in text


def test_a_key_image_shows_the_views_without_the_identity(report_window, drafted, monkeypatch) -> None:
    row = row_of(drafted, "Spleen: volume")
    drafted.go_to(row.finding.id)
    drafted.add_image()
    (image,) = drafted.desk.reviewed.report.key_images
    assert image.png.startswith(b"\x89PNG")
    assert image.caption == row.finding.text
    assert image.finding_ids == (row.finding.id,)
    drafted.desk.remove_image(image)
    assert drafted.desk.reviewed.report.key_images == ()


def test_cancel_leaves_no_half_report(qtbot, report_panel, whole_model) -> None:
    whole_model.gate.clear()
    report_panel.draft()
    qtbot.waitUntil(lambda: len(whole_model.requests) == 1)
    qtbot.waitUntil(lambda: "%" in report_panel.top.progress.text())
    qtbot.mouseClick(report_panel.top.buttons["stop"], Qt.MouseButton.LeftButton)
    idle(qtbot, report_panel)
    whole_model.gate.set()
    assert report_panel.desk.reviewed is None
    assert report_panel.context.scene.active.segments == []
    assert report_panel.desk.draft.problem == ""


def test_a_draft_of_another_scan_waits_for_its_scan(qtbot, report_window, report_panel, whole_model) -> None:
    whole_model.gate.clear()
    first = report_window.scene.active
    report_panel.draft()
    report_window.scene.add_volume(abdomen())
    whole_model.gate.set()
    qtbot.waitUntil(lambda: report_window.jobs.current is None, timeout=20000)
    assert report_window.scene.active.segments == []
    assert report_panel.desk.reviewed is None
    report_window.scene.activate(first)
    assert len(first.segments) == 4
    assert report_panel.desk.reviewed is not None


def test_a_closed_scan_takes_its_report_along(qtbot, report_window, drafted) -> None:
    report_window.documents.close(report_window.scene.active)
    assert drafted.desk.draft is None
    assert drafted.page.rows == {}


def test_a_missing_model_is_told_in_the_panel(qtbot, report_panel, whole_model, monkeypatch) -> None:
    from medviewer.api import ModelMissing

    def missing(*_: object) -> None:
        raise ModelMissing("No segmentation model is installed.", "Install medviewer again.")

    monkeypatch.setattr(whole_model, "_by_term", missing)
    report_panel.draft()
    idle(qtbot, report_panel)
    assert report_panel.top.problem.text() == "No segmentation model is installed. Install medviewer again."


def test_doubtful_sides_are_said_until_they_are_confirmed(qtbot, report_panel, report_logic, monkeypatch) -> None:
    report_logic.changes.append(lambda r: r.with_changes(facts={**r.facts, "sides": "in doubt"}))
    draft(qtbot, report_panel)
    assert "may be flipped" in report_panel.top.sides.text()
    assert not report_panel.top.buttons["confirm_sides"].isHidden()
    monkeypatch.setitem(type(report_panel).confirm_sides.__globals__, "ask_sure", lambda *_: True)
    report_panel.confirm_sides()
    idle(qtbot, report_panel)
    assert report_panel.top.sides.isHidden()


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("size", [(1280, 800), (1024, 640), (1920, 1080)])
def test_no_text_of_the_report_is_cut(qtbot, make_window, whole_model, report_logic, settings, theme, size) -> None:
    settings.set("theme", theme)
    long = "Beobachtungsstruktur" * 12 + " im Bereich der Leber, " + "x" * 200
    report_logic.changes.append(add_model_sentence(long))
    window = make_window(ReportHost(whole_model, report_logic), size)
    window.scene.add_volume(abdomen())
    report_panel = window.plugins.panels["report_generation"]
    window.plugins.tabs.setCurrentWidget(report_panel)
    assert clipped(window) == []
    draft(qtbot, report_panel)
    report_panel.desk.accept(row_of(report_panel, "Spleen: volume").finding.id)
    report_panel.desk.conclude(row_of(report_panel, "Spleen: volume").finding.id)
    row_of(report_panel, "Spleen: median").begin_edit()
    report_panel.add_image()
    assert clipped(window) == []
    dialog = sign_dialog(report_panel)
    dialog.show()
    qtbot.waitExposed(dialog)
    assert clipped(dialog) == []
    dialog.close()
    dialog.deleteLater()


def test_text_of_a_model_is_never_markup(qtbot, report_panel, report_logic) -> None:
    report_logic.changes.append(add_model_sentence("<b>Liver</b> <img src=x> \u202e reversed"))
    draft(qtbot, report_panel)
    assert report_panel.page.rows["of-a-model"].text.textFormat() == Qt.TextFormat.PlainText


def test_evidence_without_a_place_in_this_scan_moves_nothing(drafted) -> None:
    report = drafted.desk.reviewed.report
    finding = report.findings[0].with_changes(evidence=(Evidence("slice", position=(1.0, 1.0, 1.0), in_patient=False),))
    section = next(s for s in report.sections if report.findings[0] in s.findings)
    changed = type(section)(section.key, section.title, (finding, *section.findings[1:]), False)
    sections = tuple(changed if s is section else s for s in report.sections)
    drafted.desk.step(lambda r: r.with_report(report.with_changes(sections=sections)))
    before = drafted.context.scene.active.cursor
    drafted.desk.show(finding.id)
    assert drafted.context.scene.active.cursor == before
    assert not drafted.desk.reviewed.finding(finding.id).seen


def test_a_session_keeps_the_report_and_every_step_on_it(qtbot, report_window, drafted, report_logic) -> None:
    from medviewer.core.scene import Scene
    from medviewer.services.sessions import state_of

    row = row_of(drafted, "Spleen: volume")
    drafted.desk.accept(row.finding.id)
    (state,) = state_of(report_window.scene).scans  # asks the report_panel for what is newest
    text = state.notes["report_generation"]
    assert "Doe" not in text
    assert "4711" not in text
    other = Scene()
    scan = other.add_volume(abdomen())
    scan.notes = dict(state.notes)
    for segment in state.segments:
        other.add_segment(segment)
    report_window.scene.adopt(other)
    assert drafted.desk.reviewed.finding(row.finding.id).state == "accepted"
    assert drafted.desk.reviewed.report.identity.patient_id == "4711"
    assert drafted.desk.draft.answers
    assert report_logic.redrafts == 0
    assert drafted.page.rows[row.finding.id].state.text().startswith("✓ Accepted")


def test_a_report_that_no_session_has_counts_as_unsaved(qtbot, report_window, drafted) -> None:
    report_window.scene.undo_stack.mark_saved()
    drafted.desk.keep()
    assert report_window.commands.unsaved(report_window.scene.scans) == report_window.scene.scans
    scan = report_window.scene.active
    scan.saved_notes = dict(scan.notes)
    assert report_window.commands.unsaved(report_window.scene.scans) == []
    drafted.desk.accept(row_of(drafted, "Spleen: volume").finding.id)
    qtbot.waitUntil(lambda: report_window.commands.unsaved(report_window.scene.scans) != [])
    scan.saved_notes = dict(scan.notes)  # so that closing asks nothing


def test_a_damaged_report_of_a_session_is_told_and_the_rest_works(qtbot, report_window, report_panel) -> None:
    from medviewer.core.scene import Scene

    other = Scene()
    other.add_volume(abdomen()).notes = {"report_generation": '{"report": "x"}'}
    report_window.scene.adopt(other)
    assert report_panel.desk.reviewed is None
    assert any("damaged" in w.text() for w in report_window.findChildren(QLabel) if w.isVisible())
    draft(qtbot, report_panel)
    assert report_panel.desk.reviewed is not None


def test_each_step_on_a_report_is_in_the_journal_within_a_second(qtbot, report_window, drafted) -> None:
    scan, told = report_window.scene.active, []
    drafted.desk.keep()
    drafted._keeping.stop()
    report_window.scene.note_kept.connect(told.append)
    first, second = list(drafted.page.rows.values())[:2]
    drafted.desk.accept(first.finding.id)
    assert 0 <= drafted._keeping.remainingTime() <= 1000
    left = drafted._keeping.remainingTime()
    drafted.desk.accept(second.finding.id)
    assert told or drafted._keeping.remainingTime() <= left  # steps in a row do not put it off
    qtbot.waitUntil(lambda: bool(told), timeout=5000)
    assert "accepted" in scan.notes["report_generation"]


def test_a_report_that_survived_a_crash_is_shown_marked_and_measured_again(
    qtbot, report_window, drafted, report_logic
) -> None:
    """Its masks may be newer than its numbers: they are written to the journal at once, the report a moment later."""
    from medviewer.core.scene import Scene
    from medviewer.services.sessions import state_of

    row = row_of(drafted, "Spleen: volume")
    drafted.desk.accept(row.finding.id)
    (state,) = state_of(report_window.scene).scans
    other = Scene()
    scan = other.add_volume(abdomen())
    scan.notes, scan.recovered_notes = dict(state.notes), frozenset({"report_generation"})
    for segment in state.segments:
        other.add_segment(segment)
    report_window.scene.adopt(other)
    idle(qtbot, drafted)
    assert report_logic.redrafts == 1
    assert drafted.desk.reviewed.finding(row.finding.id).state == "accepted"
    assert "Recovered" in drafted.top.recovered.text()
    assert drafted.top.recovered.isVisibleTo(drafted.top)


def test_what_is_being_written_stays_while_the_report_changes_around_it(drafted) -> None:
    heading = next(s.key for s in drafted.desk.reviewed.report.sections if s.findings)
    drafted.page.write_sentence(heading)
    drafted.page._writing.edit.setPlainText("A sentence on its way")
    drafted.desk.add(heading, "Another sentence.")  # as renewed numbers do, it changes what the page holds
    assert drafted.page._writing is not None
    drafted.page._writing._save()
    assert "A sentence on its way" in [f.text for f in drafted.desk.reviewed.report.findings]
    assert drafted.page._writing is None


def test_what_is_being_written_never_gets_into_the_report_of_another_scan(drafted) -> None:
    report = drafted.desk.reviewed.report
    heading = report.sections[0].key
    drafted.page.write_sentence(heading)
    from medviewer.api import reports

    other = report.with_changes(id="of another scan")
    drafted.page.show_report(other, reports.report_words("en"), ())
    assert drafted.page._writing is None


def test_numbers_of_masks_that_are_gone_cannot_be_signed(drafted, monkeypatch) -> None:
    opened: list[object] = []
    monkeypatch.setitem(type(drafted).sign.__globals__, "SignDialog", lambda *a: opened.append(a))
    drafted.desk.draft.is_stale = True
    drafted.sign()
    assert opened == []
    drafted.desk.draft.is_stale = False


def test_a_report_that_changed_while_the_page_of_signing_was_shown_is_not_signed(drafted) -> None:
    seen = drafted.desk.reviewed
    signed = seen.with_report(seen.report.with_changes(status="preliminary"))
    drafted.desk.accept_measured()
    after = drafted.desk.reviewed
    assert not drafted.desk.replace(seen, signed)
    assert drafted.desk.reviewed is after
    assert drafted.desk.replace(after, signed)


def test_a_new_draft_never_replaces_a_report_that_was_signed(drafted, monkeypatch) -> None:
    drafted.desk.accept_measured()
    dialog = sign_dialog(drafted)
    dialog.name.setText("Dr. A. Reader")
    dialog.sign.click()
    drafted.desk.step(lambda _: dialog.signed)
    dialog.deleteLater()
    monkeypatch.setitem(type(drafted).reopen.__globals__, "ask_sure", lambda *_: True)
    drafted.reopen()
    assert not drafted.top.buttons["draft"].isEnabled()
    assert drafted.top.indication.isEnabled()
    kept = drafted.desk.reviewed
    drafted.draft()
    assert drafted.desk.reviewed is kept
    assert kept.earlier
    assert not drafted.desk.draft.work


def test_titles_of_files_are_no_markup_in_tool_tips(report_panel) -> None:
    literal = report_panel.page._heading.__globals__["literal"]
    assert literal("<b>bold</b>") == "<qt>&lt;b&gt;bold&lt;/b&gt;</qt>"
    assert literal("A and B") == "A and B"


def test_a_field_that_grows_pushes_its_buttons_down(qtbot, drafted) -> None:
    row = next(iter(drafted.page.rows.values()))
    row.begin_edit()
    row.editor.edit.setPlainText("A sentence that goes on for several lines of this narrow panel. " * 6)
    qtbot.wait(100)
    field = row.editor
    buttons = [b for b in field.findChildren(QPushButton) if b.isVisible()]
    assert all(b.y() >= field.edit.geometry().bottom() for b in buttons)
    assert row.geometry().height() >= field.geometry().bottom()
    row.end_edit()
