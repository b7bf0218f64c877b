"""Encoded scans kept on disk, so that the first prompt of the next session is quick. Qt-free, torch-free.

One file per scan and model in `<user cache>/embeddings` (0700, files 0600). A name is a hash of voxels, weights and
preprocessing; nothing inside or outside names a patient or a path. Every file carries a checksum: what is damaged is
removed and computed again. The oldest in use go when the quota is reached. Several processes may share the folder.

Setting `embedding_cache_gb` (2.0): the quota; 0 keeps nothing derived from a patient on the disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import mmap
import os
import re
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import OutputNotWritten
from medviewer.services import log
from medviewer.services.folders import user_folder
from medviewer.services.settings import Settings

QUOTA_SETTING, QUOTA_GB = "embedding_cache_gb", 2.0
_MAGIC = b"medviewer embeddings 1\n\0"
_NAME = re.compile(r"[0-9a-f]{64}\Z")
_ENDING = ".emb"
_TYPES = ("<f2", "<f4")
_MOST_HEADER = 4096
_DIGEST = 16
MAPPED_ABOVE = 400_000_000  # bytes: larger entries are mapped into memory, not read
_CHUNK = 1 << 26  # bytes that are hashed at once
_LEAST_FREE = 200_000_000  # bytes that are left to everybody else on the disk

Arrays = Mapping[str, NDArray[Any]]
Pieces = Mapping[str, Sequence[NDArray[Any]]]


class Damaged(ValueError):
    """A file of the cache is not what was written."""


class DiskEmbeddings:
    """The folder as a store for `medviewer.models`. Any thread, any number of processes; neither call raises.

    Writing happens on a thread of its own, which a process that ends waits for.
    """

    def __init__(self, folder: Path | None = None, quota_bytes: int | None = None) -> None:
        self.folder = folder or cache_folder()
        self._quota = quota_bytes
        self._off = False
        self._turn = threading.Lock()
        self._writing: set[threading.Thread] = set()

    @property
    def quota(self) -> int:
        """Bytes that may be used; 0 where the user wants none, or after the disk was full."""
        if self._off:
            return 0
        return _quota_setting() if self._quota is None else self._quota

    def read(self, key: str) -> Arrays | None:
        """The arrays of a key as this call's own copy; None where there are none, or damaged ones (removed)."""
        if self.quota <= 0 or not _NAME.match(key):
            return None
        path = self.folder / (key + _ENDING)
        try:
            arrays = _read_file(path, key)
            os.utime(path)
        except FileNotFoundError:
            return None
        except (Damaged, OSError, MemoryError) as error:
            log.record(f"an entry of the model cache was not used: {type(error).__name__}")
            if isinstance(error, Damaged):
                _remove(path)
            return None
        return arrays

    def write(self, key: str, pieces: Pieces) -> None:
        """Keep arrays, each given as its rows. Returns at once, unless earlier ones are still being written."""
        if self.quota <= 0 or not _NAME.match(key):
            return
        self.wait()  # else slow disks would pile up scans in memory
        thread = threading.Thread(target=self._write_and_forget, args=(key, pieces), name="model cache")
        self._writing.add(thread)
        try:
            thread.start()
        except RuntimeError:  # no thread can be started, for instance because the program ends
            self._writing.discard(thread)

    def scratch(self, size: int) -> mmap.mmap | None:
        """`size` bytes in a file without a name in the folder, mapped into memory; its space on the disk is free again
        when the array or the process ends. None where the user wants nothing on the disk, or it is nearly full."""
        if self.quota <= 0 or size <= 0:
            return None
        try:
            _make_private(self.folder)
            if shutil.disk_usage(self.folder).free < size + _LEAST_FREE:
                return None
            with tempfile.TemporaryFile(dir=self.folder) as file:
                _reserve(file.fileno(), size)
                return mmap.mmap(file.fileno(), size)
        except (OSError, ValueError) as error:
            log.record(f"embeddings are not mapped from the disk: {type(error).__name__}")
            return None

    def wait(self) -> None:
        """Until everything was written."""
        for thread in list(self._writing):
            thread.join()

    def _write_and_forget(self, key: str, pieces: Pieces) -> None:
        try:
            with self._turn:
                self._write(key, pieces)
        except (OSError, OutputNotWritten) as error:
            self._off = True
            log.record(f"the model cache is off until the next start: {type(error).__name__}")
        finally:
            self._writing.discard(threading.current_thread())

    def _write(self, key: str, pieces: Pieces) -> None:
        from medviewer.io.atomic import atomic_write

        size = sum(rows[0].nbytes * len(rows) for rows in pieces.values()) + _MOST_HEADER
        _make_private(self.folder)
        if size > self.quota:
            return
        if shutil.disk_usage(self.folder).free < size + _LEAST_FREE:
            raise OSError("the disk is nearly full")
        _drop_oldest(self.folder, self.quota - size)
        with atomic_write(self.folder / (key + _ENDING)) as temporary, _private_file(temporary) as file:
            _write_to(file, key, pieces)
        _drop_oldest(self.folder, self.quota)  # another process may have written at the same time


def cache_folder() -> Path:
    """Where the files are (not created)."""
    return user_folder("cache") / "embeddings"


def embedding_store() -> DiskEmbeddings:
    """The user's cache, for a plugin's logic to hand to its model. Where the user wants none, older entries go."""
    store = DiskEmbeddings()
    if store.quota == 0:
        clear(store.folder)
    return store


def clear(folder: Path | None = None) -> int:
    """Remove every entry and what killed processes left; returns the bytes that were freed. What another process writes
    at this moment stays."""
    from medviewer.io.stray_files import remove_strays

    folder = folder or cache_folder()
    before = _bytes_in(folder)
    for path, _, _ in _entries(folder):
        _remove(path)
    with contextlib.suppress(OSError):
        remove_strays(folder)
    return max(0, before - _bytes_in(folder))


