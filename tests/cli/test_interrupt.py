"""Ctrl-C while a plugin works: status 130, one JSON document, no output file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

MANIFEST = """
[plugin]
id = "endless"
name = "Endless"
version = "1"
api = 1
kind = "text-segmentation"
logic = "logic:Endless"
"""
LOGIC = """
import sys, threading
class Endless:
    def run(self, volume, request, progress):
        print("ready", file=sys.stderr, flush=True)
        threading.Event().wait(100)
"""


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
def test_ctrl_c_ends_a_command_with_130(scan: Path, tmp_path: Path, repository: Path) -> None:
    folder = tmp_path / "plugins" / "endless"
    folder.mkdir(parents=True)
    (folder / "plugin.toml").write_text(MANIFEST)
    (folder / "logic.py").write_text(LOGIC)
    out = tmp_path / "mask.nii.gz"
    command = ["-m", "medviewer", "segment", scan, "--prompt", "liver", "--plugin", "endless", "--out", out, "--json"]
    with subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "MEDVIEWER_PLUGINS": str(folder), "MEDVIEWER_HOME": str(tmp_path / "home")},
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert any("ready" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        shown, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(shown)["error"]["code"] == "cancelled"
    assert not out.exists()
