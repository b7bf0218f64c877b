"""Segmentations that others wrote: read at their place or refused by name, never laid index by index over a scan."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_factory import Series, enhanced, oblique
from dicom_factory import save as save_dicom
from files_oracle import places
from numpy.typing import NDArray
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from medviewer.core.errors import InputRefused
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.services import open_data
from medviewer.services.read_masks import read_segments
from medviewer.services.save_data import save_segments

pytestmark = pytest.mark.filterwarnings("ignore")


# -- made by highdicom, and changed ----------------------------------------------------------


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    folder = tmp_path_factory.mktemp("ct")
    Series(orientation=oblique(), rows=36, columns=36, spacing=(2.0, 2.0, 3.0)).write(folder)
    return open_data.open_volume(folder)


def lopsided(scan: Volume) -> list[NDArray[np.bool_]]:
    first, second = np.zeros(scan.shape, np.bool_), np.zeros(scan.shape, np.bool_)
    first[2:9, 5:20, 1:6] = True
    first[2, 5, 1] = False
    second[10:20, 3:9, 4:9] = True
    return [first, second]


def made(scan: Volume, kind: str, syntax: str = "1.2.840.10008.1.2.1") -> Any:
    """A SEG of `lopsided` by highdicom, without our writer."""
    import highdicom
    from pydicom.sr.codedict import codes

    described = [
        highdicom.seg.SegmentDescription(
            n, f"Part {n}", codes.SCT.Tissue, codes.SCT.Kidney, "MANUAL",
            tracking_uid=highdicom.UID(), tracking_id=str(n),
        ) for n in (1, 2)
    ]  # fmt: skip
    sources = [pydicom.dcmread(file, stop_before_pixels=True) for file in scan.source.files]
    for source in sources:
        for name in ("StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"):
            setattr(source, name, source.get(name))
    masks = [mask.transpose(2, 1, 0) for mask in lopsided(scan)]
    pixels: Any = masks[0].astype(np.uint8) + 2 * masks[1].astype(np.uint8)
    if kind == "FRACTIONAL":
        pixels = np.stack([m * 0.7 + ~m * 0.3 for m in masks], -1).astype(np.float32)
    return highdicom.seg.Segmentation(
        sources, pixels, kind, described, highdicom.UID(), 7, highdicom.UID(), 1, "x", "x", "1", "1",
        transfer_syntax_uid=syntax, max_fractional_value=100,
        **({"fractional_type": "PROBABILITY"} if kind == "FRACTIONAL" else {}),
    )  # fmt: skip


def saved(dataset: Any, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(path)
    return path


def check(path: Path, scan: Volume) -> list[Segment]:
    found = read_segments(path, scan)
    assert [s.name for s in found] == ["Part 1", "Part 2"]
    for segment, mask in zip(found, lopsided(scan), strict=True):
        np.testing.assert_array_equal(segment.mask, mask)
    return found


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP", "FRACTIONAL"])
def test_every_kind(scan: Volume, tmp_path: Path, kind: str) -> None:
    found = check(saved(made(scan, kind), tmp_path / "s.dcm"), scan)
    fractions = [note for note in found[0].provenance.edits if "fractions" in note]
    assert bool(fractions) == (kind == "FRACTIONAL")
    assert [s.term_id for s in found] == ["kidney", "kidney"]
    assert found[0].provenance.algorithm == "MANUAL"
    assert found[0].provenance.edits[0] == "read from a file"


@pytest.mark.parametrize("kind", ["LABELMAP", "FRACTIONAL"])
@pytest.mark.parametrize("codec", ["jpeg2k", "jpegls", "rle"])
def test_every_compression(scan: Volume, tmp_path: Path, kind: str, codec: str) -> None:
    import imagecodecs
    from pydicom.encaps import encapsulate

    if codec == "rle":
        dataset = made(scan, kind, RLELossless)
    else:
        dataset = made(scan, kind)
        encode = {"jpeg2k": imagecodecs.jpeg2k_encode, "jpegls": imagecodecs.jpegls_encode}[codec]
        options = {"level": 0, "reversible": True, "codecformat": "J2K"} if codec == "jpeg2k" else {}
        dataset.PixelData = encapsulate([encode(frame, **options) for frame in dataset.pixel_array])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = UID({"jpeg2k": JPEG2000Lossless, "jpegls": JPEGLSLossless}[codec])
    check(saved(dataset, tmp_path / "s.dcm"), scan)


def test_compressed_bits_are_refused(scan: Volume, tmp_path: Path) -> None:
    dataset = made(scan, "BINARY")
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset["PixelData"].is_undefined_length = True
    from pydicom.encaps import encapsulate

    dataset.PixelData = encapsulate([b"\0\0"] * int(dataset.NumberOfFrames))
    with pytest.raises(InputRefused, match="compressed one-bit"):
        read_segments(saved(dataset, tmp_path / "s.dcm"), scan)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_frames_in_any_order(scan: Volume, tmp_path: Path, kind: str) -> None:
    dataset = made(scan, kind)
    frames = list(dataset.PerFrameFunctionalGroupsSequence)
    pixels = dataset.pixel_array
    order = np.random.default_rng(3).permutation(len(frames))
    dataset.PerFrameFunctionalGroupsSequence = [frames[n] for n in order]
    bits = np.packbits(pixels[order].ravel(), bitorder="little") if kind == "BINARY" else pixels[order].ravel()
    dataset.PixelData = bits.tobytes() + b"\0" * (len(bits) % 2)
    check(saved(dataset, tmp_path / "s.dcm"), scan)


def test_a_deflated_seg(scan: Volume, tmp_path: Path) -> None:
    dataset = made(scan, "BINARY")
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    check(saved(dataset, tmp_path / "s.dcm"), scan)


def test_a_deflated_bomb_is_refused(scan: Volume, tmp_path: Path) -> None:
    path = saved(made(scan, "BINARY"), tmp_path / "s.dcm")
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    head = saved(dataset, tmp_path / "d.dcm").read_bytes()
    from medviewer.io.dicom_header import deflated_start

    start = deflated_start(head)
    body = zlib.decompress(head[start:], -15)
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    bomb = b"".join([packer.compress(body), *(packer.compress(bytes(64 << 20)) for _ in range(9)), packer.flush()])
    (tmp_path / "bomb.dcm").write_bytes(head[:start] + bomb)
    assert len(bomb) < 8 << 20
    with pytest.raises(InputRefused, match="would unpack"):
        read_segments(tmp_path / "bomb.dcm", scan)


def test_another_grid_is_mapped_by_position(scan: Volume, tmp_path: Path) -> None:
    """A SEG of a scan with half the spacing, turned: put where it lies, not where its indices say."""
    folder = tmp_path / "fine"
    Series(
        slices=20, rows=40, columns=44, spacing=(1.0, 1.0, 1.5), frame_uid=_frame_of_reference(scan),
        origin=(-15, -25, 45),
    ).write(folder)  # fmt: skip
    fine = open_data.open_volume(folder)
    mask = np.zeros(fine.shape, np.bool_)
    mask[10:30, 12:33, 5:15] = True
    save_segments(tmp_path / "s.dcm", fine, [Segment("Box", mask)])
    (found,) = read_segments(tmp_path / "s.dcm", scan)
    assert "resampled to the scan's grid" in found.provenance.edits
    centre, meant = (places(m, v.affine).mean(0) for m, v in ((found.mask, scan), (mask, fine)))
    np.testing.assert_allclose(centre, meant, atol=0.5)
    assert found.mask.sum() * (scan.voxel_ml or 0) == pytest.approx(mask.sum() * (fine.voxel_ml or 0), rel=0.1)


def _frame_of_reference(scan: Volume) -> str:
    return str(pydicom.dcmread(scan.source.files[0]).FrameOfReferenceUID)


def test_the_same_matrix_elsewhere_is_not_laid_over(scan: Volume, tmp_path: Path) -> None:
    Series(orientation=oblique(), rows=36, columns=36, spacing=(2.0, 2.0, 3.0), origin=(300.0, 300.0, 300.0),
           frame_uid=_frame_of_reference(scan)).write(tmp_path / "far")  # fmt: skip
    far = open_data.open_volume(tmp_path / "far")
    save_segments(tmp_path / "s.dcm", far, [Segment("Part", lopsided(far)[0])])
    with pytest.raises(InputRefused, match="lies outside"):
        read_segments(tmp_path / "s.dcm", scan)


def test_a_square_frame_that_is_transposed_is_not_laid_over(scan: Volume, tmp_path: Path) -> None:
    """Two of its corners coincide with the scan's: all of them count."""
    dataset = made(scan, "BINARY")
    item = dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    values = list(item.ImageOrientationPatient)
    item.ImageOrientationPatient = values[3:] + values[:3]
    (first, _) = read_segments(saved(dataset, tmp_path / "s.dcm"), scan)
    np.testing.assert_array_equal(first.mask, lopsided(scan)[0].transpose(1, 0, 2))


