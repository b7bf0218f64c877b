"""A user's own data set is read as it was meant: names, values, places; nothing is guessed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "io"))

import own_cases as own

from medviewer.core.errors import InputRefused
from training.data.cases import CaseFile, CasesRefused, load_sample, split_cases
from training.data.folders import read_cases
from training.data.samples import Sample


def mask_of(sample: Sample, name: str) -> np.ndarray:
    return sample.tables[name][sample.label]


def refused(folder: Path, *words: str, prompt: str | None = None) -> str:
    with pytest.raises(InputRefused) as caught:
        read_cases(folder, prompt)
    for word in words:
        assert word in str(caught.value)
    return str(caught.value)


# -- pictures ---------------------------------------------------------------------------------------------------------
def test_pictures_with_black_and_white_masks(tmp_path: Path) -> None:
    cases = read_cases(own.pictures(tmp_path / "MY_CASES"), "my structure")
    assert [case.key for case in cases] == [f"images/p{n}.png" for n in range(4)]
    assert {case.names for case in cases} == {("my structure",)}
    sample = load_sample(cases[2])
    assert sample.image.dtype == np.uint8
    assert np.array_equal(sample.image[0], own.picture(2))
    assert np.array_equal(mask_of(sample, "my structure")[0], own.square() > 0)
    assert sample.config.throughout == {"my structure"}
    assert (sample.config.name, sample.config.modality, sample.is_hu) == ("MY_CASES", "unknown", False)


def test_a_black_and_white_mask_needs_a_name(tmp_path: Path) -> None:
    refused(own.pictures(tmp_path), "nothing says what its values mean", "--prompt", "masks/p0.png")
    refused(own.pictures(tmp_path), "prompt is empty", prompt="  ")


def test_the_labels_of_dataset_json_in_both_directions(tmp_path: Path) -> None:
    for number, labels in enumerate(({"1": "a lesion", "2": "cyst"}, {"background": 0, "a_lesion": 1, "cyst": 2})):
        folder = own.pictures(own.describe(tmp_path / str(number), labels=labels, modality="US", name="Mine"))
        for path in (folder / "masks").iterdir():
            mask = own.square(value=1)
            mask[0, 0] = 2
            own.save_picture(path, mask)
        cases = read_cases(folder)
        assert cases[0].names == ("a lesion", "cyst")
        sample = load_sample(cases[0])
        assert mask_of(sample, "a lesion").sum() == 30
        assert mask_of(sample, "cyst").sum() == 1
        assert (sample.config.name, sample.config.modality) == ("Mine", "US")
        only = load_sample(read_cases(folder, "A Lesion")[0])
        assert list(only.tables) == ["A Lesion"]
        assert mask_of(only, "A Lesion").sum() == 30


def test_a_prompt_that_is_no_label_is_refused_with_the_labels(tmp_path: Path) -> None:
    folder = own.pictures(own.describe(tmp_path, labels={"1": "cyst", "2": "duct"}))
    refused(folder, '"liver"', '"cyst", "duct"', prompt="liver")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"labels": {}}, "no table of labels"),
        ({"labels": {"1": "a", "2": "A"}}, "twice"),
        ({"labels": {"a": [1, 2]}}, "unites several values"),
        ({"labels": {"a": "b"}}, "whole number"),
        ({"labels": {"a": 70000}}, "70000"),
        ({"labels": {"a": 3}, "encoding": "bitmask"}, "no single bit"),
        ({"labels": {"a": 1}, "encoding": "runs"}, "expected index, bitmask or binary"),
        ({"labels": {"background": 0}}, "no label but the background"),
    ],
)
def test_a_wrong_dataset_json_is_refused(tmp_path: Path, document: dict, words: str) -> None:
    refused(own.pictures(own.describe(tmp_path, **document)), "dataset.json", words)


def test_files_without_a_partner_are_all_told(tmp_path: Path) -> None:
    folder = own.pictures(tmp_path)
    (folder / "masks" / "p1.png").unlink()
    own.save_picture(folder / "masks" / "extra.png", own.square())
    (folder / "images" / "notes.docx").write_bytes(b"text")
    with pytest.raises(CasesRefused) as caught:
        read_cases(folder, "x")
    assert len(caught.value.problems) == 3
    told = "\n".join(caught.value.problems)
    for words in ("images/p1.png: it has no mask", "masks/extra.png: it has no image", "images/notes.docx"):
        assert words in told


def test_bitmasks_overlap(tmp_path: Path) -> None:
    folder = own.describe(tmp_path, labels={"1": "lung", "4": "heart"}, encoding="bitmask")
    mask = np.zeros((12, 16), np.uint8)
    mask[:6] |= 1
    mask[4:9] |= 4
    own.save_picture(folder / "images" / "a.png", own.picture(1))
    own.save_picture(folder / "masks" / "a.png", mask)
    sample = load_sample(read_cases(folder)[0])
    assert np.array_equal(mask_of(sample, "lung")[0], mask & 1 > 0)
    assert np.array_equal(mask_of(sample, "heart")[0], mask & 4 > 0)
    own.save_picture(folder / "masks" / "a.png", mask + np.uint8(2))
    with pytest.raises(InputRefused, match="unknown label value"):
        load_sample(read_cases(folder)[0])


def test_a_mask_per_structure_may_overlap(tmp_path: Path) -> None:
    own.save_picture(tmp_path / "images" / "a.png", own.picture(1))
    first, second = own.square(), np.roll(own.square(), 2, axis=0)
    own.save_picture(tmp_path / "masks" / "a" / "bile_duct.png", first)
    own.save_picture(tmp_path / "masks" / "a" / "stone.png", second)
    sample = load_sample(read_cases(tmp_path)[0])
    assert np.array_equal(mask_of(sample, "bile duct")[0], first > 0)
    assert np.array_equal(mask_of(sample, "stone")[0], second > 0)


def test_a_palette_mask_keeps_its_indices(tmp_path: Path) -> None:
    folder = own.pictures(own.describe(tmp_path, labels={"1": "duct", "2": "stone"}), 1)
    mask = own.square(value=2)
    mask[0, :3] = 1
    coloured = Image.frombytes("P", (16, 12), mask.tobytes())
    coloured.putpalette([0, 0, 0, 200, 30, 30, 30, 200, 30])
    coloured.save(folder / "masks" / "p0.png")
    sample = load_sample(read_cases(folder)[0])
    assert mask_of(sample, "stone").sum() == 30
    assert mask_of(sample, "duct").sum() == 3


def test_a_sided_name_is_never_mirrored(tmp_path: Path) -> None:
    folder = own.pictures(tmp_path)
    assert load_sample(read_cases(folder, "left kidney")[0]).config.flip == 0.0
    assert load_sample(read_cases(folder, "kidney")[0]).config.flip > 0.0


def test_a_picture_can_be_reduced(tmp_path: Path) -> None:
    own.save_picture(tmp_path / "images" / "a.png", own.picture(1, (120, 160)))
    own.save_picture(tmp_path / "masks" / "a.png", np.kron(own.square(), np.ones((10, 10), np.uint8)))
    sample = load_sample(read_cases(tmp_path, "x")[0], side=16)
    assert sample.image.shape == sample.label.shape == (1, 12, 16)
    assert np.array_equal(mask_of(sample, "x")[0], own.square() > 0)


# -- volumes ----------------------------------------------------------------------------------------------------------
def volume_set(folder: Path, orientation: str, mask_orientation: str) -> Path:
    """One CT volume; the mask's file may store the same grid in another order of axes."""
    affine, other = own.affine_of(orientation), own.affine_of(mask_orientation)
    own.save_nifti(folder / "images" / "c.nii.gz", own.coded(affine), affine)
    own.save_nifti(folder / "masks" / "c.nii.gz", own.blob(other).astype(np.uint8), other)
    return own.describe(folder, labels={"1": "blob"}, modality="CT", units="HU")


