"""A language model's sentences in a report: where they stand, what stays, and what a person has to do with them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report_kit import NOW, draft, measured, section, segment, source_of, texts, words_of

from medviewer.core.errors import WrongUsage
from medviewer.core.provenance import Provenance
from medviewer.core.report import signing
from medviewer.core.report.audit import Moment, Reviewed
from medviewer.core.report.checklist import before_signing
from medviewer.core.report.document import Evidence, Finding
from medviewer.core.report.model_placing import with_model_sentences
from medviewer.core.report.model_text import ModelDraft
from medviewer.core.report.updating import updated

WRITER = Provenance(model_id="writer-7b", weights_sha256="cd" * 32, licence="small-model-terms",
                    parameters={"ended": "end"})  # fmt: skip
NOTICE = "Sentences of the model writer-7b are drafts: each must be compared with the images."


def said(text: str, heading: str = "liver", *masks: str) -> Finding:
    evidence = tuple(Evidence("segment", mask, volume_id="scan") for mask in masks)
    return Finding(text, heading, evidence, "model", model="writer-7b")


def answer(
    *findings: Finding, notices: tuple[str, ...] = (NOTICE,), suggestions: tuple[Finding, ...] = ()
) -> ModelDraft:
    text = " ".join(f.text for f in (*findings, *suggestions))
    return ModelDraft(findings, suggestions, (), text, notices, WRITER, "the prompt names Doe^Jane")


def placed(*findings: Finding, before: Reviewed | None = None, **changes: tuple[str, ...]) -> Reviewed:
    return with_model_sentences(before or Reviewed(draft()), answer(*findings, **changes), NOW, "Other")  # type: ignore[arg-type]


def test_sentences_stand_at_the_end_of_their_headings_as_undecided_drafts() -> None:
    after = placed(said("The liver is large.", "liver", "liver"), said("The spleen is small.", "spleen"))
    *measured_ones, last = section(after.report, "liver")
    assert (last.text, last.origin, last.state, last.seen) == ("The liver is large.", "model", "draft", False)
    assert [f.origin for f in measured_ones] == ["measured"]
    spleen = next(s for s in after.report.sections if s.key == "spleen")
    assert not spleen.not_assessed
    assert set(texts(draft())) <= set(texts(after.report))


def test_what_belongs_under_no_heading_stands_under_other() -> None:
    after = placed(said("Nothing further.", "no-such-heading"))
    assert (after.report.sections[-1].key, after.report.sections[-1].title) == ("other", "Other")
    assert [f.heading for f in after.report.sections[-1].findings] == ["other"]


def test_the_models_impression_never_gets_into_the_report_by_itself() -> None:
    """clinical.md 14."""
    suggestion = said("Hepatomegaly.", "impression")
    after = with_model_sentences(Reviewed(draft()), answer(suggestions=(suggestion,)), NOW, "Other")
    assert after.report.impression == ()
    assert "Hepatomegaly." not in texts(after.report)


def test_notices_origin_and_text_are_recorded_and_the_prompt_is_not() -> None:
    after = placed(said("The liver is large."))
    assert NOTICE in after.report.limitations
    origin = after.report.provenance[-1]
    assert (origin.model_id, origin.licence, origin.created) == ("writer-7b", "small-model-terms", NOW.when)
    entry = after.trail[-1]
    assert (entry.action, entry.model, entry.after) == ("model_sentences", "writer-7b", "The liver is large.")
    assert "the prompt names" not in str((after.report, after.trail))


def test_asked_again_undecided_sentences_are_replaced_and_decisions_stay() -> None:
    work = placed(said("The liver is large."), said("The liver is bright."), said("A cyst."))
    ids = {f.text: f.id for f in work.report.findings}
    work = signing.mark_seen(work, ids["The liver is large."], NOW)
    work = signing.accept(work, ids["The liver is large."], NOW)
    work = signing.edit(work, ids["The liver is bright."], "The liver is quite bright.", NOW)
    words = ("The liver is large.", "The liver is bright.", "A stone.")
    again = answer(*map(said, words), notices=("Other words.",))
    after = with_model_sentences(work, again, NOW, "Other")
    assert [f.text for f in section(after.report, "liver") if f.model] == [
        "The liver is large.", "The liver is quite bright.", "A stone.",
    ]  # fmt: skip
    assert after.finding(ids["The liver is large."]).state == "accepted"
    assert [o.model_id for o in after.report.provenance].count("writer-7b") == 1
    assert "Other words." in after.report.limitations
    assert NOTICE not in after.report.limitations


def test_a_sentence_said_again_points_at_the_masks_of_now() -> None:
    work = placed(said("The spleen is small.", "spleen"))
    (before,) = section(work.report, "spleen")
    after = placed(said("The spleen is small.", "spleen", "spleen"), before=work)
    (now,) = section(after.report, "spleen")
    assert (now.id, [e.segment_id for e in now.evidence]) == (before.id, ["spleen"])


def test_a_signed_report_takes_no_sentences() -> None:
    signed = Reviewed(draft().with_changes(status="final"))
    with pytest.raises(WrongUsage, match="final"):
        placed(said("The liver is large."), before=signed)


def test_new_numbers_keep_the_models_sentences_notices_and_origin() -> None:
    source = source_of()
    work = placed(said("The liver is large.", "liver", "liver"), before=Reviewed(draft()))
    numbers = tuple(replace(m, value=1500.0) if m.segment_ids == ("liver",) else m for m in source.measurements)
    after = updated(work, replace(source, measurements=numbers, places={}), NOW)
    assert after is not work
    assert "The liver is large." in texts(after.report)
    assert NOTICE in after.report.limitations
    assert after.report.provenance[-1].model_id == "writer-7b"


def test_a_models_sentence_about_a_mask_does_not_stand_for_the_programs_own() -> None:
    """A mask of which nothing is measured but that it is there gets its sentence although a model wrote of it."""
    spleen = segment("spleen", at=14)
    source = source_of()
    work = placed(said("The spleen is small.", "spleen", "spleen"))
    after = updated(work, replace(source, segments=(*source.segments, spleen), places={}), NOW)
    assert {f.origin for f in section(after.report, "spleen")} == {"measured", "model"}
    number = measured(spleen, "volume", 210.0, "ml")
    more = replace(source, segments=(*source.segments, spleen), measurements=(*source.measurements, number), places={})
    assert any("210" in f.text for f in section(updated(work, more, NOW).report, "spleen"))


def test_signing_demands_that_each_sentence_of_a_model_was_seen() -> None:
    """clinical.md 20."""
    work = placed(said("The liver is large.", "liver", "liver"), said("The liver is bright.", "liver", "liver"))
    ids = [f.id for f in work.report.findings if f.model]
    for count in (2, 1):
        unseen = next(c for c in before_signing(work.report, words_of("en")) if c.key == "unseen")
        assert unseen.blocks
        assert len(unseen.finding_ids) == count
        work = signing.mark_seen(work, ids[2 - count], NOW)
    assert "unseen" not in {c.key for c in before_signing(work.report, words_of("en"))}


def test_an_edited_sentence_of_a_model_still_has_to_be_seen() -> None:
    work = placed(said("The liver is large.", "liver", "liver"))
    (finding,) = [f for f in work.report.findings if f.model]
    work = signing.edit(work, finding.id, "Large liver.", NOW)
    assert "unseen" in {c.key for c in before_signing(work.report, words_of("en"))}


def test_a_suggestion_is_inserted_for_a_person_as_the_models_undecided_sentence() -> None:
    """clinical.md 14, 20."""
    work = signing.accept_measured(Reviewed(draft()), NOW)
    liver = section(work.report, "liver")[0]
    after = signing.insert_suggestion(work, said("Hepatomegaly.", "impression"), [liver.id], Moment("Dr. A", NOW.when))
    (sentence,) = after.report.impression
    assert (sentence.origin, sentence.state, sentence.seen, sentence.model) == ("model", "draft", False, "writer-7b")
    assert (sentence.linked, sentence.evidence) == ((liver.id,), liver.evidence)
    assert (after.trail[-1].action, after.trail[-1].model) == ("insert_impression", "writer-7b")
    assert {"unseen", "undecided"} <= {c.key for c in before_signing(after.report, words_of("en"))}
    with pytest.raises(WrongUsage, match="rests on a finding"):
        signing.insert_suggestion(work, said("Hepatomegaly."), [], NOW)