def _change(name: str, value: Any) -> Callable[[Any], None]:
    return lambda dataset: setattr(dataset, name, value)


def _other_frame_of_reference(dataset: Any) -> None:
    dataset.FrameOfReferenceUID = generate_uid()
    dataset.ReferencedSeriesSequence[0].SeriesInstanceUID = generate_uid()


def _half_the_pixels(dataset: Any) -> None:
    dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 4 * 2]


def _undescribed(dataset: Any) -> None:
    dataset.SegmentSequence = dataset.SegmentSequence[:1]


def _twice(dataset: Any) -> None:
    dataset.SegmentSequence[1].SegmentNumber = 1


def _fewer_descriptions(dataset: Any) -> None:
    dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:-1]


def _no_segment_of_frame(dataset: Any) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence


def _no_number(dataset: Any) -> None:
    dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient = ["nan", "1", "2"]


def _spread(dataset: Any) -> None:
    for n, item in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        item.PlanePositionSequence[0].ImagePositionPatient = [0, 0, [0, 0.001, 1e9][n % 3]]


def _no_place(dataset: Any) -> None:
    for item in dataset.PerFrameFunctionalGroupsSequence:
        del item.PlanePositionSequence
        del item.DerivationImageSequence


BROKEN: dict[str, tuple[Callable[[Any], None], str]] = {
    "of another patient": (_change("PatientID", "someone else"), "another patient"),
    "of another frame of reference": (_other_frame_of_reference, "another frame of reference"),
    "cut short": (_half_the_pixels, "cut short"),
    "a segment that is not described": (_undescribed, "does not describe"),
    "a segment number twice": (_twice, "damaged"),
    "fewer descriptions than frames": (_fewer_descriptions, "damaged"),
    "a frame of no segment": (_no_segment_of_frame, "damaged"),
    "a position that is no number": (_no_number, "damaged"),
    "positions over a kilometre": (_spread, "more than any scan"),
    "no place and no reference": (_no_place, "another image"),
    "no size": (_change("Rows", 0), "damaged"),
    "an impossible depth": (_change("BitsAllocated", 12), "damaged"),
    "a forged number of frames": (_change("NumberOfFrames", 199_999), "cut short"),
    "no segments": (lambda dataset: delattr(dataset, "SegmentSequence"), "damaged"),
    "no pixels": (lambda dataset: delattr(dataset, "PixelData"), "damaged"),
    "a surface": (_change("SOPClassUID", "1.2.840.10008.5.1.4.1.1.66.5"), "no DICOM segmentation"),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN.keys())
