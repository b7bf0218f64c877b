"""What a user does on the command line with one scan; each command in a process of its own, all words kept."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Spoken:
    """A finished command and what it printed."""

    name: str
    status: int
    words: str


def environment(home: Path, temporary: Path) -> dict[str, str]:
    """Own settings and an own temporary folder; one thread."""
    temporary.mkdir(parents=True, exist_ok=True)
    own = {"MEDVIEWER_HOME": str(home), "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    return {**os.environ, **own}


def commands(scan: Path, out: Path, prompt: str = "liver") -> dict[str, list[str]]:
    """The commands by name; `out` is an existing folder."""
    table = out / "jobs.csv"
    table.write_text(f"scan,prompt,out\n{scan},{prompt},batch.nii.gz\n{scan},{prompt},batch.seg.nrrd\n", "utf-8")
    session = session_of(scan, out / "work.mvsession")
    segment = ["segment", str(scan), "--prompt", prompt]
    return {
        "info": ["info", str(scan)],
        "info --json": ["info", str(scan), "--json"],
        "convert": ["convert", str(scan), str(out / "scan.nii.gz")],
        "segment nii.gz": [*segment, "--out", str(out / "mask.nii.gz")],
        "segment stl --json": [*segment, "--out", str(out / "mask.stl"), "--json"],
        "batch": ["batch", str(table), "--out", str(out / "batch")],
        "screenshot": ["screenshot", str(scan), "--out", str(out / "view.png")],
        "export-training-set": ["export-training-set", str(session), str(out / "training-set")],
        "export-training-set --json": ["export-training-set", str(session), str(out / "training-set"), "--json"],
    }


def session_of(scan: Path, path: Path) -> Path:
    """Save a session with one accepted segment on the scan."""
    from medviewer.core.scene import Scene
    from medviewer.core.segmentation import Segment
    from medviewer.services import open_data, sessions

    scene = Scene()
    volume = open_data.load(open_data.scan_path(scan).entries[0])
    scene.add_volume(volume)
    scene.add_segment(Segment("Threshold", volume.array > 50))
    sessions.save_session(path, sessions.state_of(scene))
    return path


def run(arguments: list[str], env: Mapping[str, str], before: tuple[str, ...] = ()) -> Spoken:
    """Run `medviewer ARGUMENTS`; `before` are words in front of the call, such as strace."""
    call = [*before, sys.executable, "-m", "medviewer", *arguments]
    done = subprocess.run(call, cwd=REPOSITORY, env=dict(env), capture_output=True, timeout=300, check=False)
    return Spoken(arguments[0], done.returncode, (done.stdout + done.stderr).decode(errors="replace"))
