"""Steps of tests of the journal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from medviewer.core.scene import Scene
from medviewer.core.segmentation import Segment
from medviewer.services.journal import Journal
from medviewer.services.journal_file import read
from medviewer.services.recovery import Recoverable, recoverable, replay
from tests.safety.editing import Editor, open_scan, state_hash

SMALL = (24, 20, 16)


def edited(scan_path: Path, follow: Callable[[Scene], Journal], count: int, seed: int = 3) -> tuple[Editor, Journal]:
    scene = Scene()
    journal = follow(scene)
    scene.add_volume(open_scan(scan_path))
    editor = Editor(scene, seed)
    for _ in range(count):
        editor.edit()
    return editor, journal


def crash(journal: Journal) -> Path:
    """What a crash leaves: the file as it is, and no lock."""
    assert journal.flush()
    path = journal.path
    assert path is not None
    journal.close(discard=False)
    return path


def add(scene: Scene, name: str = "A") -> None:
    mask = np.zeros(SMALL, bool, order="F")
    mask[2:9, 2:9, 2:9] = True
    scene.add_segment(Segment(name, mask))


def only(folder: Path) -> Recoverable:
    (item,) = recoverable(folder)
    return item


def hash_on_disk(path: Path) -> str:
    return state_hash(back(path))


def back(path: Path) -> Scene:
    """The scene of a journal, also while its program lives."""
    from medviewer.services.journal_replay import lost_scans

    contents = read(path)
    assert not contents.damaged
    item = Recoverable(path, contents, tuple(lost_scans(contents.records)), "", False)
    result = replay(item)
    assert result.problems == ()
    return result.scene
