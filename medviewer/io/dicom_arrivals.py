"""Slices that arrive while a folder is still being copied: noticed when the voxels are read, by one `stat`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medviewer.core.volume import Refused
from medviewer.io.dicom_header import Header, NotReadable, read_header

Times = dict[Path, int]


@dataclass(frozen=True)
class Census:
    """How many images of a series there were, and when their folders had last changed (nanoseconds)."""

    series_uid: str | None
    images: int
    folders: tuple[tuple[Path, int], ...]


def folder_times(files: Iterable[Path]) -> Times:
    """When each folder of the files changed last; to be asked before the files are read."""
    return {folder: _changed(folder) for folder in dict.fromkeys(path.parent for path in files)}


def _changed(folder: Path) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


def census(headers: Sequence[Header], times: Times) -> Census:
    """Of the files of one series."""
    folders = dict.fromkeys(header.path.parent for header in headers)
    known = tuple((folder, times[folder]) for folder in folders if folder in times)
    return Census(headers[0].get("SeriesInstanceUID"), len(headers), known)


def arrival_note(taken: Census | None) -> tuple[str, ...]:
    """A warning if there are more images of the series now; headers are read only where a folder has changed."""
    if taken is None or taken.series_uid is None or all(_changed(folder) == time for folder, time in taken.folders):
        return ()
    more = _images(taken) - taken.images
    if more < 1:
        return ()
    what = "1 more image of this series has" if more == 1 else f"{more} more images of this series have"
    return (f"{what} arrived since the folder was looked through: open it again when the copying has ended.",)


def _images(taken: Census) -> int:
    from medviewer.io.dicom_files import walk

    refused: list[Refused] = []
    return sum(
        _series_of(path) == taken.series_uid
        for folder, _ in taken.folders
        for path in walk(folder, refused)
        if path.parent == folder
    )


def _series_of(path: Path) -> str | None:
    try:
        return read_header(path).get("SeriesInstanceUID")  # type: ignore[no-any-return]
    except NotReadable:
        return None
