"""First prompt of a new process, without and with embeddings on the disk:
`python -m tests.benchmarks.bench_embedding_cache [SCAN] [PROMPT]`, by default "left kidney" on the example CT.

Each time is that of a process of its own, opening and importing not counted; the masks must be equal bit for bit.
`second_prompt_s` is the same prompt asked once more in the same process, the least that can be reached. Prints one JSON
document.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
SCAN = REPOSITORY.parent / "shared" / "data" / "ct3d" / "totalsegmentator" / "example_ct.nii.gz"
REPEATS = 3
PROCESS = """
import hashlib, json, sys, time
import medviewer
from medviewer.api import find_bundle
from medviewer.models.pipeline import TextSegmenter
TextSegmenter.load(find_bundle(), "cpu")  # importing and warming up is not what is measured
volume = medviewer.open_volume(sys.argv[1])
times = []
for _ in range(2):
    began = time.perf_counter()
    answer = medviewer.segment(volume, sys.argv[2], device="cpu")
    times.append(time.perf_counter() - began)
print(json.dumps({"first": times[0], "second": times[1], "voxels": int(answer.mask.sum()),
                  "mask": hashlib.sha256(answer.mask.tobytes()).hexdigest(), "presence": answer.presence}))
"""


def ask(home: str, scan: str, prompt: str) -> dict[str, Any]:
    """One new process."""
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, scan, prompt], cwd=REPOSITORY, env=os.environ | {"MEDVIEWER_HOME": home},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def main(scan: str = str(SCAN), prompt: str = "left kidney") -> None:
    """Best of three without and with the cache, alternating."""
    cold, warm, used = [], [], 0
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as home:
            cold.append(ask(home, scan, prompt))
            used = sum(file.stat().st_size for file in Path(home).rglob("*.emb"))
            warm.append(ask(home, scan, prompt))
    answers = {(run["mask"], run["presence"], run["voxels"]) for run in cold + warm}
    print(json.dumps({
        "prompt": prompt, "voxels": cold[0]["voxels"], "on_disk_mb": round(used / 1e6, 1),
        "first_prompt_cold_s": round(min(run["first"] for run in cold), 2),
        "first_prompt_warm_disk_s": round(min(run["first"] for run in warm), 2),
        "second_prompt_s": round(min(run["second"] for run in cold + warm), 2),
        "same_answer_in_all_processes": len(answers) == 1,
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
