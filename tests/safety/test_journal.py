"""Edits cannot be lost: what a journal holds and what comes back of it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from medviewer.core.errors import InputRefused
from medviewer.core.scene import Scene
from medviewer.services.journal_file import encode
from medviewer.services.recovery import recoverable, replay
from tests.safety.editing import Editor, open_scan, state_hash, write_scan
from tests.safety.journal_kit import SMALL, add, back, crash, edited, hash_on_disk, only

pytest_plugins = ["tests.safety.journal_fixtures"]


# -- coming back --------------------------------------------------------------------------
def test_every_state_of_a_session_comes_back(scan_path, follow, folder) -> None:
    """200 random edits: after each one the journal gives the live scene. Then undo reaches the beginning."""
    scene = Scene()
    journal = follow(scene)
    scene.add_volume(open_scan(scan_path))
    start = state_hash(scene)
    editor = Editor(scene, 11)
    for _ in range(200):
        editor.edit()
        assert journal.flush()
        if journal.path is not None:
            assert hash_on_disk(journal.path) == state_hash(scene), editor.names[-10:]
    assert set(editor.names) >= {"preview", "accept", "click", "box", "rename", "delete", "undo", "redo", "save"}
    item_scene = back(crash(journal))
    assert state_hash(item_scene) == state_hash(scene)
    for each in (scene, item_scene):
        while each.undo_stack.undo_title is not None:
            each.undo_stack.undo()
        assert [s for scan in each.scans for s in scan.segments] == []
    assert start == state_hash(Scene()), "nothing is work at the start"


def test_a_recovered_scene_is_journaled_again_and_the_old_journal_goes(scan_path, follow, folder) -> None:
    editor, journal = edited(scan_path, follow, 25)
    crash(journal)
    item = only(folder)
    result = replay(item)
    scene = Scene()
    again = follow(scene)
    scene.adopt(result.scene)
    assert again.flush()
    item.mark_recovered(result.keys)
    assert again.path is not None
    assert hash_on_disk(again.path) == state_hash(editor.scene) == state_hash(scene)
    assert sorted(folder.glob("*.mvjournal")) == [again.path]


@pytest.mark.parametrize("stage", ["replayed", "adopted", "written", "done"])
def test_a_kill_while_recovering_loses_nothing(scan_path, follow, folder, stage: str) -> None:
    editor, journal = edited(scan_path, follow, 25)
    crash(journal)
    script = f"""
import os, signal, sys, threading; sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})
from pathlib import Path
from medviewer.core.scene import Scene
from medviewer.services.journal import Journal
from medviewer.services.recovery import recoverable, replay
def reached(stage):
    if stage == {stage!r}: os.kill(os.getpid(), signal.SIGKILL)
folder = Path({str(folder)!r})
item = recoverable(folder)[0]; found = replay(item); reached("replayed")
scene = Scene(); journal = Journal(scene, print, folder); journal.attach()
scene.adopt(found.scene); reached("adopted")
safe = threading.Event(); journal.writer.when_safe(lambda works: safe.set()); safe.wait(); reached("written")
item.mark_recovered(found.keys); reached("done")
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    item = only(folder)
    assert state_hash(replay(item).scene) == state_hash(editor.scene)
    assert len(list(folder.glob("*.mvjournal"))) == 1


def test_what_the_user_stated_comes_back(scan_path, follow, folder) -> None:
    from medviewer.services.open_data import with_modality

    scene = Scene()
    journal = follow(scene)
    scan = scene.add_volume(open_scan(scan_path))
    scene.replace_volume(scan, with_modality(scan.volume, "MR"))
    add(scene)
    scene.replace_volume(scan, with_modality(scan.volume, "PT"))
    crash(journal)
    volume = replay(only(folder)).scene.scans[0].volume
    assert (volume.modality, volume.facts["modality"].origin) == ("PT", "user")


def test_an_open_volume_is_taken_instead_of_reading_it_again(scan_path, follow, folder) -> None:
    _, journal = edited(scan_path, follow, 12)
    crash(journal)
    volume = open_scan(scan_path)
    scan_path.unlink()
    assert replay(only(folder), known=[volume]).scene.scans[0].volume.array is volume.array


# -- what is not offered ---------------------------------------------------------------------
def test_looking_alone_writes_nothing(scan_path, follow, folder) -> None:
    scene = Scene()
    journal = follow(scene)
    scene.add_volume(open_scan(scan_path))
    scene.set_cursor((1, 2, 3))
    scene.note_prompt("liver")
    assert journal.flush()
    assert not folder.exists()


