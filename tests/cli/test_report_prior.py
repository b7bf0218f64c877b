"""`report --prior` end to end: two studies compared, the comparison told, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from medviewer.core.phantom import torso_phantom
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.services.open_data import open_volume
from medviewer.services.report_files import read_report
from medviewer.services.report_templates import user_template_folder
from medviewer.services.save_data import save_segments, save_volume_nifti

SHIFT = (10.0, -5.0, 12.0)  # LPS mm: where the patient lay in the prior


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A coarse torso, and the same patient some mm away in thinner slices."""
    folder = tmp_path_factory.mktemp("scans")
    now = torso_phantom(seed=0, shape=(76, 62, 32), spacing=(5.0, 5.0, 12.0)).volume
    then = torso_phantom(seed=0, shape=(76, 62, 40), spacing=(5.0, 5.0, 9.6)).volume
    assert then.affine is not None
    moved = np.array(then.affine)
    moved[:3, 3] += SHIFT
    paths = folder / "now_ct.nii.gz", folder / "then_ct.nii.gz"
    save_volume_nifti(paths[0], now)
    save_volume_nifti(paths[1], then.with_changes(affine=moved))
    return paths


@pytest.fixture
def mine(run: Any, repository: Path) -> str:
    """The template of the abdomen, which asks for the liver alone."""
    shipped = (repository / "resources" / "report" / "templates" / "ct_abdomen.toml").read_text("utf-8")
    text = re.sub(r"^prompts = \[.*?\]", 'prompts = ["liver"]', shipped, flags=re.DOTALL | re.MULTILINE)
    user_template_folder().mkdir(parents=True)
    (user_template_folder() / "mine.toml").write_text(text.replace('key = "ct_abdomen"', 'key = "mine"'), "utf-8")
    return "mine"


def blocks(path: Path, folder: Path, name: str, height: int) -> Path:
    """A file with a block of voxels as liver."""
    volume = open_volume(path)
    mask = np.zeros(volume.shape, bool, order="F")
    middle = volume.shape[2] // 2
    mask[20:40, 20:40, middle : middle + height] = True
    file = folder / f"{name}.seg.nrrd"
    save_segments(file, volume, [Segment("Liver", mask, term_id="liver")])
    return file


def true_liver(path: Path, folder: Path) -> Path:
    """The liver of the coarse torso as it was made."""
    made = torso_phantom(seed=0, shape=(76, 62, 32), spacing=(5.0, 5.0, 12.0))
    label = next(number for number, one in made.names.items() if one.term_id == "liver")
    file = folder / "true.seg.nrrd"
    mask = np.asfortranarray(made.labels == label)
    save_segments(file, open_volume(path), [Segment("Liver", mask, term_id="liver")])
    return file


def test_the_prior_is_asked_registered_and_compared(run: Any, studies: Any, mine: str, tmp_path: Path) -> None:
    now, then = studies
    out, liver = tmp_path / "r.json", true_liver(now, tmp_path)
    ran = run("report", now, "--prior", then, "--masks", liver, "--template", mine, "--out", out, "--no-pictures",
              "--json")  # fmt: skip
    assert ran.status == 0, ran.err
    told = ran.document["comparison"]
    assert told["identity_unknown"] == ["id", "birth_date", "sex"]
    assert told["registration"]["quality"] == "good"
    moved = np.array(told["registration"]["prior_to_current_lps_mm"])
    assert moved[:3, 3] == pytest.approx([-s for s in SHIFT], abs=4.0)
    volumes = [c for c in told["changes"] if (c["term"], c["quantity"]) == ("liver", "volume")]
    assert len(volumes) == 1
    report = read_report(out).report
    assert report.comparison == told["text"]
    assert report.comparison.startswith("CT without a recorded date, slice distance 9.6 mm.")
    assert "Slice thickness: 9.6 mm then, 12 mm now." in told["mismatches"]
    assert volumes[0]["text"] in [f.text for f in report.findings]
    assert "Outlined by: default" in " ".join(told["mismatches"])  # the model then, a file now
    assert ran.document["marked"] == 0
    assert [e.where for e in read_report(out).trail] == ["prior"]


