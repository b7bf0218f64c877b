"""Writing files so that a failure at any moment leaves the old file or the complete new one, never half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from medviewer.core.errors import OutputNotWritten
from medviewer.io.folder_swap import put_folder, sync_file, sync_folder
from medviewer.io.stray_files import remove_strays, temporary_name

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
PREVIOUS = "previous"  # inside a folder of `atomic_pair`: what the file of before refers to


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; what was written there replaces `path` when the block ends well.

    The temporary file has the same endings (".nii.gz"), so that libraries which choose by the name work. Check the
    temporary file inside the block: `path` is only touched by the last step, the rename, after the data reached
    the disk. An older file's permissions are kept. Raises OutputNotWritten for every OSError (disk full, no
    permission, missing folder); then, and when the block raises anything, the temporary file is removed and an older
    `path` is as it was. What killed processes left in the folder is removed first. Any thread.
    """
    with atomic_files(path) as (temporary,):
        yield temporary


@contextmanager
def atomic_files(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Like `atomic_write` for files that belong together: none is replaced before all of them are on the disk.

    The first path is replaced last: whoever finds it new finds the others new.
    """
    targets = [Path(path) for path in paths]
    temporary = [temporary_name(path) for path in targets]
    with _reported(targets, temporary):
        for path in targets:
            _refuse_bad_target(path, folder=False)
        try:
            _tidy(targets)
            yield tuple(temporary)
            for new, path in zip(temporary, targets, strict=True):
                _keep_permissions(new, path)
                sync_file(new)
            for new, path in reversed(list(zip(temporary, targets, strict=True))):
                os.replace(new, path)
                sync_folder(path.parent)
        except BaseException as error:
            _let_go(error)
            raise
        finally:
            for new in temporary:
                with contextlib.suppress(OSError):
                    new.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Like `atomic_write` for a whole folder: gives an empty temporary folder that becomes `path` at the end.

    An older folder `path` is replaced as a whole, in one step where the system can exchange two folders (Linux,
    macOS); elsewhere it is moved aside first, and a process killed in between has it moved back by the next save.
    """
    path = Path(path)
    temporary = temporary_name(path)
    with _reported([path], [temporary]):
        _refuse_bad_target(path, folder=True)
        try:
            _tidy([path])
            temporary.mkdir()
            yield temporary
            _sync_tree(temporary)
            put_folder(temporary, path)
        except BaseException as error:
            _let_go(error)
            raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def atomic_pair(file: Path, folder: Path) -> Iterator[tuple[Path, Path]]:
    """A file and the folder of files that it refers to; gives a temporary file and a temporary folder.

    At every moment the file at its place, old or new, finds everything it refers to in `folder`: while the file is
    replaced, the folder holds the new files and, in the subfolder "previous", the old ones.
    """
    file, folder = Path(file), Path(folder)
    new_file, new_folder = temporary_name(file), temporary_name(folder)
    with _reported([file, folder], [new_file, new_folder]):
        _refuse_bad_target(file, folder=False)
        _refuse_bad_target(folder, folder=True)
        try:
            _tidy([file])
            new_folder.mkdir()
            yield new_file, new_folder
            _keep_permissions(new_file, file)
            sync_file(new_file)
            _place_pair(new_file, file, new_folder, folder)
        except BaseException as error:
            _let_go(error)
            raise
        finally:
            with contextlib.suppress(OSError):
                new_file.unlink(missing_ok=True)
            shutil.rmtree(new_folder, ignore_errors=True)


def write_text_atomic(path: Path, text: str) -> None:
    """Write a small UTF-8 text file atomically and compare it with what was meant. Raises OutputNotWritten."""
    with atomic_write(path) as temporary:
        write_text(temporary, text)


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write a file made in memory atomically and compare it with what was meant. Raises OutputNotWritten."""
    with atomic_write(path) as temporary:
        write_bytes(temporary, data)


def write_text(temporary: Path, text: str) -> None:
    """Write text to the temporary path of an atomic write and read it back. Raises OSError, OutputNotWritten."""
    write_bytes(temporary, text.encode("utf-8"))


def write_bytes(temporary: Path, data: bytes) -> None:
    """Like `write_text`."""
    temporary.write_bytes(data)
    if temporary.read_bytes() != data:
        raise OutputNotWritten(
            f"{temporary.name} was not written: reading it back gave something else than was saved.",
            "Try another folder or drive; the old file, if there was one, is unchanged.",
        )


def not_written(path: Path, error: OSError) -> OutputNotWritten:
    """The user's version of an OSError that happened while `path` was written."""
    message, hint = _explain(_origin(error))
    return OutputNotWritten(f"{path} was not written: {message}.", hint)


def _origin(error: OSError) -> OSError:
    """The system's own error where a library put words around it (pydicom does)."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.errno is not None:
            return inner
        inner = inner.__cause__ or inner.__context__
    return error


@contextmanager
def _reported(targets: Sequence[Path], temporary: Sequence[Path]) -> Iterator[None]:
    """Every failure in words that name what the user asked for (the first target), never a temporary file."""
    try:
        yield
    except OutputNotWritten as error:
        message = error.message
        for path, new in zip(targets, temporary, strict=True):
            message = message.replace(new.name, path.name)
        if message == error.message:
            raise
        raise OutputNotWritten(message, error.hint, code=error.code) from error
    except OSError as error:
        raise not_written(targets[0], error) from error


def _let_go(error: BaseException) -> None:
    """Close what a library left open when its writing failed: whoever keeps the error would keep the disk full."""
    inner: BaseException | None = error
    while inner is not None:
        traceback.clear_frames(inner.__traceback__)
        inner = inner.__cause__ or inner.__context__


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
    if error.errno in (errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE):
        return "the drive does not answer", "Check the drive or the network, or choose another folder."
    return error.strerror or "the drive refused it", "Choose another folder, then save again."


def _refuse_bad_target(path: Path, *, folder: bool) -> None:
    if not path.parent.is_dir():
        raise OutputNotWritten(
            f"{path} was not written: the folder {path.parent} does not exist.",
            "Create the folder first or choose another one.",
        )
    if not folder and path.is_dir():
        raise OutputNotWritten(f"{path} was not written: a folder of this name is there.", "Choose another name.")
    if folder and path.exists() and not path.is_dir():
        raise OutputNotWritten(f"{path} was not written: a file of this name is there.", "Choose another name.")


def _tidy(targets: Sequence[Path]) -> None:
    for parent in {path.parent for path in targets}:
        with contextlib.suppress(OSError):
            remove_strays(parent)


def _keep_permissions(new: Path, path: Path) -> None:
    """A file that only its owner may read stays so; one that was written for its owner alone becomes so."""
    with contextlib.suppress(OSError):
        if new.stat().st_mode & 0o077:
            shutil.copymode(path, new)


def _sync_tree(folder: Path) -> None:
    for entry in sorted(folder.rglob("*")):
        sync_folder(entry) if entry.is_dir() else sync_file(entry)
    sync_folder(folder)


def _place_pair(new_file: Path, file: Path, new_folder: Path, folder: Path) -> None:
    replaced = folder.exists()
    if replaced:
        _link_files(folder, new_folder / PREVIOUS)
    _sync_tree(new_folder)
    put_folder(new_folder, folder)
    try:
        os.replace(new_file, file)
        sync_folder(file.parent)
    except OSError:
        _put_back(folder, replaced)
        raise
    if replaced:
        _discard(folder / PREVIOUS, temporary_name(folder))


def _put_back(folder: Path, replaced: bool) -> None:
    """The file was not replaced: its folder becomes what it was."""
    if not replaced:
        shutil.rmtree(folder, ignore_errors=True)
        return
    old = temporary_name(folder)
    os.replace(folder / PREVIOUS, old)
    put_folder(old, folder)


def _link_files(source: Path, target: Path) -> None:
    """The files of a folder a second time: by links where the drive has them, else copied."""
    for file in sorted(p for p in source.rglob("*") if p.is_file()):
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, place)
        except OSError:
            shutil.copy2(file, place)


def _discard(folder: Path, aside: Path) -> None:
    """Out of sight at once, then gone; what a kill leaves of it is a stray of ours."""
    with contextlib.suppress(OSError):
        os.replace(folder, aside)
        shutil.rmtree(aside)
