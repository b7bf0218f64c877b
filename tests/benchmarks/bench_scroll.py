"""Frames per second of scrolling and memory of large scans.

Run: python tests/benchmarks/bench_scroll.py [--slices 300] [--window]
With --window (needs a display, for instance under xvfb-run) the frames are painted by Qt in the four views.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import numpy as np

from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.render.masks import MaskLayer
from medviewer.render.slice_view import SliceView


def scan(slices: int) -> tuple[Volume, np.ndarray]:
    """A noisy CT of 512 x 512 x slices and an ellipsoid mask."""
    rng = np.random.default_rng(0)
    slab = rng.integers(-200, 300, (512, 512, 8), dtype=np.int16)
    array = np.empty((512, 512, slices), np.int16, order="F")
    mask = np.zeros(array.shape, bool, order="F")
    x, y = (np.arange(512) - 256) / 150, (np.arange(512) - 256) / 110
    disc = x[:, None] ** 2 + y[None] ** 2
    for k in range(slices):
        array[:, :, k] = slab[:, :, k % 8]
        mask[:, :, k] = disc < 1 - ((k - slices / 2) / (0.45 * slices)) ** 2
    affine = np.diag([0.8, 0.8, 1.0, 1.0])
    return Volume(array, affine, modality="CT", units="HU"), mask


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def scroll_pictures(volume: Volume, mask: np.ndarray) -> None:
    for plane in ("axial", "coronal", "sagittal"):
        view = SliceView(plane)  # type: ignore[arg-type]
        view.set_volume(volume)
        view.set_size(512, 512)
        view.set_layers([MaskLayer(mask, (76, 194, 255))])
        view.set_index(0)
        view.render()
        times = []
        for _ in range(100):
            start = time.perf_counter()
            view.scroll(1)
            view.render()
            times.append(time.perf_counter() - start)
        print(f"{plane:9s} {1 / np.mean(times):6.0f} frames/s, slowest {1000 * max(times):.1f} ms")


def scroll_window(volume: Volume, mask: np.ndarray) -> None:
    from PySide6.QtWidgets import QApplication

    from medviewer.core.scene import Scene
    from medviewer.gui.views.view_grid import ViewGrid

    application = QApplication.instance() or QApplication([])
    scene = Scene()
    scene.add_volume(volume)
    scene.add_segment(Segment("ellipsoid", mask, (76, 194, 255)))
    grid = ViewGrid(scene)
    grid.resize(1026, 1026)
    grid.show()
    for plane in ("axial", "coronal", "sagittal"):
        view = grid.slices[plane]
        grid._scroll(view, -10000)
        application.processEvents()
        times = []
        for _ in range(100):
            start = time.perf_counter()
            grid._scroll(view, 1)
            application.processEvents()
            times.append(time.perf_counter() - start)
        print(f"window {plane:9s} {1 / np.mean(times):6.0f} frames/s, slowest {1000 * max(times):.1f} ms")
    grid.close()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--window", action="store_true")
    options = parser.parse_args()
    volume, mask = scan(options.slices)
    print(f"512 x 512 x {options.slices}, memory before views {peak_gb():.2f} GB")
    (scroll_window if options.window else scroll_pictures)(volume, mask)
    print(f"peak memory {peak_gb():.2f} GB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
