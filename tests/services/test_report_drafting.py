"""Measuring, writing and checking a draft: the facts that sentences are held against."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core" / "report"))
from report_kit import NOW, answer, scan, segment, template_of

from medviewer.core.errors import WrongUsage
from medviewer.core.measure import KNOWN
from medviewer.core.prediction import Answer
from medviewer.core.provenance import Provenance
from medviewer.core.report import signing
from medviewer.core.report.audit import Reviewed
from medviewer.core.report.document import Report
from medviewer.core.volume import Fact, Volume
from medviewer.services.report_drafting import (
    DraftCase,
    check_again,
    context_for,
    contrast_given,
    draft,
    redraft,
    report_language,
    sides_warnings,
)
from medviewer.services.resources import measure_rules, report_quantities


def case(**changes: Any) -> DraftCase:
    values: dict[str, Any] = {"segments": (segment("liver"), segment("kidney", "left", 12))} | changes
    return DraftCase(template_of(values.pop("template", "ct_abdomen")), **values)


def told(report: Report) -> list[str]:
    return [finding.text for finding in report.findings]


def patient(left_side: bool, modality: str = "CT") -> tuple[Volume, Any]:
    """A body of 40 x 30 x 20 voxels, and a liver in its right half (i rises to the patient's left) or, flipped, in its
    left half."""
    array = np.full((40, 30, 20), -1000, np.int16, order="F")
    array[4:36, 4:26] = 40
    affine = np.diag([8.0, 8.0, 8.0, 1.0])
    affine[0, 3] = -156.0
    mask = np.zeros(array.shape, bool, order="F")
    mask[(slice(24, 32) if left_side else slice(8, 16)), 8:20, 5:15] = True
    volume = scan().with_changes(array=array, affine=affine, spacing_mm=(8.0, 8.0, 8.0), modality=modality)
    return volume, segment("liver").changed(mask=mask)


def test_the_rules_of_measuring_are_the_shipped_tables() -> None:
    rules = measure_rules("de")
    assert rules.allowed.allows("CT", "liver", "parenchyma_mean")
    assert not rules.allowed.allows("XR", "lung", "volume")
    assert all("de" in entry.text and entry.doi for entry in rules.ranges)
    assert rules.language == "de"
    assert measure_rules("en").allowed is rules.allowed  # read once
    assert set(KNOWN) <= set(report_quantities()["quantities"])


def test_a_draft_is_measured_written_and_checked() -> None:
    drafted = draft(scan(), case(indication="Staging", answers=(answer(Answer.NOT_FOUND, "spleen"),)))
    assert "Liver: volume 1.3 ml." in told(drafted.report)
    assert drafted.report.indication == "Staging"
    assert not any(finding.marks for finding in drafted.report.findings)
    assert set(drafted.seconds) == {"measure", "draft"}


def test_an_unknown_language_is_refused() -> None:
    assert report_language("de") == "de"
    with pytest.raises(WrongUsage, match="not written in 'fr'") as refused:
        report_language("fr")
    assert "en, de" in refused.value.hint


def test_side_check_from_independent_facts_blocks_sided_sentences_until_confirmed() -> None:
    """clinical.md 8."""
    volume, liver = patient(left_side=True)
    assert sides_warnings(volume, [liver])
    kidney = segment("kidney", "left").changed(mask=liver.mask)
    flipped = draft(volume, case(segments=(liver, kidney)))
    assert not [text for text in told(flipped.report) if "kidney" in text.lower()]
    assert any("may be flipped" in line for line in flipped.report.limitations)
    assert flipped.report.facts["sides"] == "in doubt"
    assert not context_for(volume, flipped.report, [liver, kidney]).sides_confirmed
    confirmed = draft(volume, case(segments=(liver, kidney), sides_confirmed=True))
    assert [text for text in told(confirmed.report) if text.startswith("Left kidney")]
    assert context_for(volume, confirmed.report, [liver, kidney]).sides_confirmed
    volume, liver = patient(left_side=False)
    assert draft(volume, case(segments=(liver,))).report.facts["sides"] == "as recorded"


@pytest.mark.parametrize(
    ("facts", "given", "contrast"),
    [
        ({}, False, "unknown"),
        ({"contrast_agent": Fact("Ultravist")}, True, "yes"),
        ({"contrast_agent": Fact("Ultravist", "estimated")}, False, "unknown"),
        ({"contrast_phase": Fact("portal venous", "series text")}, False, "unknown"),
        ({"contrast_phase": Fact("portal venous", "user")}, True, "yes"),
        ({"contrast_phase": Fact("native", "user")}, False, "no"),
    ],
)
def test_contrast_is_a_fact_or_unknown(facts: dict[str, Fact], given: bool, contrast: str) -> None:
    """clinical.md 18."""
    volume = scan(facts={**scan().facts, "contrast_agent": Fact(None, "unknown"), **facts})
    report = draft(volume, case()).report
    assert contrast_given(volume) is given
    assert context_for(volume, report, ()).contrast == contrast


def test_no_sentence_rests_on_a_mask_below_the_threshold_that_nobody_accepted() -> None:
    """clinical.md 5."""
    doubtful = segment("liver", provenance=Provenance(tags=("below threshold",)))
    assert told(draft(scan(), case(segments=(doubtful,))).report) == []
    assert told(draft(scan(), case(segments=(doubtful,), accepted=frozenset({doubtful.id}))).report)


def test_a_redraft_needs_the_template_of_the_report() -> None:
    reviewed = Reviewed(draft(scan(), case()).report)
    with pytest.raises(WrongUsage, match="another template"):
        redraft(scan(), reviewed, case(template="general"), NOW)


def test_a_signed_report_is_opened_again_only_where_a_mask_changed() -> None:
    """clinical.md 20."""
    work = Reviewed(draft(scan(), case()).report)
    signed = Reviewed(replace(work.report, status="final"))
    assert redraft(scan(), signed, case(segments=case().segments), NOW) is signed
    assert check_again(scan(), signed, ()) is signed
    mask = case().segments[0].mask.copy(order="K")
    mask[4] = False
    edited = tuple(s.changed(mask=mask) if s.term_id == "liver" else s for s in case().segments)
    again = redraft(scan(), signed, case(segments=edited), NOW)
    assert (again.report.status, again.report.version) == ("draft", 2)
    assert again.earlier == (signed.report,)


def test_with_a_prior_a_sentence_may_mention_it() -> None:
    """clinical.md 28."""
    report = draft(scan(), case()).report
    work = signing.add_sentence(Reviewed(report), "liver", "Compared to the previous study, no new lesion.", NOW)
    marks = {has: check_again(scan(), work, (), has_prior=has) for has in (False, True)}
    found = {has: next(f for f in r.report.findings if "previous study" in f.text) for has, r in marks.items()}
    assert "prior" in {mark.guard for mark in found[False].marks}
    assert "prior" not in {mark.guard for mark in found[True].marks}


def test_dense_voxels_of_a_mask_are_listed_and_metal_is_announced() -> None:
    """clinical.md 1 and 26: they are to be looked at, not averaged away."""
    volume, kidney = scan(), segment("kidney", "left", 12)
    array = np.full(volume.shape, 40, np.int16, order="F")
    array[13:15, 13:15, 13] = 1288
    array[12:16, 12, 12:16] = 900  # a rib beside the kidney
    array[1, 1, 1:3] = 3382
    dense = volume.with_changes(array=array)
    lines = draft(dense, case(segments=(kidney,))).report.limitations
    assert any("up to 3382 HU at L 2 P 2 S 5 mm" in line for line in lines)
    assert any(line.startswith("Voxels to look at") and "Left kidney up to 1288 HU at L 26 P 26 S 65 mm" in line
               for line in lines)  # fmt: skip
    german = draft(dense, case(segments=(kidney,), language="de")).report.limitations
    assert any("Niere links bis 1288 HU" in line for line in german)
    assert not any("HU at" in line for line in draft(volume, case(segments=(kidney,))).report.limitations)


def test_a_loop_says_which_frame_was_looked_at() -> None:
    """clinical.md 24."""
    loop = Volume(np.zeros((20, 20, 20), np.uint8), None, "US", kind="cine")
    mass = segment("breast_tumor", frame=11)
    lines = draft(loop, case(template="breast_us", segments=(mass,))).report.limitations
    assert "The masks belong to frame 12 of 20; no other frame was looked at." in lines
