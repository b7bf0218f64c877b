"""A journal on damaged, full and hanging disks."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from medviewer.core.errors import UserError
from medviewer.core.scene import Scene
from medviewer.services import journal_writer
from medviewer.services.journal import Journal
from medviewer.services.journal_file import MARK, encode, read
from medviewer.services.recovery import recoverable, replay
from tests.safety.editing import Editor, open_scan, state_hash
from tests.safety.journal_kit import add, edited, hash_on_disk, only

pytest_plugins = ["tests.safety.journal_fixtures"]


# -- damage ------------------------------------------------------------------------------------
def test_truncating_at_every_byte_of_the_last_record_loses_that_record_only(session) -> None:
    path, _ = session
    whole = path.read_bytes()
    records = read(path).records
    last_start = records[-2].offset + records[-2].size
    before = [record.header["n"] for record in records[:-1]]
    for end in range(last_start, len(whole)):
        path.write_bytes(whole[:end])
        contents = read(path)
        assert [record.header["n"] for record in contents.records] == before, end
        assert contents.torn == (end > last_start)
        assert not contents.damaged
    path.write_bytes(whole[: last_start + 5])
    result = replay(only(path.parent))
    assert result.problems == ()
    assert "the last one" not in [s.name for s in result.scene.scans[0].segments]


def test_zeros_after_the_end_are_a_torn_tail(session) -> None:
    """Some file systems leave them after a power failure."""
    path, states = session
    path.write_bytes(path.read_bytes() + bytes(5000))
    contents = read(path)
    assert contents.torn
    assert not contents.damaged
    assert state_hash(replay(only(path.parent)).scene) == states[0]


def test_a_flipped_bit_keeps_what_is_before_it_and_is_told(session) -> None:
    path, _ = session
    whole = bytearray(path.read_bytes())
    records = read(path).records
    for number in range(3, len(records)):
        start = records[number - 1].offset + records[number - 1].size
        for place in (start + 8, start + 12, records[number].offset - 1):
            flipped = bytearray(whole)
            flipped[place] ^= 16
            path.write_bytes(flipped)
            contents = read(path)
            assert len(contents.records) == number
            assert contents.damaged
    path.write_bytes(flipped)
    item = only(path.parent)
    assert item.damaged
    assert "damaged" in str(replay(item).problems[0])


def test_a_flip_of_any_byte_never_raises_and_never_invents(session) -> None:
    path, _ = session
    whole = path.read_bytes()
    good = [record.header for record in read(path).records]
    for place in range(len(MARK), len(whole), 23):
        flipped = bytearray(whole)
        flipped[place] ^= 255
        path.write_bytes(flipped)
        contents = read(path)
        found = [record.header for record in contents.records]
        assert found == good[: len(found)]
        assert len(found) < len(good)
        assert contents.damaged or contents.torn


def test_records_that_do_not_fit_each_other_end_the_recovery_with_a_word(session) -> None:
    """Whole records with a right checksum, as a defect could write them."""
    path, states = session
    with open(path, "ab") as file:
        step = {"do": "delete", "id": "?"}
        key = read(path).records[0].header["scan"]
        file.write(encode({"n": 999, "k": "push", "scan": key, "step": step}))
        file.write(encode({"n": 1000, "k": "undo", "scan": "unknown"}))
    result = replay(only(path.parent))
    assert state_hash(result.scene) == states[0]
    assert "damaged" in str(result.problems[0])


def test_a_journal_of_a_newer_program_is_kept_and_named(folder) -> None:
    folder.mkdir()
    path = folder / "000001-aa.mvjournal"
    first = {"n": 1, "k": "journal", "schema": 99, "t": "2030-01-01T10:00:00+00:00"}
    path.write_bytes(MARK + encode(first) + encode({}))
    item = only(folder)
    assert item.newer
    with pytest.raises(UserError):
        replay(item)
    item.release()
    assert path.exists()


@pytest.mark.parametrize("content", [b"", b"medview", b"something else", MARK, MARK + b"\0\0"])
def test_other_files_among_the_journals_do_no_harm(content: bytes, folder) -> None:
    folder.mkdir()
    (folder / "000001-aa.mvjournal").write_bytes(content)
    (folder / "junk").write_bytes(b"x")
    assert recoverable(folder) == []
    assert (folder / "junk").exists()


# -- the disk --------------------------------------------------------------------------------
def test_a_full_disk_is_told_once_and_the_work_goes_on(scan_path, follow, folder, told, monkeypatch) -> None:
    editor, journal = edited(scan_path, follow, 10)
    assert journal.flush()
    path = journal.path
    good = state_hash(editor.scene)
    full = threading.Event()
    full.set()
    real_write = os.write

    def write(descriptor: int, data: memoryview) -> int:
        if full.is_set():
            real_write(descriptor, data[: len(data) // 2])  # a full disk takes a part
            raise OSError(28, "No space left on device")
        return real_write(descriptor, data)

    monkeypatch.setattr(journal_writer.os, "write", write)
    for _ in range(10):
        editor.edit()
    assert not journal.flush()
    assert told == [False]
    assert hash_on_disk(path) == good, "what was written before is intact"
    full.clear()
    monkeypatch.setattr("medviewer.services.journal._AGAIN_S", 0.0)
    add(editor.scene, "space again")
    assert journal.flush()
    assert told == [False, True]
    assert hash_on_disk(path) == state_hash(editor.scene)


def test_a_file_size_limit_of_the_system_does_not_end_the_program(scan_path, tmp_path) -> None:
    """A real limit (RLIMIT_FSIZE) in a process of its own."""
    script = f"""
