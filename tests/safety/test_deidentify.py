"""`medviewer deidentify`: nothing that names the patient is left, pixels and geometry are as they were."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from medviewer.cli.main import main
from medviewer.core.errors import Cancelled, InputRefused, OutputNotWritten
from medviewer.core.progress import Progress
from medviewer.services.deidentify import DeidentifyReport, deidentify
from tests.safety.planted import TOKENS, PlantedSeries, scan_bytes, scan_tree

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")  # the planted ones

SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)


@pytest.fixture
def series(tmp_path: Path) -> Path:
    PlantedSeries(slices=3).write(tmp_path / "in")
    return tmp_path / "in"


def run(source: Path, **options: bool) -> tuple[Path, DeidentifyReport]:
    out = source.parent / f"{source.name}-out"
    return out, deidentify([source], out, **options)


def outputs(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.rglob("*.dcm"))]


def edited(series: Path, edit: Callable[[pydicom.Dataset], None]) -> Path:
    """The first file of the series, changed by `edit`; the others are removed."""
    first, *others = sorted(series.iterdir())
    for other in others:
        other.unlink()
    dataset = pydicom.dcmread(first)
    edit(dataset)
    dataset.save_as(first)
    return series


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_none_of_the_planted_identifiers_is_left(tmp_path: Path, syntax: str) -> None:
    PlantedSeries(slices=2, syntax=syntax).write(tmp_path / "in")
    assert len(scan_tree(tmp_path / "in")) >= 39, "the generator plants what the test looks for"
    out, report = run(tmp_path / "in")
    assert report.files == 2
    assert scan_tree(out).places == {}


def test_the_scanner_finds_every_token() -> None:
    for token in TOKENS:
        assert scan_bytes(b"xx" + token.encode() + b"yy", "here").tokens == [token]
        assert scan_bytes(token.encode("utf-16-le"), "here").tokens == [token]


def test_pixels_geometry_and_syntax_stay(series: Path) -> None:
    out, _ = run(series)
    before = [pydicom.dcmread(path) for path in sorted(series.iterdir())]
    for old, new in zip(before, outputs(out), strict=True):
        assert hashlib.sha256(new.PixelData).digest() == hashlib.sha256(old.PixelData).digest()
        assert new.file_meta.TransferSyntaxUID == old.file_meta.TransferSyntaxUID
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "RescaleIntercept"):
            assert new[keyword].value == old[keyword].value


def test_the_copy_opens_as_the_same_volume(series: Path) -> None:
    from medviewer.services.open_data import open_volume

    out, _ = run(series)
    old, new = open_volume(series), open_volume(out)
    assert (old.array == new.array).all()
    assert (old.affine == new.affine).all()


def test_the_file_states_what_was_done(series: Path) -> None:
    out, _ = run(series, shift_dates=True, keep_characteristics=True)
    dataset = outputs(out)[0]
    assert dataset.PatientIdentityRemoved == "YES"
    codes = {item.CodeValue for item in dataset.DeidentificationMethodCodeSequence}
    assert codes == {"113100", "113104", "113107", "113108"}
    assert dataset.LongitudinalTemporalInformationModified == "MODIFIED"
    assert (dataset.PatientSex, dataset.PatientAge) == ("F", "072Y")
    assert "BurnedInAnnotation" not in dataset, "nobody looked, so nothing is claimed"


def test_uids_are_new_and_consistent(series: Path) -> None:
    out, _ = run(series)
    files = outputs(out)
    assert len({f.StudyInstanceUID for f in files}) == len({f.SeriesInstanceUID for f in files}) == 1
    assert len({f.SOPInstanceUID for f in files}) == 3
    for file in files:
        assert file.file_meta.MediaStorageSOPInstanceUID == file.SOPInstanceUID
        assert file.ReferencedImageSequence[0].ReferencedSOPInstanceUID == files[0].SOPInstanceUID
        assert file.FrameOfReferenceUID == file.ContentSequence[0].ContentSequence[2].UID


def test_a_second_run_gives_other_uids(series: Path) -> None:
    deidentify([series], series.parent / "a")
    deidentify([series], series.parent / "b")
    first, second = outputs(series.parent / "a")[0], outputs(series.parent / "b")[0]
    assert first.StudyInstanceUID != second.StudyInstanceUID
    assert first.PatientID != second.PatientID


def test_a_segmentation_still_refers_to_its_series(series: Path) -> None:
    from medviewer.core.segmentation import Segment
    from medviewer.services.open_data import open_volume
    from medviewer.services.save_data import read_mask, save_segments

    volume = open_volume(series)
    segment = Segment("Organ", volume.array > 50)
    save_segments(series / "organ.dcm", volume, [segment])
    out, report = run(series)
    assert report.files == 4
    copied = [d for d in outputs(out) if d.Modality == "SEG"]
    images = {d.SOPInstanceUID for d in outputs(out) if d.Modality == "CT"}
    seg = next(iter(copied))
    referenced = {i.ReferencedSOPInstanceUID for i in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert referenced <= images
    assert referenced
    assert scan_tree(out).places == {}
    folder = next(path for path in out.rglob("*.dcm") if pydicom.dcmread(path).Modality == "CT").parent
    mask = next(path for path in out.rglob("*.dcm") if pydicom.dcmread(path).Modality == "SEG")
    assert (read_mask(mask, open_volume(folder))[0].mask == segment.mask).all()


def test_shifted_dates_keep_their_distance(series: Path) -> None:
    for number, path in enumerate(sorted(series.iterdir())):
        dataset = pydicom.dcmread(path)
        dataset.StudyDate, dataset.StudyInstanceUID = ("20190317", "20190417", "20200317")[number], f"1.2.3.{number}"
        dataset.save_as(path)
    out, _ = run(series, shift_dates=True)
    from datetime import date

    days = [date(int(d.StudyDate[:4]), int(d.StudyDate[4:6]), int(d.StudyDate[6:])) for d in outputs(out)]
    assert [(day - days[0]).days for day in days] == [0, 31, 366]
    assert days[0] < date(2019, 3, 1)
    assert scan_tree(out).tokens == ["112233.987654"], "times of day stay with this option, and nothing else"


def test_two_patients_stay_two(series: Path) -> None:
    path = sorted(series.iterdir())[0]
    dataset = pydicom.dcmread(path)
    dataset.PatientID = "ANOTHER"
    dataset.save_as(path)
    out, report = run(series)
    assert len(report.patients) == 2
    assert len({d.PatientID for d in outputs(out)}) == 2
    assert sorted(p.name for p in out.iterdir()) == ["patient001", "patient002"]


def test_what_cannot_be_cleaned_is_named_and_left_out(series: Path) -> None:
    (series / "Qzvarnholt letter.txt").write_text("Qzvarnholt")
    (series / "cut.dcm").write_bytes((series / "im000.dcm").read_bytes()[:-500])
    (series / "empty.dcm").touch()
    pdf = pydicom.dcmread(series / "im001.dcm")
    pdf.SOPClassUID = pdf.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.104.1"
    pdf.save_as(series / "report.dcm")
    private = pydicom.dcmread(series / "im001.dcm")
    private.SOPClassUID = "1.3.12.2.1107.5.9.1"
    private.save_as(series / "csa.dcm")
    out, report = run(series)
    assert report.files == 3
    reasons = {item.path.name: (item.kind, item.reason) for item in report.not_copied}
    assert {name: kind for name, (kind, _) in reasons.items()} == {
        "Qzvarnholt letter.txt": "not DICOM", "cut.dcm": "unreadable", "empty.dcm": "unreadable",
        "report.dcm": "refused", "csa.dcm": "refused",
    }  # fmt: skip
    assert "encapsulated document" in reasons["report.dcm"][1]
    assert scan_tree(out).places == {}


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("SegmentLabel", "Qzvarnholt left"),
        ("SecondaryCaptureDeviceManufacturer", "scanned for pid7731904x"),
        ("SoftwareVersions", "v1 ULMBRECHT"),
        ("ImageFilterDescription", "free text"),
        ("SecondaryReviewerName", "Somebody^Else"),
    ],
)
def test_an_identity_in_a_harmless_place_is_found(series: Path, keyword: str, value: str) -> None:
    out, _ = run(edited(series, lambda dataset: setattr(dataset, keyword, value)))
    left = outputs(out)[0]
    assert value not in str(left)
    assert scan_tree(out).places == {}


def test_deep_nesting_and_lying_representations_are_cleaned(series: Path) -> None:
    def edit(dataset: pydicom.Dataset) -> None:
        item = Dataset()
        item.PatientName = "Qzvarnholt^Ulmbrecht"
        for _ in range(20):
            outer = Dataset()
            outer.SharedFunctionalGroupsSequence = [item]
            item = outer
        dataset.SharedFunctionalGroupsSequence = [item]
        dataset.add_new(0x00104000, "OB", b"PatCommentBlex")  # a comment that claims to be bytes
        dataset.add_new(0x00081010, "UI", "STNWEST77")  # a station that claims to be a UID

    out, report = run(edited(series, edit))
    assert report.files == 1
    assert scan_tree(out).places == {}


def test_values_that_are_no_values_carry_nothing_over(tmp_path: Path) -> None:
    PlantedSeries(slices=2, broken_values=True).write(tmp_path / "in")
    out, report = run(tmp_path / "in")
    assert report.files == 2
    assert scan_tree(out).places == {}


def test_one_copy_that_differs_is_left_out_and_named(series: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pydicom.dcmwrite

    def spoil(path: Path, dataset: pydicom.Dataset, **options: bool) -> None:
        if dataset.InstanceNumber == 2:
            dataset.PixelData = dataset.PixelData[:-2] + b"\1\1"
        real(path, dataset, **options)

    monkeypatch.setattr(pydicom, "dcmwrite", spoil)
    out, report = run(series)
    assert [(item.path.name, item.reason) for item in report.not_copied] == [
        ("im001.dcm", "Its copy did not read back equal and was not kept.")
    ]
    assert len(list(out.rglob("*.dcm"))) == report.files == 2


def test_ages_above_89_are_told_as_90(series: Path) -> None:
    out, _ = run(edited(series, lambda d: setattr(d, "PatientAge", "097Y")), keep_characteristics=True)
    assert outputs(out)[0].PatientAge == "090Y"


def test_a_name_in_a_comment_of_the_compressed_pixels_is_refused(series: Path) -> None:
    def compress(dataset: pydicom.Dataset, comment: bytes) -> None:
        jpeg = b"\xff\xd8\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + b"\xff\xd9"
        dataset.PixelData = pydicom.encaps.encapsulate([jpeg + b"\0" * (len(jpeg) % 2)])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.50"

    edited(series, lambda dataset: compress(dataset, b"codec 1.0"))
    shutil.copytree(series, series.parent / "named")
    edited(series.parent / "named", lambda dataset: compress(dataset, b"for QZVARNHOLT"))
    out, report = run(series)
    assert report.files == 1
    assert any("comment" in risk for risk in report.risks)
    with pytest.raises(InputRefused, match="names the patient"):
        run(series.parent / "named")
    assert scan_tree(out).places == {}


def test_a_name_behind_the_last_pixel_is_refused(series: Path) -> None:
    edited(series, lambda dataset: setattr(dataset, "PixelData", dataset.PixelData + b"Qzvarnholt"))
    with pytest.raises(InputRefused, match="names the patient"):
        run(series)


def test_burned_in_text_is_reported(series: Path) -> None:
    out, report = run(edited(series, lambda dataset: setattr(dataset, "BurnedInAnnotation", "YES")))
    assert outputs(out)[0].BurnedInAnnotation == "YES"
    assert any("burned" in risk for risk in report.risks)
    assert "NOT cleaned" in "\n".join(report.lines())


def test_sources_are_not_touched(series: Path) -> None:
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in series.iterdir()}
    run(series)
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in series.iterdir()} == before


@pytest.mark.parametrize("where", ["in", "in/sub", ".", "full"])
def test_a_target_that_would_mix_originals_and_copies_is_refused(series: Path, where: str) -> None:
    (series.parent / "full").mkdir()
    (series.parent / "full" / "mine.txt").write_text("keep me")
    with pytest.raises(OutputNotWritten):
        deidentify([series], series.parent / where)
    assert (series.parent / "full" / "mine.txt").read_text() == "keep me"
    assert len(list(series.iterdir())) == 3


def test_a_link_does_not_hide_that_the_target_is_inside(series: Path) -> None:
    link = series.parent / "elsewhere"
    link.symlink_to(series)
    with pytest.raises(OutputNotWritten):
        deidentify([series], link / "out")


def test_a_cancelled_run_leaves_nothing(series: Path) -> None:
    seen: list[str] = []
    progress = Progress(lambda fraction, text: seen.append(text), lambda: len(seen) >= 2)
    with pytest.raises(Cancelled):
        deidentify([series], series.parent / "out", progress)
    assert [path.name for path in series.parent.iterdir()] == ["in"]


def test_what_came_into_the_target_meanwhile_stays(series: Path) -> None:
    out = series.parent / "out"
    out.mkdir()
    seen = Progress(lambda fraction, text: (out / "mine.txt").write_text("mine"))
    with pytest.raises(OutputNotWritten, match="not empty"):
        deidentify([series], out, seen)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "note.txt").write_text("no image")
    with pytest.raises(InputRefused):
        deidentify([tmp_path / "in"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_deflate_bomb_is_refused(series: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zlib

    monkeypatch.setattr("medviewer.io.deidentify_file._LARGEST_INFLATED", 8 << 20)
    PlantedSeries(slices=1, syntax=DeflatedExplicitVRLittleEndian).write(series.parent / "deflated")
    data = next((series.parent / "deflated").iterdir()).read_bytes()
    length = int.from_bytes(data[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[144 + length :])
    packed = packer.compress(plain[:-20])
    for _ in range(16):
        packed += packer.compress(bytes(1 << 20))
    (series / "bomb.dcm").write_bytes(data[: 144 + length] + packed + packer.flush())
    _, report = run(series)
    assert [item.path.name for item in report.not_copied] == ["bomb.dcm"]


def test_the_command_prints_what_it_did(series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deidentify", str(series), str(series.parent / "out"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["files"] == 3
    assert document["pixels_cleaned"] is False
    assert main(["deidentify", str(series), str(series.parent / "out")]) == 5
    assert main(["deidentify", str(series), str(series.parent / "out2"), "--dates", "shift"]) == 0
    output = capsys.readouterr()
    assert "Pixels are NOT cleaned" in output.out
    assert scan_bytes((output.out + output.err).replace(str(series.parent), "").encode(), "terminal").places == {}


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
def test_the_validator_finds_no_new_errors(tmp_path: Path) -> None:
    from pydicom.data import get_testdata_file

    for name in ("CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "liver_1frame.dcm", "US1_J2KR.dcm"):
        (tmp_path / "in").mkdir(exist_ok=True)
        source = get_testdata_file(name, download=False)
        if source is None:
            continue
        shutil.copy(str(source), tmp_path / "in" / name)
        out = tmp_path / f"out-{name}"
        deidentify([tmp_path / "in" / name], out)
        assert errors_of(next(out.rglob("*.dcm"))) <= errors_of(tmp_path / "in" / name), name


def errors_of(path: Path) -> set[str]:
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, errors="replace", check=False)
    return {line.strip() for line in (done.stderr + done.stdout).splitlines() if line.startswith("Error")}
