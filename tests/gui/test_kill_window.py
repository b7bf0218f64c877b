"""A small share of `python -m tests.safety.kill_editing --kills 50 --window`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.safety.kill_editing import run

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL")


def test_killed_windows_come_back() -> None:
    """At random moments and inside a write."""
    good, rows = run(2, window=True, first_seed=201)
    assert good == 2, "\n".join(rows)
