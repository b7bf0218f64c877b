"""Which model drew a mask, and what its weights may be used for, is in every export and comes back with it."""

from __future__ import annotations

import json
from pathlib import Path

import nrrd
import numpy as np
import pydicom
import pytest
from files_oracle import oblique, segments, volume
from PIL import Image

from medviewer.core.prediction import Answer, Prediction
from medviewer.core.provenance import Provenance
from medviewer.core.scene import Scene
from medviewer.core.segment_record import provenance_from
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.io.dicom_seg_lint import lint
from medviewer.io.export_notes import licence_notes, models_of, origin_from
from medviewer.services import open_data, save_data, sessions

CLOSED, OPEN = "non-commercial research weights", "CC BY-SA 4.0, commercial use allowed"
FIRST = Provenance(model_id="default", model_version="2", weights_sha256="ab" * 32, prompt="kidney", licence=CLOSED)
SECOND = Provenance(model_id="default-open", model_version="2", weights_sha256="cd" * 32, licence=OPEN)


@pytest.fixture
def scan() -> Volume:
    return volume(oblique())


def drawn(scan: Volume) -> list[Segment]:
    """One segment of each model, and one drawn by hand."""
    first, second, third = segments(scan)
    hand = Provenance(algorithm="MANUAL")
    return [first.changed(provenance=FIRST), second.changed(provenance=SECOND), third.changed(provenance=hand)]


def test_the_sidecar_of_a_nifti_lists_the_models(tmp_path: Path, scan: Volume) -> None:
    save_data.save_segments(tmp_path / "m.nii.gz", scan, drawn(scan))
    document = json.loads((tmp_path / "m.json").read_text())
    assert [(model["id"], model["version"], model["licence"]) for model in document["models"]] == [
        ("default", "2", CLOSED), ("default-open", "2", OPEN),
    ]  # fmt: skip
    assert document["models"][0]["weights_sha256"] == "ab" * 32
    assert [label["provenance"]["licence"] for label in document["labels"]] == [CLOSED, OPEN, ""]


def test_the_header_of_a_nrrd_says_it(tmp_path: Path, scan: Volume) -> None:
    save_data.save_segments(tmp_path / "m.seg.nrrd", scan, drawn(scan))
    header = nrrd.read_header(str(tmp_path / "m.seg.nrrd"))
    assert header["medviewer_Licence1"] == f"model default 2: {CLOSED}."
    assert header["medviewer_Licence2"] == f"model default-open 2: {OPEN}."
    assert [one["licence"] for one in json.loads(header["medviewer_Provenance"])] == [CLOSED, OPEN, ""]


def test_a_dicom_seg_says_it_where_readers_look(tmp_path: Path, scan: Volume) -> None:
    save_data.save_segments(tmp_path / "m.dcm", scan, drawn(scan))
    items = pydicom.dcmread(tmp_path / "m.dcm").SegmentSequence
    assert f"model default 2: {CLOSED}" in items[0].SegmentDescription
    parameters = items[1].SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters
    assert f"licence={OPEN}" in parameters
    assert "model" not in items[2].SegmentDescription


@pytest.mark.parametrize("licence", ["a\\b  c\td", "e\u0301 \u202e x", "long " * 400, "a; b = c", "日本語"])
def test_a_strange_licence_does_not_stop_an_export(tmp_path: Path, scan: Volume, licence: str) -> None:
    odd = [segments(scan)[0].changed(provenance=Provenance(model_id="mine", licence=licence))]
    for name in ("m.dcm", "m.seg.nrrd", "m.nii.gz", "m.ply"):
        assert save_data.save_segments(tmp_path / name, scan, odd).path.is_file()
        if name != "m.ply":
            assert save_data.read_mask(tmp_path / name, scan)[0].provenance.licence


def test_a_dicom_seg_that_lost_it_is_not_accepted(tmp_path: Path, scan: Volume) -> None:
    made = drawn(scan)[:1]
    save_data.save_segments(tmp_path / "m.dcm", scan, made)
    dataset = pydicom.dcmread(tmp_path / "m.dcm")
    sources = [pydicom.dcmread(path) for path in sorted((tmp_path / "m_source").iterdir())]
    before = lint(dataset, scan, made, sources, {})
    dataset.SegmentSequence[0].SegmentDescription = "AI segmentation, not verified"
    after = lint(dataset, scan, made, sources, {})
    assert [text for text in after if text not in before] != []
    assert any("what that may be used for" in text for text in after)


def test_a_session_file_keeps_it(tmp_path: Path) -> None:
    save_data.save_volume_nifti(tmp_path / "scan.nii.gz", volume(oblique()))
    scene = Scene()
    scene.add_volume(open_data.open_volume(tmp_path / "scan.nii.gz"))
    for segment in drawn(volume(oblique())):
        scene.add_segment(segment)
    sessions.save_session(tmp_path / "s.mvsession", sessions.state_of(scene))
    (scan,) = sessions.load_session(tmp_path / "s.mvsession").scene.scans
    assert [segment.provenance.licence for segment in scan.segments] == [CLOSED, OPEN, ""]