@pytest.mark.parametrize("orientation", own.ORIENTATIONS)
def test_volumes_of_every_orientation_become_lps(tmp_path: Path, orientation: str) -> None:
    sample = load_sample(read_cases(volume_set(tmp_path, orientation, orientation))[0])
    affine = own.affine_of(orientation)
    mask = mask_of(sample, "blob")
    assert sample.is_hu
    assert sample.image.dtype == np.int16
    assert sorted(sample.image.shape) == sorted(own.SHAPE)
    assert np.array_equal(np.sort(sample.image[mask]), np.sort(own.coded(affine)[own.blob(affine)]))
    if orientation == "oblique":
        return
    z, y, x = (np.diff(sample.image.astype(int), axis=axis) for axis in range(3))
    assert (z > 0).all() and (y > 0).all() and (x > 0).all()  # noqa: PT018 values grow to the left, back and head
    low = np.array([np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))).mean() for axis in range(3)])
    assert low[0] > (mask.shape[0] - 1) / 2  # the blob lies towards the head,
    assert low[1] < (mask.shape[1] - 1) / 2  # in front of
    assert low[2] > (mask.shape[2] - 1) / 2  # and to the left of the middle


def test_the_same_grid_in_another_order_of_axes_is_the_same_grid(tmp_path: Path) -> None:
    shape, spacing = (9, 9, 9), (2.0, 2.0, 2.0)
    for name in ("RAS", "LAI", "coronal", "sagittal"):
        folder = tmp_path / name
        affines = []
        for orientation in ("LPS", name):
            affine = np.eye(4)
            affine[:3, :3] = own.ORIENTATIONS[orientation] * np.array(spacing)
            affine[:3, 3] = np.array([10.0, -20.0, 30.0]) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
            affines.append(affine)
        values = np.rint(own.places(affines[0], shape) @ np.array([3.0, 5.0, 7.0])).astype(np.int16)
        masks = [(np.abs(own.places(a, shape) - np.array([14.0, -22.0, 33.0])) < 4.0).all(-1) for a in affines]
        own.save_nifti(folder / "images" / "c.nii.gz", values, affines[0])
        own.save_nifti(folder / "masks" / "c.nii.gz", masks[1].astype(np.uint8), affines[1])
        own.describe(folder, labels={"1": "blob"}, units="HU")
        sample = load_sample(read_cases(folder)[0])
        assert np.array_equal(mask_of(sample, "blob").transpose(2, 1, 0), masks[0]), name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a @ np.diag([1.0, 1.0, 1.1, 1.0]), "has voxels of 2 x 1.5 x 3.3 mm, expected 2 x 1.5 x 3 mm"),
        (lambda a: a + np.array([[0, 0, 0, 5.0], [0] * 4, [0] * 4, [0] * 4]), "lies 5 mm away"),
        (lambda a: a + np.array([[0, 0, 0, 0.002], [0] * 4, [0] * 4, [0] * 4]), "lies 0.002 mm away"),
    ],
)
def test_a_mask_elsewhere_is_refused_saying_what_differs(tmp_path: Path, change, words: str) -> None:
    folder = volume_set(tmp_path, "LPS", "LPS")
    affine = own.affine_of("LPS")
    own.save_nifti(folder / "masks" / "c.nii.gz", own.blob(affine).astype(np.uint8), change(affine))
    with pytest.raises(InputRefused) as caught:
        load_sample(read_cases(folder)[0])
    assert words in str(caught.value)
    assert "c.nii.gz" in str(caught.value)