def test_what_cannot_be_read_is_refused_by_name(
    scan: Volume, tmp_path: Path, case: tuple[Callable[[Any], None], str]
) -> None:
    dataset = pydicom.dcmread(saved(made(scan, "BINARY"), tmp_path / "good.dcm"))
    change, said = case
    change(dataset)
    with pytest.raises(InputRefused, match=said):
        read_segments(saved(dataset, tmp_path / "s.dcm"), scan)


def test_another_frame_of_reference_counts_where_the_seg_names_this_series(scan: Volume, tmp_path: Path) -> None:
    dataset = made(scan, "BINARY")
    dataset.FrameOfReferenceUID = generate_uid()
    check(saved(dataset, tmp_path / "s.dcm"), scan)


def test_big_endian_is_refused(scan: Volume, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(saved(made(scan, "BINARY"), tmp_path / "good.dcm"))
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    pydicom.dcmwrite(tmp_path / "s.dcm", dataset, implicit_vr=False, little_endian=False, force_encoding=True)
    with pytest.raises(InputRefused, match="big-endian"):
        read_segments(tmp_path / "s.dcm", scan)


@pytest.mark.parametrize("place", [200, 900, 2000, 4000, -3000, -500, -10])
def test_a_file_that_ends_too_early_is_refused(scan: Volume, tmp_path: Path, place: int) -> None:
    data = saved(made(scan, "BINARY"), tmp_path / "good.dcm").read_bytes()
    (tmp_path / "s.dcm").write_bytes(data[:place])
    with pytest.raises(InputRefused):
        read_segments(tmp_path / "s.dcm", scan)


def test_changed_bytes_never_end_in_a_defect(scan: Volume, tmp_path: Path) -> None:
    """Each of 300 changed files (fixed seed) is read or refused; the scan's own grid is always kept."""
    data = saved(made(scan, "LABELMAP"), tmp_path / "good.dcm").read_bytes()
    rng = np.random.default_rng(11)
    refused = 0
    for _ in range(300):
        changed = bytearray(data)
        for at_byte in rng.integers(132, len(data) - 4000, rng.integers(1, 6)):
            changed[at_byte] = rng.integers(0, 256)
        (tmp_path / "s.dcm").write_bytes(changed)
        try:
            assert all(s.mask.shape == scan.shape for s in read_segments(tmp_path / "s.dcm", scan))
        except InputRefused:
            refused += 1
    assert 0 < refused < 300


# -- images without a place -------------------------------------------------------------------


def test_a_mask_of_another_image_of_the_same_size_is_refused(tmp_path: Path) -> None:
    from seg_cases import ultrasound

    scans = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        scans.append(ultrasound(tmp_path / name))
    mask = np.zeros(scans[0].shape, np.bool_)
    mask[5:9, 10:30] = True
    save_segments(tmp_path / "s.dcm", scans[0], [Segment("Cyst", mask)])
    np.testing.assert_array_equal(read_segments(tmp_path / "s.dcm", scans[0])[0].mask, mask)
    with pytest.raises(InputRefused, match="another image"):
        read_segments(tmp_path / "s.dcm", scans[1])


def test_a_time_point_of_an_enhanced_file_keeps_its_frames(tmp_path: Path) -> None:
    """Frames without a place of their own are found by the number of the frame that they refer to."""
    save_dicom(enhanced(Series(slices=5), [4, 2, 0, 1, 3]), tmp_path / "e.dcm")
    scan = open_data.open_volume(tmp_path / "e.dcm")
    mask = np.zeros(scan.shape, np.bool_)
    mask[3:9, 4:8, 1] = True
    mask[3:5, 4:8, 4] = True
    save_segments(tmp_path / "s.dcm", scan, [Segment("Part", mask)])
    dataset = pydicom.dcmread(tmp_path / "s.dcm")
    for item in dataset.PerFrameFunctionalGroupsSequence:
        del item.PlanePositionSequence
    dataset.save_as(tmp_path / "s.dcm")
    np.testing.assert_array_equal(read_segments(tmp_path / "s.dcm", scan)[0].mask, mask)