def test_pictures_and_surfaces_say_it(tmp_path: Path, scan: Volume) -> None:
    save_data.save_segments(tmp_path / "m.ply", scan, drawn(scan)[:2])
    assert f"comment model default 2: {CLOSED}.".encode() in (tmp_path / "m.ply").read_bytes().split(b"end_header")[0]
    thin = volume(oblique(), (9, 8, 1))
    mask = np.ones(thin.shape, np.bool_)
    save_data.save_segments(tmp_path / "m.png", thin, [Segment("Liver", mask, provenance=FIRST)])
    assert Image.open(tmp_path / "m.png").info["Comment"] == f"model default 2: {CLOSED}."
    view = np.zeros((4, 5, 3), np.uint8)
    preview = Prediction("liver", Answer.FOUND, mask, provenance=SECOND)
    save_data.save_view_png(tmp_path / "v.png", view, scan, [*drawn(scan)[:1], preview])
    assert Image.open(tmp_path / "v.png").info["Comment"] == f"model default 2: {CLOSED}. model default-open 2: {OPEN}."
    save_data.save_view_png(tmp_path / "w.png", view, scan, drawn(scan)[2:])
    assert Image.open(tmp_path / "w.png").info == {}


@pytest.mark.parametrize("name", ["m.nii.gz", "m.seg.nrrd", "m.dcm"])
def test_it_comes_back_when_the_masks_are_opened(tmp_path: Path, scan: Volume, name: str) -> None:
    made = drawn(scan)
    made[1] = made[1].changed(mask=made[1].mask & ~made[0].mask)  # a label map holds no overlap
    save_data.save_segments(tmp_path / name, scan, made[:2])
    read = save_data.read_mask(tmp_path / name, scan)
    assert [one.provenance.model_line for one in read] == [FIRST.model_line, SECOND.model_line]
    assert models_of(read)[1]["licence"] == OPEN


def test_a_file_can_state_no_origin_that_breaks_the_program() -> None:
    assert origin_from(None) is None
    assert origin_from([]) is None
    odd = origin_from({"model_id": ["a"], "licence": 3, "edits": ["ok", 4], "algorithm": "X", "model_version": "1\n2"})
    assert odd == Provenance("SEMIAUTOMATIC", model_version="1 2", edits=("ok",))
    assert origin_from({"edits": "abc"}) == Provenance("SEMIAUTOMATIC")


def test_a_nrrd_with_a_strange_origin_opens(tmp_path: Path, scan: Volume) -> None:
    save_data.save_segments(tmp_path / "m.seg.nrrd", scan, drawn(scan)[:1])
    data = (tmp_path / "m.seg.nrrd").read_bytes()
    for text in (b"{}", b"[[", b"[1, 2]", b'[{"licence": {}}]'):
        start = data.index(b"medviewer_Provenance:=") + len(b"medviewer_Provenance:=")
        end = data.index(b"\n", start)
        (tmp_path / "m.seg.nrrd").write_bytes(data[:start] + text + data[end:])
        (read,) = save_data.read_mask(tmp_path / "m.seg.nrrd", scan)
        assert read.provenance.licence == ""


def test_a_session_keeps_it() -> None:
    assert provenance_from(json.loads(json.dumps(FIRST.as_dict()))).model_line == FIRST.model_line
    before = {name: value for name, value in FIRST.as_dict().items() if name != "licence"}  # an older session
    assert provenance_from(before).licence == ""


def test_a_correction_by_another_model_joins_the_terms() -> None:
    same = FIRST.corrected(FIRST, "refined with 1 click")
    assert (same.edits, same.licence) == (("refined with 1 click",), CLOSED)
    both = FIRST.corrected(SECOND, "refined with 1 click")
    assert both.edits == (f"refined with 1 click by default-open 2 – {OPEN}",)
    assert both.licence == f"{CLOSED} + {OPEN}"
    assert both.corrected(SECOND, "again").licence == both.licence
    begun = SECOND.after(FIRST)
    assert (begun.model_id, begun.edits) == ("default-open", (f"begun by default 2 – {CLOSED}",))
    assert begun.licence == f"{OPEN} + {CLOSED}"
    assert FIRST.after(FIRST) == FIRST


def test_notes_are_sentences_without_names() -> None:
    assert licence_notes([]) == []
    unknown = Segment("Eva Müller", np.ones((1, 1, 1), bool), provenance=Provenance(model_id="mine"))
    assert licence_notes([unknown]) == ["model mine: licence not stated."]
