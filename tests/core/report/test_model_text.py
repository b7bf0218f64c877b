"""Sentences of a model: under which heading, on which masks they rest, and what they are not allowed to become."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from report_kit import segment, source_of, words_of

from medviewer.core.guards import GuardContext, KnownSegment, check_report, check_sentence
from medviewer.core.report.document import Finding, Section
from medviewer.core.report.drafting import DraftSource, draft_report
from medviewer.core.report.model_sentences import LONGEST_TEXT
from medviewer.core.report.model_text import IMPRESSION, MOST_SENTENCES, ModelDraft, TextGrounding, draft_of_text
from medviewer.services.guard_words import guard_structures, guard_words
from medviewer.services.model_prompts import model_prompts


def grounding(source: DraftSource | None = None, **changes: Any) -> TextGrounding:
    words = guard_words()
    return TextGrounding(
        source or source_of(), guard_structures(), words, model_prompts(), **{"model": "writer 1", **changes}
    )


def draft(text: str, source: DraftSource | None = None, *, complete: bool = True, **changes: Any) -> ModelDraft:
    return draft_of_text(text, grounding(source, **changes), complete=complete)


def grounded(finding: Finding) -> list[str]:
    return [evidence.segment_id for evidence in finding.evidence]


@pytest.mark.parametrize(
    ("text", "heading", "masks"),
    [
        ("The liver is enlarged.", "liver", ["liver"]),
        ("Die Leber ist vergrößert.", "liver", ["liver"]),
        ("The left kidney contains a cyst.", "kidneys", ["left-kidney"]),
        ("Zyste der rechten Niere.", "kidneys", ["right-kidney"]),
        ("Both kidneys are small.", "kidneys", ["left-kidney", "right-kidney"]),
        ("Zysten in der Niere links, keine in der Leber.", "kidneys", ["left-kidney", "liver"]),
        ("The spleen is enlarged.", "spleen", []),
        ("The gas pattern of the bowel is unremarkable.", "bowel", []),
        ("There is no free fluid.", "peritoneum", []),
        ("Nothing further.", "other", []),
    ],
)
def test_a_sentence_stands_under_its_heading_with_the_masks_it_names(text: str, heading: str, masks: list[str]) -> None:
    (finding,) = draft(text).findings
    assert (finding.text, finding.heading) == (text, heading)
    assert sorted(grounded(finding)) == masks
    assert (finding.origin, finding.state, finding.model) == ("model", "draft", "writer 1")
    assert not finding.seen


def test_evidence_leads_the_views_to_the_mask() -> None:
    source = source_of()
    evidence = draft("The liver is large.", source).findings[0].evidence[0]
    measured = next(f for f in draft_report(source).findings if f.heading == "liver").evidence[0]
    assert (evidence.kind, evidence.position, evidence.box) == ("segment", measured.position, measured.box)
    assert (evidence.volume_id, evidence.measurement_id) == ("scan", "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Liver: Enlarged. No lesion.", [("Liver: Enlarged.", ["liver"]), ("Liver: No lesion.", ["liver"])]),
        ("Liver: The liver is large.", [("The liver is large.", ["liver"])]),
        ("Left kidney: stone in the pelvis of the kidney.",
         [("Left kidney: stone in the pelvis of the kidney.", ["left-kidney"])]),
        ("Left kidney:\n- cyst of 2 cm", [("Left kidney: cyst of 2 cm", ["left-kidney"])]),
        ("Left kidney: Cyst. The spleen is small.",
         [("Left kidney: Cyst.", ["left-kidney"]), ("The spleen is small.", [])]),
    ],
)  # fmt: skip
def test_a_sentence_that_would_lose_its_organ_or_side_keeps_its_label(text: str, told: list[Any]) -> None:
    assert [(f.text, sorted(set(grounded(f)) - {"right-kidney"})) for f in draft(text).findings] == told


def test_an_organ_on_the_wrong_side_gets_no_evidence_of_the_other() -> None:
    source = source_of(segments=(segment("kidney", "left"),), measurements=())
    (finding,) = draft("The right kidney is small.", source).findings
    assert finding.evidence == ()
    assert finding.side == "right"


def test_parts_of_an_organ_are_evidence_where_it_has_no_mask_of_its_own() -> None:
    source = source_of(segments=(segment("lung_lower_lobe", "left"), segment("lung_lower_lobe", "right", 10)))
    (finding,) = draft("The left lung is collapsed.", source).findings
    assert grounded(finding) == ["left-lung_lower_lobe"]


def test_what_can_get_a_mask_is_listed_with_the_words_to_ask_for_it() -> None:
    found = draft("The spleen is large. The adrenal glands are thick. Right renal cyst. Teeth are missing.")
    assert [one.wording for one in found.groundable] == ["spleen", "right adrenal gland", "left adrenal gland"]
    assert found.groundable[0].finding_id == found.findings[0].id
    assert draft("The spleen is large.", askable=()).groundable == ()


def test_a_mask_that_came_later_grounds_the_same_text() -> None:
    first = draft("The spleen is large.")
    source = source_of(segments=(*source_of().segments, segment("spleen", at=12)))
    second = draft(first.text, source)
    assert grounded(second.findings[0]) == ["spleen"]
    assert second.groundable == ()


def test_a_sentence_without_a_mask_keeps_no_evidence_and_is_marked() -> None:
    source = source_of()
    context = GuardContext(guard_structures(), segments={s.id: KnownSegment(s.id, s.term_id or "") for s in ()})
    for text, marked in (("The spleen is large.", True), ("The liver is large.", False)):
        (finding,) = draft(text, source).findings
        marks = check_sentence(finding, context, guard_words())
        assert ("no evidence" in {mark.guard for mark in marks}) is marked


def test_a_map_or_a_mask_below_the_threshold_supports_nothing() -> None:
    liver = segment("liver")
    below = liver.changed(provenance=replace(liver.provenance, tags=("below threshold",)))
    source = source_of(segments=(below,), measurements=())
    assert draft("The liver is large.", source).findings[0].evidence == ()
    accepted = source_of(segments=(below,), measurements=(), accepted=frozenset({"liver"}))
    assert grounded(draft("The liver is large.", accepted).findings[0]) == ["liver"]


def test_the_impression_of_a_model_is_offered_and_never_a_finding() -> None:
    found = draft("Findings: The liver is large.\nImpression:\n1. Hepatomegaly.\n2. Follow-up in 3 months.\n")
    assert [f.text for f in found.findings] == ["The liver is large."]
    assert [(f.heading, f.text) for f in found.suggestions] == [
        (IMPRESSION, "Hepatomegaly."), (IMPRESSION, "Follow-up in 3 months."),
    ]  # fmt: skip
    german = draft("Befund:\nDie Leber ist groß.\n\nBeurteilung: Hepatomegalie.")
    assert [f.text for f in german.suggestions] == ["Hepatomegalie."]


def test_a_category_is_given_by_a_person_only() -> None:
    found = draft("The left kidney has a cyst. BI-RADS 4. Progress by RECIST 1.1.")
    assert [f.text for f in found.findings] == ["The left kidney has a cyst."]
    assert len(found.suggestions) == 2
    found = draft("Category (by a person only): 4. Category: 4", source_of(template="breast_us"))
    assert "category" not in {f.heading for f in found.findings}


def test_technique_indication_and_comparison_are_the_programs_own() -> None:
    found = draft("Technique: CT with contrast of 2019.\nComparison: CT of 2018. Stable.\nFindings: Large liver.")
    assert [f.text for f in found.findings] == ["Large liver."]
    following = draft("Technique: CT with contrast.\n\nThe liver is large.\nComparison:\nNone.\nSpleen: large.")
    assert [f.text for f in following.findings] == ["The liver is large.", "Spleen: large."]
    assert found.notices[0].startswith("3 sentence(s) under headings")


def test_a_report_without_capitals_and_lines_is_read_too() -> None:
    found = draft("findings : the liver is large . both kidneys are small . impression : hepatomegaly .")
    assert [(f.heading, f.text) for f in found.findings] == [
        ("liver", "the liver is large ."), ("kidneys", "both kidneys are small ."),
    ]  # fmt: skip
    assert [f.text for f in found.suggestions] == ["hepatomegaly ."]


def test_a_sentence_about_both_sides_has_no_side_of_its_own() -> None:
    assert draft("Kidneys: a cyst on the right, nothing on the left.").findings[0].side is None
    assert draft("The left kidney has a cyst.").findings[0].side == "left"


def test_words_around_a_report_are_left_out() -> None:
    text = "Here is the report:\n\n**Findings:**\n\nThe liver is large.\n\n**Disclaimer:** I am no physician."
    found = draft(text)
    assert [f.text for f in found.findings] == ["The liver is large."]


def test_an_unfinished_last_sentence_is_left_out() -> None:
    text = "The liver is large. The left kidn"
    assert [f.text for f in draft(text, complete=False).findings] == ["The liver is large."]
    assert len(draft(text).findings) == 2
    assert len(draft("The liver is large.", complete=False).findings) == 1


def test_repeated_sentences_stand_once() -> None:
    found = draft("The liver is large. No cyst. The liver is large.")
    assert [f.text for f in found.findings] == ["The liver is large.", "No cyst."]
    assert found.notices == ("1 repeated sentence(s) of the model were left out.",)


def test_a_text_of_100_000_characters_is_cut_and_told() -> None:
    text = " ".join(f"The liver measures {n} cm." for n in range(4_000))
    assert len(text) > 90_000
    found = draft(text)
    assert len(found.text) <= LONGEST_TEXT
    assert len(found.findings) == MOST_SENTENCES
    assert len(found.notices) == 2


def test_control_characters_and_text_from_right_to_left_are_one_harmless_line() -> None:
    found = draft("الكبد متضخم.\u202e\x00 The liver\x1b[2J is\tlarge.\nDie Leber ist groß.")
    texts = [f.text for f in found.findings]
    assert all(text.isprintable() for text in texts)
    assert texts[0].startswith("الكبد")
    assert "\u202e" not in found.text


@pytest.mark.parametrize("text", ["", "   \n\n", "...", "<unused94>thought\nhm"])
def test_a_text_without_a_sentence_says_so(text: str) -> None:
    found = draft(text)
    assert (found.findings, len(found.notices)) == ((), 1)
    german = draft(text, source_of("de"))
    assert german.notices[0] != found.notices[0]


def test_headings_of_the_other_sex_are_not_used() -> None:
    source = source_of()
    male = replace(source, volume=source.volume.with_changes(patient=replace(source.volume.patient, sex="M")))
    keys = {heading.key for heading in source.template.headings_for("M")}
    for finding in draft("The uterus is large. The prostate is large. The liver is large.", male).findings:
        assert finding.heading in keys


def test_sentences_of_a_model_can_be_put_into_a_report_and_checked() -> None:
    source = source_of()
    report = draft_report(source)
    findings = draft("The left kidney is normal. The right kidney has a cyst of 8 cm.", source).findings
    sections = tuple(
        Section(s.key, s.title, (*s.findings, *(f for f in findings if f.heading == s.key)), s.not_assessed)
        for s in report.sections
    )
    known = {s.id: KnownSegment(s.id, s.term_id or "", s.side) for s in source.segments}
    context = GuardContext(guard_structures(), words_of("en").language, "CT", "ct_abdomen", "F", segments=known)
    checked = check_report(report.with_changes(sections=sections), context, guard_words())
    marks = {f.text: {mark.guard for mark in f.marks} for f in checked.findings if f.origin == "model"}
    assert "normal" in marks["The left kidney is normal."]
    assert all("no evidence" not in found for found in marks.values())
