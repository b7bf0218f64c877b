"""How soon a prompt ends after it was cancelled: `python -m tests.benchmarks.bench_cancel_model [SLICES ...]`.

On generated 512x512 CTs (default 20 and 300 slices), with the shipped model on the CPU: the longest stretch in which
nobody asks (the limit of the reaction), what asking before every block costs, and reaction times of 20 cancels at
random moments of encoding and of decoding. After the cancels the answer must be that of a run without any, bit for
bit. Prints one JSON document.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medviewer.core.errors import Cancelled
from medviewer.core.progress import Progress
from medviewer.core.prompts import parse_prompt
from medviewer.models import cancelling
from medviewer.models.pipeline import TextSegmenter
from medviewer.services.resources import terminology

from .large_scan import large_ct

BUNDLE = Path(__file__).resolve().parents[2] / "resources" / "models" / "default"
CANCELS = 20
PROMPT = "left kidney"


@contextmanager
def timed_blocks() -> Iterator[list[float]]:
    """Seconds between two questions whether the work was cancelled, wherever they are asked."""
    gaps: list[float] = []
    last: list[float] = [time.perf_counter()]
    plain = Progress.check_cancelled

    def check(self: Progress) -> None:
        now = time.perf_counter()
        gaps.append(now - last[0])
        last[0] = now
        plain(self)

    Progress.check_cancelled = check  # type: ignore[method-assign]
    try:
        yield gaps
        gaps.append(time.perf_counter() - last[0])  # to the end of the work
    finally:
        Progress.check_cancelled = plain  # type: ignore[method-assign]


class Bench:
    """One model and one scan."""

    def __init__(self, slices: int) -> None:
        self.segmenter = TextSegmenter.load(BUNDLE, "cpu")
        self.volume = large_ct((512, 512, slices))
        self.prompt = parse_prompt(PROMPT, terminology())

    def ask(self, progress: Progress | None = None) -> NDArray[np.bool_]:
        return self.segmenter.segment(self.volume, self.prompt, progress=progress).mask

    def cold(self, progress: Progress | None = None) -> NDArray[np.bool_]:
        self.segmenter._runtime.cache.clear()
        return self.ask(progress)

    def forget_spine(self) -> None:
        """So that a side is judged anew, as in a first prompt."""
        for entry in self.segmenter._runtime.cache._entries.values():
            entry.spine = None

    def figures(self) -> dict[str, Any]:
        """Everything about this scan."""
        began = time.perf_counter()
        reference = self.cold()
        cold = time.perf_counter() - began
        self.forget_spine()
        began = time.perf_counter()
        self.ask()
        warm = time.perf_counter() - began
        with timed_blocks() as gaps:
            self.cold()
        encode = self.reactions(self.cold, cold - warm)
        self.cold()
        decode = self.reactions(self.ask, warm)
        return {
            "voxels_found": int(reference.sum()), "prompt_cold_s": cold, "prompt_warm_s": warm,
            "questions": len(gaps), "longest_without_question_s": max(gaps),
            "reaction_encode_s": spread(encode), "reaction_decode_s": spread(decode),
            "same_answer_afterwards": bool(np.array_equal(self.ask(), reference)),
            "same_answer_encoded_anew": bool(np.array_equal(self.cold(), reference)),
        }  # fmt: skip

    def reactions(self, work: Callable[[Progress], Any], duration: float) -> list[float]:
        """Seconds that CANCELS cancels took, at random moments of work of about that duration."""
        rng, found = np.random.default_rng(0), []
        for _ in range(3 * CANCELS):
            self.forget_spine()
            began = time.perf_counter()
            took = self.reaction(work, float(rng.uniform(0, 0.95 * duration)))
            if took is None:  # it was done first: the machine is faster now
                duration = min(duration, time.perf_counter() - began)
            else:
                found.append(took)
            if len(found) == CANCELS:
                break
        return found

    def reaction(self, work: Callable[[Progress], Any], moment: float) -> float | None:
        """Seconds from the cancel, `moment` seconds after the start, to the end; None if the work was done first."""
        asked = threading.Event()
        when: list[float] = []
        timer = threading.Timer(moment, lambda: (when.append(time.perf_counter()), asked.set()))
        timer.start()
        try:
            work(Progress(is_cancelled=asked.is_set))
        except Cancelled:
            return time.perf_counter() - when[0]
        finally:
            timer.cancel()
        return None


def spread(values: list[float]) -> dict[str, Any]:
    """Number, median and worst."""
    return {"cancels": len(values), "median": float(np.median(values)), "worst": max(values)} if values else {}


def cost_of_asking() -> dict[str, float]:
    """One pass over 8 slices with and without the questions, alternating; the best of each."""
    segmenter = TextSegmenter.load(BUNDLE, "cpu")
    images = torch.zeros(8, 4, 256, 256)
    silent = cancelling.check
    times: dict[str, float] = {"with": float("inf"), "without": float("inf")}
    hooks = {m: m._forward_pre_hooks.copy() for m in segmenter.network.modules() if m._forward_pre_hooks}
    with torch.inference_mode(), cancelling.watched(Progress()):
        for _ in range(6):
            for name in times:
                for module, own in hooks.items():
                    module._forward_pre_hooks.clear()
                    if name == "with":
                        module._forward_pre_hooks.update(own)
                began = time.perf_counter()
                segmenter.network.encode_images(images)
                times[name] = min(times[name], time.perf_counter() - began)
        began = time.perf_counter()
        for _ in range(100_000):
            silent()
        each = (time.perf_counter() - began) / 100_000
    return {"pass_with_s": times["with"], "pass_without_s": times["without"], "one_question_us": each * 1e6}


def main(slices: list[int]) -> None:
    """Print all figures."""
    print(json.dumps({
        "threads": torch.get_num_threads(), "asking": cost_of_asking(),
        **{f"512x512x{n}": Bench(n).figures() for n in slices},
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [20, 300])
