"""The Report tab with a prior: who may be compared with whom, what arrives in the report, and how it leaves again."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from report_panel_kit import ReportHost, abdomen, draft, idle, row_of

from medviewer.api import reports
from medviewer.core.comparison import Registration
from medviewer.core.volume import Patient, Volume
from medviewer.services import registration

JANE = Patient(name="Doe^Jane", id="4711", birth_date="19500101", sex="F", study_date="20250102")


def study(date: str, scale: float = 1.0, uid: str = "", **who: str) -> Volume:
    """The tiny abdomen on a day; `scale` stretches its voxels."""
    patient = Patient(**({"name": JANE.name, "id": JANE.id, "birth_date": JANE.birth_date, "sex": JANE.sex,
                          "study_date": date} | who))  # fmt: skip
    volume = abdomen()
    affine = np.diag([3.0 * scale, 3.0 * scale, 5.0 * scale, 1.0])
    return volume.with_changes(
        patient=patient, affine=affine, spacing_mm=None, array=volume.array.copy(order="F"), id=f"study-{date}{uid}"
    )


@pytest.fixture(autouse=True)
def quick_registration(monkeypatch) -> None:
    """The search has its own tests; here it ends at once."""

    def register(current: Volume, prior: Volume, progress: Any = None, rules: Any = None) -> Registration:
        return registration.worded(Registration(np.eye(4), "good", 0.1, 0.2, 1.0), rules)

    monkeypatch.setattr(registration, "register_rigid", register)


@pytest.fixture
def panel(make_window, whole_model, report_logic, qtbot):
    """The Report tab with a draft of the scan of 2025."""
    window = make_window(ReportHost(whole_model, report_logic))
    window.scene.add_volume(study("20250102"))
    qtbot.waitUntil(lambda: window.views.isVisible())
    made = window.plugins.panels["report_generation"]
    window.plugins.tabs.setCurrentWidget(made)
    draft(qtbot, made)
    return made


@pytest.fixture
def prior(panel):
    """A smaller body a year before, open beside the scan."""
    return panel.context.scene.add_volume(study("20240131", 0.8), activate=False)


def settled(qtbot, panel: Any) -> None:
    qtbot.waitUntil(lambda: panel.prior.prior.state is None or panel.prior.prior.state.work == "", timeout=60000)
    idle(qtbot, panel)


def compare(qtbot, panel: Any, prior: Any) -> None:
    panel.prior.take(prior)
    assert panel.prior.prior.state is not None
    settled(qtbot, panel)
    assert panel.prior.prior.problem == ""


def text_of(panel: Any) -> str:
    return reports.report_text(panel.desk.reviewed.report)


def test_the_change_arrives_in_the_report_with_both_dates_as_a_draft(qtbot, panel, prior) -> None:
    assert "2024-01-31" not in text_of(panel)
    compare(qtbot, panel, prior)
    report = panel.desk.reviewed.report
    assert "2024-01-31" in report.comparison
    row = row_of(panel, "2024-01-31")
    assert "2025-01-02" in row.finding.text
    assert row.finding.state == "draft"
    assert "Spleen" in " ".join(f.text for f in report.findings if "2024-01-31" in f.text)
    assert not any(mark.guard == "prior" for f in report.findings for mark in f.marks)


def test_a_prior_without_masks_is_asked_for_the_structures_of_the_template(qtbot, panel, prior, whole_model) -> None:
    before = len(whole_model.requests)
    compare(qtbot, panel, prior)
    assert len(whole_model.requests) > before
    names = {s.name for s in panel.prior.prior.state.study.segments}
    assert {"Spleen", "Left kidney"} <= names
    assert prior.segments == []  # the open scan is not changed


def test_removing_the_prior_takes_its_sentences_out_again(qtbot, panel, prior) -> None:
    compare(qtbot, panel, prior)
    window = panel.window()
    assert window.views.prior is not None
    panel.prior.remove.click()
    settled(qtbot, panel)
    assert "2024-01-31" not in text_of(panel)
    assert panel.desk.draft.prior is None
    assert window.views.prior is None
    told = [entry.after for entry in panel.desk.reviewed.trail if entry.where == "prior"]
    assert told == ["CT 2024-01-31", "removed"]


@pytest.mark.parametrize("who", [{"id": "0815"}, {"birth_date": "19510101"}, {"sex": "M"}])
def test_another_patient_is_refused_without_a_reason(panel, who) -> None:
    other = panel.context.scene.add_volume(study("20240131", 0.8, **who), activate=False)
    asked: list[Any] = []
    panel.prior.ask_reason = lambda check, language, parent: asked.append(check.differing) or "  "
    panel.prior.take(other)
    assert asked == [tuple(who)]
    assert panel.desk.draft.prior is None
    assert not panel.prior.prior.compare(other)  # nor past the question
    assert panel.window().views.prior is None


def test_the_reason_for_another_identity_is_logged(qtbot, panel) -> None:
    other = panel.context.scene.add_volume(study("20240131", 0.8, id="0815"), activate=False)
    panel.prior.ask_reason = lambda check, language, parent: "ID changed with the new system"
    panel.prior.take(other)
    settled(qtbot, panel)
    (entry,) = [e for e in panel.desk.reviewed.trail if e.where == "prior"]
    assert entry.note == "id differs: ID changed with the new system"
    assert panel.prior.prior.state.study.reason == "ID changed with the new system"


def test_the_reason_dialog_compares_only_with_words(qtbot, panel) -> None:
    other = panel.context.scene.add_volume(study("20240131", id="0815"), activate=False)
    check = panel.prior.prior.check(other)
    dialogs = sys.modules[type(panel.prior).__module__]
    dialog = dialogs.PriorReasonDialog(check, "en", panel)
    qtbot.addWidget(dialog)
    assert not dialog.go.isEnabled()
    dialog.field.setText("   ")
    dialog._done()
    assert (dialog.go.isEnabled(), dialog.reason) == (False, "")
    dialog.field.setText("same person")
    dialog.go.click()
    assert dialog.reason == "same person"


def test_a_comparison_can_be_cancelled_and_leaves_the_report_as_it_was(qtbot, panel, prior, whole_model) -> None:
    before = text_of(panel)
    whole_model.gate.clear()
    panel.prior.take(prior)
    qtbot.waitUntil(lambda: "%" in panel.prior.progress.text(), timeout=20000)
    assert panel.prior.stop.isVisible()
    panel.prior.stop.click()
    whole_model.gate.set()
    qtbot.waitUntil(lambda: panel.desk.draft.prior is None, timeout=20000)
    assert text_of(panel) == before
    assert panel.prior.choose.isVisible()


def test_matched_masks_have_the_same_colour_beside_the_scan(qtbot, panel, prior) -> None:
    compare(qtbot, panel, prior)
    ours = {s.name: s.color for s in panel.context.scene.active.segments}
    theirs = {s.name: s.color for s in panel.window().views.prior.prior.segments}
    assert theirs["Spleen"] == ours["Spleen"]
    assert theirs["Left kidney"] == ours["Left kidney"]


def test_moving_the_prior_changes_the_matrix_and_is_said_to_be_by_hand(qtbot, panel, prior) -> None:
    compare(qtbot, panel, prior)
    pane = panel.window().views.prior
    before = np.asarray(pane.prior.matrix)
    pane._nudge((0.0, 0.0, 1.0))
    after = np.asarray(pane.prior.matrix)
    assert after[:3, 3] - before[:3, 3] == pytest.approx((0, 0, 1), abs=1e-6)
    assert panel.prior.prior.is_behind
    qtbot.waitUntil(lambda: not panel.prior.prior.is_behind, timeout=60000)
    settled(qtbot, panel)
    assert panel.prior.prior.state.study.registration.quality == "by hand"
    assert row_of(panel, "2024-01-31") is not None


def test_another_scan_hides_the_prior_and_coming_back_shows_it(qtbot, panel, prior) -> None:
    compare(qtbot, panel, prior)
    scene, views = panel.context.scene, panel.window().views
    first = scene.active
    scene.activate(prior)
    assert views.prior is None
    assert panel.prior.prior.state is None
    scene.activate(first)
    qtbot.waitUntil(lambda: views.prior is not None)
    assert views.grid.maximised == "axial"


def test_a_closed_prior_leaves_its_sentences(qtbot, panel, prior) -> None:
    compare(qtbot, panel, prior)
    panel.context.scene.close(prior)
    assert panel.window().views.prior is None
    assert "closed" in panel.prior.problem.text()
    assert "2024-01-31" in text_of(panel)