def test_masks_of_the_prior_come_from_a_file_and_are_measured_on_its_own_slices(
    run: Any, studies: Any, mine: str, tmp_path: Path
) -> None:
    """clinical.md 28."""
    now, then = studies
    files = blocks(now, tmp_path, "now", 6), blocks(then, tmp_path, "then", 5)
    ran = run("report", now, "--prior", then, "--masks", files[0], "--prior-masks", files[1], "--template", mine,
              "--out", tmp_path / "r.txt", "--no-pictures", "--json")  # fmt: skip
    assert ran.status == 0, ran.err
    change = next(c for c in ran.document["comparison"]["changes"] if c["quantity"] == "volume")
    assert change["current"] == pytest.approx(20 * 20 * 6 * 0.3, rel=1e-5)
    assert change["prior"] == pytest.approx(20 * 20 * 5 * 0.24, rel=1e-5)
    assert change["difference"] == pytest.approx(change["current"] - change["prior"])
    assert change["verdict"] == ("larger" if change["difference"] > change["error"] else "none")
    assert "earlier" not in ran.err


def test_without_a_prior_nothing_is_told_of_one(run: Any, scan: Path, tmp_path: Path) -> None:
    ran = run("report", scan, "--template", "ct_chest", "--out", tmp_path / "r.txt", "--no-pictures", "--json")
    assert ran.status == 0, ran.err
    assert "comparison" not in ran.document
    assert "None available." in (tmp_path / "r.txt").read_text()


def _with_patient(path: Path, **patient: str) -> Volume:
    volume = open_volume(path)
    from dataclasses import replace

    return volume.with_changes(patient=replace(volume.patient, **patient))


def test_another_patient_is_refused_without_a_reason_and_logged_with_one(
    run: Any, studies: Any, mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """clinical.md 10."""
    from medviewer.services import open_data

    now, then = studies
    known = {now: _with_patient(now, id="1", sex="F"), then: _with_patient(then, id="2", sex="F")}
    monkeypatch.setattr(open_data, "open_volume", lambda path, *rest: known[Path(path)])
    call = ("report", now, "--prior", then, "--masks", blocks_of(known[now], tmp_path, "now"), "--prior-masks",
            blocks_of(known[then], tmp_path, "then"), "--template", mine, "--no-pictures")  # fmt: skip
    refused = run(*call, "--out", tmp_path / "r.json")
    assert refused.status == 2
    assert "another patient ID" in refused.err
    assert not (tmp_path / "r.json").exists()
    ran = run(*call, "--out", tmp_path / "r.json", "--prior-reason", "record was merged", "--json")
    assert ran.status == 0, ran.err
    assert ran.document["comparison"]["identity_differs"] == ["id"]
    reviewed = read_report(tmp_path / "r.json")
    assert any("record was merged" in line for line in reviewed.report.limitations)
    assert [e.note for e in reviewed.trail] == ["id differs: record was merged"]


def blocks_of(volume: Volume, folder: Path, name: str) -> Path:
    mask = np.zeros(volume.shape, bool, order="F")
    mask[20:40, 20:40, 10:16] = True
    file = folder / f"{name}.seg.nrrd"
    save_segments(file, volume, [Segment("Liver", mask, term_id="liver")])
    return file


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--prior", "nowhere.nii.gz"), "does not exist"),
        (("--prior-masks", "x.nii.gz"), "Add --prior PATH"),
        (("--prior-reason", "why"), "Add --prior PATH"),
    ],
)
def test_options_that_make_no_sense_are_refused_ahead(
    run: Any, scan: Path, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    ran = run("report", scan, "--out", tmp_path / "r.txt", *options)
    assert ran.status in (2, 3)
    assert words in ran.err


def test_the_scan_itself_is_no_prior(run: Any, scan: Path, tmp_path: Path) -> None:
    ran = run("report", scan, "--prior", scan, "--out", tmp_path / "r.txt")
    assert (ran.status, "same study" in ran.err) == (2, True)
    copy = tmp_path / "copy_ct.nii.gz"
    nibabel.save(nibabel.load(scan), copy)
    again = run("report", scan, "--prior", copy, "--out", tmp_path / "r.txt")
    assert (again.status, "same study" in again.err) == (2, True)
