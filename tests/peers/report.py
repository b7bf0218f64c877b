"""What medviewer and four peers make of the same spoilt series, as one table in Markdown.

    python -m tests.peers.report [--only medviewer SimpleITK] [--seconds 60] [--keep FOLDER]

Cells: the largest error in HU and the share of voxels that are wrong by more than 2 HU at the place the reader claims,
volume by volume ("0.5 / 0 %" is right, as values are whole numbers), or its refusal. Fill outside of the acquired
slices is not counted (one lowest value in more than 1 % of the voxels). "MERGED": two patients became one volume. A
warning on a console does not make a wrong volume right. dcm2niix writes some series twice, as they are and corrected.
Every reader runs in a child process with a time limit; one that dies is named and started again.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from tests.peers.series import CASES, errors, write_all  # noqa: E402

NAMES = ("medviewer", "SimpleITK", "dicom2nifti", "dcm2niix", "highdicom")
_TWO_PATIENTS = "two patients, one series UID"
_WRONG = 2.0  # HU


@dataclass(frozen=True)
class Result:
    """One reader on one series: (largest error, share of wrong voxels) of each volume, or what it `said` instead."""

    volumes: tuple[tuple[float, float], ...] = ()
    said: str = ""
    merged: bool = False

    @property
    def wrong(self) -> bool:
        """A volume was given and it is wrong."""
        return self.merged or not all(worst <= 0.51 for worst, _ in self.volumes)

    def cell(self) -> str:
        """For the table."""
        if not self.volumes:
            return f"refuses: {self.said[:110]}"
        words = [f"{worst:.1f} / {100 * share:.0f} %" for worst, share in self.volumes]
        text = words[0] if len(set(words)) == 1 else "; ".join(words)
        text += f", {len(words)} volumes" if len(words) > 1 else ""
        text += " MERGED" if self.merged else ""
        return f"**{text}**" if self.wrong else text


def available(name: str) -> bool:
    """Is the reader installed?"""
    if name == "dcm2niix":
        return shutil.which("dcm2niix") is not None
    return importlib.util.find_spec(name) is not None


def run_all(names: list[str], folders: dict[str, Path], seconds: float) -> dict[str, dict[str, Result]]:
    """{reader: {case: result}}."""
    return {name: run_reader(name, folders, seconds) for name in names}


def run_reader(name: str, folders: dict[str, Path], seconds: float) -> dict[str, Result]:
    """One child for all series; where it dies or hangs, that series is named and a new child does the rest."""
    left, results = dict(folders), {}
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary)
        while left:
            died = _child(name, out, list(left.values()), seconds)
            for case, folder in list(left.items()):
                found = _result(case, out / folder.name)
                if found is None:
                    results[case] = Result(said=died)
                    del left[case]
                    break
                results[case] = found
                del left[case]
    return results


def _child(name: str, out: Path, folders: list[Path], seconds: float) -> str:
    """How the child ended."""
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PATH": paths, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "tests.peers.readers", name, str(out), *map(str, folders)]
    try:
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return f"did not end within {seconds:g} s"
    return f"the process died (status {done.returncode})"


def _result(case: str, stem: Path) -> Result | None:
    refusal, volumes = stem.with_suffix(".txt"), stem.with_suffix(".npz")
    if refusal.is_file():
        return Result(said=refusal.read_text())
    if not volumes.is_file():
        return None
    with np.load(volumes) as stored:
        count = len(stored.files) // 2
        found = [(stored[f"array{index}"], stored[f"affine{index}"]) for index in range(count)]
    merged = case == _TWO_PATIENTS and any(array.size > 6 * 20 * 24 for array, _ in found)
    return Result(tuple(_judge(array, affine) for array, affine in found), merged=merged)


def _judge(array: np.ndarray, affine: np.ndarray) -> tuple[float, float]:  # type: ignore[type-arg]
    """(largest error, share wrong by more than 2 HU) of the voxels that are no fill."""
    lowest = array == np.nanmin(array)
    inside = ~np.isnan(array) & ~(lowest & (lowest.mean() > 0.01))
    with np.errstate(invalid="ignore"):
        values = np.nan_to_num(errors(array, affine)[inside], nan=np.inf)
    return float(values.max()), float((values > _WRONG).mean())


def table(results: dict[str, dict[str, Result]]) -> str:
    """Markdown, with a count of silent errors below."""
    names = list(results)
    lines = [f"| series | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    lines += [f"| {case.name} | {' | '.join(results[name][case.name].cell() for name in names)} |" for case in CASES]
    wrong = (f"{sum(result.wrong for result in results[name].values())}" for name in names)
    lines.append(f"| wrong volumes of {len(CASES)} series | {' | '.join(wrong)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(NAMES), choices=NAMES)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--keep", type=Path, help="write the series here and keep them")
    options = parser.parse_args()
    names = [name for name in options.only if available(name)]
    with tempfile.TemporaryDirectory() as temporary:
        folders = write_all(options.keep or Path(temporary))
        print(table(run_all(names, folders, options.seconds)))
    absent = [name for name in options.only if name not in names]
    if absent:
        print(f"\nnot installed here: {', '.join(absent)}")


if __name__ == "__main__":
    main()
