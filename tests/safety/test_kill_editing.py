"""A small share of `python -m tests.safety.kill_editing --kills 50`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.safety.kill_editing import run

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL")


def test_ten_killed_editing_sessions_come_back() -> None:
    """At random moments and inside writes; at most the last edit, or 5 s, may be missing."""
    good, rows = run(10, first_seed=100)
    assert good == 10, "\n".join(rows)
