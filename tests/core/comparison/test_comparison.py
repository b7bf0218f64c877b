"""What is compared with what, which change is given, and in which words (clinical.md 3, 10, 28)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from comparison_kit import (
    EARLIER,
    MODEL,
    PATIENT,
    block,
    change,
    compared,
    measuring,
    prior_of,
    rules,
    study,
    wording,
)

from medviewer.core.comparison import check_prior, comparison_rules, facts_of, sizes_of
from medviewer.core.provenance import Provenance
from medviewer.core.volume import Fact, Patient


def test_volumes_are_measured_on_the_native_prior_never_a_resampled_one() -> None:
    """clinical.md 28. A turned and shifted prior of other voxels keeps its own number to the last digit."""
    now, then = study(), study((1.5, 1.5, 5.0), EARLIER, shape=(40, 40, 16))
    liver, before = block(now, (20, 20, 20)), block(then, (21, 21, 25))
    matrix = np.eye(4)
    matrix[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    found = change(compared(now, [liver], prior_of(then, before, registered=matrix)))
    assert found.current.value == pytest.approx(20**3 / 1000)
    assert found.prior.value == pytest.approx(before.mask.sum() * 1.5 * 1.5 * 5.0 / 1000.0, rel=1e-12)
    assert found.difference == pytest.approx(found.current.value - found.prior.value)
    assert found.percent == pytest.approx(100 * found.difference / found.prior.value)


def test_the_error_of_a_volume_is_half_a_voxel_at_the_surface_of_both() -> None:
    now, then = study(), study(patient=EARLIER)
    liver, before = block(now, (20, 20, 20)), block(then, (10, 10, 10))
    found = change(compared(now, [liver], prior_of(then, before)))
    shells = [(n**3 - (n - 2) ** 3) / 1000 / 2 for n in (20, 10)]
    assert found.error == pytest.approx(math.hypot(*shells))
    assert found.verdict == "larger"


def test_the_error_of_a_length_is_half_a_voxel_at_both_ends_along_it() -> None:
    now, then = study((1, 1, 4)), study((1, 1, 4), EARLIER)
    segment = block(now, (3, 3, 120), "kidney", "left")  # a rod from feet to head
    sizes = sizes_of(now, [segment], measuring(), rules())
    length = next(m for m in sizes.measurements if m.quantity == "length")
    assert sizes.errors[length.id] == pytest.approx(math.sqrt(2) / 2 * 4, rel=0.05)
    found = change(compared(now, [segment], prior_of(then, block(then, (3, 3, 120), "kidney", "left"))), "length")
    assert found.error == pytest.approx(4.0, rel=0.05)


@pytest.mark.parametrize(("size", "verdict"), [(20, "none"), (21, "none"), (26, "larger"), (14, "smaller")])
def test_a_change_below_the_stated_error_reads_no_measurable_change(size: int, verdict: str) -> None:
    """clinical.md 28."""
    now, then = study(), study(patient=EARLIER)
    comparison = compared(now, [block(now, (20, 20, size))], prior_of(then, block(then, (20, 20, 20))))
    found = change(comparison)
    assert found.verdict == verdict
    assert ("no measurable change" in found.text) == (verdict == "none")
    assert "measurement error" in found.text
    assert comparison.findings[0].text == found.text


def test_each_change_states_both_dates_and_the_text_thickness_phase_and_method() -> None:
    """clinical.md 28."""
    now = study(facts={"contrast_phase": Fact("portal venous", "user")})
    then = study((1, 1, 5), EARLIER)
    comparison = compared(now, [block(now, (20, 20, 20))], prior_of(then, block(then, (20, 20, 30))))
    for told in (change(comparison).text, *(f.text for f in comparison.findings)):
        assert "2026-01-02" in told
        assert "2025-01-02" in told
    assert comparison.text.startswith("CT of 2025-01-02, slice thickness 5 mm. ")
    assert "Contrast: unknown then, portal venous now." in comparison.text
    assert "measured on their own slices" in comparison.text
    assert "half a voxel" in comparison.text
    assert "Not registered" in comparison.text


def test_the_german_words_say_the_same() -> None:
    now, then = study(), study((1, 1, 5), EARLIER)
    prior = prior_of(then, block(then, (20, 20, 20)))
    comparison = compared(now, [block(now, (26, 20, 20))], prior, "de")
    assert comparison.text.startswith("CT vom 2025-01-02, Schichtdicke 5 mm.")
    assert "Schichtdicke: damals 5 mm, jetzt 1 mm." in comparison.mismatches
    assert change(comparison).text == (
        "Leber: Volumen 10 ml am 2026-01-02, 8,0 ml am 2025-01-02; keine messbare Änderung (Messfehler 2,7 ml)."
    )


@pytest.mark.parametrize("cut", ["current", "prior"])
def test_a_mask_that_touches_the_edge_gives_no_change(cut: str) -> None:
    """clinical.md 3."""
    now, then = study(), study(patient=EARLIER)
    at = (0.0, 0.0, 19.5)  # reaches the upper edge
    places = {"current": ((0.0, 0.0, 0.0), at)[cut == "current"], "prior": ((0.0, 0.0, 0.0), at)[cut == "prior"]}
    liver, before = block(now, (20, 20, 20), at=places["current"]), block(then, (30, 20, 20), at=places["prior"])
    comparison = compared(now, [liver], prior_of(then, before))
    found = change(comparison)
    assert (found.verdict, found.reason, found.difference, found.percent) == ("not given", f"cut_{cut}", None, None)
    assert "no change of volume" in found.text
    assert not [m for m in comparison.measurements if m.value is not None]


def test_a_tag_of_incomplete_masks_counts_as_well() -> None:
    now, then = study(), study(patient=EARLIER)
    liver = block(now, (20, 20, 20), cut_edges=("upper",))
    assert change(compared(now, [liver], prior_of(then, block(then, (30, 20, 20))))).reason == "cut_current"


def test_mismatches_are_listed() -> None:
    """clinical.md 28: slice thickness, phase, modality, weighting, and who drew the masks."""
    now = study(facts={"contrast_phase": Fact("arterial", "user")})
    then = study((1, 1, 5), EARLIER, modality="MR", facts={"weighting": Fact("T2")})
    by_hand = block(then, (20, 20, 20), provenance=Provenance("MANUAL"))
    told = compared(now, [block(now, (20, 20, 20))], prior_of(then, by_hand)).mismatches
    assert told == (
        "Modality: MR then, CT now.",
        "Slice thickness: 5 mm then, 1 mm now.",
        "Contrast: unknown then, arterial now.",
        "Weighting: T2 then, unknown now.",
        "Outlined by: hand then, default 4 now (Liver).",
    )


def test_another_version_of_the_model_is_a_mismatch_and_the_same_one_is_none() -> None:
    now, then = study(), study(patient=EARLIER)
    older = replace(MODEL, model_version="3", weights_sha256="cd" * 32)
    liver = block(now, (20, 20, 20))
    same = compared(now, [liver], prior_of(then, block(then, (20, 20, 20))))
    assert not same.mismatches
    told = compared(now, [liver], prior_of(then, block(then, (20, 20, 20), provenance=older))).mismatches
    assert told == ("Outlined by: default 3 then, default 4 now (Liver).",)


def test_an_estimated_phase_is_unknown() -> None:
    """clinical.md 18."""
    assert facts_of(study(facts={"contrast_phase": Fact("arterial", "estimated")})).phase == ""


# -- matching -------------------------------------------------------------------------
def test_masks_match_by_term_and_side_and_never_across_sides() -> None:
    now, then = study(), study(patient=EARLIER)
    ours = [block(now, (8, 8, 8), "kidney", "left", (20, 0, 0)), block(now, (8, 8, 8), "kidney", "right", (-20, 0, 0))]
    theirs = [block(then, (9, 8, 8), "kidney", "right", (-20, 0, 0)), block(then, (8, 8, 8), "spleen")]
    comparison = compared(now, ours, prior_of(then, *theirs))
    pairs = {(m.current_id, m.prior_id, m.how, m.reason) for m in comparison.matches}
    assert pairs == {
        (ours[0].id, "", "none", "only_current"), (ours[1].id, theirs[0].id, "term", ""),
        ("", theirs[1].id, "none", "only_prior"),
    }  # fmt: skip
    assert any("Left kidney: no mask in the study of 2025-01-02" in note for note in comparison.notes)
    assert any("Spleen: outlined in the study of 2025-01-02 only" in note for note in comparison.notes)


def test_masks_without_a_term_match_by_name() -> None:
    now, then = study(), study(patient=EARLIER)
    ours, other = block(now, (8, 8, 8), None, name="Odd thing"), block(then, (8, 8, 8), None, name="odd thing ")
    assert compared(now, [ours], prior_of(then, other)).matches[0].how == "name"


def test_several_of_one_term_match_by_overlap_after_registration_or_are_left_and_said_so() -> None:
    now, then = study(), study(patient=EARLIER)
    matrix = np.eye(4)
    matrix[0, 3] = 15.0  # the prior lies 15 mm to the right of the current study
    places = [(20.0, 0.0, 0.0), (0.0, 0.0, 0.0)]
    ours = [block(now, (8, 8, 8), "liver_tumor", at=p) for p in places]
    theirs = [block(then, (10, 8, 8), "liver_tumor", at=(p[0] - 15, p[1], p[2])) for p in reversed(places)]
    matched = compared(now, ours, prior_of(then, *theirs, registered=matrix))
    assert [(m.current_id, m.prior_id, m.how) for m in matched.matches] == [
        (ours[0].id, theirs[1].id, "overlap"), (ours[1].id, theirs[0].id, "overlap")
    ]  # fmt: skip
    assert all(m.overlap is not None and m.overlap > 0.7 for m in matched.matches)
    alone = compared(now, ours, prior_of(then, *theirs))
    assert {m.reason for m in alone.matches} == {"several"}
    assert not alone.changes
    assert any("no usable registration" in note for note in alone.notes)


def test_single_lesions_far_apart_are_not_taken_for_the_same() -> None:
    now, then = study(shape=(120, 60, 40)), study(patient=EARLIER, shape=(120, 60, 40))
    ours = block(now, (8, 8, 8), "liver_tumor", at=(30, 0, 0))
    theirs = block(then, (8, 8, 8), "liver_tumor", at=(-30, 0, 0))
    found = compared(now, [ours], prior_of(then, theirs, registered=True))
    assert {m.reason for m in found.matches} == {"elsewhere"}
    assert compared(now, [ours], prior_of(then, theirs)).matches[0].is_pair  # without a registration by term


def test_sided_masks_of_a_prior_in_doubt_are_not_compared() -> None:
    """clinical.md 8."""
    now, then = study(), study(patient=EARLIER)
    prior = prior_of(then, block(then, (8, 8, 8), "kidney", "left"), sides_doubtful=True)
    found = compared(now, [block(now, (8, 8, 8), "kidney", "left")], prior)
    assert not found.changes
    assert any("may be flipped" in note for note in found.notes)


# -- evidence -------------------------------------------------------------------------
def test_a_sentence_points_at_the_current_mask_and_its_numbers() -> None:
    now, then = study(), study(patient=EARLIER)
    liver = block(now, (26, 20, 20))
    comparison = compared(now, [liver], prior_of(then, block(then, (20, 20, 14))))
    finding = next(f for f in comparison.findings if "volume" in f.text)
    assert finding.origin == "measured"
    assert (finding.evidence[0].kind, finding.evidence[0].segment_id) == ("segment", liver.id)
    assert finding.evidence[0].box is not None
    numbers = {m.id: m for m in comparison.measurements}
    told = {numbers[e.measurement_id].quantity for e in finding.evidence if e.measurement_id in numbers}
    assert told == {"volume_change", "volume_change_percent", "volume_change_error", "volume_before"}
    found = change(comparison)
    assert found.current.id in {e.measurement_id for e in finding.evidence}
    assert found.finding_id == finding.id


def test_only_what_the_template_writes_of_a_structure_becomes_a_sentence() -> None:
    now, then = study(), study(patient=EARLIER)
    comparison = compared(now, [block(now, (26, 20, 20))], prior_of(then, block(then, (20, 20, 20))))
    written = wording().template.terms["liver"].quantities
    assert {c.quantity for c in comparison.changes if c.finding_id} <= set(written)
    assert {c.quantity for c in comparison.changes} > {c.quantity for c in comparison.changes if c.finding_id}


# -- who and when ---------------------------------------------------------------------
@pytest.mark.parametrize(
    ("field", "value"), [("id", "4712"), ("birth_date", "19500102"), ("sex", "M")]
)
def test_another_id_birth_date_or_sex_is_found(field: str, value: str) -> None:
    """clinical.md 10."""
    other = replace(EARLIER, **{field: value})
    checked = check_prior(study(), study(patient=other), rules())
    assert checked.differing == (field,)
    assert checked.needs_reason
    assert checked.lines("en")
    assert checked.lines("de")


def test_the_same_person_in_other_spelling_is_the_same() -> None:
    same = Patient("DOE^JANE^M", " 4711 ", "1950-01-01", "Female", "20250102")
    checked = check_prior(study(), study(patient=same), rules())
    assert (checked.differing, checked.unknown, checked.refused, checked.later) == ((), (), "", False)


def test_what_is_not_recorded_is_told_and_not_taken_for_equal() -> None:
    checked = check_prior(study(), study(patient=Patient(study_date="20250102")), rules())
    assert checked.unknown == ("id", "birth_date", "sex")
    assert not checked.needs_reason
    assert "could not be checked" in checked.lines()[0]


def test_a_prior_later_than_the_current_study_is_told() -> None:
    later = replace(PATIENT, study_date="20270101")
    now, then = study(), study(patient=later)
    assert check_prior(now, then, rules()).later
    told = compared(now, [block(now, (20, 20, 20))], prior_of(then, block(then, (20, 20, 20)))).mismatches
    assert "The study compared with is the later one of the two." in told
    assert check_prior(now, study(patient=replace(EARLIER, study_date="")), rules()).undated


def test_the_same_study_is_refused() -> None:
    now = study()
    assert check_prior(now, now, rules()).refused
    assert check_prior(now, study(), rules()).refused  # the same StudyInstanceUID
    assert not check_prior(now, study(patient=EARLIER), rules()).refused


def test_the_reason_for_another_identity_is_among_the_limitations() -> None:
    """clinical.md 10."""
    now, then = study(), study(patient=EARLIER)
    prior = prior_of(then, block(then, (20, 20, 20)), differing=("id",), reason="merged record")
    notes = compared(now, [block(now, (20, 20, 20))], prior).notes
    assert "The study of 2025-01-02 has another patient ID; used all the same, because: merged record" in notes


def test_a_damaged_comparison_file_is_named() -> None:
    data = {"numbers": {"half_voxel": 0.5}, "quantities": []}
    with pytest.raises(ValueError, match="least_overlap"):
        comparison_rules(data)
    numbers = dict.fromkeys(("half_voxel", "least_overlap", "farthest_mm", "thickness_mm"), 1)
    whole = {"numbers": numbers, "quantities": []}
    with pytest.raises(ValueError, match="change"):
        comparison_rules(whole | {"en": {"change": "x"}, "de": {}})