def test_a_mask_a_hair_off_is_the_same_grid(tmp_path: Path) -> None:
    folder = volume_set(tmp_path, "LPS", "LPS")
    affine = own.affine_of("LPS")
    affine[0, 3] += 0.0005
    own.save_nifti(folder / "masks" / "c.nii.gz", own.blob(own.affine_of("LPS")).astype(np.uint8), affine)
    assert mask_of(load_sample(read_cases(folder)[0]), "blob").any()


def test_a_turned_mask_is_refused(tmp_path: Path) -> None:
    folder = volume_set(tmp_path, "LPS", "LPS")
    turned = own.affine_of("oblique")
    own.save_nifti(folder / "masks" / "c.nii.gz", own.blob(turned).astype(np.uint8), turned)
    with pytest.raises(InputRefused, match="turned against its image"):
        load_sample(read_cases(folder)[0])


def test_the_names_of_nnunet_are_read(tmp_path: Path) -> None:
    affine = own.affine_of()
    own.save_nifti(tmp_path / "imagesTr" / "case_1_0000.nii.gz", own.coded(affine), affine)
    own.save_nifti(tmp_path / "labelsTr" / "case_1.nii.gz", own.blob(affine).astype(np.uint8), affine)
    own.describe(tmp_path, channel_names={"0": "CT"}, labels={"background": 0, "blob": 1}, file_ending=".nii.gz")
    (case,) = read_cases(tmp_path)
    assert (case.names, case.modality) == (("blob",), "CT")
    own.save_nifti(tmp_path / "imagesTr" / "case_1_0001.nii.gz", own.coded(affine), affine)
    refused(tmp_path, "second channel")


