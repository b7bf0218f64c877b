"""Getting data onto the disk, and putting a folder in the place of another in one step."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from medviewer.io.stray_files import temporary_name

_HERE = -100  # AT_FDCWD
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS


def sync_file(path: Path) -> None:
    """Wait until a file's data are on the disk. Raises OSError, also for writing errors that came late."""
    with open(path, "rb+") as file:
        _sync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until a folder's names are on the disk."""
    if os.name == "nt":  # Windows has no handle for a folder; the rename is durable there
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network drives cannot sync a folder
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_folder(new: Path, path: Path) -> None:
    """Give the folder `new` the name `path`; a folder that was there is removed. Raises OSError, then it is there."""
    if not path.exists():
        os.replace(new, path)
    elif _exchange(new, path):
        sync_folder(path.parent)
        shutil.rmtree(new, ignore_errors=True)
    else:
        _by_two_steps(new, path)
    sync_folder(path.parent)


def _by_two_steps(new: Path, path: Path) -> None:
    aside = temporary_name(path, "aside")
    os.replace(path, aside)
    try:
        os.replace(new, path)
    except OSError:
        os.replace(aside, path)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two names in one step; False where the system or the drive cannot."""
    if sys.platform == "linux":
        return _call("renameat2", _HERE, os.fsencode(first), _HERE, os.fsencode(second), _EXCHANGE)
    if sys.platform == "darwin":
        return _call("renamex_np", os.fsencode(first), os.fsencode(second), _EXCHANGE)
    return False


def _call(name: str, *arguments: Any) -> bool:
    try:
        function = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return False
    return int(function(*arguments)) == 0


def _sync(descriptor: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)
