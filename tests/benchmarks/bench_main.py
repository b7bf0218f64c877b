"""Times of the main job, each in a process of its own: `python tests/benchmarks/bench_main.py [SHARED_DATA]`.

Prints one JSON document: start of the package, the command line and the window (where there is a display), first and
second prompt with peak memory on two real scans.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
SCANS = {
    "example_ct": ("ct3d/totalsegmentator/example_ct.nii.gz", ("liver", "left kidney")),
    "j2k_ct": ("dicom/ct_j2k_totalseg_20", ("liver", "left kidney")),
}
WINDOW = """
from PySide6.QtCore import QTimer
from medviewer.gui import app
from medviewer.services.settings import Settings
application = app.make_application()
window = app.make_window(Settings())
window.show()
QTimer.singleShot(0, application.quit)
application.exec()
"""
PROMPTS = """
import json, resource, sys, time
import medviewer
path, *prompts = sys.argv[1:]
times = {}
began = time.perf_counter()
volume = medviewer.open_volume(path)
times["open_s"] = time.perf_counter() - began
for number, prompt in enumerate(prompts, start=1):
    began = time.perf_counter()
    answer = medviewer.segment(volume, prompt)
    times[f"prompt_{number}_s"] = time.perf_counter() - began
    times[f"prompt_{number}"] = f"{prompt}: {answer.answer}"
times["shape"] = volume.shape
times["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps(times))
"""


def seconds(*arguments: str) -> float:
    """Wall time of one Python process, the best of three."""
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
        best = min(best, time.perf_counter() - began)
    return round(best, 2)


def prompts(path: Path, texts: tuple[str, ...]) -> dict[str, Any]:
    """Times of opening a scan and of prompts on it, in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", PROMPTS, str(path), *texts], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    measured = json.loads(done.stdout)
    return {name: round(value, 2) if isinstance(value, float) else value for name, value in measured.items()}


def main(data: Path) -> None:
    """Measure everything that can be measured here."""
    figures: dict[str, Any] = {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "import_s": seconds("-c", "import medviewer"),
        "help_s": seconds("-m", "medviewer", "--help"),
    }
    if os.environ.get("DISPLAY"):
        figures["window_s"] = seconds("-c", WINDOW)
    for name, (path, texts) in SCANS.items():
        if (data / path).exists():
            figures[f"info_{name}_s"] = seconds("-m", "medviewer", "info", str(data / path), "--json")
            figures[name] = prompts(data / path, texts)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY.parent / "shared" / "data")
