"""Memory the shipped model takes, measured against what `medviewer.models.footprint` expects before it is loaded:
`python -m tests.benchmarks.bench_model_memory`. Each figure is the growth of the peak in a process of its own, in MB.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
CASES = {
    "load": (0, 0, 0), "batch 1 of 512x512": (512, 8, 1), "batch 8 of 512x512": (512, 8, 8),
    "answer 512x512x200": (512, 200, 8), "answer 256x256x400": (256, 400, 8),
}  # fmt: skip
PROCESS = """
import json, re, sys, gc
from dataclasses import replace
from pathlib import Path
import numpy as np, torch
from medviewer.core.prompts import parse_prompt
from medviewer.core.volume import Volume
from medviewer.models.footprint import Footprint
from medviewer.models.pipeline import TextSegmenter
from medviewer.models.bundle import read_info
from medviewer.services.resources import terminology
from tests.benchmarks.large_scan import large_ct
def peak(name="VmHWM"):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1)) * 1024
def start():
    gc.collect(); Path("/proc/self/clear_refs").write_text("5"); return peak("VmRSS")
side, slices, batch = map(int, sys.argv[2:])
bundle = Path(sys.argv[1])
foot = Footprint.of(read_info(bundle).network)
prompt = parse_prompt("lungs", terminology())
if not batch:
    torch.zeros(1) + 1
    before = start(); TextSegmenter.load(bundle, "cpu"); print(json.dumps([peak() - before, foot.to_load])); sys.exit()
model = TextSegmenter.load(bundle, "cpu")
model._runtime.effort = replace(model._runtime.effort, batch=batch)
model.encode(large_ct((64, 64, 8)))
volume = large_ct((side, side, slices))
shape, fitted = (slices, side, side), 256
before = start(); model.encode(volume); encoding = peak() - before
kept = next(reversed(model._runtime.cache._entries.values())).bytes
if slices < 50:
    print(json.dumps([encoding - kept, foot.to_encode(shape, batch, fitted)])); sys.exit()
before = start(); model.segment(volume, prompt)
print(json.dumps([peak() - before, foot.to_answer(shape, fitted)]))
"""


def measure(case: tuple[int, int, int]) -> dict[str, Any]:
    """One process."""
    bundle = str(REPOSITORY / "resources" / "models" / "default")
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, bundle, *map(str, case)], cwd=REPOSITORY, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    measured, expected = json.loads(done.stdout)
    return {"measured_mb": round(measured / 1e6), "expected_mb": round(expected / 1e6), "enough": measured <= expected}


if __name__ == "__main__":
    print(json.dumps({name: measure(case) for name, case in CASES.items()}, indent=1))
