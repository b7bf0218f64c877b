"""`report` end to end with the model that ships: what is written, told and refused."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medviewer.cli.report import OUT_ENDINGS
from medviewer.core.phantom import torso_phantom
from medviewer.core.volume import Volume
from medviewer.services.report_files import SUFFIXES, read_report
from medviewer.services.report_templates import user_template_folder
from medviewer.services.save_data import read_mask, save_volume_nifti

FIELDS = [
    "scan", "series", "template", "language", "model", "out", "status", "sentences", "marked", "not_assessed",
    "limitations", "seconds", "warnings",
]  # fmt: skip
STEPS = ["load", "segment", "measure", "draft", "write"]


@pytest.fixture(scope="module")
def torso(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A coarse torso in thick slices (one plane is looked at), so that the tests are quick."""
    path = tmp_path_factory.mktemp("scan") / "torso_ct.nii.gz"
    save_volume_nifti(path, torso_phantom(seed=0, shape=(76, 62, 32), spacing=(5.0, 5.0, 12.0)).volume)
    return path


@pytest.fixture
def mine(run: Any, repository: Path) -> str:
    """A template of the user's own: that of the abdomen, with fewer structures to ask for."""
    shipped = (repository / "resources" / "report" / "templates" / "ct_abdomen.toml").read_text("utf-8")
    text = re.sub(r"^prompts = \[.*?\]", 'prompts = ["liver", "kidney"]', shipped, flags=re.DOTALL | re.MULTILINE)
    user_template_folder().mkdir(parents=True)
    (user_template_folder() / "mine.toml").write_text(text.replace('key = "ct_abdomen"', 'key = "mine"'), "utf-8")
    return "mine"


def test_a_scan_becomes_a_report(run: Any, torso: Path, mine: str, tmp_path: Path) -> None:
    out, masks = tmp_path / "r.json", tmp_path / "masks.seg.nrrd"
    ran = run("report", torso, "--template", mine, "--out", out, "--indication", "Staging", "--save-masks",
              masks, "--json")  # fmt: skip
    assert ran.status == 0, ran.err
    assert list(ran.document) == FIELDS
    assert list(ran.document["seconds"]) == STEPS
    assert (ran.document["template"], ran.document["model"], ran.document["status"]) == ("mine", "default", "draft")
    report = read_report(out).report
    assert (len(report.findings), report.indication) == (ran.document["sentences"], "Staging")
    assert ran.document["marked"] == 0
    assert "Lymph nodes" in ran.document["not_assessed"]
    liver = next(m for m in report.measurements if (m.term_id, m.quantity) == ("liver", "volume"))
    mask = next(s for s in read_mask(masks, _volume(torso)) if s.term_id == "liver")
    assert liver.value == pytest.approx(mask.mask.sum() * 0.3)
    assert any(f"{liver.value:.0f} ml" in finding.text for finding in report.findings)
    assert {m.side for m in report.measurements if m.quantity == "length"} == {"left", "right"}


def _volume(path: Path) -> Volume:
    from medviewer.services.open_data import open_volume

    return open_volume(path)


@pytest.mark.parametrize("name", ["r.pdf", "r.html", "r.docx", "r.txt", "r.fhir.json"])
def test_every_form_is_written(run: Any, scan: Path, tmp_path: Path, name: str) -> None:
    ran = run("report", scan, "--template", "ct_abdomen", "--language", "de", "--out", tmp_path / name)
    assert ran.status == 0, ran.err
    assert (tmp_path / name).stat().st_size > 500
    assert "draft, not verified" in ran.out


def test_a_scan_in_which_nothing_is_found_says_so(run: Any, scan: Path, tmp_path: Path) -> None:
    ran = run("report", scan, "--out", tmp_path / "r.txt", "--json")
    assert ran.status == 0, ran.err
    assert (ran.document["template"], ran.document["sentences"]) == ("general", 0)
    assert "No structure was outlined on this scan." in ran.document["limitations"]
    assert any(line.startswith("The general template was used") for line in ran.document["limitations"])
    assert "normal" not in (tmp_path / "r.txt").read_text().lower()


def test_masks_that_are_there_are_measured_and_not_asked_for(run: Any, scan: Path, tmp_path: Path) -> None:
    import nibabel

    image = nibabel.load(scan)
    mask = (np.asarray(image.dataobj) == 900).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(mask, image.affine), tmp_path / "liver.nii.gz")
    ran = run("report", scan, "--template", "general", "--masks", tmp_path / "liver.nii.gz", "--out",
              tmp_path / "r.txt")  # fmt: skip
    assert ran.status == 0, ran.err
    assert "volume 0.22 ml." in ran.out


