"""The comparison in a report: drafted, checked by the guards, renewed, taken away; a prior that may not be used."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core" / "comparison"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core" / "report"))
from comparison_kit import EARLIER, block, study
from report_kit import NOW, template_of

from medviewer.core.comparison import Comparison, RecistInput, TargetLesion, TimePoint
from medviewer.core.errors import Cancelled, WrongUsage
from medviewer.core.progress import Progress
from medviewer.core.provenance import Provenance
from medviewer.core.report import signing
from medviewer.core.report.audit import Reviewed
from medviewer.core.report.document import Report
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.services.comparison import (
    CompareRequest,
    compare_again,
    compare_with_prior,
    nudged,
    prior_check,
)
from medviewer.services.report_drafting import DraftCase, check_again, draft, redraft

NOW_SCAN, THEN_SCAN = study(), study((1, 1, 2), EARLIER, shape=(60, 60, 20))


def masks(volume: Volume, height: float = 20) -> tuple[Segment, ...]:
    places = {"left": (15.0, 0.0, 0.0), "right": (-15.0, 0.0, 0.0)}
    kidneys = [block(volume, (10, 10, 10), "kidney", side, at, id=f"{side}-{volume.id}") for side, at in places.items()]
    return (block(volume, (8, 20, height), id=f"liver-{volume.id}"), *kidneys)


def made(**changes: Any) -> Comparison:
    values = {"segments": masks(NOW_SCAN, 28), "prior_segments": masks(THEN_SCAN), "register": False,
              "template": "ct_abdomen", "sides_confirmed": True, "prior_sides_confirmed": True}  # fmt: skip
    return compare_with_prior(NOW_SCAN, THEN_SCAN, CompareRequest(**values | changes))


def case(**changes: Any) -> DraftCase:
    values: dict[str, Any] = {"segments": masks(NOW_SCAN, 28), "sides_confirmed": True} | changes
    return DraftCase(template_of("ct_abdomen"), **values)


def told(report: Report) -> list[str]:
    return [finding.text for finding in report.findings]


def changes_in(report: Report) -> list[str]:
    return [text for text in told(report) if "2025-01-02" in text]


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_draft_with_a_prior_has_its_text_sentences_and_no_mark(language: Any) -> None:
    drafted = draft(NOW_SCAN, case(prior_study=made().study, language=language))
    report = drafted.report
    assert report.comparison.startswith({"en": "CT of 2025-01-02", "de": "CT vom 2025-01-02"}[language])
    assert len(changes_in(report)) >= 3
    marked = {finding.text: [mark.reason for mark in finding.marks] for finding in report.findings if finding.marks}
    assert not marked
    assert report.facts["prior"] == "CT 2025-01-02"
    assert drafted.comparison is not None
    known = {m.id for m in report.measurements}
    for finding in report.findings:
        assert all(e.measurement_id in known for e in finding.evidence if e.measurement_id)


def test_without_a_prior_nothing_mentions_one() -> None:
    drafted = draft(NOW_SCAN, case())
    assert drafted.comparison is None
    assert drafted.report.comparison == "None available."
    assert "prior" not in drafted.report.facts
    assert not [text for text in told(drafted.report) if "change" in text or "2025" in text]


def test_the_number_of_a_change_sentence_is_held_against_its_measurements() -> None:
    report = draft(NOW_SCAN, case(prior_study=made().study)).report
    wrong = next(f for f in report.findings if "change +" in f.text)
    text = wrong.text.replace("ml (+", "ml (+1")
    edited = Reviewed(report).with_report(_with_text(report, wrong.id, text))
    checked = check_again(NOW_SCAN, edited, masks(NOW_SCAN, 28))
    assert [mark.guard for mark in checked.finding(wrong.id).marks] == ["measurement"]


def _with_text(report: Report, finding_id: str, text: str) -> Report:
    sections = tuple(
        replace(s, findings=tuple(f.with_changes(text=text) if f.id == finding_id else f for f in s.findings))
        for s in report.sections
    )
    return report.with_changes(sections=sections)


def test_the_earlier_number_is_not_held_for_the_current_one() -> None:
    """A model's sentence that gives the prior's volume as that of now is marked."""
    report = draft(NOW_SCAN, case(prior_study=made().study)).report
    own = next(f for f in report.findings if f.text.startswith("Liver: volume") and "2025" not in f.text)
    false = _with_text(report, own.id, "Liver: volume 3.2 ml.")
    assert any(m.quantity == "volume_before" and m.value == pytest.approx(3.2) for m in report.measurements)
    checked = check_again(NOW_SCAN, Reviewed(false), masks(NOW_SCAN, 28))
    assert "measurement" in {mark.guard for mark in checked.finding(own.id).marks}


def test_an_edited_mask_renews_the_change_sentences() -> None:
    prior = made().study
    before = Reviewed(draft(NOW_SCAN, case(prior_study=prior)).report)
    edited = masks(NOW_SCAN, 36)
    after = redraft(NOW_SCAN, before, case(segments=edited, prior_study=prior), NOW)
    old, new = changes_in(before.report), changes_in(after.report)
    assert len(old) == len(new)
    liver = [f for f in after.report.findings if f.text in new and f.text.startswith("Liver")]
    assert liver[0].changed
    assert liver[0].text not in old
    assert not [f.text for f in after.report.findings if f.marks]


def test_a_prior_that_comes_later_is_written_into_the_report_and_the_trail() -> None:
    prior = replace(made().study, differing=("id",), reason="merged record")
    reviewed = Reviewed(draft(NOW_SCAN, case()).report)
    after = redraft(NOW_SCAN, reviewed, case(prior_study=prior), NOW)
    assert after.report.comparison.startswith("CT of 2025-01-02")
    assert changes_in(after.report)
    assert [e.note for e in after.trail if e.where == "prior"] == ["id differs: merged record"]
    assert any("merged record" in line for line in after.report.limitations)


def test_a_prior_that_goes_takes_its_undecided_sentences_along() -> None:
    reviewed = Reviewed(draft(NOW_SCAN, case(prior_study=made().study)).report)
    kept = next(f for f in reviewed.report.findings if "2025-01-02" in f.text)
    accepted = signing.accept(reviewed, kept.id, NOW)
    after = redraft(NOW_SCAN, accepted, case(), NOW)
    assert changes_in(after.report) == [kept.text]
    assert after.report.comparison == "None available."
    assert "prior" not in after.report.facts
    assert after.finding(kept.id).marks  # says that there is a prior


def test_the_words_of_a_person_in_the_comparison_stay() -> None:
    prior = made().study
    reviewed = Reviewed(draft(NOW_SCAN, case(prior_study=prior)).report)
    written = signing.change_text(reviewed, "comparison", "With the CT of last year.", NOW)
    after = redraft(NOW_SCAN, written, case(segments=masks(NOW_SCAN, 36), prior_study=prior), NOW)
    assert after.report.comparison == "With the CT of last year."


def test_masks_below_the_threshold_are_not_compared_until_accepted() -> None:
    """clinical.md 5."""
    faint = block(NOW_SCAN, (8, 20, 20), provenance=Provenance(tags=("below threshold",)), id="faint")
    for accepted, count in ((frozenset[str](), 0), (frozenset({"faint"}), 1)):
        found = draft(NOW_SCAN, case(segments=(faint,), prior_study=made().study, accepted=accepted)).comparison
        assert found is not None
        assert len([m for m in found.matches if m.is_pair]) == count


def test_a_study_of_someone_else_is_refused_unless_a_reason_is_given() -> None:
    """clinical.md 10."""
    other = THEN_SCAN.with_changes(patient=replace(EARLIER, id="9999"))
    request = CompareRequest(masks(NOW_SCAN), masks(other), register=False)
    with pytest.raises(WrongUsage, match="another patient ID") as refused:
        compare_with_prior(NOW_SCAN, other, request)
    assert "why this one is used" in refused.value.hint
    found = compare_with_prior(NOW_SCAN, other, replace(request, reason="merged\nrecord"))
    assert found.study.reason == "merged record"
    assert any("because: merged record" in note for note in found.notes)


def test_the_same_study_is_refused_whatever_the_reason() -> None:
    assert prior_check(NOW_SCAN, NOW_SCAN).refused
    with pytest.raises(WrongUsage, match="same study"):
        compare_with_prior(NOW_SCAN, NOW_SCAN, CompareRequest(reason="because"))


def test_a_nudge_and_a_new_comparison_need_no_voxel_of_the_prior() -> None:
    comparison = made()
    study_again = pickle.loads(pickle.dumps(nudged(comparison.study, shift_mm=(0.0, 0.0, 80.0))))
    request = CompareRequest(masks(NOW_SCAN, 28), template="ct_abdomen", sides_confirmed=True)
    again = compare_again(NOW_SCAN, study_again, request)
    assert again.registration is not None
    assert again.registration.quality == "by hand"
    assert {m.reason for m in again.matches} == {"elsewhere"}
    assert "Registered by hand." in again.text


def test_a_comparison_can_be_cancelled() -> None:
    with pytest.raises(Cancelled):
        compare_with_prior(NOW_SCAN, THEN_SCAN, CompareRequest(), Progress(is_cancelled=lambda: True))


def test_recist_stands_in_the_report_only_with_what_it_needs() -> None:
    """clinical.md 16."""
    points = [TimePoint(n, d, 1.0) for n, d in (("baseline", "2024-01-02"), ("nadir", "2025-01-02"))]
    lesions = (TargetLesion("Liver", "liver", 40.0, 30.0, 28.0, segment_id=masks(NOW_SCAN)[0].id, marked_by="Dr. E"),)
    marked = RecistInput(TimePoint("current", "2026-01-02", 1.0), points[0], points[1], lesions, False, "none")
    prior = made().study
    report = draft(NOW_SCAN, case(prior_study=prior, recist=marked)).report
    sentence = next(f for f in report.findings if f.text.startswith("RECIST 1.1: partial response"))
    assert not sentence.marks
    unanswered = replace(marked, new_lesions=None)
    report = draft(NOW_SCAN, case(prior_study=prior, recist=unanswered)).report
    assert not [text for text in told(report) if text.startswith("RECIST")]
    assert [text for text in told(report) if "No response category" in text]


def test_oblique_masks_match_after_a_real_registration() -> None:
    random = np.random.default_rng(3)
    coarse = random.normal(0, 300, (8, 8, 6))
    from scipy import ndimage

    array = ndimage.zoom(coarse, (60 / 8, 60 / 8, 40 / 6), order=3).astype(np.int16)
    now = NOW_SCAN.with_changes(array=np.asfortranarray(array))
    affine = np.array(now.affine)
    affine[:3, 3] += (6.0, -4.0, 3.0)  # the patient lay elsewhere
    then = study(patient=EARLIER).with_changes(array=np.asfortranarray(array.copy()), affine=affine)
    ours = (block(now, (8, 8, 8), "liver_tumor", at=(12, 0, 0)), block(now, (8, 8, 8), "liver_tumor", at=(-12, 0, 0)))
    theirs = tuple(s.changed(id=f"then-{n}") for n, s in enumerate(reversed(ours)))
    found = compare_with_prior(now, then, CompareRequest(ours, theirs, template="ct_abdomen"))
    assert found.registration is not None
    assert found.registration.quality == "good"
    assert [(m.current_id, m.prior_id) for m in found.matches] == [(ours[0].id, "then-1"), (ours[1].id, "then-0")]
    assert all(m.overlap is not None and m.overlap > 0.8 for m in found.matches)
