"""Drafts: what is said, what is not, and what every sentence points at."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from report_kit import (
    answer,
    draft,
    measured,
    scan,
    section,
    segment,
    source_of,
    texts,
)

from medviewer.core.prediction import Answer
from medviewer.core.report.document import Language, Measurement
from medviewer.core.report.drafting import draft_report
from medviewer.core.report.patterns import says_normal
from medviewer.core.volume import Fact, Patient, Volume


def test_sentences_stand_under_their_heading_right_before_left_in_the_templates_order() -> None:
    report = draft()
    assert [f.text.split(":")[0] for f in section(report, "kidneys")] == ["Right kidney", "Left kidney"]
    left = section(report, "kidneys")[1].text
    assert left.index("length") < left.index("volume")
    assert [s.key for s in report.sections][:3] == ["lower_chest", "liver", "gallbladder_ducts"]


def test_only_computed_numbers_are_written() -> None:
    """clinical.md 1: every number of a sentence is a measurement, a series or an image of the scan."""
    report = draft()
    allowed = {"1450", "109", "96", "150", "3", "12"}
    for text in texts(report):
        assert set(re.findall(r"\d+(?:\.\d+)?", text)) <= allowed, text


def test_missing_structures_are_not_assessed_and_never_normal() -> None:
    """clinical.md 14."""
    report = draft()
    spleen = next(s for s in report.sections if s.key == "spleen")
    assert spleen.not_assessed
    assert spleen.findings == ()
    everything = [*texts(report), *report.limitations, report.technique, report.comparison]
    assert not [text for text in everything if says_normal(text)]


def test_a_structure_that_was_not_found_is_a_limit_with_its_score_and_no_finding() -> None:
    """clinical.md 5: it does not exclude it."""
    report = draft()
    assert "Not found by the model (this does not exclude it): Gallbladder (score 0.11)." in report.limitations
    assert next(s for s in report.sections if s.key == "gallbladder_ducts").not_assessed


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (Answer.OUTSIDE, "Outside the scanned region: Right kidney."),
        (Answer.NOT_TRAINED, "Not assessed, the model was not trained for: Right kidney."),
        (Answer.NOT_ASSESSABLE, "Not assessable on this scan: Right kidney."),
        (Answer.SIDE_UNKNOWN, "Not assessed, because the side is unknown: Right kidney."),
        (Answer.NEGATION, "Negation is not supported, not asked: Right kidney."),
    ],
)
def test_the_five_answers_are_kept_apart(kind: Answer, told: str) -> None:
    """clinical.md 4."""
    report = draft(segments=(), measurements=(), answers=(answer(kind, "kidney", "right"),))
    assert told in report.limitations
    assert not any("not exclude" in line for line in report.limitations)


def test_the_impression_starts_empty() -> None:
    """clinical.md 14."""
    assert draft().impression == ()


def test_every_sentence_has_its_segment_and_its_number_as_evidence() -> None:
    report = draft()
    numbers = {m.id for m in report.measurements}
    for finding in report.findings:
        assert finding.origin == "measured"
        assert finding.state == "draft"
        assert finding.is_supported
        kinds = {e.kind for e in finding.evidence}
        assert kinds == {"segment", "measurement"}
        assert {e.measurement_id for e in finding.evidence} <= numbers
        assert all(e.volume_id == "scan" for e in finding.evidence)


def test_the_evidence_lies_in_the_mask_in_patient_coordinates() -> None:
    liver = segment("liver", at=4)
    report = draft(segments=(liver,), measurements=(measured(liver, "volume", 1.0, "ml"),), answers=())
    (finding,) = section(report, "liver")
    evidence = finding.evidence[0]
    assert evidence.position is not None
    index = np.linalg.inv(np.diag([2.0, 2.0, 5.0, 1.0])) @ (*evidence.position, 1.0)
    assert liver.mask[tuple(round(float(n)) for n in index[:3])]
    assert evidence.box == ((8.0, 8.0, 20.0), (14.0, 14.0, 35.0))
    assert evidence.in_patient


def test_a_ring_is_jumped_to_where_it_has_a_voxel() -> None:
    ring = segment("colon")
    mask = np.zeros((20, 20, 20), bool)
    mask[4:13, 4:13, 5] = True
    mask[6:11, 6:11, 5] = False
    ring = ring.changed(mask=mask)
    report = draft(segments=(ring,), measurements=(measured(ring, "volume", 1.0, "ml"),), answers=())
    position = section(report, "bowel")[0].evidence[0].position
    assert position is not None
    assert mask[int(position[0] / 2), int(position[1] / 2), int(position[2] / 5)]


def test_a_scan_without_a_place_in_the_patient_points_at_voxels() -> None:
    volume = Volume(np.zeros((20, 20, 20), np.uint8), None, "CT")
    (finding,) = section(draft(volume=volume, segments=(segment("liver"),), measurements=(), answers=()), "liver")
    assert not finding.evidence[0].in_patient
    assert finding.evidence[0].box == ((4.0, 4.0, 4.0), (7.0, 7.0, 7.0))


def test_an_incomplete_mask_has_no_range_in_sentence_and_table() -> None:
    """clinical.md 3."""
    liver = segment("liver", cut_edges=("upper",))
    number = measured(liver, "volume", 2000.0, "ml", range_text="825-1700 ml (Kim 2021)", flags=("above range",))
    report = draft(segments=(liver,), measurements=(number,))
    (finding,) = section(report, "liver")
    assert "cut at the upper edge" in finding.text
    assert "Kim" not in finding.text
    assert report.measurements[0].range_text == ""
    assert report.measurements[0].flags == ("incomplete",)
    assert "Incomplete, cut at the edge of the scan: Liver." in report.limitations


def test_technique_names_the_origin_of_every_fact_and_what_is_unknown() -> None:
    """clinical.md 18: phase and projection are facts or unknown."""
    technique = draft().technique
    assert "Slice thickness (mm): 5 (DICOM)." in technique
    assert "Voxel size (mm): 2.00 x 2.00 x 5.00 (DICOM)." in technique
    assert "Contrast medium: unknown." in technique
    assert "Contrast phase: unknown." in technique
    estimated = draft(volume=scan(facts={"contrast_phase": Fact("venous", "estimated")}))
    assert "Contrast phase: venous (estimated)." in estimated.technique
    assert estimated.facts["phase"] == "venous (estimated)"
    assert draft().facts["contrast"] == "unknown"


def test_the_technique_of_an_x_ray_names_projection_and_position() -> None:
    volume = scan(modality="DX", units=None, facts={"view_position": Fact("PA")})
    report = draft(template="chest_xray", volume=volume, segments=(), measurements=())
    assert "Projection: PA (DICOM)." in report.technique
    assert "Body position: unknown." in report.technique
    assert report.facts["projection"] == "PA (DICOM)"


@pytest.mark.parametrize(("language", "told"), [("en", "None available."), ("de", "Nicht verfügbar.")])
def test_without_a_prior_none_is_available_and_none_is_mentioned(language: Language, told: str) -> None:
    report = draft(language)
    assert report.comparison == told
    words = r"prior|previous|unchanged|interval|Vorunters|Voraufn|im Verlauf|stationär|progredient|größenkonstant"
    assert not [text for text in (*texts(report), *report.limitations) if re.search(words, text, re.IGNORECASE)]


def test_the_indication_is_taken_over_or_empty() -> None:
    assert draft(indication="  pain ").indication == "pain"
    assert draft().indication == ""


def test_a_mask_below_the_threshold_supports_no_sentence_until_a_person_accepts_it() -> None:
    """clinical.md 5."""
    provenance = replace(segment("liver").provenance, tags=("below threshold",))
    faint = segment("liver", provenance=provenance)
    number = measured(faint, "volume", 7.0, "ml")
    report = draft(segments=(faint,), measurements=(number,))
    assert section(report, "liver") == ()
    assert report.measurements == ()
    assert any("below the model's threshold" in line and "Liver" in line for line in report.limitations)
    accepted = draft(segments=(faint,), measurements=(number,), accepted=frozenset({faint.id}))
    assert len(section(accepted, "liver")) == 1


def test_doubtful_sides_block_sided_sentences() -> None:
    """clinical.md 8."""
    report = draft(sides_doubtful=True)
    assert section(report, "kidneys") == ()
    assert len(section(report, "liver")) == 1
    assert not [m for m in report.measurements if m.side]
    assert any(
        "may be flipped" in line and "Kidney" in line and "Left kidney" not in line for line in report.limitations
    )


def test_which_side_is_longer_is_not_the_side_of_the_structure() -> None:
    left, right = segment("kidney", "left", 10), segment("kidney", "right", 1)
    difference = Measurement(
        "length_difference", 18.0, "mm", "longer_minus_shorter", (left.id, right.id), "kidney", "right"
    )
    (finding, *_) = section(draft(segments=(left, right), measurements=(difference,)), "kidneys")
    assert finding.text.startswith("Kidney: side difference of the length 18 mm, right longer")
    assert finding.side is None
    assert {e.segment_id for e in finding.evidence} >= {left.id, right.id}


def test_of_equal_sides_none_is_called_longer() -> None:
    left, right = segment("kidney", "left", 10), segment("kidney", "right", 1)
    equal = Measurement("length_difference", 0.0, "mm", "longer_minus_shorter", (left.id, right.id), "kidney")
    report = draft(segments=(left, right), measurements=(equal,))
    assert equal in report.measurements
    assert not [f for f in report.findings if "longer" in f.text]


def test_a_half_of_a_mask_of_both_sides_has_its_side_from_the_measurement() -> None:
    both = segment("kidney")
    report = draft(segments=(both,), measurements=(measured(both, "length", 100.0, "mm", side="left"),))
    assert section(report, "kidneys")[0].text.startswith("Left kidney: length 100 mm")


def test_a_structure_without_a_place_in_the_template_stands_under_other() -> None:
    brain = segment("brain")
    report = draft(segments=(brain,), measurements=(measured(brain, "volume", 1200.0, "ml"),))
    assert report.sections[-1].key == "other"
    assert section(report, "other")[0].text.startswith("Brain: volume 1200 ml")
    assert "other" not in [s.key for s in draft().sections]


def test_a_mask_of_the_other_sexs_heading_is_not_lost() -> None:
    prostate = segment("prostate")
    report = draft(segments=(prostate,), measurements=(measured(prostate, "volume", 20.0, "ml"),))
    assert "pelvis_male" not in [s.key for s in report.sections]
    assert "Prostate" in section(report, "other")[0].text


def test_a_mask_without_numbers_is_told_as_outlined() -> None:
    report = draft(segments=(segment("liver", cut_edges=("upper",)),), measurements=())
    (finding,) = section(report, "liver")
    assert finding.text.startswith("Liver: outlined, not measured. Incomplete: cut at the upper edge")


def test_a_mask_that_another_ones_number_only_uses_is_told_by_itself() -> None:
    """The lungs of a cardiothoracic ratio: their heading does not read as if nobody had outlined them."""
    heart, lung = segment("heart"), segment("lung", "left", 10)
    ratio = Measurement("cardiothoracic_ratio", 0.47, "1", "cardiothoracic", (heart.id, lung.id), "heart")
    report = draft(template="chest_xray", segments=(heart, lung), measurements=(ratio,))
    assert section(report, "lungs")[0].text == "Left lung field: outlined, not measured."
    assert section(report, "heart")[0].text.startswith("Cardiothoracic ratio 0.47")
    assert {e.segment_id for e in section(report, "heart")[0].evidence} >= {heart.id, lung.id}


def test_the_mask_of_the_whole_body_is_no_finding() -> None:
    assert draft(segments=(segment("body"),), measurements=()).findings == ()


def test_what_may_not_be_measured_is_not_told() -> None:
    """clinical.md 19: the table of allowed measurements decides."""
    liver = segment("liver")
    refused = measured(liver, "volume", None, "ml", reason="not_allowed")
    assert "volume" not in section(draft(segments=(liver,), measurements=(refused,)), "liver")[0].text


def test_identity_is_taken_over_without_control_characters() -> None:
    """clinical.md 10."""
    patient = Patient("Doe\x00^Ja\u202ene\n", "47\x1b11", "19500101", "F", "20260102")
    identity = draft(volume=scan(patient=patient)).identity
    assert identity.line == "Doe, Ja ne · 47 11 · 1950-01-01 · F · 2026-01-02"
    assert identity.study_uid == "1.2.3"


def test_the_origin_of_every_mask_used_is_kept_with_its_licence() -> None:
    report = draft()
    assert [p.model_line for p in report.provenance] == ["default 3 – non-commercial research weights"]


def test_limits_of_the_scan_are_told() -> None:
    picture = Volume(np.zeros((20, 20, 1), np.uint8), None, "DX", kind="image")
    limits = " ".join(draft(template="general", volume=picture, segments=(), measurements=()).limitations)
    assert "size of a pixel is not recorded" in limits
    assert "does not record left and right" in limits
    assert "not Hounsfield units" in " ".join(draft(volume=scan(units=None)).limitations)
    lossy = scan(facts={"lossy_compression": Fact("yes")})
    assert "Lossy compression" in " ".join(draft(volume=lossy).limitations)


def test_no_masks_make_a_draft_that_assesses_nothing() -> None:
    report = draft(segments=(), measurements=(), answers=())
    assert report.findings == ()
    assert all(s.not_assessed for s in report.sections)


def test_german_drafts_are_german() -> None:
    report = draft("de")
    told = " ".join(texts(report))
    assert "Niere links: Länge 109 mm von Pol zu Pol und Volumen 150 ml." in told
    assert "Leber: Volumen 1450 ml" in told
    assert "Serie 3, Bild 12." in told
    assert "Kontrastmittel: unbekannt." in report.technique
    assert any("Vom Modell nicht gefunden" in line and "0,11" in line for line in report.limitations)
    assert not re.search(r"\b(the|kidney|volume|unknown)\b", f"{told} {report.technique}")


def test_a_draft_is_the_same_every_time_but_for_the_names_of_its_sentences() -> None:
    source = source_of()
    assert texts(draft_report(source)) == texts(draft_report(source))