def test_nrrd_and_seg_nrrd(tmp_path: Path) -> None:
    import nrrd

    from medviewer.core.progress import silent
    from medviewer.core.segmentation import Segment
    from medviewer.core.volume import Volume
    from medviewer.io import write_nrrd_seg

    affine = own.affine_of("RAS")
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    header = {"space": "left-posterior-superior", "space directions": affine[:3, :3].T, "space origin": affine[:3, 3]}
    nrrd.write(str(tmp_path / "images" / "c.nrrd"), own.coded(affine), header)
    segments = [Segment("Blob", own.blob(affine)), Segment("Half", own.places(affine)[..., 0] > 12)]
    volume = Volume(own.coded(affine), affine)
    write_nrrd_seg.write(tmp_path / "masks" / "c.seg.nrrd", volume, segments, silent())
    (case,) = read_cases(tmp_path)
    assert case.names == ("Blob", "Half")
    sample = load_sample(case)
    assert mask_of(sample, "Blob").sum() == segments[0].mask.sum()
    assert mask_of(sample, "Half").sum() == segments[1].mask.sum()
    both = mask_of(sample, "Blob") & mask_of(sample, "Half")
    assert both.sum() == (segments[0].mask & segments[1].mask).sum() > 0


def test_hounsfield_units_are_taken_from_the_set_then_from_the_reader(tmp_path: Path) -> None:
    affine = own.affine_of()
    values = np.random.default_rng(0).integers(-1000, 200, (30, 30, 30)).astype(np.int16)
    for name, document, expected in (
        ("guessed", {}, True),
        ("mr", {"modality": "MR"}, False),
        ("stated", {"modality": "CT", "units": "HU"}, True),
    ):
        own.save_nifti(tmp_path / name / "images" / "c.nii.gz", values, affine)
        own.save_nifti(tmp_path / name / "masks" / "c.nii.gz", (values > 100).astype(np.uint8), affine)
        own.describe(tmp_path / name, labels={"1": "x"}, **document)
        sample = load_sample(read_cases(tmp_path / name)[0])
        assert sample.is_hu is expected, name
        assert sample.image.dtype == (np.int16 if expected else np.uint8)
    folder = own.pictures(own.describe(tmp_path / "picture", labels={"1": "x"}, units="HU"))
    with pytest.raises(InputRefused, match=r"p0.png holds 8-bit values, expected Hounsfield units"):
        load_sample(read_cases(folder)[0])


# -- DICOM ------------------------------------------------------------------------------------------------------------
def dicom_set(folder: Path, names: tuple[str, ...] = ("Blob",), count: int = 2) -> Path:
    from dicom_factory import Series

    from medviewer.core.segmentation import Segment
    from medviewer.services.open_data import open_volume
    from medviewer.services.save_data import save_segments

    for number in range(count):
        series = folder / f"case{number}"
        Series(slices=5, rows=10, columns=8, origin=(-20.0, -30.0, 40.0 + number)).write(series)
        volume = open_volume(series)
        segments = [Segment(name, np.asarray(volume.array) > 100 + 20 * n) for n, name in enumerate(names)]
        save_segments(series / "seg.dcm", volume, segments)
    return folder


