"""A report as a session keeps it: everything comes back but who the patient is, which the scan tells."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from medviewer.core.errors import InputRefused
from medviewer.core.prediction import Answer, Prediction
from medviewer.core.report.audit import Moment, Reviewed
from medviewer.core.report.document import Evidence, Finding, Identity, KeyImage, Report, Section
from medviewer.core.report.signing import accept, mark_seen
from medviewer.core.volume import Patient, Volume
from medviewer.services.report_keeping import KeptReport, kept_report, kept_text

VOLUME = Volume(np.zeros((4, 4, 4), np.int16), np.eye(4), "CT", patient=Patient(name="Doe^Jane", id="4711", sex="F"))
WHEN = Moment("Dr. A. Reader", "2026-01-02T03:04:05+00:00")


def kept() -> KeptReport:
    finding = Finding("Leber: Größe 12 mm.", "liver", (Evidence("segment", "s1", position=(1.0, 2.0, 3.0)),), id="f1")
    report = Report(
        "ct_abdomen", "de", Identity("Doe^Jane", "4711", sex="F"),
        sections=(Section("liver", "Leber", (finding,), False),),
        key_images=(KeyImage(b"\x89PNG", "Leber", ("f1",)),), facts={"sides": "as recorded"},
    )  # fmt: skip
    reviewed = accept(mark_seen(Reviewed(report), "f1", WHEN), "f1", WHEN)
    answer = Prediction(
        "pancreas", Answer.NOT_FOUND, np.zeros((0, 0, 0), bool), 0.11, title="Pancreas", term_id="pancreas"
    )
    return KeptReport(reviewed, (answer,), "ct_abdomen", True, frozenset({"s1"}))


def test_every_step_comes_back() -> None:
    before = kept()
    after = kept_report(kept_text(before), VOLUME)
    identity = after.reviewed.report.identity
    assert (identity.name, identity.patient_id) == ("Doe^Jane", "4711")
    assert replace(after.reviewed.report, identity=before.reviewed.report.identity) == before.reviewed.report
    assert after.reviewed.trail == before.reviewed.trail
    assert (after.template, after.sides_confirmed, after.added) == ("ct_abdomen", True, frozenset({"s1"}))
    (answer,) = after.answers
    assert (answer.answer, answer.presence, answer.term_id) == (Answer.NOT_FOUND, 0.11, "pancreas")
    assert not answer.mask.any()


def test_the_text_tells_no_identity() -> None:
    text = kept_text(kept())
    assert "Doe" not in text
    assert "4711" not in text


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"report": 1}', "null", "x" * 100])
def test_damage_is_one_message(damage: str) -> None:
    with pytest.raises(InputRefused):
        kept_report(damage, VOLUME)


def test_a_forged_sentence_is_refused() -> None:
    values = json.loads(kept_text(kept()))
    values["report"] = values["report"].replace("12 mm", "21 mm")
    with pytest.raises(InputRefused):
        kept_report(json.dumps(values), VOLUME)
