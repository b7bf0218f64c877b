"""Fixtures every test may use."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from medviewer.core.terminology import Terminology

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real scans beside the repository; the test is skipped where it is absent."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not (folder / "manifest.csv").is_file():
        pytest.skip("real scans (../shared/data) are not here")
    return folder


@pytest.fixture(scope="session")
def terminology(repository: Path) -> Terminology:
    """The shipped structures, without those of anybody's own models."""
    from medviewer.core.terminology import Terminology

    path = repository / "resources" / "terminology" / "structures.json"
    return Terminology.from_dict(json.loads(path.read_text(encoding="utf-8")))


@pytest.fixture(autouse=True, scope="session")
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Settings, logs and caches of the tests stay out of the user's folders."""
    before = os.environ.get("MEDVIEWER_HOME")
    os.environ["MEDVIEWER_HOME"] = str(tmp_path_factory.mktemp("medviewer-home"))
    yield
    if before is None:
        del os.environ["MEDVIEWER_HOME"]
    else:
        os.environ["MEDVIEWER_HOME"] = before


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in tests/gui needs a display and runs in a pytest process of its own."""
    for item in items:
        if REPOSITORY / "tests" / "gui" in item.path.parents:
            item.add_marker(pytest.mark.gui)
