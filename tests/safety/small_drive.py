"""Places that cannot be written: a small full drive, a read-only one, a limit on the size of files."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_drive(place: Path, size: str = "2m") -> Iterator[Path]:
    """A tmpfs mounted at `place`; the test is skipped where mounting is not permitted."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small drive is not permitted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@contextmanager
def filled(drive: Path, *, leaving: int = 0) -> Iterator[None]:
    """No byte is free on the drive but `leaving`."""
    filler = drive / "filler.bin"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            file.truncate(max(file.tell() - leaving, 0))
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(drive: Path) -> Iterator[None]:
    """Nothing can be written to the drive."""
    subprocess.run(["mount", "-o", "remount,ro", str(drive)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(drive)], check=True)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow past `size`: what a user without the right to mount can test of a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
