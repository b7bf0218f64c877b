"""Finding templates and writing reports by the ending of a name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core" / "report"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "io"))
import report_dicom_kit
from report_kit import RESOURCES, full_report, reviewed, scan

from medviewer.core.errors import OutputNotWritten, WrongUsage
from medviewer.core.report.audit import Reviewed
from medviewer.core.volume import Source
from medviewer.services.report_files import (
    DICOM_FORMS,
    SUFFIXES,
    Origin,
    check_target,
    read_report,
    report_text,
    write_report,
)
from medviewer.services.report_templates import report_templates, report_words, user_template_folder
from medviewer.services.save_data import save_segments

SHIPPED = (RESOURCES / "report" / "templates" / "general.toml").read_text("utf-8")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder of templates."""
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path))
    user_template_folder().mkdir(parents=True)
    return user_template_folder()


@pytest.mark.parametrize("suffix", sorted(SUFFIXES.keys() - {".dcm"}))
def test_a_report_is_written_by_its_ending(suffix: str, tmp_path: Path) -> None:
    for name in (f"r{suffix}", f"R{suffix.upper()}"):
        assert write_report(full_report(), tmp_path / name).stat().st_size > 500


@pytest.mark.parametrize("name", ["r.doc", "r", "r.xml", "r.pdf.exe", ".pdf"])
def test_other_endings_are_refused_with_those_there_are(name: str, tmp_path: Path) -> None:
    with pytest.raises(WrongUsage) as refused:
        write_report(full_report(), tmp_path / name)
    assert ".pdf, .docx" in refused.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_dicom_report_needs_a_dicom_study(tmp_path: Path) -> None:
    volume = scan()
    for origin in (None, Origin(volume.with_changes(source=Source("nifti", Path("scan"))))):
        with pytest.raises(WrongUsage, match="belongs to a DICOM study"):
            write_report(full_report(), tmp_path / "r.dcm", origin)
    with pytest.raises(WrongUsage) as refused:
        check_target(tmp_path / "r.dcm", volume.with_changes(source=Source("image", Path("a.png")), affine=None))
    assert ".dcm" not in refused.value.hint  # no DICOM SEG holds masks without a place in the patient
    with pytest.raises(WrongUsage, match="holds no 'docx'"):
        write_report(full_report(), tmp_path / "r.dcm", Origin(volume), dicom="docx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", sorted(DICOM_FORMS))
@pytest.mark.parametrize("kind", ["converted", "no uids"])
@pytest.mark.filterwarnings("ignore")  # pydicom warns of the empty identifiers
def test_beside_a_seg_a_scan_without_a_study_has_a_dicom_report(form: str, kind: str, tmp_path: Path) -> None:
    import pydicom

    volume = report_dicom_kit.scan_in(tmp_path, None if kind == "converted" else _without_uids)
    if kind == "converted":
        volume = volume.with_changes(source=Source("nifti", Path("scan.nii.gz")))
    report, masks = report_dicom_kit.report_on(volume), tmp_path / "masks.dcm"
    with pytest.raises(WrongUsage if kind == "converted" else OutputNotWritten) as refused:
        write_report(report, tmp_path / "r.dcm", Origin(volume), dicom=form)
    assert "save the masks as .dcm first" in refused.value.hint
    save_segments(masks, volume, report_dicom_kit.segments())
    check_target(tmp_path / "r.dcm", volume, dicom=form, has_masks=True)
    write_report(report, tmp_path / "r.dcm", Origin(volume, masks), dicom=form)
    found, seg = pydicom.dcmread(tmp_path / "r.dcm"), pydicom.dcmread(masks)
    assert (found.StudyInstanceUID, found.PatientID) == (seg.StudyInstanceUID, seg.PatientID)
    assert found.SOPClassUID.name == {"sr": "Comprehensive 3D SR Storage", "pdf": "Encapsulated PDF Storage"}[form]


def _without_uids(dataset: Any, k: int) -> None:
    dataset.StudyInstanceUID = dataset.SOPInstanceUID = dataset.PatientID = ""


def test_json_is_read_again_with_its_trail(tmp_path: Path) -> None:
    work = reviewed()
    path = write_report(work, tmp_path / "r.json")
    assert read_report(path) == work
    bare = write_report(work.report, tmp_path / "s.json")
    assert read_report(bare) == Reviewed(work.report)
    with pytest.raises(WrongUsage, match="cannot be opened"):
        read_report(tmp_path / "r.pdf")


def test_copied_text_carries_the_safety_wording() -> None:
    """clinical.md 29 and 30."""
    text = report_text(full_report())
    assert "Research use only. Not for diagnosis or treatment decisions." in text
    assert "Kidney, left; length" in text  # the names of structures, not their ids


def test_words_know_structures_and_measurements_in_both_languages() -> None:
    assert report_words("de").named("structures", "liver") == "Leber"
    assert report_words("de").named("quantities", "long_axis") == "lange Achse"
    assert report_words("en").translated("voxel_count") != "voxel_count"


def test_the_shipped_templates_are_found(own: Path) -> None:
    templates = report_templates()
    assert len(templates.by_key) == 8
    assert templates.problems == ()
    assert templates.own == frozenset()
    assert templates.choose(scan()).key == "ct_abdomen"
    with pytest.raises(WrongUsage, match="no report template 'knee'"):
        templates.get("knee")


def test_a_template_of_the_user_replaces_the_shipped_one_with_its_key(own: Path) -> None:
    (own / "mine.toml").write_text(SHIPPED.replace('en = "Examination"', 'en = "My own"'), "utf-8-sig")
    templates = report_templates()
    assert templates.get("general").titles["en"] == "My own"
    assert templates.own == {"general"}
    assert len(templates.by_key) == 8


def test_a_new_key_of_the_user_is_added(own: Path) -> None:
    (own / "mine.toml").write_text(SHIPPED.replace('key = "general"', 'key = "knee"'), "utf-8")
    assert report_templates().get("knee").key == "knee"


def test_a_bad_file_of_the_user_is_told_and_skipped(own: Path) -> None:
    (own / "a.toml").write_text(SHIPPED.replace('id = "liver"', 'id = "livver"'), "utf-8")
    (own / "b.toml").write_bytes(b'key = "general"\ntitle = "\xff"')
    (own / "c.toml").write_text("#" * (1 << 21), "utf-8")
    (own / "d.toml").mkdir()
    (own / "e.toml").write_text(SHIPPED, "utf-8")
    (own / "f.toml").write_text(SHIPPED, "utf-8")
    templates = report_templates()
    assert templates.own == {"general"}
    assert [problem.split(", line")[0].rsplit("/", 1)[-1] for problem in templates.problems] == [
        "a.toml", "b.toml", "c.toml", "d.toml", "f.toml",
    ]  # fmt: skip
    assert "'livver' is not in the terminology" in templates.problems[0]
    assert "line 2: it is not in UTF-8" in templates.problems[1]
    assert all("skipped" in problem for problem in templates.problems)