import resource, signal, sys; sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})
from pathlib import Path
from medviewer.core.scene import Scene
from medviewer.services.journal import Journal
from tests.safety.editing import open_scan
from tests.safety.journal_kit import add
scene = Scene(); told = []; journal = Journal(scene, told.append, Path({str(tmp_path / "j")!r})); journal.attach()
scene.add_volume(open_scan(Path({str(scan_path)!r})))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
for number in range(60): add(scene, str(number))
journal.flush(); print(told, len(scene.active.segments))
"""
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output == "[False] 60\n"
    assert recoverable(tmp_path / "j"), "the part before the limit can be recovered"


def test_a_folder_that_cannot_be_written_is_told_once(scan_path, tmp_path, told) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    scene = Scene()
    journal = Journal(scene, told.append, blocked / "journal")
    journal.attach()
    scene.add_volume(open_scan(scan_path))
    add(scene, "A")
    add(scene, "B")
    journal.close(discard=True)
    assert told == [False]
    assert len(scene.scans[0].segments) == 2


def test_the_file_stays_within_twice_its_contents(scan_path, follow, monkeypatch) -> None:
    monkeypatch.setattr("medviewer.services.journal._SLACK", 4096)
    editor, journal = edited(scan_path, follow, 1)
    for _ in range(40):  # previews that replace each other are not kept
        editor._preview()
        assert journal.flush()
    assert journal.writer.size <= 3 * journal.writer.whole_size + 2 * 4096
    assert hash_on_disk(journal.path) == state_hash(editor.scene)


def test_only_the_user_may_read_it(scan_path, follow, folder) -> None:
    _, journal = edited(scan_path, follow, 10)
    assert journal.flush()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()} == {0o600}


def test_no_edit_waits_for_the_disk(scan_path, follow, monkeypatch) -> None:
    """The disk hangs; the edits go on, and the queue stays bounded."""
    go = threading.Event()
    real_sync = os.fsync
    monkeypatch.setattr(journal_writer.os, "fsync", lambda d: (go.wait(30), real_sync(d)))
    monkeypatch.setattr(journal_writer, "_MOST_WAITING", 20)
    scene = Scene()
    journal = follow(scene)
    scene.add_volume(open_scan(scan_path))
    editor = Editor(scene, 4)
    for _ in range(150):
        editor.edit()
    assert journal.writer.waiting <= 50
    go.set()
    assert journal.flush()
    assert hash_on_disk(journal.path) == state_hash(scene)
