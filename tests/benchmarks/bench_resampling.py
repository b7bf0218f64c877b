"""Time and memory of a tilted 512 x 512 CT with a gap, resampled while it is read, beside the same slices untilted.

    python tests/benchmarks/bench_resampling.py [--slices 200] [--rounds 3]

Prints the best of the rounds (files in the page cache), and the peak of the process above its start in units of the
resulting array: 1.0 is the array itself.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "io")]

from dicom_factory import Series, save  # noqa: E402

from medviewer.io import dicom_series  # noqa: E402

MISSING = (50, 51)


def write_folder(folder: Path, slices: int, shear: float, missing: tuple[int, ...]) -> Path:
    """Noise around 0 HU; `shear` mm along the columns per slice of 1 mm."""
    noise = np.random.default_rng(0).normal(1000, 20, (512, 512))
    series = Series(slices=slices, rows=512, columns=512, spacing=(0.7, 0.7, 1.0), shear=(0.0, shear, 0.0))
    series.stored = lambda k: np.roll(noise, k, 0).astype("<i2")  # type: ignore[method-assign]
    folder.mkdir()
    for k in range(slices):
        if k not in missing:
            save(series.dataset(k), folder / f"IM{k:04d}.dcm")
    return folder


def measure(folder: Path, rounds: int) -> dict[str, float | str]:
    """Scan once, load several times."""
    (entry,) = dicom_series.scan(folder).entries
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times, size = [], 1
    for _ in range(rounds):
        start = time.perf_counter()
        size = dicom_series.load(entry).array.nbytes
        times.append(time.perf_counter() - start)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return {
        "seconds": round(min(times), 3),
        "megabytes": round(size / 1e6, 1),
        "peak_over_array": round(grown / size, 2),
        "says": entry.warnings[0] if entry.warnings else "",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        straight = write_folder(Path(temporary) / "straight", options.slices, 0.0, ())
        tilted = write_folder(Path(temporary) / "tilted", options.slices, 0.27, MISSING)
        result = {"tilted": measure(tilted, options.rounds)}  # first: the peak is that of the whole process so far
        result["straight"] = measure(straight, options.rounds) | {"peak_over_array": "not measured"}
    print(json.dumps(result, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
