"""The sentences of the Report tab: draft, click to see, decide, write; what it must never do."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication
from report_panel_kit import add_model_sentence, draft, idle, press, row_of

from medviewer.core.report.document import Mark, Report


def test_one_click_drafts_and_nothing_is_ticked(drafted) -> None:
    texts = [row.finding.text for row in drafted.page.rows.values()]
    assert any(text.startswith("Spleen: volume 42 ml") for text in texts)
    assert {row.finding.state for row in drafted.page.rows.values()} == {"draft"}
    assert [s.name for s in drafted.context.scene.active.segments] == ["Liver", "Spleen", "Right kidney", "Left kidney"]
    assert drafted.desk.reviewed.report.impression == ()


def test_what_was_not_looked_at_is_said_plainly(drafted) -> None:
    lines = [w.text() for w in drafted.page._others.values() if hasattr(w, "text")]
    assert "Not assessed by the program." in lines
    assert any("not trained" in line and "pancreas" not in line.casefold() for line in lines)


def test_the_template_is_chosen_by_the_scan_and_can_be_changed(qtbot, drafted) -> None:
    assert drafted.desk.reviewed.report.template == "ct_abdomen"
    assert "abdomen" in drafted.top.template.itemText(0)
    before = [s.name for s in drafted.context.scene.active.segments]
    drafted._choose_template("general")
    idle(qtbot, drafted)
    assert drafted.desk.reviewed.report.template == "general"
    assert [s.name for s in drafted.context.scene.active.segments][:4] == before  # found once, asked for once


def test_another_language_asks_the_model_nothing(qtbot, drafted, whole_model) -> None:
    asked = len(whole_model.requests)
    drafted._choose_language("de")
    idle(qtbot, drafted)
    assert row_of(drafted, "Milz: Volumen 42 ml").finding.origin == "measured"
    assert len(whole_model.requests) == asked


def test_clicking_a_sentence_jumps_selects_highlights_and_marks_it_seen(qtbot, report_window, drafted) -> None:
    scene, row = report_window.scene, row_of(drafted, "Left kidney: length")
    before = scene.active.cursor
    drafted.area.ensureWidgetVisible(row)
    qtbot.mouseClick(row, Qt.MouseButton.LeftButton, pos=QPoint(20, row.height() - 10))
    kidney = next(s for s in scene.active.segments if s.name == "Left kidney")
    assert scene.selected_id == kidney.id
    assert scene.active.cursor != before
    index = tuple(round(c / s) for c, s in zip(scene.active.cursor, scene.active.volume.spacing_mm, strict=True))
    assert kidney.mask[index]
    assert report_window.views.grid.link.pointed_at == kidney.id
    assert drafted.desk.reviewed.finding(row.finding.id).seen
    assert drafted.desk.reviewed.finding(row.finding.id).state == "draft"


def test_a_hidden_mask_is_shown_when_its_sentence_is_clicked(report_window, drafted) -> None:
    row = row_of(drafted, "Spleen: volume")
    (segment_id,) = {e.segment_id for e in row.finding.evidence}
    report_window.scene.show_segment(segment_id, visible=False)
    drafted.go_to(row.finding.id)
    assert report_window.scene.active.get(segment_id).visible


def test_selecting_a_segment_marks_its_sentences(report_window, drafted) -> None:
    spleen = next(s for s in report_window.scene.active.segments if s.name == "Spleen")
    report_window.scene.select(spleen.id)
    active = [row.finding.text for row in drafted.page.rows.values() if row.property("active") == "true"]
    assert active
    assert all("pleen" in text for text in active)
    assert any(text.startswith("Spleen: volume") for text in active)


def test_accept_edit_and_reject_by_keys(qtbot, drafted) -> None:
    volume, length = row_of(drafted, "Spleen: volume"), row_of(drafted, "Spleen: median")
    press(qtbot, volume, Qt.Key.Key_A)
    assert volume.state.text().startswith("✓ Accepted")
    press(qtbot, length, Qt.Key.Key_Delete)
    assert length.state.text().startswith("✕ Rejected")
    mean = row_of(drafted, "Spleen: mean")
    press(qtbot, mean, Qt.Key.Key_E)
    field = mean.editor.edit
    field.selectAll()
    qtbot.keyClicks(field, "Spleen of even density.")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert mean.finding.text == "Spleen of even density."
    assert mean.state.text() == "✎ Edited · by a person"
    assert mean.editor is None


def test_escape_keeps_the_words(qtbot, drafted) -> None:
    row = row_of(drafted, "Spleen: volume")
    press(qtbot, row, Qt.Key.Key_F2)
    qtbot.keyClicks(row.editor.edit, "other words")
    qtbot.keyClick(row.editor.edit, Qt.Key.Key_Escape)
    assert row.editor is None
    assert row.finding.text.startswith("Spleen: volume 42 ml")


def test_control_enter_in_a_sentence_accepts_no_preview(qtbot, report_window, drafted) -> None:
    find = report_window.plugins.panels["text_segmentation"]
    find.run_text("heart")
    qtbot.waitUntil(lambda: report_window.scene.active.preview is not None, timeout=20000)
    qtbot.waitUntil(lambda: report_window.scene.active.preview_painted, timeout=20000)
    row = row_of(drafted, "Spleen: volume")
    row.begin_edit()
    QApplication.processEvents()
    qtbot.keyClick(row.editor.edit, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert report_window.scene.active.preview is not None


def test_a_sentence_being_written_survives_a_step_on_another(qtbot, drafted) -> None:
    row = row_of(drafted, "Spleen: median")
    row.begin_edit()
    row.editor.edit.setPlainText("half written")
    drafted.desk.accept(row_of(drafted, "Spleen: volume").finding.id)
    drafted.desk.conclude(row_of(drafted, "Spleen: volume").finding.id)  # lays the page out anew
    assert row.editor.edit.toPlainText() == "half written"


def test_a_sentence_of_a_model_is_not_accepted_before_it_was_shown(qtbot, report_panel, report_logic) -> None:
    report_logic.changes.append(add_model_sentence("The liver is seen."))
    draft(qtbot, report_panel)
    row = report_panel.page.rows["of-a-model"]
    assert "not yet shown with its image" in row.state.text()
    assert not report_panel.desk.accept("of-a-model")
    report_panel.desk.accept_measured()
    assert row.finding.state == "draft"
    report_panel.desk.show("of-a-model")
    assert report_panel.desk.accept("of-a-model")


def test_a_sentence_of_a_model_without_a_place_is_never_seen(qtbot, report_panel, report_logic) -> None:
    report_logic.changes.append(add_model_sentence("Something is seen.", segment=False))
    draft(qtbot, report_panel)
    report_panel.desk.show("of-a-model")
    assert not report_panel.desk.reviewed.finding("of-a-model").seen


def test_a_mark_is_shown_with_its_reason_and_blocks(qtbot, report_panel, report_logic, monkeypatch) -> None:
    def marked(report: Report) -> Report:
        first = next(s for s in report.sections if s.findings)
        finding = first.findings[0].with_changes(marks=(Mark("laterality", "The text says left."),), id="marked")
        sections = tuple(s if s is not first else type(s)(s.key, s.title, (finding,), False) for s in report.sections)
        return report.with_changes(sections=sections)

    report_logic.changes.append(marked)
    draft(qtbot, report_panel)
    row = report_panel.page.rows["marked"]
    assert any("⚠ Check (laterality): The text says left." in getattr(n, "text", str)() for n in row.notes)
    assert not report_panel.desk.accept("marked")
    report_panel.desk.dismiss("marked", "laterality", "compared with the source")
    assert report_panel.desk.accept("marked")
    assert report_panel.desk.reviewed.trail[-2].note == "laterality: compared with the source"


def test_editing_a_mask_marks_at_once_then_renews_the_number(qtbot, report_window, drafted, report_logic) -> None:
    row = row_of(drafted, "Spleen: volume")
    drafted.desk.accept(row.finding.id)
    spleen = next(s for s in report_window.scene.active.segments if s.name == "Spleen")
    mask = spleen.mask.copy()
    mask[:, :, 25] = True
    report_window.scene.refine_segment(spleen.changed(mask=mask))
    assert row.finding.changed
    assert row.finding.state == "draft"
    assert any("look at the number again" in getattr(n, "text", str)() for n in row.notes)
    idle(qtbot, drafted)
    assert "volume 42 ml" not in row.finding.text
    assert row.finding.text.startswith("Spleen: ")
    assert report_logic.redrafts == 1


def test_a_step_taken_while_the_numbers_are_renewed_is_not_lost(qtbot, report_window, drafted, report_logic) -> None:
    spleen = next(s for s in report_window.scene.active.segments if s.name == "Spleen")
    mask = spleen.mask.copy()
    mask[:, :, 25] = True
    report_window.scene.refine_segment(spleen.changed(mask=mask))
    kidney = row_of(drafted, "Left kidney: length").finding.id
    assert drafted.desk.accept(kidney)
    idle(qtbot, drafted)
    assert drafted.desk.reviewed.finding(kidney).state == "accepted"
    assert report_logic.redrafts == 2


def test_numbers_that_could_not_be_measured_again_say_so(
    qtbot, report_window, drafted, report_logic, monkeypatch
) -> None:
    from medviewer.api import WrongUsage

    def fails(*_: object) -> None:
        raise WrongUsage("The masks are on another grid.", "Draft again.")

    spleen = next(s for s in report_window.scene.active.segments if s.name == "Spleen")
    mask = spleen.mask.copy()
    mask[:, :, 25] = True
    with monkeypatch.context() as patch:
        patch.setattr(report_logic, "redraft", fails)
        report_window.scene.refine_segment(spleen.changed(mask=mask))
        idle(qtbot, drafted)
    assert "another grid" in drafted.top.problem.text()
    assert row_of(drafted, "Spleen: volume").finding.changed
    qtbot.mouseClick(drafted.top.buttons["renew"], Qt.MouseButton.LeftButton)
    idle(qtbot, drafted)
    assert drafted.top.buttons["renew"].isHidden()
    assert drafted.top.problem.text() == ""


def test_tab_goes_from_sentence_to_sentence_then_to_signing(qtbot, drafted) -> None:
    rows = drafted.page.ordered_rows()
    chain, widget = [], drafted.top.indication
    for _ in range(500):
        widget = widget.nextInFocusChain()
        chain.append(widget)
    places = [chain.index(item) for item in (*rows, drafted.sign_button, drafted.export_button, drafted.copy_button)]
    assert places == sorted(places)


def test_showing_and_hiding_a_mask_changes_no_sentence(report_window, drafted, report_logic) -> None:
    for segment in list(report_window.scene.active.segments):
        report_window.scene.show_segment(segment.id, visible=False)
    assert report_logic.redrafts == 0
    assert not any(f.changed for f in drafted.desk.reviewed.report.findings)


def test_a_removed_mask_marks_its_sentences(qtbot, report_window, drafted) -> None:
    row = row_of(drafted, "Spleen: volume")
    report_window.scene.delete_segment(next(s.id for s in report_window.scene.active.segments if s.name == "Spleen"))
    idle(qtbot, drafted)
    assert row.finding.changed


def test_the_impression_starts_empty_and_takes_accepted_findings_one_at_a_time(drafted) -> None:
    row = row_of(drafted, "Spleen: volume")
    assert "conclude" not in row.offered
    assert drafted.desk.conclusions() == []
    drafted.desk.accept(row.finding.id)
    assert "conclude" in row.offered
    assert [f.id for f in drafted.desk.conclusions()] == [row.finding.id]
    drafted.desk.conclude(row.finding.id)
    (sentence,) = drafted.desk.reviewed.report.impression
    assert sentence.linked == (row.finding.id,)
    assert "in the impression" in row.state.text()
    drafted.desk.reject(sentence.id)
    assert drafted.desk.reviewed.report.impression == ()


def test_a_person_writes_under_any_heading(qtbot, drafted) -> None:
    drafted.page.write_sentence("pancreas")
    field = drafted.page._writing
    qtbot.keyClicks(field.edit, "Lipomatosis of the pancreas.")
    qtbot.keyClick(field.edit, Qt.Key.Key_Return)
    row = row_of(drafted, "Lipomatosis")
    assert row.finding.heading == "pancreas"
    assert row.state.text() == "✓ Accepted · by a person"


def test_the_indication_goes_into_the_report(qtbot, report_panel) -> None:
    report_panel.top.indication.setText("Pain")
    draft(qtbot, report_panel)
    assert report_panel.desk.reviewed.report.indication == "Pain"
    report_panel.top.indication.setText("Pain for a week")
    report_panel.top.indication.editingFinished.emit()
    assert report_panel.desk.reviewed.report.indication == "Pain for a week"


