"""What the journal costs per edit on a scan of 512x512x500 voxels.

    PYTHONPATH=. .venv/bin/python tests/benchmarks/bench_journal.py [--edits 200]

The same seeded edits (masks of organ size accepted, corrected by clicks, small and across the whole scan, undone) run
without and with a journal. Prints the time of an edit in the calling thread in both cases, the time inside the
journal's own code, the time until an edit is written, bytes on the disk per edit beside the sizes of the masks, and the
memory. Edits follow each other after 0.1 s or as soon as the one before is written, whichever is later. About 60 s.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from medviewer.core.scene import Scene
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.services import journal as journal_module
from medviewer.services.journal import Journal

SHAPE = (512, 512, 500)


def ball(centre: tuple[float, ...], radius: float) -> tuple[tuple[slice, ...], np.ndarray]:
    """A ball and the box it lies in."""
    box = tuple(slice(max(int(c - radius), 0), int(c + radius) + 1) for c in centre)
    grid = np.ogrid[box]
    return box, sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) <= radius**2


def organ(rng: np.random.Generator) -> np.ndarray:
    """A mask like a liver: 100 voxels in radius."""
    mask = np.zeros(SHAPE, bool, order="F")
    box, inside = ball(tuple(rng.uniform(150, 350, 3)), 100)
    mask[box] = inside
    return mask


def clicked(mask: np.ndarray, rng: np.random.Generator, everywhere: bool) -> np.ndarray:
    """A correction of 12 voxels in radius; `everywhere`: also scattered voxels in the whole scan."""
    after = mask.copy(order="F")
    box, inside = ball(tuple(rng.uniform(60, 440, 3)), 12)
    after[box] ^= inside
    if everywhere:
        after[tuple(rng.integers(0, n, 500) for n in SHAPE)] ^= True
    return after


def session(scene: Scene, edits: int, wait: Callable[[], None]) -> list[float]:
    """Seconds of each edit in this thread; making the masks does not count, as a network makes them in a worker."""
    rng = np.random.default_rng(0)
    times = []
    for number in range(edits):
        act = _next_edit(scene, rng, number)
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
        wait()
    return times


def _next_edit(scene: Scene, rng: np.random.Generator, number: int) -> Callable[[], object]:
    assert scene.active is not None
    if number % 40 == 0:
        segment = Segment(f"Organ {number}", organ(rng))
        return lambda: scene.add_segment(segment)
    if number % 10 == 9:
        return scene.undo
    last = scene.active.segments[-1]
    after = last.changed(mask=clicked(last.mask, rng, number % 10 == 5))
    return lambda: scene.refine_segment(after)


def _scene() -> Scene:
    scene = Scene()
    scene.add_volume(Volume(np.zeros(SHAPE, np.int16, order="F"), np.eye(4)))
    return scene


def _line(name: str, seconds: list[float]) -> str:
    values = np.array(seconds) * 1000
    middle, high = np.percentile(values, (50, 95))
    return f"{name:46s} median {middle:7.2f} ms   p95 {high:7.2f} ms   max {values.max():7.2f} ms"


def measure(edits: int, folder: Path) -> None:
    """Both runs and the table."""
    plain = session(_scene(), edits, lambda: None)
    scene, inside = _scene(), [0.0]
    real = journal_module._guarded

    def timed(follow: Callable[..., None]) -> Callable[..., None]:
        guarded = real(follow)

        def call(*arguments: Any) -> None:
            start = time.perf_counter()
            guarded(*arguments)
            inside[-1] += time.perf_counter() - start

        return call

    journal_module._guarded = timed
    journal, written = Journal(scene, lambda works: None, folder), []
    journal.attach()
    sizes = [0]

    def wait() -> None:
        start = time.perf_counter()
        journal.flush(60)
        written.append(time.perf_counter() - start)
        time.sleep(max(0.0, 0.1 - written[-1]))
        sizes.append(journal.writer.size)
        inside.append(0.0)

    journal.flush(60)
    memory = psutil.Process().memory_info().rss
    followed = session(scene, edits, wait)
    _print(plain, followed, inside[:-1], written, sizes, scene, psutil.Process().memory_info().rss - memory)
    journal.close(discard=True)


def _print(
    plain: list[float], followed: list[float], inside: list[float], written: list[float], sizes: list[int],
    scene: Scene, memory: int,
) -> None:  # fmt: skip
    print(f"{len(plain)} edits on {SHAPE}, masks of {np.prod(SHAPE) / 1e6:.0f} MB, {os.cpu_count()} cores")
    print(_line("edit without a journal (packs in this thread)", plain))
    print(_line("edit with a journal", followed))
    print(_line("  of it in the journal's code", inside))
    print(_line("until written and synced", written))
    assert scene.active is not None
    packed = [s.mask.any(axis=(1, 2)).sum() * s.mask.any(axis=(0, 2)).sum() * s.mask.any(axis=(0, 1)).sum() / 8 for s in
              scene.active.segments]  # fmt: skip
    grown = np.maximum(np.diff(sizes), 0)
    print(f"on the disk {sizes[-1] / 1e6:.1f} MB in all, median {np.median(grown) / 1e3:.1f} kB per edit, largest "
          f"{grown.max() / 1e3:.1f} kB; a mask's box in bits is {np.mean(packed) / 1e3:.0f} kB")  # fmt: skip
    print(f"memory grew by {memory / 1e6:.0f} MB for {len(scene.active.segments)} segments and {len(plain)} steps")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=200)
    with tempfile.TemporaryDirectory() as name:
        measure(parser.parse_args().edits, Path(name) / "journal")
