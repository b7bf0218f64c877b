"""Bad input on the command line: one sentence and a hint, the right exit status, no traceback, nothing lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from dicom_factory import Series, save
from pydicom.encaps import encapsulate
from pydicom.uid import generate_uid

Make = Callable[[Path], Path]
COMMANDS = ("info", "convert", "segment")


def empty_folder(folder: Path) -> Path:
    return folder


def text_called_dcm(folder: Path) -> Path:
    (folder / "text.dcm").write_text("hello\n" * 50)
    return folder / "text.dcm"


def truncated_dicom(folder: Path) -> Path:
    (path,) = Series(slices=1).write(folder)
    path.write_bytes(path.read_bytes()[:-300])
    return path


def truncated_in_a_series(folder: Path) -> Path:
    path = Series().write(folder)[5]
    path.write_bytes(path.read_bytes()[:-300])
    return folder


def cut_in_half(path: Path) -> Path:
    data = np.random.default_rng(0).integers(-1000, 1000, (30, 30, 20)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def truncated_packed_nifti(folder: Path) -> Path:
    return cut_in_half(folder / "scan.nii.gz")


def truncated_nifti(folder: Path) -> Path:
    return cut_in_half(folder / "scan.nii")


def missing_slice(folder: Path) -> Path:
    Series().write(folder)[4].unlink()
    return folder


def two_pictures_at_one_place(folder: Path) -> Path:
    dataset = pydicom.dcmread(Series().write(folder)[4])
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.PixelData = bytes(len(dataset.PixelData))
    save(dataset, folder / "other.dcm")
    return folder


def other_patient(dataset: Any, k: int) -> None:
    dataset.PatientID, dataset.PatientName = "S2", "Other^Bob"


def two_patients_in_one_series(folder: Path) -> Path:
    Series(edit=lambda dataset, k: other_patient(dataset, k) if k >= 6 else None).write(folder)
    return folder


def unsupported_codec(folder: Path) -> Path:
    dataset = Series(slices=1).dataset(0)
    dataset.PixelData = encapsulate([b"\0\0\1\xb3" * 100])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID("1.2.840.10008.1.2.4.205")  # JPIP HTJ2K Referenced
    return save(dataset, folder / "image.dcm")


@pytest.fixture
def call(run: Any, tmp_path: Path) -> Any:
    """One command on a scan, with an output that must not appear where the command fails."""

    def ask(command: str, scan: Path, *more: str) -> Any:
        out = tmp_path / "out.nii.gz"
        segment = ("--prompt", "bone", "--plugin", "example_threshold", "--out", out)
        given = {"info": (), "convert": (out,), "segment": segment}[command]
        ran = run(command, scan, *given, *more, "--json")
        assert "Traceback" not in ran.out + ran.err
        assert out.exists() == (ran.status == 0 and command != "info")
        return ran

    return ask


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (empty_folder, "is empty"),
        (text_called_dcm, "text.dcm is not a DICOM file"),
        (truncated_dicom, "is cut short"),
        (truncated_packed_nifti, "scan.nii.gz is cut short"),
        (truncated_nifti, "scan.nii is cut short"),
        (two_patients_in_one_series, "One series identifier is used for 2 different patients"),
        (unsupported_codec, "The compression of image.dcm (1.2.840.10008.1.2.4.205) is not supported"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(call: Any, tmp_path: Path, make: Make, said: str) -> None:
    folder = tmp_path / "scan"
    folder.mkdir()
    scan = make(folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    messages = set()
    for command in COMMANDS:
        ran = call(command, scan)
        assert (ran.status, ran.error["code"]) == (3, "input-refused"), command
        messages.add(ran.error["message"])
    assert len(messages) == 1
    assert said in messages.pop()
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def two_patients_in_one_folder(folder: Path) -> Path:
    Series().write(folder / "a")
    Series(edit=other_patient).write(folder / "b")
    return folder


def localizer_mixed_in(folder: Path) -> Path:
    axial = Series()
    axial.write(folder)

    def mark(dataset: Any, k: int) -> None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    orientation = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
    uids = {"series_uid": axial.series_uid, "study_uid": axial.study_uid}
    Series(slices=1, orientation=orientation, edit=mark, **uids).write(folder / "localizer")
    return folder


def time_series(folder: Path) -> Path:
    first = Series()
    uids = {"series_uid": first.series_uid, "study_uid": first.study_uid, "frame_uid": first.frame_uid}
    for time in (1, 2):

        def mark(dataset: Any, k: int, time: int = time) -> None:
            dataset.TemporalPositionIdentifier, dataset.InstanceNumber = time, 100 * time + k

        Series(edit=mark, **uids).write(folder / str(time))
    return folder


def time_series_nifti(folder: Path) -> Path:
    data = np.random.default_rng(0).integers(-1000, 1000, (20, 20, 12, 2)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), folder / "scan.nii.gz")
    return folder / "scan.nii.gz"


@pytest.mark.parametrize(
    ("make", "slices"),
    [
        (two_patients_in_one_folder, [12, 12]),
        (two_pictures_at_one_place, [1, 12]),
        (localizer_mixed_in, [1, 12]),
        (time_series, [12, 12]),
        (time_series_nifti, [12, 12]),
    ],
)
def test_what_holds_several_scans_lists_them_and_waits_for_a_choice(
    call: Any, tmp_path: Path, make: Make, slices: list[int]
) -> None:
    folder = tmp_path / "scan"
    folder.mkdir()
    scan = make(folder)
    volumes = call("info", scan).document["volumes"]
    assert sorted(volume["shape_xyz"][2] for volume in volumes) == slices
    ids = [volume["id"] for volume in volumes]
    assert [volume["id"] for volume in call("info", scan).document["volumes"]] == ids
    for command in ("convert", "segment"):
        ran = call(command, scan)
        assert ran.status == 3
        assert all(name in ran.error["hint"] for name in ids)
    for volume in volumes:
        assert call("segment", scan, "--series", volume["id"]).document["series"] == volume["id"]
        (tmp_path / "out.nii.gz").unlink()


@pytest.mark.parametrize("make", [missing_slice, truncated_in_a_series])
def test_a_gap_is_filled_and_every_command_says_so(call: Any, tmp_path: Path, make: Make) -> None:
    folder = tmp_path / "scan"
    scan = make(folder)
    (volume,) = call("info", scan).document["volumes"]
    assert volume["shape_xyz"][2] == 12
    assert volume["warnings"][0].startswith("Resampled for 1 missing slice")
    for command in ("convert", "segment"):
        assert volume["warnings"][0] in call(command, scan).document["warnings"]
        (tmp_path / "out.nii.gz").unlink()


def test_an_image_that_is_there_twice_is_used_once(call: Any, tmp_path: Path) -> None:
    folder = tmp_path / "scan"
    shutil.copy(Series().write(folder)[4], folder / "copy.dcm")
    ran = call("segment", folder)
    assert ran.status == 0
    assert "1 image was here twice; each is used once." in ran.document["warnings"]


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A small readable series."""
    Series().write(tmp_path / "scan")
    return tmp_path / "scan"