@pytest.mark.filterwarnings("ignore")  # pydicom warns of what a converted scan does not know
def test_with_masks_saved_as_dicom_a_converted_scan_has_a_dicom_report(run: Any, scan: Path, tmp_path: Path) -> None:
    import nibabel
    import pydicom

    image = nibabel.load(scan)
    mask = (np.asarray(image.dataobj) == 900).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(mask, image.affine), tmp_path / "liver.nii.gz")
    out, masks = tmp_path / "r.dcm", tmp_path / "masks.dcm"
    words = ("report", scan, "--template", "general", "--masks", tmp_path / "liver.nii.gz", "--out", out)
    refused = run(*words)
    assert refused.status != 0
    assert "save the masks as .dcm first" in refused.err
    ran = run(*words, "--save-masks", masks)
    assert ran.status == 0, ran.err
    assert pydicom.dcmread(out).StudyInstanceUID == pydicom.dcmread(masks).StudyInstanceUID


def test_the_help_names_every_ending() -> None:
    assert set(OUT_ENDINGS) == set(SUFFIXES)


def test_the_templates_are_listed(run: Any) -> None:
    rows = run("report", "--template", "list", "--json").document["templates"]
    assert [row["key"] for row in rows][:3] == ["brain_mr", "breast_us", "cardiac_mr"]
    assert run("report", "--template", "list").out.startswith("brain_mr  MR of the brain / MR des Gehirns")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--out", "r.doc"], 2, "r.doc"),
        (["--out", "r.pdf", "--template", "knee"], 2, "no report template 'knee'"),
        (["--out", "r.pdf", "--language", "fr"], 2, "not written in 'fr'"),
        (["--out", "r.pdf", "--model", "other"], 4, "other"),
        (["--out", "r.pdf", "--device", "abacus"], 2, "abacus"),
        (["--out", "r.dcm"], 2, "belongs to a DICOM study"),
        (["--out", "none/r.pdf"], 5, "does not exist"),
        ([], 2, "--out"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(
    run: Any, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    ran = run("report", scan, *arguments, "--json")
    assert ran.status == status
    assert words in ran.error["message"]
    assert sorted(p for p in tmp_path.iterdir() if p.name != "home") == [p for p in before if p.name != "home"]


def test_a_scan_that_is_not_there_is_told(run: Any, tmp_path: Path) -> None:
    ran = run("report", tmp_path / "none", "--out", tmp_path / "r.pdf", "--json")
    assert (ran.status, ran.error["code"]) == (3, "input-refused")


def test_an_older_file_stays_as_it_was_where_the_report_is_refused(run: Any, scan: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.pdf"
    out.write_bytes(b"older")
    assert run("report", scan, "--out", out, "--template", "knee").status == 2
    assert out.read_bytes() == b"older"


def test_injected_text_stays_text(run: Any, scan: Path, tmp_path: Path) -> None:
    """Control characters, right-to-left marks and markup of an indication reach no file as such."""
    evil = "<script>alert(1)</script>\x1b[31m\u202eevil " + "long " * 2000
    ran = run("report", scan, "--template", "general", "--out", tmp_path / "r.html", "--indication", evil)
    assert ran.status == 0, ran.err
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "<script>" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page


@pytest.mark.slow
def test_a_real_ct_is_reported_in_time(run: Any, shared_data: Path, tmp_path: Path) -> None:
    """Target: 30 s from opening to the draft on two cores (four times that are allowed where a machine is busy)."""
    folder = shared_data / "dicom" / "ct_j2k_totalseg_20"
    if not folder.is_dir():
        pytest.skip("the CT (../shared/data/dicom/ct_j2k_totalseg_20) is not here")
    began = time.monotonic()
    ran = run("report", folder, "--out", tmp_path / "r.pdf", "--json")
    assert ran.status == 0, ran.err
    assert time.monotonic() - began < 120
    assert ran.document["template"] == "ct_abdomen"
    assert ran.document["marked"] == 0
    incomplete = next(line for line in ran.document["limitations"] if line.startswith("Incomplete"))
    assert "Liver" in incomplete  # cut at both ends: no volume, no range
    ran = run("report", folder, "--out", tmp_path / "r.json", "--language", "de")
    content = json.loads((tmp_path / "r.json").read_text("utf-8"))["content"]["report"]
    assert content["facts"]["contrast"] == "APPLIED (DICOM)"
    assert not [m for m in content["measurements"] if m["range_text"]]  # every organ is cut, age and sex are unknown
