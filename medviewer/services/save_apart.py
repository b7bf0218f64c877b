"""Saves in a process of its own: the window comes first, whatever the libraries do.

DICOM SEG's library reads 20 MB of tables in one step that lets no other thread run, the making of surfaces lets none
run either, and packing a large mask takes a core; a save that does not stop when it is cancelled can be ended there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from medviewer.core.progress import Progress
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.services.save_data import SavedReport

_HERE = (".png",)  # small: one slice


def save_segments(path: Path, volume: Volume, segments: Sequence[Segment], progress: Progress) -> SavedReport:
    """As `save_data.save_segments`, for a window: a worker thread calls it, and the window does not stand still.

    Raises what that raises, LogicStopped where the process died; the old file is then unchanged.
    """
    from medviewer.io.stray_files import remove_strays
    from medviewer.services import save_data
    from medviewer.services.logic_process import LogicProcess

    if path.name.lower().endswith(_HERE):
        return save_data.save_segments(path, volume, segments, progress)
    process = LogicProcess(work="The save", hint="The old file, if any, is intact. Save again.")
    try:
        values = (path, volume, tuple(segments))
        report: SavedReport = process.call(f"{__name__}:saver", (), "save", values, progress, volume)
        return report
    finally:
        process.close()
        with suppress(OSError):
            remove_strays(path.parent)  # of a save whose process was ended because it did not stop


class _Saver:
    def __init__(self, save: Callable[..., Any]) -> None:
        self.save = save


def saver() -> _Saver:
    """In the process: the ordinary way of saving."""
    from medviewer.services import save_data

    return _Saver(save_data.save_segments)
