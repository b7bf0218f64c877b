"""What the guards know of a scan: built from report, scan, template and masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medviewer.core.guards import Structures, context_of
from medviewer.core.report.document import Evidence, Finding, Identity, Measurement, Report, Section
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Fact, Patient, Source, Volume
from medviewer.services.report_guards import check_report, check_sentence, guard_context
from medviewer.services.report_templates import report_templates

SLICE = (Evidence("slice", slice_index=1),)


def volume_of(sex: str = "", **facts: Fact) -> Volume:
    return Volume(
        np.zeros((2, 2, 2), np.int16), np.eye(4), "CT", "HU", facts=facts, patient=Patient(sex=sex),
        source=Source("dicom", Path("x")),
    )  # fmt: skip


def report_of(*findings: Finding, **fields: Any) -> Report:
    section = Section("liver", "Liver", findings)
    return Report("ct_abdomen", "en", fields.pop("identity", Identity()), sections=(section,), **fields)


def guards_of(report: Report, **known: Any) -> list[str]:
    done = check_report(report, guard_context(report, **known))
    return sorted({mark.guard for finding in done.findings for mark in finding.marks})


def test_language_sex_modality_and_measurements_come_from_the_report(structures: Structures) -> None:
    held = Measurement("volume", 210.0, "ml", "by hand", id="m")
    report = report_of(identity=Identity(sex="F", modality="CT"), measurements=(held,))
    context = context_of(report, structures)
    assert (context.language, context.sex, context.modality, context.template) == ("en", "F", "CT", "ct_abdomen")
    assert context.measurements == {"m": held}
    assert context.contrast == "unknown"
    assert not context.has_prior


def test_the_scan_tells_what_the_identity_does_not(structures: Structures) -> None:
    context = context_of(report_of(), structures, volume=volume_of("M"))
    assert (context.sex, context.modality) == ("M", "CT")
    told = context_of(report_of(identity=Identity(sex="F", modality="MR")), structures, volume=volume_of("M"))
    assert (told.sex, told.modality) == ("F", "MR")


@pytest.mark.parametrize(
    ("facts", "contrast"),
    [
        ({"contrast_agent": Fact("Iomeron", "DICOM")}, "yes"),
        ({"contrast_phase": Fact("portal venous", "user")}, "yes"),
        ({"contrast_phase": Fact("unenhanced", "series text")}, "no"), ({}, "unknown"),
        ({"contrast_phase": Fact("portal venous", "estimated")}, "unknown"),
    ],
)  # fmt: skip
def test_contrast_that_was_estimated_or_is_unknown_is_no_fact(
    facts: dict[str, Fact], contrast: str, structures: Structures
) -> None:
    volume = volume_of(**facts)
    assert context_of(report_of(), structures, volume=volume).contrast == contrast
    enhancing = report_of(Finding("The lesion enhances.", "liver", SLICE, "model"))
    assert guards_of(enhancing, volume=volume) == ([] if contrast == "yes" else ["modality"])


def test_a_structure_that_the_template_lists_may_be_named() -> None:
    template = report_templates().get("brain_mr")
    spleen = Finding("The spleen is outlined.", "other", SLICE, "model")
    report = report_of(spleen).with_changes(template="brain_mr")
    assert guards_of(report, template=template) == ["modality"]
    listing = template.__class__(**{**vars(template), "prompts": (*template.prompts, "spleen")})
    assert guards_of(report, template=listing) == []


def test_segments_tell_the_side_of_a_sentence() -> None:
    kidney = Segment("left kidney", np.ones((2, 2, 2), bool), term_id="kidney", side="left")
    evidence = (Evidence("segment", segment_id=kidney.id),)
    report = report_of(Finding("Cyst of the right kidney.", "kidneys", evidence, "model"))
    assert guards_of(report, segments=[kidney]) == ["laterality"]
    assert guards_of(report) == []
    right = report_of(Finding("Cyst of the left kidney.", "kidneys", evidence, "model"))
    assert guards_of(right, segments=[kidney]) == []


def test_a_prior_and_confirmed_sides_are_told_by_the_caller() -> None:
    report = report_of(Finding("The cyst is unchanged.", "liver", SLICE, "model"))
    assert guards_of(report) == ["prior"]
    assert guards_of(report, has_prior=True) == []
    sided = report_of(Finding("Cyst of the left kidney.", "kidneys", SLICE, "model"))
    assert guards_of(sided, sides_confirmed=False) == ["laterality"]
    assert guards_of(sided) == []


def test_a_sentence_can_be_checked_by_itself() -> None:
    context = guard_context(report_of())
    assert [mark.guard for mark in check_sentence(Finding("Unchanged.", "liver", SLICE, "model"), context)] == ["prior"]
    assert check_sentence(Finding("Cyst.", "liver", SLICE, "model"), context) == ()


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("Liver: volume 2100 ml (voxels times the volume of one; reference range 824.5 to 1700 ml).", False),
        ("Liver: mean -12 HU (mean of the mask without its outer 5 mm).", False),
        ("Liver: mean \u221212 HU.", False), ("Liver: mean \u201312 HU.", False), ("Liver: mean 12 HU.", True),
        ("Liver: volume 2.1 l.", False), ("Liver: volume 2100 cm\u00b3.", False), ("Liver: volume 1700 ml.", False),
        ("Liver: volume 1900 ml.", True), ("Liver, 67-year-old, image 34, series 3, L4/5, segment VII.", False),
    ],
)  # fmt: skip
def test_every_number_is_one_that_was_measured(text: str, marked: bool) -> None:
    held = (
        Measurement("volume", 2100.0, "ml", "voxels", range_text="reference range 824.5 to 1700 ml", id="v"),
        Measurement("mean", -12.0, "HU", "mean of the mask without its outer 5 mm", id="h"),
    )
    evidence = tuple(Evidence("measurement", measurement_id=m.id) for m in held)
    report = report_of(Finding(text, "liver", evidence, "measured"), measurements=held)
    assert (guards_of(report) == ["measurement"]) == marked
