"""What a language model is asked with, which masks may be asked for it, licences, and what becomes of its answer."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core" / "report"))
from report_kit import NOW, scan, segment, template_of

from medviewer.core.errors import InputRefused, ModelMissing
from medviewer.core.provenance import Provenance
from medviewer.core.report.audit import Reviewed
from medviewer.core.report.document import Evidence, Finding
from medviewer.core.report.model_text import ModelDraft
from medviewer.services.report_drafting import DraftCase, check_again, draft
from medviewer.services.report_keeping import KeptReport, kept_report, kept_text
from medviewer.services.report_language import (
    LanguageAnswer,
    LanguageRequest,
    accept_licence,
    accepted_licences,
    add_model_sentences,
    askable_terms,
    grounded_again,
    language_inputs,
    language_model_folder,
    language_source,
    read_prior_report,
)
from medviewer.services.settings import Settings

SEGMENTS = (segment("liver"), segment("kidney", "left", 12))


def report() -> Reviewed:
    return Reviewed(draft(scan(), DraftCase(template_of("ct_abdomen"), segments=SEGMENTS, indication="Pain")).report)


def answer(*findings: Finding, text: str = "") -> LanguageAnswer:
    origin = Provenance(model_id="writer-7b", parameters={"ended": "end"})
    return LanguageAnswer(ModelDraft(findings, text=text, notices=("Compare.",), provenance=origin), "ct_abdomen", "en")


def said(text: str, heading: str = "liver") -> Finding:
    return Finding(text, heading, origin="model", model="writer-7b")


def test_the_model_is_told_the_reports_own_sentences_and_what_is_absent_stays_absent() -> None:
    inputs = language_inputs(report().report, LanguageRequest(Path("model")))
    assert inputs.indication == "Pain"
    assert any(text.startswith("Liver: volume") for text in inputs.measured)
    assert (inputs.prior_report, inputs.similar_cases) == ("", ())


def test_sentences_pass_the_guards_as_they_come_in_and_again_later() -> None:
    sentence = said("Liver normal, unchanged from the prior study.")
    after = add_model_sentences(scan(), report(), answer(sentence), SEGMENTS, NOW)
    marks = {mark.guard for mark in after.finding(sentence.id).marks}
    assert {"normal", "prior", "no evidence"} <= marks
    again = check_again(scan(), after, SEGMENTS)
    assert {mark.guard for mark in again.finding(sentence.id).marks} == marks
    assert "Compare." in again.report.limitations


def test_a_mask_that_is_gone_since_the_model_was_asked_is_no_evidence() -> None:
    there, gone = (Evidence("segment", one, volume_id="scan") for one in ("liver", "left-kidney"))
    sentence = said("The liver is large.").with_changes(evidence=(there, gone))
    after = add_model_sentences(scan(), report(), answer(sentence), SEGMENTS[:1], NOW)
    assert after.finding(sentence.id).evidence == (there,)


def test_a_session_keeps_the_sentences_their_marks_and_where_they_came_from() -> None:
    after = add_model_sentences(scan(), report(), answer(said("Liver normal.")), SEGMENTS, NOW)
    kept = kept_report(kept_text(KeptReport(after)), scan()).reviewed
    assert [f for f in kept.report.findings if f.model] == [f for f in after.report.findings if f.model]
    assert kept.report.provenance[-1].parameters["notices"] == ["Compare."]
    assert kept.trail == after.trail


def test_the_same_text_is_grounded_again_when_a_mask_was_found() -> None:
    text = "The spleen is large."
    first = grounded_again(answer(text=text).draft, language_source(scan(), report().report, SEGMENTS), {"spleen"})
    assert [one.wording for one in first.groundable] == ["spleen"]
    spleen = segment("spleen", at=15)
    source = language_source(scan(), report().report, (*SEGMENTS, spleen))
    second = grounded_again(first, source, {"spleen"})
    assert [[e.segment_id for e in f.evidence] for f in second.findings] == [["spleen"]]
    assert (second.groundable, second.notices, second.provenance) == ((), first.notices, first.provenance)


def test_masks_are_asked_for_organs_and_not_for_what_a_model_claims_to_be_abnormal_or_of_the_other_sex() -> None:
    source = language_source(scan(), report().report, SEGMENTS)
    asked = askable_terms(source, ("heart", "prostate", "pleural_effusion", "no-such-term"))
    assert "heart" in asked
    assert not {"prostate", "no-such-term"} & asked  # a woman
    assert "pleural_effusion" not in asked - set(source.template.prompts)
    man = replace(source, volume=scan(patient=replace(source.volume.patient, sex="M")))
    assert "prostate" in askable_terms(man, ("prostate",))


def test_accepted_licences_are_remembered(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    accept_licence(Settings(path), "key one")
    accept_licence(Settings(path), "key two")
    assert accepted_licences(Settings(path)) == {"key one", "key two"}


def test_a_prior_report_is_read_as_text_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "prior.txt"
    path.write_text("\ufeffLeber: 15 cm, größenkonstant.\n", "utf-8")
    assert read_prior_report(path) == "Leber: 15 cm, größenkonstant."
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputRefused, match=r"prior\.txt"):
        read_prior_report(path)
    with pytest.raises(InputRefused):
        read_prior_report(tmp_path / "none.txt")


def test_a_name_that_is_no_folder_and_no_installed_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="no-such-model"):
        language_model_folder("no-such-model")
    assert language_model_folder(str(tmp_path)) == tmp_path


def test_an_answer_fits_only_the_kind_of_report_it_was_asked_for() -> None:
    assert answer().fits(report().report)
    assert not answer().fits(report().report.with_changes(language="de"))
