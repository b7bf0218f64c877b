"""A save that fails at any moment leaves the old file or the new one."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from medviewer.core.errors import OutputNotWritten
from medviewer.io.atomic import atomic_folder, atomic_write, write_text_atomic
from tests.safety.small_drive import largest_file


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_new_file_replaces_the_old(tmp_path: Path) -> None:
    target = tmp_path / "a.nii.gz"
    target.write_text("old")
    with atomic_write(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.endswith(".nii.gz")
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert names(tmp_path) == ["a.nii.gz"]


def fail_after_writing(path: Path) -> None:
    path.write_text("half")
    raise RuntimeError("a defect")


def test_a_failure_inside_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(target) as temporary:
        fail_after_writing(temporary)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_full_disk_is_one_sentence_and_a_hint(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(OutputNotWritten) as caught, largest_file(1000):
        write_text_atomic(target, "x" * 5000)
    assert "no space is left" in caught.value.message
    assert caught.value.hint
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_really_full_drive(tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    drive.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(drive)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small drive is not permitted here")
    try:
        (drive / "a.txt").write_text("old")
        with pytest.raises(OutputNotWritten, match="no space is left"):
            write_text_atomic(drive / "a.txt", "x" * 200_000)
        assert (drive / "a.txt").read_text() == "old"
        assert names(drive) == ["a.txt"]
        subprocess.run(["mount", "-o", "remount,ro", str(drive)], check=True)
        with pytest.raises(OutputNotWritten, match="read-only"):
            write_text_atomic(drive / "a.txt", "new")
        assert (drive / "a.txt").read_text() == "old"
    finally:
        subprocess.run(["umount", str(drive)], check=True)


def no_folder(folder: Path) -> Path:
    return folder / "missing" / "a.txt"


def file_as_folder(folder: Path) -> Path:
    (folder / "file").write_text("x")
    return folder / "file" / "a.txt"


def folder_as_file(folder: Path) -> Path:
    (folder / "a.txt").mkdir()
    return folder / "a.txt"


def long_name(folder: Path) -> Path:
    return folder / ("ü" * 200 + ".txt")


@pytest.mark.parametrize("place", [no_folder, file_as_folder, folder_as_file, long_name])
def test_places_that_cannot_be_written(tmp_path: Path, place: Callable[[Path], Path]) -> None:
    target = place(tmp_path)
    before = names(tmp_path)
    with pytest.raises(OutputNotWritten) as caught:
        write_text_atomic(target, "new")
    assert caught.value.hint
    assert names(tmp_path) == before


def test_a_name_of_250_letters_is_written(tmp_path: Path) -> None:
    target = tmp_path / ("a" * 250 + ".txt")
    write_text_atomic(target, "new")
    assert target.read_text() == "new"


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "out_source"
    for text in ("first", "second"):
        with atomic_folder(target) as temporary:
            (temporary / f"{text}.dcm").write_text(text)
    assert names(target) == ["second.dcm"]
    assert names(tmp_path) == ["out_source"]
    with pytest.raises(RuntimeError), atomic_folder(target) as temporary:
        fail_after_writing(temporary / "third.dcm")
    assert names(target) == ["second.dcm"]
    assert names(tmp_path) == ["out_source"]


SAVE_FOREVER = """
import sys
from pathlib import Path
from medviewer.io.atomic import write_text_atomic
target, number = Path(sys.argv[1]), 0
print("ready", flush=True)
while True:
    number += 1
    write_text_atomic(target, f"{number % 10}" * 400_000)
"""


def test_a_killed_save_leaves_a_whole_file_and_the_next_save_clears_up(tmp_path: Path, repository: Path) -> None:
    target = tmp_path / "a.txt"
    for attempt in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVE_FOREVER, str(target)], stdout=subprocess.PIPE, text=True, cwd=repository
        )
        assert process.stdout is not None
        process.stdout.readline()
        until = time.monotonic() + 0.02 * (attempt + 1)
        while time.monotonic() < until:
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if target.exists():
            text = target.read_text()
            assert len(text) == 400_000
            assert len(set(text)) == 1
    write_text_atomic(target, "the end")
    assert names(tmp_path) == ["a.txt"]


def test_what_a_library_left_open_is_closed_when_a_write_fails(tmp_path: Path) -> None:
    """As nibabel does when the disk is full: else the space is taken for as long as somebody keeps the error."""

    def library(path: Path) -> None:
        file = open(path, "wb")  # noqa: SIM115
        opened.append(file.fileno())
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    opened: list[int] = []
    kept = []
    for write in (atomic_write, atomic_folder):
        with pytest.raises(OutputNotWritten, match="no space is left") as caught, write(tmp_path / "a") as temporary:
            library(temporary / "b" if temporary.is_dir() else temporary)
        kept.append(caught.value)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(opened[-1])
    assert list(tmp_path.iterdir()) == []