@pytest.mark.parametrize("prompt", ["", " \t ", "?!", "x" * 10_000])
def test_prompts_that_ask_for_nothing_are_wrong_usage(run: Any, scan: Path, tmp_path: Path, prompt: str) -> None:
    ran = run("segment", scan, "--prompt", "bone", "--prompt", prompt, "--out", tmp_path / "m.nii.gz", "--json")
    assert (ran.status, ran.error["code"]) == (2, "wrong-usage")
    assert not (tmp_path / "m.nii.gz").exists()


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("zorgle", "not trained for this term"),
        ("x" * 2000, "not trained for this term"),
        ("'; DROP TABLE masks; --", "not trained for this term"),
        ("no liver", "negation is not supported"),
        ("keine Leber", "negation is not supported"),
        ("liver without tumour", "negation is not supported"),
    ],
)
def test_prompts_without_an_answer_are_told_and_written_empty(
    run: Any, scan: Path, tmp_path: Path, prompt: str, answer: str
) -> None:
    out = tmp_path / "m.nii.gz"
    ran = run("segment", scan, "--prompt", prompt, "--out", out, "--json")
    assert ran.status == 0, ran.err
    (result,) = ran.document["results"]
    assert (result["answer"], result["found"], result["presence"]) == (answer, False, None)
    assert any(warning.startswith(prompt[:10]) for warning in ran.document["warnings"])
    assert not np.asarray(nibabel.load(out).dataobj).any()


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Path]:
    """A drive of 64 kB."""
    folder = tmp_path / "drive"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small drive is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def outputs(scan: Path, out: Path) -> list[tuple[object, ...]]:
    threshold = ("--prompt", "bone", "--plugin", "example_threshold")
    return [
        ("convert", scan, out / "scan.nii"),
        ("segment", scan, *threshold, "--out", out / "mask.nii"),
        ("segment", scan, *threshold, "--out", out / "mask.dcm"),
        ("segment", scan, *threshold, "--out", out / "mask.seg.nrrd"),
    ]


