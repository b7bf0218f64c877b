"""Writing files so that a failure at any moment leaves the old file or the complete new one, never half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from platform import node

from medviewer.core.errors import OutputNotWritten

_HOST = f"{zlib.crc32(node().encode()) & 0xFFFF:04x}"
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DOUBLE_ENDINGS = (".nii.gz", ".seg.nrrd")
_LONGEST_MARK = 120  # bytes; most file systems end at 255


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; what was written there replaces `path` when the block ends well.

    The temporary file has the same endings (".nii.gz"), so that libraries which choose by the name work. Check the
    temporary file inside the block: `path` is only touched by the last step, the rename, after the data reached
    the disk. Raises OutputNotWritten for every OSError (disk full, no permission, missing folder); then, and when
    the block raises anything, the temporary file is removed and an older `path` is as it was.
    """
    path = Path(path)
    temporary = _temporary_name(path)
    with _reported(path):
        _refuse_bad_target(path, folder=False)
        try:
            with contextlib.suppress(OSError):
                _remove_leftovers(path)
            yield temporary
            _sync_file(temporary)
            os.replace(temporary, path)
            _sync_folder(path.parent)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Like `atomic_write` for a whole folder: gives an empty temporary folder that becomes `path` at the end.

    An older folder `path` is replaced as a whole: it is moved aside, and moved back if the rename fails.
    """
    path = Path(path)
    temporary = _temporary_name(path)
    with _reported(path):
        _refuse_bad_target(path, folder=True)
        try:
            with contextlib.suppress(OSError):
                _remove_leftovers(path)
            temporary.mkdir()
            yield temporary
            for file in sorted(temporary.rglob("*")):
                if file.is_file():
                    _sync_file(file)
            _sync_folder(temporary)
            _swap_folder(temporary, path)
            _sync_folder(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_text_atomic(path: Path, text: str) -> None:
    """Write a small UTF-8 text file atomically. Raises OutputNotWritten."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def not_written(path: Path, error: OSError) -> OutputNotWritten:
    """The user's version of an OSError that happened while `path` was written."""
    message, hint = _explain(error)
    return OutputNotWritten(f"{path.name} was not written: {message}.", hint)


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise not_written(path, error) from error


def _explain(error: OSError) -> tuple[str, str]:
    if error.errno in _NO_SPACE:
        return "no space is left there", "Free some space or choose another folder, then save again."
    if error.errno in (errno.EACCES, errno.EPERM):
        return "writing is not permitted there", "Choose a folder you may write to."
    if error.errno == errno.EROFS:
        return "the drive is read-only", "Choose a folder on another drive."
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "its folder does not exist", "Create the folder first or choose another one."
    if error.errno == errno.ENAMETOOLONG:
        return "the file name is too long", "Choose a shorter name."
    return error.strerror or str(error), "Choose another folder, then save again."


def _refuse_bad_target(path: Path, *, folder: bool) -> None:
    if not path.parent.is_dir():
        raise OutputNotWritten(
            f"{path.name} was not written: the folder {path.parent} does not exist.",
            "Create the folder first or choose another one.",
        )
    if not folder and path.is_dir():
        raise OutputNotWritten(
            f"{path.name} was not written: a folder of this name is there.", "Choose another name."
        )
    if folder and path.exists() and not path.is_dir():
        raise OutputNotWritten(
            f"{path.name} was not written: a file of this name is there.", "Choose another name."
        )


def _temporary_name(path: Path) -> Path:
    double = next((end for end in _DOUBLE_ENDINGS if path.name.lower().endswith(end)), "")
    suffix = path.name[-len(double) :] if double else path.suffix[:16]
    return path.with_name(f".{_mark(path)}.{_HOST}.{os.getpid()}.{os.urandom(3).hex()}.part{suffix}")


def _mark(path: Path) -> str:
    """As much of the name as leaves room for the rest."""
    return path.name.encode()[:_LONGEST_MARK].decode(errors="ignore")


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of this target that a killed process of this machine left behind."""
    prefix = f".{_mark(path)}.{_HOST}."
    for other in path.parent.iterdir():
        if other.name.startswith(prefix) and ".part" in other.name:
            pid = other.name[len(prefix) :].split(".")[0]
            if pid.isdigit() and int(pid) != os.getpid() and not _alive(int(pid)):
                shutil.rmtree(other, ignore_errors=True) if other.is_dir() else other.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    import psutil

    return bool(psutil.pid_exists(pid))


def _sync_file(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    if os.name == "nt":  # Windows has no handle for a folder; the rename is durable there
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network drives cannot sync a folder
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _swap_folder(new: Path, path: Path) -> None:
    aside = _temporary_name(path)
    if path.exists():
        os.replace(path, aside)
    try:
        os.replace(new, path)
    except OSError:
        if aside.exists():
            os.replace(aside, path)
        raise
    shutil.rmtree(aside, ignore_errors=True)
