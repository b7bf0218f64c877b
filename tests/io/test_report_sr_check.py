"""DICOM SR read back: every difference is found; the codes are DICOM's, and validators of others agree."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from report_dicom_kit import (
    dciodvfy_errors,
    measured,
    named,
    need,
    report_on,
    segment,
    segments,
    signed,
    sr_written,
    term_map,
    with_pictures,
    words_of,
)

from medviewer.core.errors import OutputNotWritten
from medviewer.core.report.document import Report
from medviewer.core.volume import Volume
from medviewer.io import report_codes, report_sr
from medviewer.io.report_dicom import study_headers
from medviewer.io.report_sr_check import verify
from medviewer.io.report_sr_groups import Places
from medviewer.services.save_data import save_segments

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom and highdicom warn of the odd sources made here


# -- reading back --------------------------------------------------------------------------
def _number(found: Any) -> None:
    named(found, "Volume")[0].MeasuredValueSequence[0].FloatingPointValue += 0.5


def _digits(found: Any) -> None:
    named(found, "Volume")[0].MeasuredValueSequence[0].NumericValue = "1"


def _unit(found: Any) -> None:
    named(found, "Volume")[0].MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue = "mm3"


def _quantity(found: Any) -> None:
    named(found, "Length")[0].ConceptNameCodeSequence[0].CodeValue = "81827009"


def _sentence(found: Any) -> None:
    named(found, "Liver")[0].TextValue += " Normal."


def _order(found: Any) -> None:
    texts_ = named(found, "Qualitative Evaluations")[0].ContentSequence
    texts_[0], texts_[1] = texts_[1], texts_[0]


def _side(found: Any) -> None:
    named(found, "Laterality")[0].ConceptCodeSequence[0].CodeValue = "51440002"


def _code(found: Any) -> None:
    named(found, "Finding Site")[0].ConceptCodeSequence[0].CodeValue = "1"


def _structure(found: Any) -> None:
    named(found, "Tracking Unique Identifier")[0].UID = "1.2.3"


def _range(found: Any) -> None:
    named(found, "Normal Range description")[0].TextValue = "1-2 mm"


def _language(found: Any) -> None:
    named(found, "Language of Content Item and Descendants")[0].ConceptCodeSequence[0].CodeValue = "de"


def _verified(found: Any) -> None:
    found.VerificationFlag = "VERIFIED"


def _patient(found: Any) -> None:
    found.PatientID = "S2"


def _study(found: Any) -> None:
    found.StudyInstanceUID = "1.2.3"


def _evidence(found: Any) -> None:
    del named(found, "Liver")[0].ContentSequence


def _other_group(found: Any) -> None:
    named(found, "Liver")[0].ContentSequence[0].UID = "1.2.3"


def _picture(found: Any) -> None:
    named(found, "Of Interest")[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def _fewer(found: Any) -> None:
    del named(found, "Imaging Measurements")[0].ContentSequence[-1]


def _weights(found: Any) -> None:
    found.ContributingEquipmentSequence[0].ContributionDescription = "weights_sha256="


def _model(found: Any) -> None:
    named(found, "Device Observer Serial Number")[0].TextValue = "sha256:0"


SPOILERS = [
    _number, _digits, _unit, _quantity, _sentence, _order, _side, _code, _structure, _range, _language, _verified,
    _patient, _study, _fewer, _model, _weights, _evidence, _other_group, _picture,
]  # fmt: skip


@pytest.fixture(scope="module")
def good(scan: Volume, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path, Places]:
    report, path = with_pictures(report_on(scan), scan), tmp_path_factory.mktemp("good") / "report.dcm"
    report_sr.write(path, report, words_of("en"), scan, terms=term_map())
    places = Places(study_headers(report, scan), scan)
    verify(path, report, words_of("en"), term_map(), places)
    return report, path, places


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda spoil: spoil.__name__.strip("_"))
def test_reading_back_finds_every_difference(
    good: tuple[Report, Path, Places], tmp_path: Path, spoil: Callable[[Any], None]
) -> None:
    report, path, places = good
    found = pydicom.dcmread(path)
    spoil(found)
    found.save_as(tmp_path / "spoilt.dcm")
    with pytest.raises(OutputNotWritten, match="reading it back"):
        verify(tmp_path / "spoilt.dcm", report, words_of("en"), term_map(), places)


# Its evidence under a sentence extends TID 1500, which is extensible (PS3.16 6.2.4); the validator tells of extensions.
EXTENSION = re.compile(
    r'^Warning: [\d.]+: /CONTAINER \(126000,.*/CONTAINER \(C0034375,UMLS,"Qualitative Evaluations"\)/TEXT \(.*\)/'
    r"(UIDREF \(112040,DCM,|IMAGE \(113000,DCM,).*: Content Item not in template$"
)


# -- codes and validators ------------------------------------------------------------------
def test_the_standard_codes_are_those_of_dicom() -> None:
    """pydicom lists the concepts of PS3.16, but not every unit."""
    import pydicom.sr._concepts_dict as dicom

    known = {
        (value, scheme): meaning
        for scheme, names in dicom.concepts.items()
        for entry in names.values()
        for value, (meaning, _) in entry.items()
    }
    tables = (report_codes.QUANTITIES, report_codes.DERIVATIONS, report_codes._PROCEDURES)
    for value, scheme, meaning in (one for table in tables for one in table.values()):
        assert (value, scheme) in known, meaning
    for value, scheme, _ in report_codes.UNITS.values():
        assert (value, scheme) in known or value in ("ml", "mm3", "g", "{pixels}"), value


def test_a_meaning_that_is_too_long_ends_with_whole_words() -> None:
    key, scheme, meaning = report_codes.own_code("perpendicular to the centreline!", "größter Durchmesser " * 5)
    assert (key, scheme) == ("perpendicular_to_the_centreline", "99MEDVIEWER")
    assert meaning == "größter Durchmesser größter Durchmesser größter..."
    assert len(report_codes.own_code("k", "ü" * 90)[2].encode()) <= 64
    assert report_codes.own_code("", "\x00")[0] == "other"


def test_units_that_nobody_knows_stay_readable() -> None:
    def of(quantity: str, unit: str) -> tuple[str, str, str]:
        return report_codes.unit_code(measured(segment("liver"), quantity, 1.0, unit))

    assert of("intensity_median", "") == ("[arb'U]", "UCUM", "arbitrary unit")
    assert of("parts", "") == ("1", "UCUM", "no units")
    assert of("other", "furlongs/h") == ("{furlongs_h}", "UCUM", "furlongs/h")


def test_dciodvfy_finds_no_error(scan: Volume, tmp_path: Path) -> None:
    for report in (report_on(scan), report_on(scan, "de"), signed(report_on(scan), "preliminary", "final").report):
        report_sr.write(tmp_path / "r.dcm", report, words_of(report.language), scan, terms=term_map())
        assert dciodvfy_errors(tmp_path / "r.dcm") == []


@pytest.mark.slow
@pytest.mark.parametrize("with_masks", [False, True], ids=["images", "segments"])
def test_pixelmed_finds_no_error_and_only_the_evidence_of_sentences_outside_the_template(
    scan: Volume, tmp_path: Path, with_masks: bool
) -> None:
    tool = need("DicomSRValidator", "pixelmed-apps")
    options: dict[str, Any] = {}
    if with_masks:
        save_segments(tmp_path / "masks.dcm", scan, segments())
        options["segmentation"] = tmp_path / "masks.dcm"
    report = signed(with_pictures(report_on(scan), scan), "preliminary", "final").report
    sr_written(report, scan, tmp_path, **options)
    limits = ("TotalOp", "ExprOp", "ExprGrp")  # Java 17 refuses the validator's own style sheets otherwise
    options_ = " ".join(f"-Djdk.xml.xpath{one}Limit=0" for one in limits)
    done = subprocess.run(
        [tool, str(tmp_path / "report.dcm")], capture_output=True, text=True, timeout=280,
        env=dict(os.environ, JAVA_TOOL_OPTIONS=options_),
    )  # fmt: skip
    assert "Found Root Template TID_1500" in done.stdout, done.stderr[-500:]
    said = [line for line in done.stdout.splitlines() if line.startswith(("Error", "Warning"))]
    assert [line for line in said if not EXTENSION.search(line)] == []
    assert said  # the evidence of sentences, which the validator names as what it is: an extension
