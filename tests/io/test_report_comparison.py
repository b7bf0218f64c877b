"""The comparison in the forms that hospitals take: DICOM SR and FHIR hold the earlier numbers as such."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from report_dicom_kit import dciodvfy_errors, scan_in, segment, texts
from report_kit import template_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core" / "comparison"))
from comparison_kit import prior_of

from medviewer.core.report.document import Report
from medviewer.core.volume import Fact, Volume
from medviewer.services.report_drafting import DraftCase, draft
from medviewer.services.report_files import Origin, write_report

pytestmark = pytest.mark.filterwarnings("ignore")  # highdicom warns of the odd sources made here


@pytest.fixture
def compared(tmp_path: Path) -> tuple[Volume, Report]:
    """A CT with a liver, and one of a year before with the same mask in larger voxels."""
    scan = scan_in(tmp_path)
    assert scan.affine is not None
    facts = {**scan.facts, "study_instance_uid": Fact("1.2.3.4"), "acquisition_date": Fact("20200102")}
    earlier = scan.with_changes(
        affine=scan.affine * [1.5, 1.5, 1.5, 1.0], spacing_mm=None, facts=facts,
        patient=replace(scan.patient, study_date="20200102"),
    )  # fmt: skip
    prior = prior_of(earlier, segment("liver", id="b" * 32))
    case = DraftCase(template_of("ct_abdomen"), "en", (segment("liver", id="a" * 32),), sides_confirmed=True,
                     prior_study=prior)  # fmt: skip
    return scan, draft(scan, case).report


def test_dicom_sr_holds_the_change_and_is_valid(compared: tuple[Volume, Report], tmp_path: Path) -> None:
    scan, report = compared
    write_report(report, tmp_path / "r.dcm", Origin(scan))
    found = pydicom.dcmread(tmp_path / "r.dcm")
    told = texts(found)
    assert any("2020-01-02" in text and "change -" in text for text in told)
    assert any("volume in the earlier study" in text and "2020-01-02" in text for text in told)
    assert any(text.startswith("CT of 2020-01-02") for text in told)
    assert not dciodvfy_errors(tmp_path / "r.dcm")


def test_fhir_and_json_keep_the_comparison(compared: tuple[Volume, Report], tmp_path: Path) -> None:
    scan, report = compared
    for name in ("r.fhir.json", "r.json"):
        write_report(report, tmp_path / name, Origin(scan))
        text = json.dumps(json.loads((tmp_path / name).read_text("utf-8")), ensure_ascii=False)
        assert "CT of 2020-01-02" in text
        assert "2020-01-02" in text
