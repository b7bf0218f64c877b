"""The long fuzz run.

    python -m tests.fuzz.extended --mutants 20000 --seed 1 [--minutes 30] [--formats rle,png]

Prints, per format, how many mutants were the same as the original, changed, refused; how many cost a worker its life or
its time limit; and how many were wrong (see `judge`), ended in another error, or in a crash of the program. Each format
is fuzzed in a process of its own, which stands for the program: its end by a signal is the crash that must not happen.
The last column is the median time of one mutant in milliseconds. Exit status 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.fuzz.judge import VERDICTS, Judged, judge, whole_volume
from tests.fuzz.mutate import mutant
from tests.fuzz.originals import FORMATS, original

REPOSITORY = Path(__file__).resolve().parents[2]
BAD = ("wrong", "error")
_MOST_CRASHES = 5  # then a format is given up


def run(name: str, seed: int, first: int, count: int, end: float = float("inf")) -> Iterator[Judged]:
    """Judge mutants `first` to `first + count` of a format, until the clock (time.monotonic) passes `end`."""
    whole = original(name)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        undamaged = whole_volume(folder, name, whole)
        for number in range(first, first + count):
            if time.monotonic() > end:
                return
            path = folder / f"m{number}{whole.suffix}"
            path.write_bytes(mutant(whole, name, seed, number))
            yield judge(path, name, undamaged)
            path.unlink()


def _work(name: str, seed: int, first: int, count: int, minutes: float) -> int:
    """In the child: one line of JSON per mutant."""
    for judged in run(name, seed, first, count, time.monotonic() + minutes * 60):
        print(json.dumps([judged.verdict, judged.why, judged.seconds]), flush=True)
    return 0


def _fuzzed(name: str, seed: int, count: int, minutes: float) -> tuple[Counter[str], list[float], list[str]]:
    """(verdicts and crashes, seconds, the reasons of what was bad) of one format."""
    tally: Counter[str] = Counter()
    seconds: list[float] = []
    bad: list[str] = []
    first = 0
    while first < count:
        command = [sys.executable, "-m", "tests.fuzz.extended", "--work", name, str(first)]
        command += ["--mutants", str(count - first), "--seed", str(seed), "--minutes", str(minutes)]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
        for number, (verdict, why, took) in enumerate(lines, first):
            tally[verdict] += 1
            seconds.append(took)
            if verdict in BAD:
                bad.append(f"{name} {number}: {verdict}: {why}")
        first += len(lines)
        if done.returncode == 0:
            break
        tally["crash"] += 1
        last = (done.stderr.splitlines() or [""])[-1]
        bad.append(f"{name} {first}: the program ended with {done.returncode}: {last}")
        first += 1
        if tally["crash"] >= _MOST_CRASHES:
            break
    return tally, seconds, bad


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 if a mutant was wrong or crashed the program."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.extended")
    parser.add_argument("--mutants", type=int, default=20_000, help="of all formats together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e6, help="at most, all formats together")
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.work:
        return _work(options.work[0], options.seed, int(options.work[1]), options.mutants, options.minutes)
    return _table(options.formats.split(","), options.mutants, options.seed, options.minutes)


def _table(names: Sequence[str], mutants: int, seed: int, minutes: float) -> int:
    columns = ("same", "changed", "refused", "death", "timeout", "wrong", "error", "crash")
    print(f"{'format':16}{'mutants':>8}" + "".join(f"{column:>9}" for column in columns) + f"{'ms':>8}", flush=True)
    total: Counter[str] = Counter()
    troubles: list[str] = []
    for name in names:
        tally, seconds, bad = _fuzzed(name, seed, -(-mutants // len(names)), minutes / len(names))
        total += tally
        troubles += bad
        _row(name, tally, columns, statistics.median(seconds or [0.0]))
    _row("all", total, columns, 0.0)
    print("\n".join(troubles[:30]))
    return int(bool(troubles))


def _row(name: str, tally: Counter[str], columns: Sequence[str], median: float) -> None:
    assert set(tally) <= {*VERDICTS, "crash"}
    counts = "".join(f"{tally[column]:9}" for column in columns)
    print(f"{name:16}{tally.total():8}{counts}{1000 * median:8.1f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
