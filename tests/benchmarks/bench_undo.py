"""What 200 undoable edits of a large scan cost: `python -m tests.benchmarks.bench_undo [--edits N] [--slices N]`.

A scan of 512 x 512 x 500 with a segment of the size of a liver. Each edit adds or removes a ball of 3 to 40 voxels
radius at a random place of its surface, as brushes and clicks do; every tenth is a coarser change (the mask is grown by
a voxel everywhere). The journal of the window packs them, as it does there. Prints the accounted bytes of the undo
steps, the growth of the process's memory, the longest edit on the GUI thread, and whether 200 undos give the first mask
back and 200 redos the last. Exit status 1 if more than 300 MB are used or a mask is not equal.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from medviewer.core.scene import Scene
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.services.journal import Journal

BAR_MB = 300.0


def ball(mask: np.ndarray, centre: np.ndarray, radius: int, value: bool) -> np.ndarray:
    """A copy with a ball set."""
    low = np.maximum(centre - radius, 0)
    high = np.minimum(centre + radius + 1, mask.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    grid = np.ogrid[box]
    inside = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) <= radius**2
    out = mask.copy(order="F")
    out[box][inside] = value
    return out


def grown(mask: np.ndarray) -> np.ndarray:
    """One voxel more in every direction of i and j."""
    out = mask.copy(order="F")
    out[1:] |= mask[:-1]
    out[:, 1:] |= mask[:, :-1]
    return out


def mask_hash(mask: np.ndarray) -> str:
    """Of all voxels."""
    return hashlib.blake2b(np.packbits(mask.ravel(order="F")).tobytes(), digest_size=16).hexdigest()


def rss_mb() -> float:
    """Memory of this process, after giving back what is free."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return float(psutil.Process().memory_info().rss) / 2**20


def start(shape: tuple[int, int, int]) -> tuple[Scene, Segment]:
    """A scan without voxel memory of its own, and a large ellipsoid in it."""
    scene = Scene()
    scene.add_volume(Volume(np.broadcast_to(np.int16(0), shape), np.eye(4), "CT", "HU"))
    mask = np.zeros(shape, bool, order="F")
    half = np.array(shape) // 5
    middle = np.array(shape) // 2
    box = tuple(slice(m - h, m + h + 1) for m, h in zip(middle, half, strict=True))
    grid = np.ogrid[tuple(slice(-h, h + 1) for h in half)]
    mask[box] = sum((g / h) ** 2 for g, h in zip(grid, half, strict=True)) <= 1
    segment = Segment("Liver", mask)
    scene.add_segment(segment)
    return scene, segment


def edit(scene: Scene, rng: np.random.Generator, number: int) -> float:
    """One edit; returns the seconds that the GUI thread spent on it."""
    assert scene.active is not None
    segment = scene.active.segments[0]
    if number % 10 == 9:
        after = grown(segment.mask)
    else:
        k = int(rng.choice(np.flatnonzero(segment.mask.any(axis=(0, 1)))))
        inside = np.argwhere(segment.mask[:, :, k])
        centre = np.array([*inside[rng.integers(len(inside))], k])
        after = ball(segment.mask, centre, int(rng.integers(3, 41)), bool(rng.random() < 0.6))
    began = time.perf_counter()
    scene.refine_segment(segment.changed(mask=after))
    return time.perf_counter() - began


def measure(shape: tuple[int, int, int], edits: int) -> dict[str, object]:
    """Edit, undo everything, redo everything."""
    scene, segment = start(shape)
    assert scene.active is not None
    first_hash = mask_hash(segment.mask)
    del segment  # else its mask would count as growth
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(scene, lambda working: None, Path(folder))
        journal.attach()
        journal.flush(60)
        before = rss_mb()
        rng = np.random.default_rng(0)
        took = [edit(scene, rng, number) for number in range(edits)]
        peak = psutil.Process().memory_info().rss / 2**20 - before
        journal.flush(120)
        grew = rss_mb() - before
        accounted = sum(len(c.record()[1]) + len(json.dumps(c.record()[0])) for c in scene.undo_stack.done) / 2**20
        last_hash = mask_hash(scene.active.segments[0].mask)
        for _ in range(edits):
            scene.undo()
        first_again = mask_hash(scene.active.segments[0].mask) == first_hash
        for _ in range(edits):
            scene.redo()
        last_again = mask_hash(scene.active.segments[0].mask) == last_hash
        journal.close(discard=True)
    return {
        "shape": shape, "edits": edits, "accounted_mb": round(accounted, 1), "rss_growth_mb": round(grew, 1),
        "rss_growth_before_the_packing_ended_mb": round(peak, 1), "longest_edit_ms": round(1000 * max(took), 1),
        "undone_equal": first_again, "redone_equal": last_again,
    }  # fmt: skip


def main() -> int:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=200)
    parser.add_argument("--slices", type=int, default=500)
    options = parser.parse_args()
    figures = measure((512, 512, options.slices), options.edits)
    print(json.dumps(figures, indent=1))
    small = all(float(str(figures[name])) <= BAR_MB for name in ("accounted_mb", "rss_growth_mb"))
    return 0 if small and figures["undone_equal"] and figures["redone_equal"] else 1


if __name__ == "__main__":
    sys.exit(main())