def test_saved_work_leaves_no_journal(scan_path, follow, folder) -> None:
    editor, journal = edited(scan_path, follow, 25)
    if editor.scan.preview is not None:
        editor.scene.set_preview(None)
    assert journal.flush()
    assert list(folder.iterdir())
    editor.scene.undo_stack.mark_saved()
    assert journal.flush()
    assert list(folder.iterdir()) == []


def test_a_clean_end_leaves_no_journal(scan_path, follow, folder) -> None:
    _, journal = edited(scan_path, follow, 25)
    journal.close(discard=True)
    assert list(folder.iterdir()) == []


def test_nothing_of_a_closed_scan_stays(scan_path, tmp_path, follow, folder) -> None:
    other = tmp_path / "other.nii"
    write_scan(other, 2, SMALL)
    scene = Scene()
    journal = follow(scene)
    first, second = (scene.add_volume(open_scan(path)) for path in (scan_path, other))
    for scan in (first, second):
        scene.activate(scan)
        add(scene, f"segment of {scan.volume.source.path.name}")
    scene.close(first)
    data = crash(journal).read_bytes()
    assert b"segment of other.nii" in data
    assert b"segment of scan.nii" not in data
    assert b"scan.nii" not in data


def test_the_journal_of_a_living_program_is_not_offered(scan_path, follow, folder, tmp_path) -> None:
    """A second program offers it only when the first has died, and then only one of them does."""
    script = f"""
import sys, time; sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})
from pathlib import Path
from medviewer.core.scene import Scene
from medviewer.services.journal import Journal
from tests.safety.editing import Editor, open_scan
scene = Scene(); journal = Journal(scene, print, Path({str(folder)!r})); journal.attach()
scene.add_volume(open_scan(Path({str(scan_path)!r}))); editor = Editor(scene, 1)
for _ in range(10): editor.edit()
journal.flush(); print("ready", flush=True); time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    assert recoverable(folder) == []
    process.kill()
    process.wait()
    (item,) = recoverable(folder)
    assert recoverable(folder) == [], "it is held by this window already"
    item.keep()
    (again,) = recoverable(folder)
    assert again.offered
    again.release()


def test_a_lock_without_a_journal_is_cleared_away(folder) -> None:
    folder.mkdir()
    (folder / "000007-aa.mvjournal.lock").write_bytes(b"")
    assert recoverable(folder) == []
    assert list(folder.iterdir()) == []


# -- the scan -----------------------------------------------------------------------------------
def test_another_scan_at_the_place_is_refused_and_the_work_is_kept(session, scan_path) -> None:
    path, _ = session
    write_scan(scan_path, 77, SMALL)
    item = only(path.parent)
    with pytest.raises(InputRefused, match="not the scan"):
        replay(item)
    item.release()
    assert path.exists()


def test_a_missing_scan_is_named_and_the_work_is_kept(session, scan_path) -> None:
    path, states = session
    moved = scan_path.with_name("elsewhere.nii")
    scan_path.rename(moved)
    item = only(path.parent)
    with pytest.raises(InputRefused, match=r"scan\.nii is no longer"):
        replay(item)
    moved.rename(scan_path)
    assert state_hash(replay(item).scene) == states[0]


def test_of_two_scans_the_one_that_is_there_comes_back(scan_path, tmp_path, follow, folder) -> None:
    other = tmp_path / "other.nii"
    write_scan(other, 2, SMALL)
    scene = Scene()
    journal = follow(scene)
    for path in (scan_path, other):
        scene.add_volume(open_scan(path))
        add(scene, path.name)
    scene.undo()
    crash(journal)
    other.unlink()
    item = only(folder)
    assert len(item.scans) == 2
    result = replay(item)
    assert [s.name for s in result.scene.scans[0].segments] == ["scan.nii"]
    assert len(result.problems) == 1
    item.mark_recovered(result.keys)
    write_scan(other, 2, SMALL)
    rest = only(folder)
    assert [scan.identity.name for scan in rest.scans] == ["other.nii"]
    result = replay(rest)
    assert result.scene.undo_stack.redo_title == "accept other.nii"
    rest.mark_recovered(result.keys)
    assert list(folder.iterdir()) == []


# -- privacy, age, clocks --------------------------------------------------------------------------
def test_nothing_of_a_dicom_header_is_in_it(tmp_path, follow) -> None:
    from dataclasses import replace

    from medviewer.core.volume import Fact, Patient

    write_scan(tmp_path / "scan.nii", 1, SMALL)
    volume = open_scan(tmp_path / "scan.nii")
    patient = Patient("CANARY^NAME", "CANARY-ID", "19510203", "F", "20240506")
    source = replace(volume.source, series_uid="1.2.3.777", instance_uids=("1.2.3.778",))
    volume = volume.with_changes(
        patient=patient, id="1.2.3.777", title="CANARY title", source=source, facts={"x": Fact("CANARY fact")}
    )
    scene = Scene()
    journal = follow(scene)
    scene.add_volume(volume)
    editor = Editor(scene, 2)
    for _ in range(30):
        editor.edit()
    data = crash(journal).read_bytes()
    for token in (b"CANARY", b"19510203", b"20240506", b"1.2.3.77"):
        assert token not in data


def test_the_order_is_that_of_writing_whatever_the_clock_says(scan_path, follow, folder, monkeypatch) -> None:
    """The clock jumps back by a year in the middle, and the second journal is older than the first by its times."""
    for name, offset in (("first", 0.0), ("second", -4e7)):
        scene = Scene()
        journal = follow(scene)
        scene.add_volume(open_scan(scan_path))
        real = time.time()
        for number in range(4):
            jumped = real + offset - number * 1e7
            monkeypatch.setattr("medviewer.services.journal_records.time.time", lambda at=jumped: at)
            add(scene, f"{name} {number}")
        path = crash(journal)
        os.utime(path, (1e9 + offset, 1e9 + offset))
    items = recoverable(folder)
    names = [[s.name for s in replay(item).scene.scans[0].segments] for item in items]
    assert names == [[f"{journal} {n}" for n in range(4)] for journal in ("second", "first")]


def test_only_old_journals_that_were_put_aside_expire(scan_path, follow, folder) -> None:
    _, journal = edited(scan_path, follow, 10)
    path = crash(journal)
    os.utime(path, (1, 1))
    item = only(folder)  # nobody was asked yet
    item.keep()
    item = only(folder)  # the crash was long ago, but it was put aside just now
    item.release()
    os.utime(path.with_name(path.name + ".kept"), (1, 1))
    assert recoverable(folder) == []
    assert not path.exists()


def test_journals_put_aside_have_a_quota(scan_path, follow, folder, monkeypatch) -> None:
    for _ in range(3):
        _, journal = edited(scan_path, follow, 10)
        size = crash(journal).stat().st_size
    for item in recoverable(folder):
        item.keep()
    monkeypatch.setattr("medviewer.services.recovery._MOST_BYTES", int(2.5 * size))
    left = recoverable(folder)
    assert [item.path.name[:6] for item in left] == ["000003", "000002"]


def test_the_quota_never_takes_the_newest_nor_counts_what_is_in_use(scan_path, follow, folder, monkeypatch) -> None:
    _, journal = edited(scan_path, follow, 10)
    crash(journal)
    only(folder).keep()
    _, living = edited(scan_path, follow, 40)
    assert living.flush()
    assert living.path is not None
    size = living.path.stat().st_size
    monkeypatch.setattr("medviewer.services.recovery._MOST_BYTES", size + 1)
    only(folder).release()
    monkeypatch.setattr("medviewer.services.recovery._MOST_BYTES", 1)
    assert len(recoverable(folder)) == 1


def test_work_that_another_program_took_is_not_deleted(scan_path, follow, folder) -> None:
    _, journal = edited(scan_path, follow, 10)
    path = crash(journal)
    item = only(folder)
    item.keep()
    other = only(folder)  # another window holds it now
    item.delete()
    assert path.exists()
    other.delete()
    assert not path.exists()


def test_the_summary_counts_what_is_there(scan_path, follow, folder) -> None:
    scene = Scene()
    journal = follow(scene)
    scene.add_volume(open_scan(scan_path))
    for name in "ABC":
        add(scene, name)
    scene.undo()
    scene.delete_segment(scene.scans[0].segments[0].id)
    crash(journal)
    (scan,) = only(folder).scans
    assert (scan.segments, scan.edits, scan.preview, scan.identity.name) == (1, 3, False, "scan.nii")


def test_a_defect_in_the_journal_never_stops_an_edit(scan_path, follow, monkeypatch) -> None:
    scene = Scene()
    follow(scene)
    scene.add_volume(open_scan(scan_path))
    monkeypatch.setattr("medviewer.services.journal.records.pushed", lambda *a, **k: 1 / 0)
    add(scene)
    assert len(scene.scans[0].segments) == 1


def test_header_numbers_of_numpy_are_written() -> None:
    data = encode({"a": np.float32(0.5), "b": np.int64(3), "c": Path("x")})
    assert json.loads(data[12:]) == {"a": 0.5, "b": 3, "c": "x"}


def test_memory_of_a_long_session_is_small(scan_path, follow) -> None:
    """Packed steps: 200 edits of a mask of 7,680 voxels hold far less than 200 masks."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    editor, journal = edited(scan_path, follow, 200)
    assert journal.flush()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    assert all(getattr(c, "_change", None) is None or c._change._masks is None for c in editor.scene.undo_stack.done)
