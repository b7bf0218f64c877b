"""Session files: what is saved comes back, damage is one message, a forged file takes neither memory nor paths."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from save_cases import Inputs, segments
from session_kit import copied, members

from medviewer.core.errors import InputRefused, OutputNotWritten, WrongUsage
from medviewer.core.prediction import Answer, BoxPrompt, PointPrompt
from medviewer.core.scene import Scan, Scene
from medviewer.core.volume import Fact, Patient, Source, Volume
from medviewer.services import open_data, sessions

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom warns of odd inputs


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return copied(tmp_path)


# -- what a user has comes back ----------------------------------------------------------
def test_schema_1_is_opened_for_ever(saved: Path) -> None:
    session = sessions.load_session(saved)
    (scan,) = session.scene.scans
    kidney, empty = scan.segments
    assert (kidney.name, kidney.color, kidney.opacity, kidney.visible) == ("Niere links (ä)", (10, 20, 30), 0.5, False)
    assert (kidney.term_id, kidney.side, kidney.side_note) == ("kidney", "left", "judged against the spine")
    assert (kidney.cut_edges, kidney.frame, kidney.presence) == (("upper",), None, 0.87)
    assert (kidney.tested, kidney.id) == ("dev Dice 0.91, n = 24", "segment-one")
    made = kidney.provenance
    assert (made.algorithm, made.model_id, made.weights_sha256) == ("SEMIAUTOMATIC", "default", "ab" * 32)
    assert (made.parameters, made.edits, made.tags) == (
        {"device": "cpu"}, ("refined with 2 clicks",), ("below threshold",),
    )  # fmt: skip
    expected = np.zeros((12, 10, 8), np.bool_)
    expected[1:6, 1:6, 2:6] = True
    expected[1:5, 2, 4] = False
    np.testing.assert_array_equal(kidney.mask, expected)
    assert (empty.name, int(empty.mask.sum())) == ("Empty", 0)
    assert (scan.window, scan.inverted, scan.cursor) == ((350.0, 40.0), True, (-20.0, -30.0, 5.0))
    assert scan.preview is not None
    assert (scan.preview.answer, scan.preview.title, int(scan.preview.mask.sum())) == (Answer.FOUND, "Spleen", 96)
    assert scan.preview_points == (PointPrompt((-20.0, -30.0, 5.0)), PointPrompt((-18.0, -30.0, 5.0), False))
    assert scan.preview_box == BoxPrompt((-28.0, -38.0, 0.0), (-10.0, -20.0, 20.0))
    assert scan.prompts == ["left kidney; spleen"]
    assert scan.volume.modality == "CT"
    assert scan.volume.facts["modality"] == Fact("CT", "user")
    assert (session.active, session.selected, session.layout) == (scan, "segment-one", "coronal")
    assert not session.scene.undo_stack.unsaved


def test_what_plugins_keep_with_a_scan_comes_back_and_counts_as_saved(saved: Path, tmp_path: Path) -> None:
    scene = sessions.load_session(saved).scene
    (scan,) = scene.scans
    assert scan.notes == {}  # files of before have none
    scene.keep_note(scan, "report_generation", "ein Befund (ä) \N{RIGHT-TO-LEFT MARK}")
    assert scan.notes != scan.saved_notes
    path = sessions.save_session(saved.with_name("again.mvsession"), sessions.state_of(scene))
    (again,) = sessions.load_session(path).scene.scans
    assert again.notes == scan.notes == again.saved_notes


def whole(scan: Scan) -> dict[str, Any]:
    """All that must come back, to compare."""
    return {
        "voxels": scan.volume.array.tobytes(), "modality": scan.volume.modality,
        "orientation": scan.volume.patient_orientation, "cursor": scan.cursor, "window": scan.window,
        "frame": scan.frame, "inverted": scan.inverted,
        "segments": [
            (s.name, s.color, s.opacity, s.visible, s.id, s.provenance, s.mask.tobytes()) for s in scan.segments
        ],
    }  # fmt: skip


def test_the_whole_scene_comes_back(tmp_path: Path) -> None:
    """CT in NIfTI, a DICOM series, a picture whose side the user stated; saved and opened twice over."""
    from medviewer.services.scan_identity import with_stated

    inputs = Inputs(tmp_path / "in")
    side = with_stated(inputs.picture, {"modality": "DX", "patient_orientation": ["R", "F"]})
    scene = Scene()
    for volume in (inputs.nifti, inputs.dicom, side):
        scene.add_volume(volume)
        for segment in segments(volume, 1):
            scene.add_segment(segment)
        scene.set_cursor((3.0, 14.0, 33.0))
    scene.show_segment(scene.scans[-1].segments[0].id, visible=False, opacity=0.3)
    scene.activate(scene.scans[1])
    scene.select(scene.scans[1].segments[1].id)
    path = tmp_path / "a.mvsession"
    sessions.save_session(path, sessions.state_of(scene))
    shown = Scene()
    for _ in range(2):
        shown = Scene()
        sessions.restore(shown, sessions.load_session(path))
        sessions.save_session(path, sessions.state_of(shown))
    assert [whole(scan) for scan in shown.scans] == [whole(scan) for scan in scene.scans]
    assert shown.active is shown.scans[1]
    assert shown.selected_id == scene.selected_id
    assert not shown.undo_stack.unsaved
    assert shown.scans[2].volume.patient_orientation == ("R", "F")


def test_an_edit_after_opening_counts_as_unsaved_and_can_be_undone(saved: Path) -> None:
    scene = Scene()
    sessions.restore(scene, sessions.load_session(saved))
    scene.rename_segment("segment-one", "Another")
    assert scene.undo_stack.unsaved
    scene.undo()
    assert not scene.undo_stack.unsaved
    assert scene.active is not None
    assert scene.active.get("segment-one").name == "Niere links (ä)"


def test_an_empty_scene_is_a_session_too(tmp_path: Path) -> None:
    sessions.save_session(tmp_path / "e.mvsession", sessions.state_of(Scene()))
    assert sessions.load_session(tmp_path / "e.mvsession").scene.scans == []


def test_no_words_of_the_header_are_in_it(tmp_path: Path) -> None:
    inputs = Inputs(tmp_path / "in")
    patient = Patient("Canary^Name", "CANARY-ID", "19010203", "F", "19991231")
    scan = inputs.dicom.with_changes(patient=patient, title="CANARY-TITLE")
    scene = Scene()
    scene.add_volume(scan)
    sessions.save_session(tmp_path / "a.mvsession", sessions.state_of(scene))
    text = members(tmp_path / "a.mvsession")["session.json"]
    for word in (b"anary", b"CANARY", b"1901", scan.id.encode(), *(uid.encode() for uid in scan.source.instance_uids)):
        assert word not in text


# -- scans are found, or asked for, or refused ---------------------------------------------
def test_session_and_scan_move_together(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    for path in (saved, tmp_path / "schema_1_scan.nii.gz"):
        path.rename(tmp_path / "new" / path.name)
    assert len(sessions.load_session(tmp_path / "new" / saved.name).scene.scans) == 1


def test_a_scan_elsewhere_is_kept_by_its_whole_path(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    scene = Scene()
    scene.add_volume(open_data.open_volume(tmp_path / "schema_1_scan.nii.gz"))
    for name, stored in (("sub/a.mvsession", str(tmp_path / "schema_1_scan.nii.gz")),
                         ("a.mvsession", "schema_1_scan.nii.gz")):  # fmt: skip
        sessions.save_session(tmp_path / name, sessions.state_of(scene))
        assert sessions.read_session(tmp_path / name).scans[0].scan.path == stored
        assert len(sessions.load_session(tmp_path / name).scene.scans) == 1


def test_a_missing_scan_is_named_and_can_be_given(saved: Path, tmp_path: Path) -> None:
    moved = (tmp_path / "schema_1_scan.nii.gz").rename(tmp_path / "other_name.nii.gz")
    assert sessions.missing_scans(saved, sessions.read_session(saved)) == {0: tmp_path / "schema_1_scan.nii.gz"}
    with pytest.raises(InputRefused, match=r"schema_1_scan\.nii\.gz") as caught:
        sessions.load_session(saved)
    assert caught.value.code == "scan-missing"
    assert "say where it is" in caught.value.hint
    session = sessions.load_session(saved, found={0: moved})
    assert len(session.scene.scans[0].segments) == 2
    assert session.complete
    without = sessions.load_session(saved, found={0: None})
    assert (without.scene.scans, without.complete) == ([], False)


def other_voxel(image: Any) -> Any:
    values = np.asanyarray(image.dataobj).copy()
    values[3, 3, 3] += 1
    return nibabel.Nifti1Image(values, image.affine)


def mirrored(image: Any) -> Any:
    affine = image.affine.copy()
    affine[0] *= -1
    return nibabel.Nifti1Image(np.asanyarray(image.dataobj), affine)


def larger(image: Any) -> Any:
    return nibabel.Nifti1Image(np.zeros((13, 10, 8), np.int16), image.affine)


@pytest.mark.parametrize("change", [other_voxel, mirrored, larger])
def test_another_scan_behind_the_path_is_refused(saved: Path, tmp_path: Path, change: Callable[[Any], Any]) -> None:
    path = tmp_path / "schema_1_scan.nii.gz"
    nibabel.save(change(nibabel.load(path)), tmp_path / "new.nii.gz")
    (tmp_path / "new.nii.gz").replace(path)
    with pytest.raises(InputRefused, match="is not the scan that this session was saved with") as caught:
        sessions.load_session(saved)
    assert caught.value.code == "scan-differs"


def test_the_right_series_of_a_folder_is_taken(tmp_path: Path) -> None:
    """The folder that was opened holds two series of one size; the second is the one."""
    from medviewer.core.progress import silent
    from medviewer.io import dicom_source

    inputs = Inputs(tmp_path / "in")
    for number in (1, 2):
        (tmp_path / "study" / str(number)).mkdir(parents=True)
        made = inputs.nifti.with_changes(array=inputs.other_values(number))
        dicom_source.write_series(tmp_path / "study" / str(number), made, silent())
    entry = open_data.scan_path(tmp_path / "study").entries[1]
    scene = Scene()
    scan = scene.add_volume(open_data.load(entry))
    sessions.save_session(tmp_path / "a.mvsession", sessions.state_of(scene))
    (found,) = sessions.load_session(tmp_path / "a.mvsession").scene.scans
    np.testing.assert_array_equal(found.volume.array, scan.volume.array)


def test_a_scan_without_a_file_cannot_be_in_a_session(tmp_path: Path) -> None:
    scene = Scene()
    scene.add_volume(Volume(np.zeros((4, 4, 4), np.int16), np.eye(4), source=Source("generated", Path())))
    with pytest.raises(OutputNotWritten, match="has none"):
        sessions.save_session(tmp_path / "a.mvsession", sessions.state_of(scene))
    with pytest.raises(WrongUsage):
        sessions.save_session(tmp_path / "a.zip", sessions.state_of(Scene()))
    assert list(tmp_path.iterdir()) == []


def test_work_on_an_opened_session_is_in_the_journal(saved: Path, tmp_path: Path) -> None:
    """After a crash the segments of the session come back with the edits made since."""
    from medviewer.services.journal import Journal
    from medviewer.services.recovery import recoverable, replay

    scene = Scene()
    journal = Journal(scene, lambda working: None, tmp_path / "journal")
    journal.attach()
    sessions.restore(scene, sessions.load_session(saved))
    scene.rename_segment("segment-one", "Renamed")
    scene.delete_segment("segment-two")
    before = [whole(scan) for scan in scene.scans]
    assert journal.flush()
    journal.close(discard=False)
    (item,) = recoverable(tmp_path / "journal")
    recovered = replay(item).scene
    assert [whole(scan)["segments"] for scan in recovered.scans] == [scan["segments"] for scan in before]
    assert recovered.undo_stack.unsaved
    item.delete()


# -- too large for the memory ----------------------------------------------------------------
def test_a_scan_that_was_read_reduced_is_read_so_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever memory is free then; and one that was read whole is never mistaken for another where memory is short."""
    from medviewer.services import preflight

    scan = Inputs(tmp_path / "in", (64, 64, 32)).nifti
    free = preflight.available_memory()
    scene, whole_scene = Scene(), Scene()
    whole_scene.add_volume(scan)
    sessions.save_session(tmp_path / "whole.mvsession", sessions.state_of(whole_scene))
    monkeypatch.setattr(preflight, "available_memory", lambda: 200_300_000)
    small = open_data.open_volume(scan.source.path)
    assert small.shape != scan.shape
    scene.add_volume(small)
    scene.add_segment(segments(small, 0)[0])
    sessions.save_session(tmp_path / "small.mvsession", sessions.state_of(scene))
    with pytest.raises(InputRefused, match="does not fit into the free memory") as caught:
        sessions.load_session(tmp_path / "whole.mvsession")
    assert caught.value.code == "not-enough-memory"
    monkeypatch.setattr(preflight, "available_memory", lambda: free)
    (again,) = sessions.load_session(tmp_path / "small.mvsession").scene.scans
    np.testing.assert_array_equal(again.volume.array, small.array)
    np.testing.assert_array_equal(again.segments[0].mask, scene.scans[0].segments[0].mask)
    assert any("Reduced" in warning for warning in again.volume.warnings)


# -- elsewhere -----------------------------------------------------------------------------
def test_info_says_what_it_holds(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from medviewer.cli.main import main

    assert main(["info", str(saved), "--json"]) == 0
    session = json.loads(capfd.readouterr().out)["session"]
    assert session["schema"] == 1
    assert session["scans"][0]["segments"] == ["Niere links (ä)", "Empty"]
    assert not session["scans"][0]["missing"]
    (saved.parent / "schema_1_scan.nii.gz").unlink()
    assert main(["info", str(saved)]) == 0
    told = capfd.readouterr()
    assert "segment: Empty" in told.out
    assert "is not there" in told.err + told.out
    saved.write_bytes(b"x")
    assert main(["info", str(saved)]) == 3


def test_a_session_is_not_taken_for_a_scan(saved: Path) -> None:
    assert [entry.id for entry in open_data.scan_path(saved.parent).entries] == ["schema_1_scan.nii.gz"]
    assert open_data.scan_path(saved.parent).refused == ()
    with pytest.raises(InputRefused, match="session of medviewer"):
        open_data.open_volume(saved)
