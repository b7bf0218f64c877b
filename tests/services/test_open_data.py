"""Opening files and folders of anything: each by what it contains, nothing guessed, every refusal with a reason."""

from __future__ import annotations

import gzip
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from medviewer.core.errors import Cancelled, InputRefused, WrongUsage
from medviewer.core.progress import Progress
from medviewer.core.volume import Fact
from medviewer.services import open_data


def nifti(path: Path, value: int = 1, shape: tuple[int, ...] = (6, 5, 4)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.full(shape, value, np.int16), np.diag([2.0, 2.0, 3.0, 1.0])), path)
    return path


def picture(path: Path) -> Path:
    Image.fromarray(np.arange(200, dtype=np.uint8).reshape(10, 20)).save(path)
    return path


def dicom(folder: Path, name: str = "CT_small.dcm") -> Path:
    """One of pydicom's own test files, copied."""
    from pydicom.data import get_testdata_file

    found = get_testdata_file(name, download=False)
    if found is None:
        pytest.skip("pydicom's test files are not installed")
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(found, folder / name))


def test_a_folder_of_everything(tmp_path: Path) -> None:
    nifti(tmp_path / "a" / "scan.nii.gz")
    nifti(tmp_path / "b" / "scan.nii.gz", 2)
    picture(tmp_path / "xray.png")
    dicom(tmp_path / "dicom")
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.7 ...")
    (tmp_path / "empty.dcm").write_bytes(b"")
    (tmp_path / "text.dcm").write_text("this is not DICOM " * 100)
    (tmp_path / ".hidden.nii").write_bytes(b"x")
    found = open_data.scan_path(tmp_path)
    ids = [entry.id for entry in found.entries]
    assert {"a/scan.nii.gz", "b/scan.nii.gz", "xray.png"} < set(ids)
    assert len(ids) == len(set(ids)) == 4
    reasons = {item.path.name: item.reason for item in found.refused}
    assert set(reasons) == {"readme.txt", "report.pdf", "empty.dcm", "text.dcm"}
    assert "text file" in reasons["readme.txt"]
    assert "PDF" in reasons["report.pdf"]
    assert open_data.load(found.find("b/scan.nii.gz")).array.max() == 2
    assert [entry.id for entry in open_data.scan_path(tmp_path).entries] == ids  # stable


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    shutil.copy(nifti(tmp_path / "a.nii.gz"), tmp_path / "renamed.png")
    shutil.copy(picture(tmp_path / "b.png"), tmp_path / "renamed.nii")
    shutil.copy(dicom(tmp_path / "d"), tmp_path / "IM0001")
    assert open_data.open_volume(tmp_path / "renamed.png").source.format == "nifti"
    assert open_data.open_volume(tmp_path / "renamed.nii").source.format == "image"
    assert open_data.open_volume(tmp_path / "IM0001").source.format == "dicom"
    plain = tmp_path / "packed_twice.nii"
    plain.write_bytes((tmp_path / "a.nii.gz").read_bytes())
    assert open_data.open_volume(plain).source.format == "nifti"


def missing(folder: Path) -> Path:
    return folder / "nothing"


def empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def renamed_text(folder: Path) -> Path:
    (folder / "a.dcm").write_text("hello " * 100)
    return folder / "a.dcm"


