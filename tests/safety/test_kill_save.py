"""A process killed while it saves leaves the old file or the new one, for everything the program writes.

The extended run is `python -m tests.safety.kill_save --kills 50`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks and kills with Linux's signals")


def attack(repository: Path, *arguments: str) -> list[dict[str, object]]:
    """In a process of its own, because it forks: one dict per format."""
    command = [sys.executable, "-m", "tests.safety.kill_save", "--json", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=280, env=environment)
    assert done.stdout, done.stderr[-3000:]
    counts: list[dict[str, object]] = json.loads(done.stdout)
    return counts


def test_a_killed_save_leaves_the_old_or_the_new_file(repository: Path) -> None:
    counts = attack(repository, "--kills", "4")
    assert len(counts) == 14
    for count in counts:
        assert count["broken"] == [], count["name"]
        assert int(str(count["steps"])) >= 4, count["name"]
        assert int(str(count["old"])) + int(str(count["new"])) >= 8
    assert sum(int(str(count["old"])) for count in counts) > 50  # the kills came in time


def test_the_attack_finds_a_save_that_is_not_atomic(repository: Path) -> None:
    for name in ("in place", "pair"):
        (count,) = attack(repository, "--kills", "8", "--sabotage", name)
        assert count["broken"], name
