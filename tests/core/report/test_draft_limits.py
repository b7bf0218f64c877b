"""What a draft leaves unsaid and says of its limits: cut masks, pictures, scores without masks, sides, FLAIR."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from report_kit import (
    DEFAULT,
    answer,
    draft,
    measured,
    scan,
    section,
    segment,
    template_of,
    terms,
    texts,
    words_of,
)

from medviewer.core.prediction import Answer
from medviewer.core.report.document import Measurement
from medviewer.core.report.wording import structure_name
from medviewer.core.volume import Fact, Patient


def test_what_the_edge_of_the_scan_takes_is_told_once_for_each_mask() -> None:
    """clinical.md 3: incomplete, cut at the upper edge; the numbers that remain are those of the scanned part."""
    spleen = segment("spleen", cut_edges=("upper", "lower"))
    numbers = [measured(spleen, quantity, None, unit, reason="cut_by_edge", method="")
               for quantity, unit in (("length", "mm"), ("volume", "ml"))]  # fmt: skip
    median = measured(spleen, "intensity_median", 80.2, "HU", flags=("incomplete",), method="all_voxels")
    report = draft(segments=(spleen,), measurements=(*numbers, median))
    told = [finding.text for finding in section(report, "spleen")]
    assert told == [
        "Spleen: incomplete, cut at the upper and lower edge of the scan; volume and length not measured.",
        "Spleen: median attenuation 80 HU. Scanned part only.",
    ]
    first = section(report, "spleen")[0]
    assert {e.measurement_id for e in first.evidence} == {m.id for m in numbers}


def test_a_difference_that_a_cut_mask_prevents_is_not_told_beside_the_masks() -> None:
    left, right = segment("kidney", "left", 10, cut_edges=("lower",)), segment("kidney", "right", 1)
    difference = Measurement("length_difference", None, "mm", "", (left.id, right.id), "kidney", reason="cut_by_edge")
    length = measured(left, "length", None, "mm", reason="cut_by_edge", method="")
    told = [f.text for f in section(draft(segments=(left, right), measurements=(difference, length)), "kidneys")]
    assert told == [
        "Right kidney: outlined, not measured.",
        "Left kidney: incomplete, cut at the lower edge of the scan; length not measured.",
    ]


def test_areas_in_pixels_and_volumes_of_pictures_are_not_told() -> None:
    """clinical.md 19: lungs on an X-ray have no volume; an area in pixels tells a reader nothing."""
    lung = segment("lung", "left")
    area = measured(lung, "area", 35112.0, "px", method="pixel_count")
    none = measured(lung, "volume", None, "ml", reason="two_dimensional", method="")
    for template in ("chest_xray", "general"):
        report = draft(template=template, segments=(lung,), measurements=(area, none))
        (finding,) = report.findings
        assert finding.text.endswith("outlined, not measured.")


def test_a_single_slice_has_no_volume_and_the_report_says_so_once() -> None:
    """clinical.md 19: single slices never give ml."""
    liver = segment("liver").changed(mask=np.ones((20, 20, 1), bool))
    none = measured(liver, "volume", None, "ml", reason="single_slice", method="")
    slice_ = scan().with_changes(array=np.zeros((20, 20, 1), np.int16, order="F"))
    report = draft(volume=slice_, segments=(liver,), measurements=(none,))
    assert texts(report) == ["Liver: outlined, not measured."]
    assert "This is a single slice: it has no volumes, and no lengths across slices." in report.limitations


def test_a_title_that_both_sexes_have_stands_once_where_the_sex_is_not_recorded() -> None:
    unknown = scan(patient=Patient())
    assert [s.title for s in draft(volume=unknown).sections].count("Pelvis") == 1
    prostate = segment("prostate")
    report = draft(volume=unknown, segments=(prostate,), measurements=(measured(prostate, "volume", 20.0, "ml"),))
    assert [s.key for s in report.sections if s.title == "Pelvis"] == ["pelvis_male"]


def test_a_score_above_the_threshold_without_a_mask_is_not_called_not_found() -> None:
    scored = replace(answer(Answer.NOT_FOUND, "spleen", presence=0.99), provenance=DEFAULT)
    low = replace(answer(Answer.NOT_FOUND, "pancreas", presence=0.2), provenance=DEFAULT)
    lines = draft(answers=(scored, low)).limitations
    assert "Not found by the model (this does not exclude it): Pancreas (score 0.20)." in lines
    assert any(line.startswith("Scored by the model as present") and "Spleen (score 0.99)" in line for line in lines)


def test_sides_that_are_assumed_are_named() -> None:
    """clinical.md 8: the side of a picture is not recorded."""
    lung = segment("lung", "left", side_note="side assumed (display convention: the patient's right is on the left)")
    lines = draft(template="chest_xray", segments=(lung,), measurements=(), answers=()).limitations
    assert any("assumed by the display convention" in line and "Left lung field" in line for line in lines)


def test_without_masks_and_with_the_general_template_the_report_says_so() -> None:
    lines = draft(template="general", segments=(), measurements=(), answers=()).limitations
    assert "No structure was outlined on this scan." in lines
    assert any(line.startswith("The general template was used") for line in lines)
    assert not any("general template" in line or "No structure" in line for line in draft().limitations)
    assert "The file does not record the modality." in draft(volume=scan(modality=None)).limitations


def test_a_flair_mask_is_named_for_what_it_is() -> None:
    """clinical.md 19."""
    template = template_of("brain_mr")
    assert template.term_on("FLAIR", "brain_tumor") == "flair_abnormality"
    assert template.term_on("T1", "brain_tumor") == "brain_tumor"
    assert template.term_on("FLAIR", "hippocampus") == "hippocampus"
    assert template.term_on("FLAIR", None) is None
    name = structure_name(terms().get("flair_abnormality"), "", None, words_of("en"), template)
    assert name.startswith("FLAIR abnormality including edema")


@pytest.mark.parametrize(("agent", "told"), [(Fact(None, "unknown"), True), (Fact("Ultravist"), False)])
def test_liver_minus_spleen_is_told_without_contrast_medium_only(agent: Fact, told: bool) -> None:
    """clinical.md 17: it stands for the unenhanced scan."""
    liver, spleen = segment("liver"), segment("spleen", at=12)
    number = Measurement("liver_minus_spleen", 9.0, "HU", "mean_without_rim", (liver.id, spleen.id), "liver")
    volume = scan(facts={**scan().facts, "contrast_agent": agent})
    report = draft(volume=volume, segments=(liver, spleen), measurements=(number,))
    assert any("Liver minus spleen" in text for text in texts(report)) is told


def test_what_has_a_mask_by_now_is_no_limit_any_more() -> None:
    drawn = segment("pancreas")
    lines = draft(segments=(drawn,), measurements=(), answers=(answer(Answer.NOT_TRAINED, "pancreas"),)).limitations
    assert not any("Pancreas" in line for line in lines)