def half_nifti(folder: Path) -> Path:
    whole = nifti(folder / "a.nii.gz", shape=(30, 30, 30)).read_bytes()
    (folder / "a.nii.gz").write_bytes(whole[: len(whole) // 2])
    return folder / "a.nii.gz"


def half_dicom(folder: Path) -> Path:
    path = dicom(folder)
    path.write_bytes(path.read_bytes()[:-5000])
    return path


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.nii")
    return folder / "pipe.nii"


def device(folder: Path) -> Path:
    return Path("/dev/zero")


def link_loop(folder: Path) -> Path:
    (folder / "loop.nii").symlink_to(folder / "loop.nii")
    return folder / "loop.nii"


def packed_text(folder: Path) -> Path:
    (folder / "a.nii.gz").write_bytes(gzip.compress(b"hello " * 1000))
    return folder / "a.nii.gz"


def long_name(folder: Path) -> Path:
    return folder / ("x" * 300 + ".nii")


def only_text(folder: Path) -> Path:
    (folder / "notes.txt").write_text("hello")
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices are named otherwise")
@pytest.mark.parametrize(
    "make",
    [
        missing, empty_folder, renamed_text, half_nifti, half_dicom, pipe, device, link_loop, packed_text, long_name,
        only_text,
    ],
)
def test_bad_input_is_one_sentence_and_a_hint(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    with pytest.raises(InputRefused) as caught:
        open_data.open_volume(path)
    text = str(caught.value)
    assert len(text.split(". ")) >= 2, text  # what happened, and what to do
    assert "Traceback" not in text


def test_a_folder_survives_its_bad_members(tmp_path: Path) -> None:
    nifti(tmp_path / "good.nii.gz")
    for make in (renamed_text, half_dicom, pipe, link_loop):
        (tmp_path / make.__name__).mkdir()
        make(tmp_path / make.__name__)
    found = open_data.scan_path(tmp_path)
    assert [entry.id for entry in found.entries] == ["good.nii.gz"]
    assert len(found.refused) == 4
    for item in found.refused:
        assert len(item.reason.split(". ")) >= 2 or item.reason.endswith("."), item.reason


def test_several_series_need_a_name(tmp_path: Path) -> None:
    nifti(tmp_path / "a.nii.gz")
    nifti(tmp_path / "b.nii.gz", 2)
    with pytest.raises(InputRefused) as caught:
        open_data.open_volume(tmp_path)
    assert "a.nii.gz" in caught.value.hint
    assert "b.nii.gz" in caught.value.hint
    assert open_data.open_volume(tmp_path, series="b.nii.gz").array.max() == 2
    with pytest.raises(InputRefused, match=r"no series c\.nii"):
        open_data.open_volume(tmp_path, series="c.nii")


def test_the_user_may_state_the_modality(tmp_path: Path) -> None:
    path = picture(tmp_path / "x.png")
    assert open_data.open_volume(path).modality is None
    stated = open_data.open_volume(path, modality="dx")
    assert stated.modality == "DX"
    assert stated.facts["modality"] == Fact("DX", "user")
    with pytest.raises(WrongUsage):
        open_data.open_volume(path, modality="photo")


def test_an_estimated_ct_may_be_corrected(tmp_path: Path) -> None:
    values = np.full((20, 20, 20), -1000, np.int16)
    values[5:15, 5:15] = 60
    values[7, 7] = 300
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii.gz")
    assert open_data.open_volume(tmp_path / "a.nii.gz").units == "HU"
    corrected = open_data.open_volume(tmp_path / "a.nii.gz", modality="MR")
    assert (corrected.modality, corrected.units) == ("MR", None)


def test_data_files_and_sidecars_are_no_scans(tmp_path: Path) -> None:
    import SimpleITK as sitk

    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6), np.int16)), str(tmp_path / "m.mhd"))
    nibabel.save(nibabel.Nifti1Pair(np.zeros((4, 5, 6), np.int16), np.eye(4)), tmp_path / "p.img")
    nifti(tmp_path / "s.nii.gz")
    (tmp_path / "s.json").write_text("{}")
    found = open_data.scan_path(tmp_path)
    assert sorted(entry.id for entry in found.entries) == ["m.mhd", "p.hdr", "s.nii.gz"]
    assert found.refused == ()


def test_a_segmentation_is_not_opened_as_a_scan(tmp_path: Path) -> None:
    from medviewer.core.segmentation import Segment
    from medviewer.services import save_data

    scan = open_data.open_volume(nifti(tmp_path / "s.nii.gz"))
    save_data.save_segments(tmp_path / "m.seg.nrrd", scan, [Segment("a", np.ones(scan.shape, np.bool_))])
    with pytest.raises(InputRefused, match="is a segmentation"):
        open_data.open_volume(tmp_path / "m.seg.nrrd")


