"""Random spoilt series: whatever a reader is given, no voxel may be wrong at the place it claims, unless it says so.

Each slice's pixels follow from its own header, so a volume is right exactly where value = 3x + 5y + 7z. A longer run:

    MEDVIEWER_RANDOM_SERIES=3000 python -m pytest -s tests/safety/test_geometry_random.py
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "io")]

from dicom_factory import GRADIENT, Series, field_at, oblique, save  # noqa: E402

from medviewer.core.geometry import voxel_to_lps  # noqa: E402
from medviewer.core.volume import SeriesEntry  # noqa: E402
from medviewer.io import dicom_series  # noqa: E402

COUNT = int(os.environ.get("MEDVIEWER_RANDOM_SERIES", "150"))
STEEPNESS = float(np.linalg.norm(GRADIENT))  # HU per mm


class Slice(Series):
    """One slice of a random series: a regular series of one, so that its pixels follow its own header."""


def random_series(folder: Path, rng: np.random.Generator) -> list[str]:
    """Write 2 to 20 slices with some of the spoiling there is; what was done to them."""
    count, done = int(rng.integers(2, 21)), []
    turned = np.array(oblique(float(rng.uniform(-60, 60)), float(rng.uniform(-60, 60))))
    depth = np.arange(count) * float(rng.choice([0.5, 1.0, 3.0, 5.0]))
    aside = np.zeros((count, 2))
    if rng.random() < 0.3:
        done.append("tilt")
        aside += np.outer(depth, rng.uniform(-0.6, 0.6, 2) * [rng.random() < 0.3, 1])
    if rng.random() < 0.2:
        done.append("drift")
        aside += rng.normal(0, float(rng.choice([0.01, 0.3, 3.0])), (count, 2))
    if rng.random() < 0.25:
        done.append("uneven")
        depth = np.sort(depth + rng.uniform(-0.4, 0.4, count) * (depth[1] - depth[0]) * float(rng.choice([0.01, 1.0])))
    if rng.random() < 0.15:
        done.append("skew")
        angle = np.radians(rng.uniform(-25, 25))
        turned[3:] = np.cos(angle) * turned[3:] + np.sin(angle) * turned[:3]
    keep = np.arange(count)
    if rng.random() < 0.35 and count > 4:
        done.append("missing")
        keep = np.sort(rng.choice(count, count - int(rng.integers(1, max(2, count // 3))), replace=False))
    twice = rng.random() < 0.1
    odd = int(rng.choice(keep)) if rng.random() < 0.15 else -1
    how = str(rng.choice(["turned", "spacing", "far", "matrix"]))
    done += (["twice"] if twice else []) + ([how] if odd >= 0 else [])
    row, column = turned[:3], turned[3:]
    normal = np.cross(row, column) / np.linalg.norm(np.cross(row, column))
    uid = f"1.2.826.0.1.3680043.8.498.{int(rng.integers(1 << 60))}"
    for number, k in enumerate([*keep, *(keep[: len(keep) // 2] if twice else [])]):
        place = np.array([-20.0, -30.0, 40.0]) + normal * depth[k] + aside[k, 0] * row + aside[k, 1] * column
        one = Slice(slices=1, rows=11, columns=9, orientation=tuple(turned), intercept=0.0)
        one.series_uid = one.frame_uid = one.study_uid = uid
        if k == odd:
            _spoil(one, how, place, rng)
        digits = 6 if "drift" not in done else 3
        one.origin = tuple(round(float(v), digits) for v in place)  # type: ignore[assignment]
        dataset = one.dataset(0)
        dataset.InstanceNumber = number + 1 if rng.random() < 0.9 else 1
        save(dataset, folder / f"{number:03d}.dcm")
    return done


def _spoil(one: Series, how: str, place: np.ndarray, rng: np.random.Generator) -> None:  # type: ignore[type-arg]
    if how == "turned":
        by = float(rng.choice([1e-4, 5e-4, 1e-2, 0.5]))
        row, column = np.array(one.orientation[:3]), np.array(one.orientation[3:])
        rotated = (np.cos(by) * row + np.sin(by) * column, np.cos(by) * column - np.sin(by) * row)
        one.orientation = tuple(float(v) for v in np.concatenate(rotated))
    elif how == "spacing":
        one.spacing = (2.0 * float(rng.choice([1.0002, 1.01, 2.0])), 1.5, 3.0)
    elif how == "matrix":
        one.rows = 12
    else:
        place += rng.normal(0, 50, 3)


def judged(entry: SeriesEntry) -> str:
    """How the entry was read; fails where it is wrong beyond what it tells."""
    volume = dicom_series.load(entry)
    assert volume.affine is not None
    index = np.stack(np.meshgrid(*(np.arange(n) for n in volume.shape), indexing="ij"), axis=-1)
    error = np.abs(volume.array - field_at(voxel_to_lps(volume.affine, index)))
    told = entry.handle.deviation_mm
    assert told <= 1e-3 or any(f"up to {told:.3f} mm" in warning for warning in volume.warnings)
    inside = np.ones(volume.shape, bool)
    if volume.regularisation is not None:
        assert volume.warnings[0] == volume.regularisation.sentence
        if volume.regularisation.outside is not None:
            inside = volume.array != volume.regularisation.outside
    limit = 0.502 + STEEPNESS * told
    assert error[inside].max(initial=0.0) <= limit, (error[inside].max(), limit, volume.warnings)
    return "as it is" if volume.regularisation is None else "resampled"


def test_no_random_series_is_silently_wrong(tmp_path: Path) -> None:
    found: Counter[str] = Counter()
    for seed in range(COUNT):
        folder = tmp_path / str(seed)
        folder.mkdir()
        done = random_series(folder, np.random.default_rng(seed))
        result = dicom_series.scan(folder)
        assert result.entries or result.refused
        try:
            found.update(judged(entry) for entry in result.entries)
        except Exception as error:
            raise AssertionError(f"series {seed} ({', '.join(done) or 'nothing'}): {error}") from error
        found["refused"] += len(result.refused)
    print(f"\n{COUNT} series: {dict(found)}")
    assert min(found["as it is"], found["resampled"]) > COUNT / 10  # the test tests something
