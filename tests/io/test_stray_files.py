"""What killed saves leave is removed by the next one: ours alone, and only when nobody is writing it any more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from medviewer.core.errors import OutputNotWritten
from medviewer.io import atomic, folder_swap, stray_files
from medviewer.io.atomic import atomic_files, atomic_folder, atomic_pair, atomic_write, write_text_atomic
from medviewer.io.stray_files import temporary_name


@pytest.fixture
def ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def running() -> Iterator[int]:
    """The number of a process that runs."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process.pid
    process.communicate(b"\n")


def left_by(path: Path, pid: int, kind: stray_files.Kind = "part") -> Path:
    """A temporary name of a process."""
    return path.with_name(temporary_name(path, kind).name.replace(f".{os.getpid()}.", f".{pid}.", 1))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_strays_of_any_target_in_the_folder_are_removed(tmp_path: Path, ended: int) -> None:
    for name in ("other.nii.gz", "other.seg.nrrd", "x" * 200 + ".dcm", "no-ending"):
        left_by(tmp_path / name, ended).write_bytes(b"half")
    left_by(tmp_path / "bundle", ended).mkdir()
    write_text_atomic(tmp_path / "a.txt", "new")
    assert names(tmp_path) == ["a.txt"]


def test_what_somebody_still_writes_stays(tmp_path: Path, running: int) -> None:
    own, other = temporary_name(tmp_path / "b.txt"), left_by(tmp_path / "b.txt", running)
    own.write_text("another thread's")
    other.write_text("another process's")
    write_text_atomic(tmp_path / "a.txt", "new")
    assert names(tmp_path) == sorted(["a.txt", own.name, other.name])


def test_a_number_that_another_program_has_got_since_does_not_protect(tmp_path: Path, running: int) -> None:
    for pid in (running, os.getpid()):
        stray = left_by(tmp_path / "b.txt", pid)
        stray.write_text("half")
        os.utime(stray, (time.time() - 1e6, time.time() - 1e6))
    write_text_atomic(tmp_path / "a.txt", "new")
    assert names(tmp_path) == ["a.txt"]


def test_files_of_others_and_of_other_machines_stay(tmp_path: Path, ended: int) -> None:
    kept = [
        ".hidden", ".a.txt.part", "a.part", f".a.txt.zzzz.{ended}.abcdef.part.txt",
        left_by(tmp_path / "a.txt", ended).name.replace(f".{stray_files._HOST}.", ".0000."),
        left_by(tmp_path / "a.txt", ended).name[1:],
    ]  # fmt: skip
    for name in kept:
        (tmp_path / name).write_text("precious")
    write_text_atomic(tmp_path / "a.txt", "new")
    assert names(tmp_path) == sorted(["a.txt", *kept])


@pytest.fixture
def no_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that cannot swap two folders."""
    monkeypatch.setattr(folder_swap, "_exchange", lambda first, second: False)


def test_a_folder_that_lost_its_place_goes_back(tmp_path: Path, ended: int, no_exchange: None) -> None:
    """Killed between moving the old folder aside and putting the new one in its place."""
    with atomic_folder(tmp_path / "bundle") as folder:
        (folder / "old").write_text("old")
    (tmp_path / "bundle").rename(left_by(tmp_path / "bundle", ended, "aside"))
    write_text_atomic(tmp_path / "a.txt", "new")
    assert names(tmp_path) == ["a.txt", "bundle"]
    assert names(tmp_path / "bundle") == ["old"]
    shutil.copytree(tmp_path / "bundle", left_by(tmp_path / "bundle", ended, "aside"))
    with atomic_folder(tmp_path / "bundle") as folder:
        (folder / "new").write_text("new")
    assert names(tmp_path) == ["a.txt", "bundle"]
    assert names(tmp_path / "bundle") == ["new"]


def test_a_long_name_that_lost_its_place_is_kept(tmp_path: Path, ended: int) -> None:
    aside = left_by(tmp_path / ("x" * 130), ended, "aside")
    aside.mkdir()
    write_text_atomic(tmp_path / "a.txt", "new")
    assert aside.is_dir()


def test_permissions_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text_atomic(target, "old")
    target.chmod(0o600)
    write_text_atomic(target, "new")
    assert target.stat().st_mode & 0o777 == 0o600
    target.chmod(0o664)
    write_text_atomic(target, "newer")
    assert target.stat().st_mode & 0o777 == 0o664
    with atomic_write(target) as temporary:
        temporary.touch(mode=0o600)
    assert target.stat().st_mode & 0o777 == 0o600


def test_files_that_belong_together_are_all_replaced_or_none(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("whole", "part1", "part2")]
    for path in paths:
        path.write_text("old")

    def write(fail: bool) -> None:
        with atomic_files(*paths) as temporary:
            for number, path in enumerate(temporary):
                path.write_text("new")
                if fail and number == 1:
                    raise OSError(28, "No space left on device")

    with pytest.raises(OutputNotWritten, match="whole was not written: no space"):
        write(fail=True)
    assert [path.read_text() for path in paths] == ["old"] * 3
    write(fail=False)
    assert [path.read_text() for path in paths] == ["new"] * 3
    assert paths[0].stat().st_mtime_ns <= time.time_ns()
    assert names(tmp_path) == ["part1", "part2", "whole"]


def save_pair(folder: Path, content: str) -> None:
    with atomic_pair(folder / "a.dcm", folder / "a_source") as (file, series):
        (series / f"{content}.dcm").write_text(content)
        file.write_text(content)


@pytest.mark.parametrize("swap", [True, False])
@pytest.mark.parametrize("before", [True, False])
def test_a_pair_whose_file_cannot_be_replaced_is_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap: bool, before: bool
) -> None:
    if not swap:
        monkeypatch.setattr(folder_swap, "_exchange", lambda first, second: False)
    if before:
        save_pair(tmp_path, "old")
    replace = os.replace

    def refuse(source: Path, target: Path) -> None:
        if Path(target).name == "a.dcm":
            raise OSError(30, "Read-only file system")
        replace(source, target)

    monkeypatch.setattr(atomic.os, "replace", refuse)
    with pytest.raises(OutputNotWritten, match=r"a\.dcm was not written: the drive is read-only"):
        save_pair(tmp_path, "new")
    monkeypatch.undo()
    assert names(tmp_path) == (["a.dcm", "a_source"] if before else [])
    if before:
        assert (tmp_path / "a.dcm").read_text() == "old"
        assert names(tmp_path / "a_source") == ["old.dcm"]
    save_pair(tmp_path, "newer")
    assert names(tmp_path / "a_source") == ["newer.dcm"]


def test_a_message_never_names_the_temporary_file(tmp_path: Path) -> None:
    def spoil() -> None:
        with atomic_write(tmp_path / "a.txt") as temporary:
            raise OutputNotWritten(f"{temporary.name} was not written: it read back otherwise.", "Try again.")

    with pytest.raises(OutputNotWritten) as caught:
        spoil()
    assert caught.value.message == "a.txt was not written: it read back otherwise."
    assert caught.value.hint == "Try again."
