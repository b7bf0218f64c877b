"""Speed of the shipped model beside SAM ViT-B, in one run: `python -m tests.benchmarks.bench_model_speed [SAM_SLICES]`.

On generated scans: a 2048x2048 X-ray and a 512x512x100 CT (first prompt, next prompt, milliseconds per slice); then
segment-anything's ViT-B (random weights; `SAM_SLICES`, default 1, of the same CT; 0 leaves it out) encodes and decodes;
then, in a process of its own, the memory that prompts on a 512x512x600 CT take beyond the scan itself.

Every time is given as [seconds of wall, seconds of processor]: where other programs run, the first grows and the second
tells what an idle machine would need (divided by the threads). The load of the machine stands beside. Prints one JSON
document with the targets.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medviewer.core.phantom import torso_phantom
from medviewer.core.prompts import parse_prompt
from medviewer.core.volume import Volume
from medviewer.models.pipeline import TextSegmenter
from medviewer.services.resources import terminology

from .large_scan import large_ct

REPOSITORY = Path(__file__).resolve().parents[2]
BUNDLE = REPOSITORY / "resources" / "models" / "default"
SLICES = 100
PROMPTS = ("liver", "left kidney", "spleen", "lungs", "aorta")
TARGETS = {
    "x_ray_s": 1.0, "ct_first_s": 10.0, "ct_next_s": 0.5, "times_faster_than_vit_b": 150, "extra_memory_gb": 1.5,
    "bundle_mb": 40,
}  # fmt: skip
MEMORY = """
import json, re, sys
from pathlib import Path
from medviewer.core.prompts import parse_prompt
from medviewer.services.embedding_cache import DiskEmbeddings
from medviewer.services.memory import available_memory
from medviewer.services.resources import terminology
from tests.benchmarks.large_scan import large_ct
def status(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1)) * 1024
volume = large_ct((512, 512, 600))
for k in range(600):
    volume.array[:, :, k].sum()
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
from medviewer.models.pipeline import TextSegmenter
with_torch = status("VmRSS")
store = DiskEmbeddings(Path(sys.argv[2]), 4 * 10**9)
model = TextSegmenter.load(Path(sys.argv[1]), "cpu", store=store, free_memory=available_memory)
model.encode(volume)
store.wait()
encoded = status("VmHWM")
found = [str(model.segment(volume, parse_prompt(text, terminology())).answer) for text in ("lungs", "left kidney")]
print(json.dumps({"torch_gb": with_torch - before, "encoded_gb": encoded - before, "extra_gb": status("VmHWM") - before,
                  "scan_gb": volume.array.nbytes, "answers": found}))
"""


def timed(work: Callable[[], Any]) -> list[float]:
    """[wall, processor] seconds of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return [round(time.perf_counter() - wall, 3), round(time.process_time() - processor, 3)]


def x_ray(side: int = 2048) -> Volume:
    """The generated torso seen from the front: sums along the front-back axis, as 12 bits."""
    torso = torso_phantom(0, shape=(160, 64, 120), spacing=(2.5, 5.0, 3.2)).volume.array
    shadow = (torso.astype(np.float32) + 1000).sum(axis=1)[:, ::-1]
    shadow = (shadow - shadow.min()) / np.ptp(shadow) * 4095
    picks = [(np.arange(side) * n) // side for n in shadow.shape]
    return Volume(shadow[np.ix_(*picks)].astype(np.uint16)[:, :, None], None, "DX", kind="image")


def own_times(model: TextSegmenter, ct: Volume) -> dict[str, Any]:
    """X-ray and CT."""
    words = {text: parse_prompt(text, terminology()) for text in (*PROMPTS, "heart")}
    model.segment(x_ray(256), words["heart"])  # the first call of a process sets up threads and kernels
    picture = x_ray()
    figures: dict[str, Any] = {"x_ray_s": timed(lambda: model.segment(picture, words["lungs"]))}
    figures["ct_first_s"] = timed(lambda: model.segment(ct, words[PROMPTS[0]]))
    following = {text: timed(partial(model.segment, ct, words[text])) for text in PROMPTS[1:]}
    figures["ct_next_s"] = sorted(following.values())[len(following) // 2]
    figures["ct_next_each_s"] = following
    figures["ct_per_slice_ms"] = [round(1000 * t / ct.shape[2], 1) for t in figures["ct_first_s"]]
    return figures


def vit_b_times(ct: Volume, slices: int) -> list[float]:
    """[wall, processor] seconds per slice of SAM ViT-B: image encoder, prompt encoder (one point), mask decoder."""
    from segment_anything import build_sam_vit_b

    sam = build_sam_vit_b().eval()
    middle = ct.shape[2] // 2
    points = (torch.full((1, 1, 2), 512.0), torch.ones(1, 1))

    def run() -> None:
        for number in range(middle, middle + slices):
            picture = torch.from_numpy(np.ascontiguousarray(ct.array[:, :, number].T).astype(np.float32))
            picture = torch.nn.functional.interpolate(picture[None, None], (1024, 1024), mode="bilinear") / 500
            embedding = sam.image_encoder(picture.expand(1, 3, 1024, 1024))
            sparse, dense = sam.prompt_encoder(points, None, None)
            sam.mask_decoder(embedding, sam.prompt_encoder.get_dense_pe(), sparse, dense, False)

    with torch.inference_mode():
        return [round(seconds / slices, 3) for seconds in timed(run)]


def memory() -> dict[str, Any]:
    """Peak memory beyond the scan, in GB, of a process that answers two prompts on a 512x512x600 CT."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(BUNDLE), folder], cwd=REPOSITORY, capture_output=True, text=True,
            check=True, env=os.environ | {"MEDVIEWER_HOME": folder},
        )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return {name: round(value / 1e9, 2) if name.endswith("_gb") else value for name, value in found.items()}


def main(sam_slices: int = 1) -> None:
    """Measure and print everything."""
    model = TextSegmenter.load(BUNDLE, "cpu")
    ct = large_ct((512, 512, SLICES))
    figures: dict[str, Any] = {
        "threads": torch.get_num_threads(), "load_before": round(os.getloadavg()[0], 1),
        "precision": model._runtime.effort.precision, **own_times(model, ct),
        "bundle_mb": round(sum(file.stat().st_size for file in BUNDLE.iterdir()) / 1e6, 1),
    }  # fmt: skip
    if sam_slices:
        figures["vit_b_per_slice_s"] = vit_b_times(ct, sam_slices)
        ours = figures["ct_first_s"]
        pairs = zip(figures["vit_b_per_slice_s"], ours, strict=True)
        ratio = [ct.shape[2] * theirs / own for theirs, own in pairs]
        figures["times_faster_than_vit_b"] = [round(value) for value in ratio]
    figures["load_after"] = round(os.getloadavg()[0], 1)
    figures["memory"] = memory()
    print(json.dumps(figures | {"targets": TARGETS}, indent=1))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
