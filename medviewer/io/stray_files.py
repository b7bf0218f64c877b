"""Names of temporary files, and the removal of those that a killed process of this machine left behind."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import zlib
from pathlib import Path
from platform import node
from typing import Literal

_HOST = f"{zlib.crc32(node().encode()) & 0xFFFF:04x}"
_DOUBLE_ENDINGS = (".nii.gz", ".seg.nrrd")
_LONGEST_MARK = 120  # bytes; most file systems end at 255
_OURS = re.compile(rf"\.(?P<mark>.+)\.{_HOST}\.(?P<pid>\d+)\.[0-9a-f]{{6}}\.(?P<kind>part|aside)(\..*)?", re.DOTALL)
_CLOCKS_DIFFER_S = 120.0  # a drive's clock and ours

Kind = Literal["part", "aside"]


def temporary_name(path: Path, kind: Kind = "part") -> Path:
    """A hidden name beside `path` that no other save uses and that tells machine and process.

    "part" is a file being written, "aside" an old folder while the new one takes its place.
    """
    double = next((end for end in _DOUBLE_ENDINGS if path.name.lower().endswith(end)), "")
    suffix = path.name[-len(double) :] if double else path.suffix[:16]
    return path.with_name(f".{_mark(path)}.{_HOST}.{os.getpid()}.{os.urandom(3).hex()}.{kind}{suffix}")


def remove_strays(folder: Path) -> None:
    """Remove what killed processes of this machine left in `folder`; an old folder that lost its place goes back.

    Only names of ours whose process is gone (or whose number another program has since got). Raises OSError.
    """
    with os.scandir(folder) as entries:
        found = [(entry, match) for entry in entries if (match := _OURS.fullmatch(entry.name))]
    for entry, match in found:
        with contextlib.suppress(OSError):
            if _abandoned(int(match["pid"]), entry.stat(follow_symlinks=False).st_mtime):
                _clear(Path(entry.path), match["kind"], folder / match["mark"])


def _clear(path: Path, kind: str, place: Path) -> None:
    if kind == "aside" and not place.exists():
        if len(place.name.encode()) < _LONGEST_MARK - 4:  # else the name is cut and its place not known: it is kept
            os.replace(path, place)
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _abandoned(pid: int, written: float) -> bool:
    """Whether the process that wrote this no longer runs."""
    import psutil

    try:
        started: float = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False
    return written < started - _CLOCKS_DIFFER_S


def _mark(path: Path) -> str:
    """As much of the name as leaves room for the rest."""
    return path.name.encode()[:_LONGEST_MARK].decode(errors="ignore")
