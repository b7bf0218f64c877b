"""Fixtures for tests of the journal (`pytest_plugins`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from medviewer.core.scene import Scene
from medviewer.services.journal import Journal
from tests.safety.editing import state_hash, write_scan
from tests.safety.journal_kit import SMALL, add, crash, edited


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def scan_path(tmp_path: Path) -> Path:
    write_scan(tmp_path / "scan.nii", 1, SMALL)
    return tmp_path / "scan.nii"


@pytest.fixture
def told() -> list[bool]:
    return []


@pytest.fixture
def follow(folder: Path, told: list[bool]) -> Iterator[Callable[[Scene], Journal]]:
    made: list[Journal] = []

    def start(scene: Scene) -> Journal:
        journal = Journal(scene, told.append, folder)
        journal.attach()
        made.append(journal)
        return journal

    yield start
    for journal in made:
        journal.close(discard=False)


@pytest.fixture
def session(scan_path, follow, folder) -> tuple[Path, list[str]]:
    """A journal of 12 edits and the states after its records."""
    editor, journal = edited(scan_path, follow, 12, seed=8)
    add(editor.scene, "the last one")
    path = crash(journal)
    return path, [state_hash(editor.scene)]
