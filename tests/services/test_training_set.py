"""Accepted masks become a training set, and the trainer reads from it what was accepted, voxel by voxel."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

import own_cases as own
from training_set_kit import MODEL, blob, case, ct, document, turned

from medviewer.core.errors import InputRefused, OutputNotWritten
from medviewer.core.provenance import Provenance
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Fact, Source, Volume
from medviewer.services import open_data
from medviewer.services.training_set import cases_of, check_target, export_training_set
from training.data.cases import load_sample
from training.data.checks import check_cases
from training.data.folders import read_cases


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path / "home"))


# -- the round trip ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("orientation", own.ORIENTATIONS)
def test_every_voxel_comes_back_in_every_orientation(tmp_path: Path, orientation: str) -> None:
    volume = ct(orientation)
    far = blob(volume, "Other", move=-6.0)
    report = export_training_set([case(volume, blob(volume), far)], tmp_path / "set")
    assert report.labels == ("Blob", "Other")
    (found,) = read_cases(tmp_path / "set")
    sample = load_sample(found)
    assert (found.modality, found.units, found.names) == ("CT", "HU", ("Blob", "Other"))
    assert np.array_equal(sample.image, turned(np.asarray(volume.array), volume))
    for name, segment in (("Blob", blob(volume)), ("Other", far)):
        mask = sample.tables[name][sample.label]
        assert np.array_equal(mask, turned(segment.mask, volume))
        assert mask.any()


def test_overlapping_segments_keep_all_their_voxels(tmp_path: Path) -> None:
    volume = ct("RAS")
    segments = [blob(volume, f"S {n}", move=float(n)) for n in range(10)]
    export_training_set([case(volume, *segments)], tmp_path / "set")
    (entry,) = document(tmp_path / "set")["cases"]
    assert entry["encoding"] == "bitmask"
    assert entry["labels"]["S 9"] == 512
    sample = load_sample(read_cases(tmp_path / "set")[0])
    for segment in segments:
        assert np.array_equal(sample.tables[segment.name][sample.label], turned(segment.mask, volume))


def picture(seed: int, dtype: type = np.uint8, colour: bool = False, **more: object) -> Volume:
    rng = np.random.default_rng(seed)
    shape = (16, 12, 1, 3) if colour else (16, 12, 1)
    array = rng.normal(0, 1, shape).astype(dtype) if np.dtype(dtype).kind == "f" else rng.integers(
        0, np.iinfo(dtype).max, shape, dtype)  # fmt: skip
    return Volume(array, None, "US", kind="image", **more)  # type: ignore[arg-type]


def on_picture(name: str = "duct", top: int = 3) -> Segment:
    mask = np.zeros((16, 12, 1), np.bool_)
    mask[5:11, top : top + 5] = True
    return Segment(name, mask, provenance=MODEL)


@pytest.mark.parametrize(
    ("volume", "ending"),
    [
        (picture(1), ".png"),
        (picture(1, colour=True), ".png"),
        (picture(1, np.uint16), ".png"),
        (picture(1, np.int16), ".png"),
        (picture(1, np.float32), ".nii.gz"),
        (picture(1, inverted=True), ".png"),
    ],
)
def test_pictures_come_back(tmp_path: Path, volume: Volume, ending: str) -> None:
    export_training_set([case(volume, on_picture(), on_picture("stone", 6))], tmp_path / "set")
    (found,) = read_cases(tmp_path / "set")
    assert found.image.name.endswith(ending)
    assert found.modality == "US"
    again = open_data.open_volume(found.image)
    assert np.array_equal(again.array, volume.array)
    sample = load_sample(found)
    assert sample.image.shape == (1, 12, 16)
    for name, top in (("duct", 3), ("stone", 6)):
        assert np.array_equal(sample.tables[name][sample.label][0], on_picture(name, top).mask[:, :, 0].T)
    if volume.inverted:
        assert np.array_equal(sample.image[0], 255 - volume.array[:, :, 0].T)
    elif volume.array.dtype == np.uint8 and not volume.is_color:
        assert np.array_equal(sample.image[0], volume.array[:, :, 0].T)


def test_the_annotated_frames_of_a_cine_are_pictures(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 255, (16, 12, 5), np.uint8)
    volume = Volume(array, None, "US", kind="cine", frame_time_ms=30.0)
    masks = []
    for k in (1, 4):
        mask = np.zeros(volume.shape, np.bool_)
        mask[k : k + 4, 2:6, k] = True
        masks.append(Segment(f"wall{k}", mask, frame=k))
    report = export_training_set([case(volume, *masks)], tmp_path / "set")
    assert len(report.added) == 2
    for found in read_cases(tmp_path / "set"):
        sample = load_sample(found)
        (name,) = sample.tables
        k = int(name[-1])
        assert np.array_equal(sample.image[0], array[:, :, k].T)
        assert np.array_equal(sample.tables[name][sample.label][0], masks[k // 4].mask[:, :, k].T)


# -- what the set says ------------------------------------------------------------------------------------------------
def test_an_empty_segment_says_that_the_structure_is_absent(tmp_path: Path) -> None:
    volume = ct()
    export_training_set([case(volume, Segment("Cyst", np.zeros(volume.shape, np.bool_)))], tmp_path / "set")
    (found,) = read_cases(tmp_path / "set")
    assert found.names == ("Cyst",)
    assert not load_sample(found).tables["Cyst"].any() or not load_sample(found).label.any()


def test_only_what_was_annotated_on_a_case_is_claimed_for_it(tmp_path: Path) -> None:
    first, second = ct(seed=0), ct(seed=50)
    cases = [case(first, blob(first, "liver_a")), case(second, blob(second, "Spleen b"))]
    export_training_set(cases, tmp_path / "set")
    assert sorted(found.names for found in read_cases(tmp_path / "set")) == [("Spleen b",), ("liver a",)]
    assert [found.names for found in read_cases(tmp_path / "set", "spleen b")] == [("spleen b",)]


def test_dataset_json_is_nnunets_and_tells_where_masks_came_from(tmp_path: Path) -> None:
    volume = ct(patient="4711")
    corrected = blob(volume, "Blob").changed(provenance=MODEL.edited("refined with a click"), term_id="blob-id")
    drawn = blob(volume, "Drawn", move=-6.0).changed(provenance=Provenance("MANUAL"))
    export_training_set([case(volume, corrected, drawn)], tmp_path / "set", name="Mine", licence="CC BY 4.0")
    told = document(tmp_path / "set")
    assert told["labels"] == {"background": 0, "Blob": 1, "Drawn": 2}
    assert told["channel_names"] == {"0": "CT"}
    assert (told["numTraining"], told["file_ending"]) == (1, ".nii.gz")
    assert (told["name"], told["licence"]) == ("Mine", "CC BY 4.0")
    (entry,) = told["cases"]
    first, second = entry["segments"]
    assert (first["verified"], second["verified"]) == ("human-corrected", "human")
    assert first["model_id"] == "default"
    assert first["prompt"] == "the blob"
    assert first["licence"] == "non-commercial research weights"
    assert told["terms"] == {"Blob": "blob-id"}


@pytest.mark.parametrize(
    ("provenance", "expected"),
    [
        (Provenance(), "model alone"),
        (Provenance().edited("refined with a box"), "human-corrected"),
        (Provenance("MANUAL"), "human"),
        (Provenance("SEMIAUTOMATIC", edits=("read from a file",)), "read from a file"),
        (Provenance("SEMIAUTOMATIC", edits=("read from a file", "refined with a click")), "human-corrected"),
    ],
)
def test_who_stands_for_a_mask(provenance: Provenance, expected: str) -> None:
    from medviewer.services.training_case import verified

    assert verified(provenance) == expected


def test_masks_of_the_model_alone_can_be_left_out(tmp_path: Path) -> None:
    volume, other = ct(), ct(seed=9)
    corrected = blob(volume, "Mine").changed(provenance=MODEL.edited("refined with a click"))
    cases = [case(volume, blob(volume), corrected), case(other)]
    report = export_training_set(cases, tmp_path / "set", only_corrected=True)
    assert (len(report.added), report.labels) == (1, ("Mine",))
    with pytest.raises(OutputNotWritten, match="nothing to export"):
        export_training_set([case(other)], tmp_path / "set", only_corrected=True)


# -- identity ---------------------------------------------------------------------------------------------------------
def test_nothing_names_the_patient_and_the_code_keeps_patients_apart(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    source = Source("dicom", tmp_path / "Doe_Jane_4711", series_uid="1.2.826.4711")
    patients = ("4711", "4711", "4712")
    volumes = [ct(seed=n, patient=who, source=source, id="1.2.826.4711") for n, who in enumerate(patients)]
    export_training_set([case(volume) for volume in volumes], folder)
    codes = [found.patient for found in read_cases(folder)]
    assert len(set(codes)) == 2
    for path in folder.rglob("*"):
        assert "doe" not in path.name.lower()
        assert "4711" not in path.name
        if path.is_file():
            data = path.read_bytes()
            data = gzip.decompress(data) if path.name.endswith(".gz") else data
            for word in (b"Doe", b"4711", b"Thorax", b"1.2.826"):
                assert word not in data, path
    key = tmp_path / "home" / "data" / "training_set.key"
    assert key.stat().st_mode & 0o077 == 0
    export_training_set([case(ct(seed=9, patient="4711"))], folder)
    assert len({found.patient for found in read_cases(folder)}) == 2


def test_the_flag_of_burned_in_text_is_told(tmp_path: Path) -> None:
    volume = ct(facts={"burned_in_annotation": Fact("YES")})
    report = export_training_set([case(volume)], tmp_path / "set")
    assert any("text is burned into its pixels" in warning for warning in report.warnings)
    assert any("non-commercial research weights" in warning for warning in report.warnings)
    assert "Pixels are copied as they are" in report.lines()[-1]


# -- adding to a set --------------------------------------------------------------------------------------------------
def test_cases_are_added_and_a_case_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    first, second = ct(seed=0), ct(seed=50)
    export_training_set([case(first)], folder)
    image = next((folder / "images").iterdir())
    stamp = image.stat().st_mtime_ns
    moved = case(first, blob(first, "BLOB", move=-3.0))
    report = export_training_set([moved, case(second, blob(second, "New"))], folder)
    assert (len(report.added), len(report.replaced)) == (1, 1)
    assert image.stat().st_mtime_ns == stamp, "an image that is there already is left alone"
    assert document(folder)["labels"] == {"background": 0, "Blob": 1, "New": 2}
    assert document(folder)["numTraining"] == 2
    sample = load_sample(next(found for found in read_cases(folder) if found.image == image))
    assert np.array_equal(sample.tables["Blob"][sample.label], turned(blob(first, move=-3.0).mask, first))
    assert not [path for path in folder.rglob("*") if path.name.startswith(".") and path.suffix != ".lock"]


def test_a_case_that_was_opened_from_the_set_is_corrected_in_place(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    export_training_set([case(ct("RAS"))], folder)
    (found,) = read_cases(folder)
    before = found.image.read_bytes()
    opened = open_data.open_volume(found.image)
    better = Segment("Blob", np.asarray(opened.array) > 40)
    report = export_training_set([case(opened, better)], folder)
    assert report.replaced == [found.image.name.split(".")[0]]
    assert found.image.read_bytes() == before
    (again,) = read_cases(folder)
    sample = load_sample(again)
    assert np.array_equal(sample.tables["Blob"][sample.label], sample.image > 40)


def test_labels_that_contradict_the_set_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    first, second = ct(seed=0), ct(seed=50)
    export_training_set([case(first, blob(first, term_id="liver"))], folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(OutputNotWritten, match='"Blob" means liver in this training set and spleen'):
        export_training_set([case(second, blob(second, term_id="spleen"))], folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_folders_of_others_are_refused(tmp_path: Path) -> None:
    volume = ct()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "report.txt").write_text("x")
    own.describe(tmp_path / "nnunet", labels={"background": 0, "a": 1})
    (tmp_path / "file").write_text("x")
    for name in ("other", "nnunet", "file", "absent/set"):
        with pytest.raises(OutputNotWritten):
            export_training_set([case(volume)], tmp_path / name)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "dataset.json").write_text("{")
    with pytest.raises(InputRefused, match="not valid JSON"):
        check_target(tmp_path / "broken")
    with pytest.raises(OutputNotWritten, match="nothing to export"):
        export_training_set([], tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("stored", ["../../secret", "/etc/passwd", "a/../../b", "..\\b"])
def test_a_forged_set_reaches_no_file_outside(tmp_path: Path, stored: str) -> None:
    folder = tmp_path / "set"
    export_training_set([case(ct())], folder)
    told = document(folder)
    told["cases"][0]["pending"] = {"id": told["cases"][0]["id"], "mask": stored, "mask_sha256": ""}
    (folder / "dataset.json").write_text(json.dumps(told))
    with pytest.raises(InputRefused, match="outside its folder"):
        read_cases(folder)


def test_a_scan_that_cannot_be_kept_is_named_and_the_others_are_saved(tmp_path: Path) -> None:
    nowhere = Volume(np.zeros((4, 4, 4), np.int16), None, title="No place")
    report = export_training_set(
        [case(nowhere, Segment("x", np.ones((4, 4, 4), np.bool_))), case(ct())], tmp_path / "set"
    )
    assert len(report.added) == 1
    assert report.left_out == [("No place", report.left_out[0][1])]
    assert "place in the patient" in report.left_out[0][1]


# -- the whole way ----------------------------------------------------------------------------------------------------
def test_an_exported_set_passes_the_checks_and_a_session_exports_the_same(tmp_path: Path) -> None:
    from medviewer.cli.main import main
    from medviewer.core.scene import Scene
    from medviewer.services.sessions import save_session, state_of

    scene = Scene()
    for number in range(3):
        affine = own.affine_of("RAS")
        path = own.save_nifti(tmp_path / "scans" / f"s{number}.nii.gz", own.coded(affine, 40 * number), affine)
        volume = open_data.open_volume(path)
        scene.add_volume(volume)
        scene.add_segment(blob(volume))
    save_session(tmp_path / "work.mvsession", state_of(scene))
    export_training_set(cases_of(scene.scans), tmp_path / "a")
    assert main(["export-training-set", str(tmp_path / "work.mvsession"), str(tmp_path / "b"), "--name", "Mine"]) == 0
    checked = [check_cases(read_cases(tmp_path / name, "blob")) for name in "ab"]
    for first, second in zip(checked[0].samples, checked[1].samples, strict=True):
        assert np.array_equal(first.image, second.image)
        assert np.array_equal(first.label, second.label)
    assert document(tmp_path / "b")["name"] == "Mine"
    assert main(["export-training-set", str(tmp_path / "scans" / "s0.nii.gz"), str(tmp_path / "c")]) == 3
    assert main(["export-training-set", str(tmp_path / "work.mvsession"), str(tmp_path / "scans")]) == 5
