"""Every DICOM file of the pydicom wheel, opened by the program; nothing is downloaded.

    python -m tests.fuzz.corpus [--list]

Prints how many files are there, how many hold pixels of an image, how many of those are shown and how many refused, and
how many cost a decode worker its life or took over 10 s. `--list` also prints each refusal.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LONGEST = 10.0  # seconds
_OTHER_SUFFIXES = (".gz", ".py", ".json", ".txt", ".md")


@dataclass(frozen=True)
class Opened:
    """What became of one file; `image`: pydicom finds pixels of a picture in it."""

    path: Path
    image: bool
    shown: bool
    reason: str
    seconds: float
    deaths: int


def folder() -> Path:
    """Where the wheel has its files."""
    import pydicom

    return Path(pydicom.__file__).parent / "data" / "test_files"


def files() -> list[Path]:
    """All of them, in a stable order."""
    return sorted(path for path in folder().rglob("*") if path.is_file() and path.suffix not in _OTHER_SUFFIXES)


def open_all() -> Iterator[Opened]:
    """Open each file alone, away from its neighbours, which share series UIDs."""
    for path in files():
        with tempfile.TemporaryDirectory() as text:
            copy = Path(text, path.name)
            shutil.copyfile(path, copy)
            yield _open(path, copy)


def _open(path: Path, copy: Path) -> Opened:
    from medviewer.core.errors import InputRefused
    from medviewer.io import decode_pool, dicom_series

    deaths, start = decode_pool.POOL.deaths, time.perf_counter()
    result = dicom_series.scan(copy)
    reasons = [item.reason for item in result.refused]
    shown = 0
    for entry in result.entries:
        try:
            shown += dicom_series.load(entry).shape == entry.shape_xyz
        except InputRefused as error:
            reasons.append(str(error))
    seconds = time.perf_counter() - start
    return Opened(path, is_image(path), shown > 0, " ".join(reasons), seconds, decode_pool.POOL.deaths - deaths)


def is_image(path: Path) -> bool:
    """Does pydicom find pixels in it that are a picture of a patient (no segmentation, no dose)?"""
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path, force=True)
            return "PixelData" in dataset and "Rows" in dataset and dataset.get("Modality") not in ("SEG", "RTDOSE")
    except Exception:
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the counts; 1 if a worker died or a file took too long."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.corpus")
    parser.add_argument("--list", action="store_true", help="print each refusal")
    options = parser.parse_args(arguments)
    found = list(open_all())
    images = [opened for opened in found if opened.image]
    slow = [opened for opened in found if opened.seconds > LONGEST]
    shown, slowest = sum(opened.shown for opened in images), max(found, key=lambda opened: opened.seconds)
    others = sum(not opened.shown for opened in found if not opened.image)
    print(f"files {len(found)}: images {len(images)}, shown {shown}, refused {len(images) - shown}; "
          f"other objects, named and refused, {others}")  # fmt: skip
    print(f"workers that died {sum(opened.deaths for opened in found)}, over {LONGEST:g} s {len(slow)}, "
          f"slowest {slowest.seconds:.2f} s ({slowest.path.name})")  # fmt: skip
    for opened in found:
        if not opened.shown and (opened.image or options.list):
            print(f"  {'image' if opened.image else 'other'} {opened.path.name}: {opened.reason}")
    return int(bool(slow) or any(opened.deaths for opened in found))


if __name__ == "__main__":
    sys.exit(main())