def _bytes_in(folder: Path) -> int:
    try:
        return sum(item.stat(follow_symlinks=False).st_size for item in os.scandir(folder))
    except OSError:
        return 0


def set_quota(gigabytes: float) -> int:
    """Change the user's quota, at once; 0 keeps nothing. Returns the bytes that were freed."""
    Settings().set(QUOTA_SETTING, float(gigabytes))
    if _quota_setting() == 0:
        return clear()
    before = used()
    _drop_oldest(cache_folder(), _quota_setting())
    return before - used()


def used(folder: Path | None = None) -> int:
    """Bytes of all entries."""
    return sum(size for _, size, _ in _entries(folder or cache_folder()))


def _quota_setting() -> int:
    gigabytes = Settings().get(QUOTA_SETTING, QUOTA_GB)
    return int(gigabytes * 1e9) if math.isfinite(gigabytes) and gigabytes > 0 else 0


# -- the folder -----------------------------------------------------------------------
def _make_private(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.name == "posix":
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise OSError("the folder of the cache belongs to somebody else")
        if status.st_mode & 0o077:
            folder.chmod(0o700)


def _entries(folder: Path) -> list[tuple[Path, int, float]]:
    """(path, bytes, time of last use), oldest first."""
    found = []
    with contextlib.suppress(OSError):
        for item in os.scandir(folder):
            if item.name.endswith(_ENDING) and _NAME.match(item.name.removesuffix(_ENDING)):
                with contextlib.suppress(OSError):  # another process was faster
                    status = item.stat(follow_symlinks=False)
                    found.append((Path(item.path), status.st_size, status.st_mtime))
    return sorted(found, key=lambda entry: entry[2])


def _reserve(descriptor: int, size: int) -> None:
    """Give a file its size; where the system can, with space on the disk, so that writing to its map cannot fail."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.truncate(descriptor, size)


def _drop_oldest(folder: Path, allowed: int) -> None:
    entries = _entries(folder)
    total = sum(size for _, size, _ in entries)
    for path, size, _ in entries:
        if total <= allowed:
            break
        total -= size if _remove(path) else 0


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _private_file(path: Path) -> Iterator[BinaryIO]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        yield file


# -- one file ---------------------------------------------------------------------------
# magic, header length (4 bytes), header (JSON: types and shapes), rows one after the other, BLAKE2b of key and all that
def _write_to(file: BinaryIO, key: str, pieces: Pieces) -> None:
    header = {name: [rows[0].dtype.str, [len(rows), *rows[0].shape]] for name, rows in pieces.items()}
    text = json.dumps(header).encode()
    text += b" " * (-(len(_MAGIC) + 4 + len(text)) % 64)
    digest = _digest_of(key)
    for part in (_MAGIC, len(text).to_bytes(4, "little"), text):
        digest.update(part)
        file.write(part)
    for rows in pieces.values():
        for row in rows:
            data = np.ascontiguousarray(row).data.cast("B")
            digest.update(data)
            file.write(data)
    file.write(digest.digest())


def _read_file(path: Path, key: str) -> Arrays:
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(len(_MAGIC) + 4)
        length = int.from_bytes(start[len(_MAGIC) :], "little")
        if start[: len(_MAGIC)] != _MAGIC or length > _MOST_HEADER:
            raise Damaged("no such file")
        text = file.read(length)
        layout = _layout(text)
        if sum(stop - first for first, stop, _, _ in layout.values()) != size - len(start) - len(text) - _DIGEST:
            raise Damaged("other length")
        data = _payload(file, len(start) + len(text), size)
    digest = _digest_of(key)
    for part in (start, text):
        digest.update(part)
    for place in range(0, len(data) - _DIGEST, _CHUNK):
        digest.update(data[place : min(place + _CHUNK, len(data) - _DIGEST)].data)
        _let_go(data)
    if digest.digest() != data[-_DIGEST:].tobytes():
        raise Damaged("checksum")
    return {name: data[first:stop].view(kind).reshape(shape) for name, (first, stop, kind, shape) in layout.items()}


def _payload(file: BinaryIO, start: int, size: int) -> NDArray[np.uint8]:
    """The bytes from `start` on: read, or of large files mapped (changes stay private)."""
    if size - start > MAPPED_ABOVE:
        return np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY), np.uint8)[start:]
    data = np.empty(size - start, np.uint8)
    if file.readinto(data.data) != data.size:  # type: ignore[attr-defined]
        raise Damaged("cut short")
    return data


def _let_go(data: NDArray[np.uint8]) -> None:
    """Mapped bytes that were looked at leave the process's memory (not the file)."""
    owner = data.base.base if isinstance(data.base, np.ndarray) else data.base
    owner = owner.obj if isinstance(owner, memoryview) else owner
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)


def _opened(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)), "rb")


def _layout(text: bytes) -> dict[str, tuple[int, int, str, tuple[int, ...]]]:
    """First and last byte, type and shape of each array. Raises Damaged."""
    layout, place = {}, 0
    try:
        for name, (kind, shape) in json.loads(text).items():
            if kind not in _TYPES or not all(type(n) is int and 0 < n < 1 << 32 for n in shape):
                raise Damaged("header")
            stop = place + math.prod(shape) * int(kind[-1])
            layout[name] = (place, stop, kind, tuple(shape))
            place = stop
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged("header") from error
    return layout


def _digest_of(key: str) -> Any:
    return hashlib.blake2b(key.encode(), digest_size=_DIGEST)
