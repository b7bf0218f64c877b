"""A report survives a crash: the draft, and every step of a person on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from medviewer.core.scene import Scan, Scene
from medviewer.services.journal import Journal
from medviewer.services.journal_file import read
from medviewer.services.recovery import recoverable, replay
from medviewer.services.report_keeping import KeptReport, kept_report, kept_text
from tests.safety.editing import open_scan
from tests.safety.journal_kit import add, back, crash, only
from tests.safety.kill_reporting import PLUGIN, drafted, steps

pytest_plugins = ["tests.safety.journal_fixtures"]
REPOSITORY = Path(__file__).resolve().parents[2]


def started(scan_path, follow) -> tuple[Scene, Scan, Journal]:
    scene = Scene()
    journal = follow(scene)
    return scene, scene.add_volume(open_scan(scan_path)), journal


def states(scan: Scan) -> list[tuple[str, str]]:
    reviewed = kept_report(scan.notes[PLUGIN], scan.volume).reviewed
    return [(f.state, f.text) for f in reviewed.report.findings]


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_drafts_edits_accepts_and_rejects_come_back_after_a_kill(scan_path, folder) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.safety.kill_reporting", str(scan_path), str(folder)], cwd=REPOSITORY,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == -9, done.stderr
    assert done.stdout.split() == ["0", "1", "2", "3"]
    item = only(folder)
    assert [scan.notes for scan in item.scans] == [{PLUGIN}]
    (scan,) = replay(item).scene.scans
    assert scan.recovered_notes == {PLUGIN}
    assert states(scan) == [
        ("accepted", "Liver: volume 1500 ml."), ("edited", "The spleen is large: 200 ml."),
        ("rejected", "A cyst of the kidney."),
    ]  # fmt: skip
    kept = kept_report(scan.notes[PLUGIN], scan.volume)
    assert [entry.action for entry in kept.reviewed.trail] == ["accept", "edit", "reject"]
    assert kept.added == {"x"}
    assert b"CANARY" not in item.path.read_bytes()


def test_a_report_without_any_edit_of_a_mask_is_work(scan_path, follow, folder) -> None:
    scene, scan, journal = started(scan_path, follow)
    scene.keep_note(scan, PLUGIN, "some report")
    crash(journal)
    item = only(folder)
    assert [(lost.edits, lost.segments, lost.notes) for lost in item.scans] == [(0, 0, {PLUGIN})]
    assert replay(item).scene.scans[0].notes == {PLUGIN: "some report"}


def test_a_report_that_a_session_has_is_not_offered_again(scan_path, follow, folder) -> None:
    scene, scan, journal = started(scan_path, follow)
    scene.keep_note(scan, PLUGIN, "some report")
    scan.saved_notes = dict(scan.notes)  # as saving a session does, before the stack is told
    scene.undo_stack.mark_saved()
    assert journal.flush()
    assert journal.path is None
    scene.keep_note(scan, PLUGIN, "a later one")
    crash(journal)
    assert replay(only(folder)).scene.scans[0].notes == {PLUGIN: "a later one"}


def test_a_saved_report_comes_back_with_other_work_but_is_none_itself(scan_path, follow, folder) -> None:
    scene, scan, journal = started(scan_path, follow)
    scene.keep_note(scan, PLUGIN, "some report")
    scan.saved_notes = dict(scan.notes)
    scene.undo_stack.mark_saved()
    add(scene, "later")
    crash(journal)
    item = only(folder)
    assert item.scans[0].notes == set()
    (scan,) = replay(item).scene.scans
    assert scan.notes == {PLUGIN: "some report"}


def test_a_damaged_record_gives_the_report_of_before_it_and_says_so(scan_path, follow, folder) -> None:
    scene, scan, journal = started(scan_path, follow)
    for reviewed in steps(drafted()):
        scene.keep_note(scan, PLUGIN, kept_text(KeptReport(reviewed)))
        assert journal.flush()
    path = crash(journal)
    data, last = bytearray(path.read_bytes()), read(path).records[-1]
    data[last.offset + last.size // 2] ^= 16
    path.write_bytes(data)
    item = only(folder)
    assert item.damaged
    result = replay(item)
    assert "damaged" in str(result.problems[0])
    assert [state for state, _ in states(result.scene.scans[0])] == ["accepted", "edited", "draft"]


def test_a_torn_record_loses_that_step_only(scan_path, follow, folder) -> None:
    scene, scan, journal = started(scan_path, follow)
    for text in ("one", "two"):
        scene.keep_note(scan, PLUGIN, text)
        assert journal.flush()
    path = crash(journal)
    path.write_bytes(path.read_bytes()[:-3])
    result = replay(only(folder))
    assert result.problems == ()
    assert result.scene.scans[0].notes == {PLUGIN: "one"}


def test_of_many_steps_only_what_is_still_the_newest_is_written(scan_path, follow) -> None:
    scene, scan, journal = started(scan_path, follow)
    scene.keep_note(scan, PLUGIN, "0")
    assert journal.flush()
    journal.writer.call(lambda: [scene.keep_note(scan, PLUGIN, str(n)) for n in range(1, 50)])
    assert journal.flush()
    notes = [r for r in read(journal.path).records if r.header["k"] == "note"]
    assert len(notes) <= 3
    assert back(journal.path).scans[0].notes == {PLUGIN: "49"}


def test_closing_a_scan_takes_its_report_out(scan_path, follow, folder) -> None:
    scene, scan, journal = started(scan_path, follow)
    scene.keep_note(scan, PLUGIN, "some report")
    scene.close(scan)
    assert journal.flush()
    assert journal.path is None
    assert recoverable(folder) == []