def test_thumbnails_are_small_pictures(tmp_path: Path) -> None:
    values = np.zeros((200, 150, 10), np.int16)
    values[150:, :, 5] = 100  # right part of the array; the affine (RAS) makes it the patient's right
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii.gz")
    Image.fromarray(np.zeros((300, 50, 3), np.uint8) + np.array([9, 5, 1], np.uint8)).save(tmp_path / "c.png")
    dicom(tmp_path / "d")
    for entry in open_data.scan_path(tmp_path).entries:
        small = open_data.thumbnail(entry)
        assert small.dtype == np.uint8
        assert max(small.shape[:2]) <= 128
        assert small.ndim == (3 if entry.id == "c.png" else 2)
    seen = open_data.thumbnail(open_data.scan_path(tmp_path / "a.nii.gz").entries[0], 50)
    assert seen.shape[0] < seen.shape[1]
    # a rising i runs to the patient's right in an identity affine to RAS, and the patient's right is shown on the left
    assert seen[:, :5].mean() > seen[:, -5:].mean() + 100


def test_entries_are_picklable(tmp_path: Path) -> None:
    nifti(tmp_path / "a.nii.gz")
    picture(tmp_path / "b.png")
    for entry in open_data.scan_path(tmp_path).entries:
        again = pickle.loads(pickle.dumps(entry))
        assert open_data.load(again).shape == entry.shape_xyz


def test_opening_can_be_cancelled(tmp_path: Path) -> None:
    nifti(tmp_path / "a.nii.gz")
    for n in range(3):
        picture(tmp_path / f"{n}.png")
    with pytest.raises(Cancelled):
        open_data.scan_path(tmp_path, Progress(is_cancelled=lambda: True))


def test_progress_rises_to_the_end(tmp_path: Path) -> None:
    nifti(tmp_path / "a.nii.gz")
    heard: list[float] = []
    open_data.open_volume(tmp_path / "a.nii.gz", progress=Progress(lambda share, text: heard.append(share)))
    assert heard == sorted(heard)
    assert heard[-1] == pytest.approx(1.0)


def test_sources_are_not_touched(tmp_path: Path) -> None:
    files = [nifti(tmp_path / "a.nii.gz"), picture(tmp_path / "b.png"), dicom(tmp_path / "d")]
    before = [(file.read_bytes(), file.stat().st_mtime_ns) for file in files]
    for file in files:
        open_data.thumbnail(open_data.scan_path(file).entries[0])
        open_data.open_volume(file)
    assert [(file.read_bytes(), file.stat().st_mtime_ns) for file in files] == before
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == sorted(file.name for file in files)


def test_light_imports(repository: Path) -> None:
    """Opening a NIfTI loads no torch, VTK, Qt or ITK."""
    import subprocess

    code = (
        "import sys, medviewer.services.open_data, medviewer.services.save_data; "
        "bad = {'torch', 'vtkmodules', 'PySide6', 'SimpleITK', 'highdicom', 'pydicom', 'nibabel', 'skimage'}; "
        "bad &= set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=repository)


def test_shared_folders_are_listed(shared_data: Path) -> None:
    for folder, count in (("ct3d/totalsegmentator", 10), ("mr3d/brats2013", 12), ("xray/jsrt_scr/images", 197)):
        found = open_data.scan_path(shared_data / folder)
        assert (len(found.entries), found.refused) == (count, ()), folder




@pytest.mark.parametrize("file", ["a.nii", "a.nii.gz", "a.nrrd", "p.nrrd", "a.mha", "p.mha", "a.mhd"])
def test_the_thumbnail_is_the_middle_slice_in_every_format(tmp_path: Path, file: str) -> None:
    import SimpleITK as sitk

    values = np.zeros((7, 30, 40), np.int16)
    values[3, 5:9, 20:30] = 100  # SimpleITK's order: k, j, i
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / file), file.startswith("p"))
    (entry,) = open_data.scan_path(tmp_path / file).entries
    small = open_data.thumbnail(entry)
    np.testing.assert_array_equal(small > 128, values[3] > 0)


def test_our_own_masks_are_known_as_label_maps(tmp_path: Path) -> None:
    from medviewer.core.segmentation import Segment
    from medviewer.services import save_data

    scan = open_data.open_volume(nifti(tmp_path / "s.nii.gz"))
    save_data.save_segments(tmp_path / "m.nii.gz", scan, [Segment("a", np.ones(scan.shape, np.bool_))])
    assert open_data.open_volume(tmp_path / "m.nii.gz").facts["content"].value == "label map"