def test_a_full_drive_loses_nothing(run: Any, tmp_path: Path, drive: Path) -> None:
    Series(rows=150, columns=200, slope=0.5).write(tmp_path / "scan")
    old = dict.fromkeys(("scan.nii", "mask.nii", "mask.dcm", "mask.seg.nrrd"), b"old")
    for name, content in old.items():
        (drive / name).write_bytes(content)
    (drive / "filler").write_bytes(bytes(49_152))
    for arguments in outputs(tmp_path / "scan", drive):
        ran = run(*arguments, "--json")
        assert (ran.status, ran.error["code"]) == (5, "output-not-written"), arguments
        assert "space" in ran.error["message"]
    assert {path.name: path.read_bytes() for path in drive.iterdir() if path.name != "filler"} == old


def test_a_place_that_may_not_be_written(run: Any, scan: Path, drive: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(drive)], check=True)
    for arguments in outputs(scan, drive):
        ran = run(*arguments, "--json")
        assert (ran.status, ran.error["code"]) == (5, "output-not-written"), arguments
    table = scan.parent / "jobs.csv"
    table.write_text(f"scan,prompt,out\n{scan},bone,a.nii.gz\n")
    ran = run("batch", table, "--out", drive / "out", "--plugin", "example_threshold", "--json")
    assert (ran.status, ran.error["code"]) == (5, "output-not-written")


def test_a_batch_never_writes_onto_a_scan_of_its_table(run: Any, tmp_path: Path) -> None:
    for name in ("a.nii", "b.nii"):
        data = np.random.default_rng(0).integers(-1000, 1000, (30, 30, 20)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / name)
    before = (tmp_path / "b.nii").read_bytes()
    table = tmp_path / "jobs.csv"
    table.write_text("scan,prompt,out\na.nii,bone,b.nii\nb.nii,bone,c.nii\n")
    ran = run("batch", table, "--out", tmp_path, "--plugin", "example_threshold", "--json")
    bad, good = ran.document["results"]
    assert "never written" in bad["error"]
    assert good["error"] is None
    assert (tmp_path / "b.nii").read_bytes() == before


def test_a_full_drive_stops_no_batch(run: Any, tmp_path: Path, drive: Path) -> None:
    Series(rows=150, columns=200, slope=0.5).write(tmp_path / "scan")
    (drive / "filler").write_bytes(bytes(49_152))
    table = tmp_path / "jobs.csv"
    table.write_text("scan,prompt,out\nscan,bone,big.nii\nscan,bone,small.nii.gz\n")
    ran = run("batch", table, "--out", drive, "--plugin", "example_threshold", "--json")
    assert ran.status == 0, ran.err
    big, small = ran.document["results"]
    assert "space" in big["error"]
    assert (small["error"], small["found"]) == (None, True)
    assert not (drive / "big.nii").exists()
