"""The shipped tables, once."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from medviewer.core.measure import KNOWN, Rules, Wordings, allowed_table, reference_ranges, wordings


@pytest.fixture(scope="session")
def rules(repository: Path) -> Rules:
    """The shipped table of allowed measurements and reference ranges."""
    folder = repository / "resources" / "terminology"
    allowed = json.loads((folder / "allowed.json").read_text(encoding="utf-8"))
    ranges = json.loads((folder / "ranges.json").read_text(encoding="utf-8"))
    return Rules(allowed_table(allowed, KNOWN), reference_ranges(ranges))


@pytest.fixture(scope="session")
def texts(repository: Path) -> Wordings:
    """The shipped names and phrases."""
    return wordings(
        tomllib.loads((repository / "resources" / "report" / "quantities.toml").read_text(encoding="utf-8"))
    )
