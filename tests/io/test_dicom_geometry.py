"""The geometry oracle: every reader path returns each voxel's own place, or refuses with a named reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_factory import AXIAL, CORONAL, SAGITTAL, Edit, Series, enhanced, field_at, oblique, save
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, generate_uid

from medviewer.core.geometry import voxel_to_lps
from medviewer.core.volume import ScanResult, Volume
from medviewer.io import dicom_series

Recipe = dict[str, Any]
READABLE: dict[str, Recipe] = {
    "axial": {},
    "coronal": {"orientation": CORONAL},
    "sagittal": {"orientation": SAGITTAL},
    "feet first axial": {"orientation": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)},
    "prone": {"orientation": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)},
    "oblique": {"orientation": oblique()},
    "strongly oblique": {"orientation": oblique(50.0, -35.0)},
    "reversed instance numbers": {"reverse_numbers": True},
    "slope per slice": {"slope": lambda k: 0.5 + 0.05 * k},
    "slope 2": {"slope": 2.0, "intercept": -2048.0},
    "unsigned": {"signed": False},
    "unsigned, no intercept, high values": {"signed": False, "intercept": 0.0, "origin": (3000.0, 3000.0, 3000.0)},
    "fractional intercept": {"intercept": -1024.5},
    "32 bit": {"bits": 32, "origin": (-20.0, -30.0, 20000.0)},
    "implicit VR": {"syntax": ImplicitVRLittleEndian},
    "big endian": {"syntax": ExplicitVRBigEndian},
    "big endian 32 bit": {"syntax": ExplicitVRBigEndian, "bits": 32},
    "deflated": {"syntax": DeflatedExplicitVRLittleEndian},
    "two slices": {"slices": 2},
    "one slice": {"slices": 1},
    "thin slices": {"spacing": (0.5, 0.5, 0.005)},
}


def worst_error(volume: Volume) -> float:
    """Largest difference between a voxel and the value that belongs at its stated place."""
    assert volume.affine is not None
    index = np.stack(np.meshgrid(*(np.arange(n) for n in volume.shape), indexing="ij"), axis=-1)
    return float(np.abs(volume.array - field_at(voxel_to_lps(volume.affine, index))).max())


def load_only(folder: Path) -> Volume:
    result = dicom_series.scan(folder)
    assert len(result.entries) == 1, result
    return dicom_series.load(result.entries[0])


@pytest.mark.parametrize("name", READABLE)
def test_every_voxel_is_at_its_place(tmp_path: Path, name: str) -> None:
    series = Series(**READABLE[name])
    series.write(tmp_path)
    volume = load_only(tmp_path)
    assert volume.shape == (series.columns, series.rows, series.slices)
    rounding = 0.5 * max(series.slope_of(k) for k in range(series.slices))
    assert worst_error(volume) <= rounding + 0.01
    assert volume.units == "HU"
    assert volume.array.T.flags.c_contiguous


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL, oblique()])
@pytest.mark.parametrize("order", ["stored", "reversed", "shuffled"])
def test_enhanced_multi_frame(tmp_path: Path, orientation: tuple[float, ...], order: str) -> None:
    series = Series(orientation=orientation, slope=lambda k: 0.6 + 0.03 * k)
    frames = list(range(series.slices))
    if order == "reversed":
        frames.reverse()
    elif order == "shuffled":
        np.random.default_rng(1).shuffle(frames)
    path = save(enhanced(series, frames), tmp_path / "enhanced.dcm")
    volume = load_only(path)
    assert volume.shape[2] == series.slices
    assert worst_error(volume) <= 0.51
    assert [frames[number - 1] for number in volume.source.frame_numbers] == list(range(series.slices))


def test_source_lists_files_in_slice_order(tmp_path: Path) -> None:
    paths = Series(reverse_numbers=True).write(tmp_path)
    source = load_only(tmp_path).source
    assert list(source.files) == paths
    assert source.instance_numbers == tuple(range(12, 0, -1))
    assert len(set(source.instance_uids)) == 12


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("12 of 16 bits with rubbish above", {"signed": False, "intercept": -1024.0}),
        ("12 of 16 bits signed", {"signed": True, "intercept": 0.0, "origin": (-20.0, -30.0, 10.0)}),
    ],
)
def test_unused_bits_are_cleared(tmp_path: Path, name: str, recipe: Recipe) -> None:
    series = Series(**recipe)

    def spoil(dataset: Dataset, k: int) -> None:
        values = series.stored(k).astype(np.uint16) & 0x0FFF
        dataset.PixelData = (values | 0xA000).tobytes()
        dataset.BitsStored, dataset.HighBit = 12, 11

    series.edit = spoil
    series.write(tmp_path)
    assert worst_error(load_only(tmp_path)) <= 0.51


def _split(result: ScanResult, count: int) -> None:
    assert len(result.entries) == count
    for entry in result.entries:
        assert worst_error(dicom_series.load(entry)) <= 0.51
    ids = [entry.id for entry in result.entries]
    assert len(set(ids)) == count


def test_mixed_orientations_are_split(tmp_path: Path) -> None:
    first = Series(slices=6)
    first.write(tmp_path / "a")
    Series(slices=6, orientation=CORONAL, series_uid=first.series_uid, frame_uid=first.frame_uid).write(tmp_path / "b")
    _split(dicom_series.scan(tmp_path), 2)


def _other_person(dataset: Dataset, k: int) -> None:
    dataset.PatientID, dataset.PatientName = "S2", "Other^Bob"


def _other_id(dataset: Dataset, k: int) -> None:
    dataset.PatientID = "S2"


def _other_name(dataset: Dataset, k: int) -> None:
    dataset.PatientName = "Synthetic^Berta"


def _other_birth_date(dataset: Dataset, k: int) -> None:
    dataset.PatientBirthDate = "19700102"


def _nobody(dataset: Dataset, k: int) -> None:
    dataset.PatientID = dataset.PatientName = dataset.PatientBirthDate = ""


@pytest.mark.parametrize("swap", [_other_person, _other_id, _other_name, _other_birth_date, _nobody])
@pytest.mark.parametrize("which", [lambda k: k == 7, lambda k: k >= 6, lambda k: k % 2])
def test_two_patients_are_refused(tmp_path: Path, swap: Edit, which: Callable[[int], bool]) -> None:
    Series(edit=lambda dataset, k: swap(dataset, k) if which(k) else None).write(tmp_path)
    result = dicom_series.scan(tmp_path)
    assert not result.entries
    assert "2 different patients" in result.refused[0].reason
    assert not any(word in result.refused[0].reason for word in ("S1", "S2", "Anna", "Bob", "Berta", "1970"))


def _shouted(dataset: Dataset, k: int) -> None:
    dataset.PatientName, dataset.PatientID = "SYNTHETIC, ANNA ", "s1 "


def _carets(dataset: Dataset, k: int) -> None:
    dataset.PatientName = "Synthetic^Anna^^^"


def _no_birth_date(dataset: Dataset, k: int) -> None:
    del dataset.PatientBirthDate


def _dotted(dataset: Dataset, k: int) -> None:
    dataset.PatientBirthDate = "1970.01.01"  # ACR-NEMA


@pytest.mark.parametrize("same", [_shouted, _carets, _no_birth_date, _dotted])
@pytest.mark.filterwarnings("ignore:Invalid value")
def test_one_patient_written_in_two_ways_is_one(tmp_path: Path, same: Edit) -> None:
    Series(edit=lambda dataset, k: same(dataset, k) if k % 2 else None).write(tmp_path)
    assert load_only(tmp_path).shape[2] == 12


def test_two_patients_without_series_uids_are_two_series(tmp_path: Path) -> None:
    def anonymous(dataset: Dataset, k: int) -> None:
        dataset.SeriesInstanceUID = ""
        if k >= 6:
            _other_person(dataset, k)

    Series(edit=anonymous).write(tmp_path)
    result = dicom_series.scan(tmp_path)
    assert {entry.patient.id for entry in result.entries} == {"S1", "S2"}
    assert not result.refused


def test_localizer_is_split_off(tmp_path: Path) -> None:
    def scout(dataset: Dataset, k: int) -> None:
        if k == 5:
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
            dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    series = Series(slices=13, edit=scout)
    paths = series.write(tmp_path)
    moved = tmp_path / "moved"
    moved.mkdir()
    paths[5].rename(moved / "scout.dcm")
    result = dicom_series.scan(moved)
    assert result.entries[0].units is None
    mixed = dicom_series.scan(tmp_path)  # slice 5 is not where it belongs
    assert sorted(entry.shape_xyz[2] for entry in mixed.entries) == [1, 13]
    assert any("1 missing slice" in warning for entry in mixed.entries for warning in entry.warnings)


def test_other_matrix_spacing_or_frame_of_reference_is_split_off(tmp_path: Path) -> None:
    first = Series(slices=4)
    first.write(tmp_path / "a")
    same = {"slices": 4, "series_uid": first.series_uid}
    Series(rows=18, frame_uid=first.frame_uid, **same).write(tmp_path / "b")
    Series(spacing=(1.0, 1.0, 3.0), frame_uid=first.frame_uid, **same).write(tmp_path / "c")
    Series(frame_uid=generate_uid(), **same).write(tmp_path / "d")
    result = dicom_series.scan(tmp_path)
    _split(result, 4)
    titles = [entry.title for entry in result.entries]
    assert len(set(titles)) == 4
    for words in ("24 x 18 pixels", "1 x 1 mm pixels", "frame of reference"):
        assert any(words in title for title in titles), titles


@pytest.mark.parametrize("keyword", ["EchoTime", "TemporalPositionIdentifier", "AcquisitionNumber", "ContentTime"])
def test_repeats_become_volumes(tmp_path: Path, keyword: str) -> None:
    uid, frame = generate_uid(), generate_uid()
    for repeat in range(3):

        def tell(dataset: Dataset, k: int, repeat: int = repeat) -> None:
            setattr(dataset, keyword, f"{repeat + 1:06d}" if keyword == "ContentTime" else repeat + 1)
            dataset.InstanceNumber = repeat * 12 + k + 1

        Series(study_uid=uid, series_uid=uid, frame_uid=frame, edit=tell).write(tmp_path / str(repeat))
    result = dicom_series.scan(tmp_path)
    _split(result, 3)
    assert not result.refused
    assert [entry.id for entry in result.entries] == [uid, f"{uid}/2", f"{uid}/3"]
    assert [entry.id for entry in dicom_series.scan(tmp_path).entries] == [entry.id for entry in result.entries]


def test_repeats_told_apart_by_number_only_say_so(tmp_path: Path) -> None:
    uid, frame = generate_uid(), generate_uid()
    for repeat in range(2):

        def number(dataset: Dataset, k: int, repeat: int = repeat) -> None:
            dataset.InstanceNumber = repeat * 12 + k + 1
            dataset.PixelData = bytes([dataset.PixelData[0] ^ repeat, *dataset.PixelData[1:]])  # not the same picture

        Series(series_uid=uid, frame_uid=frame, edit=number).write(tmp_path / str(repeat))
    result = dicom_series.scan(tmp_path)
    assert len(result.entries) == 2
    assert max(worst_error(dicom_series.load(entry)) for entry in result.entries) <= 1.51
    assert all("instance number only" in " ".join(entry.warnings) for entry in result.entries)


def test_enhanced_time_points_are_split(tmp_path: Path) -> None:
    series = Series(slices=5)
    dataset = enhanced(series, [*range(5), *range(5)])
    for index, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        content = Dataset()
        content.TemporalPositionIndex = 1 + index // 5
        group.FrameContentSequence = [content]
    save(dataset, tmp_path / "time.dcm")
    _split(dicom_series.scan(tmp_path), 2)


def test_a_whole_series_sent_twice_counts_once(tmp_path: Path) -> None:
    first = Series()
    first.write(tmp_path / "a")
    Series(study_uid=first.study_uid, series_uid=first.series_uid, frame_uid=first.frame_uid).write(tmp_path / "b")
    volume = load_only(tmp_path)
    assert volume.shape[2] == 12
    assert any("12 images were here twice" in warning for warning in volume.warnings)


def test_the_same_file_twice_counts_once(tmp_path: Path) -> None:
    paths = Series().write(tmp_path)
    (tmp_path / "copy.dcm").write_bytes(paths[4].read_bytes())
    volume = load_only(tmp_path)
    assert volume.shape[2] == 12
    assert worst_error(volume) <= 0.51
    assert any("twice" in warning for warning in volume.warnings)


def test_the_same_picture_under_a_second_uid_counts_once(tmp_path: Path) -> None:
    series = Series()
    series.write(tmp_path)
    save(series.dataset(4), tmp_path / "again.dcm")  # a new instance UID, the same place and pixels
    volume = load_only(tmp_path)
    assert volume.shape[2] == 12
    assert any("twice" in warning for warning in volume.warnings)


def test_the_same_uid_with_other_pixels_is_refused(tmp_path: Path) -> None:
    paths = Series().write(tmp_path)
    data = bytearray(paths[4].read_bytes())
    data[-1] ^= 1
    (tmp_path / "changed.dcm").write_bytes(data)
    result = dicom_series.scan(tmp_path)
    assert not result.entries
    assert "same identifier" in result.refused[0].reason


def test_monochrome1_keeps_its_numbers(tmp_path: Path) -> None:
    def invert(dataset: Dataset, k: int) -> None:
        dataset.PhotometricInterpretation = "MONOCHROME1"

    Series(edit=invert).write(tmp_path)
    volume = load_only(tmp_path)
    assert volume.inverted
    assert worst_error(volume) <= 0.51


def test_one_slice_without_thickness_is_warned_about(tmp_path: Path) -> None:
    def thin(dataset: Dataset, k: int) -> None:
        del dataset.SliceThickness

    Series(slices=1, edit=thin).write(tmp_path)
    volume = load_only(tmp_path)
    assert any("1 mm is assumed" in warning for warning in volume.warnings)


def test_ct_without_rescale_type_is_hu_but_other_types_are_not(tmp_path: Path) -> None:
    def no_type(dataset: Dataset, k: int) -> None:
        del dataset.RescaleType

    def other(dataset: Dataset, k: int) -> None:
        dataset.RescaleType = "ED"

    Series(slices=2, edit=no_type).write(tmp_path / "a")
    Series(slices=2, edit=other).write(tmp_path / "b")
    assert load_only(tmp_path / "a").units == "HU"
    assert load_only(tmp_path / "b").units is None


def test_time_points_whose_trigger_times_differ_between_slices(tmp_path: Path) -> None:
    """Cardiac cine: phases at each position, trigger times not comparable; not many thin stacks but three volumes."""
    uid, frame = generate_uid(), generate_uid()
    for phase in range(3):

        def trigger(dataset: Dataset, k: int, phase: int = phase) -> None:
            dataset.TriggerTime = phase * 100 + k // 2
            dataset.InstanceNumber = k * 3 + phase + 1

        Series(series_uid=uid, frame_uid=frame, edit=trigger).write(tmp_path / str(phase))
    result = dicom_series.scan(tmp_path)
    _split(result, 3)
    assert [entry.shape_xyz[2] for entry in result.entries] == [12, 12, 12]


def test_pet_units(tmp_path: Path) -> None:
    def pet(dataset: Dataset, k: int) -> None:
        dataset.Modality, dataset.Units = "PT", "BQML"
        del dataset.RescaleType

    Series(slope=lambda k: 0.7 + 0.01 * k, edit=pet).write(tmp_path)
    volume = load_only(tmp_path)
    assert volume.units == "BQML"
    assert volume.array.dtype == np.float32
    assert worst_error(volume) <= 0.51


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("shuffled", [False, True])
def test_spect_slices_lie_behind_or_in_front_of_the_first(tmp_path: Path, sign: int, shuffled: bool) -> None:
    series = Series(slices=7, orientation=oblique(), signed=True)
    order = list(range(7))
    if shuffled:
        np.random.default_rng(3).shuffle(order)
    along = order if sign > 0 else [6 - k for k in order]  # slice number 1 is the last along the normal
    dataset = series.dataset(0)
    detector = Dataset()
    detector.ImagePositionPatient = [float(v) for v in series.position(0 if sign > 0 else 6)]
    detector.ImageOrientationPatient = list(series.orientation)
    del dataset.ImagePositionPatient, dataset.ImageOrientationPatient
    dataset.Modality, dataset.ImageType = "NM", ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"]
    dataset.NumberOfFrames, dataset.SpacingBetweenSlices = 7, 3.0 * sign
    dataset.SliceVector = [k + 1 for k in order]
    dataset.DetectorInformationSequence = [detector]
    dataset.PixelData = b"".join(series.stored(k).tobytes() for k in along)
    volume = load_only(save(dataset, tmp_path / "spect.dcm"))
    assert volume.kind == "volume"
    assert volume.shape[2] == 7
    assert worst_error(volume) <= 0.51


def test_rounded_positions_load_with_a_warning(tmp_path: Path) -> None:
    def rounded(dataset: Dataset, k: int) -> None:
        dataset.ImagePositionPatient = [round(float(v), 2) for v in dataset.ImagePositionPatient]

    Series(orientation=oblique(), edit=rounded).write(tmp_path)
    volume = load_only(tmp_path)
    assert worst_error(volume) <= 0.6
    assert any("even grid" in warning for warning in volume.warnings)