def test_a_dicom_series_with_its_seg(tmp_path: Path) -> None:
    cases = read_cases(dicom_set(tmp_path / "set", ("Blob", "Part")))
    assert [case.key for case in cases] == ["case0", "case1"]
    assert cases[0].names == ("Blob", "Part")
    assert cases[0].modality == "CT"
    sample = load_sample(cases[1])
    assert sample.is_hu
    assert np.array_equal(mask_of(sample, "Blob"), sample.image > 100)
    assert np.array_equal(mask_of(sample, "Part"), sample.image > 120)


def test_a_seg_of_another_series_and_a_series_without_one_are_refused(tmp_path: Path) -> None:
    folder = dicom_set(tmp_path / "set")
    (folder / "case0" / "seg.dcm").unlink()
    (folder / "case0" / "seg.dcm").write_bytes((folder / "case1" / "seg.dcm").read_bytes())
    (folder / "case1" / "seg.dcm").unlink()
    told = refused(folder, "2 problems", "case0: its DICOM SEG refers to a series that is not there")
    assert "case1: it has a DICOM series but no DICOM SEG" in told


def test_a_case_whose_segment_has_another_name_is_told(tmp_path: Path) -> None:
    folder = dicom_set(tmp_path / "set", ("Tumour",))
    other = dicom_set(tmp_path / "other", ("Tumor left",), 1)
    (other / "case0").rename(folder / "case9")
    refused(folder, "case9: its masks name Tumor left", 'expected "tumour"', prompt="tumour")


# -- manifest ---------------------------------------------------------------------------------------------------------
def test_a_manifest(tmp_path: Path) -> None:
    own.pictures(tmp_path, 3)
    lines = ["path,label_path,modality,labels,mask_encoding,use,patient"]
    labels = json.dumps({"255": "duct"}).replace('"', '""')
    lines += [f'images/p{n}.png,masks/p{n}.png,US linear,"{labels}",index,{use},{who}'
              for n, use, who in ((0, "train", "A"), (1, "train", "A"), (2, "dev", "B"))]  # fmt: skip
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    cases = read_cases(tmp_path)
    assert [case.key for case in cases] == ["images/p0.png", "images/p1.png"]
    assert {case.modality for case in cases} == {"US"}
    assert cases[0].patient == cases[1].patient != ""
    assert mask_of(load_sample(cases[0]), "duct").sum() == 30
    assert [case.key for case in read_cases(tmp_path, use="dev")] == ["images/p2.png"]
    (tmp_path / "masks" / "p0.png").unlink()
    refused(tmp_path, "manifest.csv line 2", "there is no masks/p0.png")


def test_rows_of_the_shared_manifest(shared_data: Path) -> None:
    cases = read_cases(shared_data, "benign breast tumor", use="train")
    line = '""benign breast tumor""}",index,manual,train'
    assert len(cases) == (shared_data / "manifest.csv").read_text().count(line)
    assert {case.modality for case in cases} == {"US"}
    sample = load_sample(cases[0])
    assert mask_of(sample, "benign breast tumor").any()
    with pytest.raises(InputRefused, match=r'expected one of ".*breast tumor"'):
        read_cases(shared_data, "breast tumour")


# -- the division -----------------------------------------------------------------------------------------------------
def files(count: int, per_patient: int = 1) -> list[CaseFile]:
    return [CaseFile(f"c{n}", Path(), (), ("x",), patient=f"p{n // per_patient}") for n in range(count)]


def test_the_division_keeps_patients_together_and_is_repeatable() -> None:
    cases = files(40, 4)
    train, held = split_cases(cases, 0.2, seed=3)
    assert len(train) + len(held) == 40
    assert len(held) == 8
    assert not {case.patient for case in train} & {case.patient for case in held}
    assert split_cases(cases, 0.2, seed=3) == (train, held)
    assert split_cases(cases[::-1], 0.2, seed=3)[1] == held[::-1]
    assert any(split_cases(cases, 0.2, seed=seed)[1] != held for seed in range(4, 8))


@pytest.mark.parametrize(("count", "share", "expected"), [(2, 0.2, 1), (1, 0.5, 0), (5, 0.0, 0), (3, 1.0, 2)])
def test_neither_part_is_empty_where_both_are_possible(count: int, share: float, expected: int) -> None:
    assert len(split_cases(files(count), share)[1]) == expected
