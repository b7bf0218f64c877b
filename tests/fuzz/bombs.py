"""Small files that claim, unpack to, or ask for gigabytes; and what opening each one costs.

    python -m tests.fuzz.bombs            prints a table of all
    python -m tests.fuzz.bombs NAME ...   only of these

Columns: file, its size in MB, what it claims, seconds, CPU seconds, peak MB, message. Every file is at most 10 MB. Each
is opened (scan, thumbnail, load) by a process of its own, so that a crash is seen. Peak counts that process and
its decode workers together: the highest sum of their resident memory, sampled every 10 ms, and never less than the
high-water mark of any one of them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
MOST_SECONDS, MOST_BYTES = 5.0, 2_000_000_000


@dataclass(frozen=True)
class Cost:
    """What opening one file took. `outcome` is "refused", "opened" or "crashed"."""

    outcome: str
    message: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int


def measure(path: Path, timeout: float = 120.0) -> Cost:
    """Open `path` in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.fuzz.bombs", "--open", str(path)]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )
    if done.returncode != 0:
        return Cost("crashed", f"status {done.returncode}: {done.stderr[-300:]}", 0.0, 0.0, 0)
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


class _Peak:
    """Samples the resident memory of this process and its children while the `with` block runs."""

    def __enter__(self) -> _Peak:
        self.bytes, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        import psutil

        own = psutil.Process()
        while not self._stop.wait(0.01):
            pids = [own.pid]
            with contextlib.suppress(psutil.Error):
                pids += [child.pid for child in own.children()]
            now, marks = zip(*(_memory(pid) for pid in pids), strict=True)
            self.bytes = max(self.bytes, sum(now), *marks)


def _memory(pid: int) -> tuple[int, int]:
    """(resident bytes now, their high-water mark) of a process; zeros where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return found.get("VmRSS", 0), found.get("VmHWM", 0)


def _open(path: Path) -> tuple[str, str]:
    """(outcome, message) of opening the path as the program does."""
    from medviewer.core.errors import InputRefused
    from medviewer.services import open_data

    try:
        if path.suffix == ".mvsession":
            from medviewer.io import session_file

            return "opened", str(len(session_file.read(path).masks))
        found = open_data.scan_path(path)
        if not found.entries:
            return "refused", found.refused[0].reason
        open_data.thumbnail(found.entries[0])
        return "opened", str(open_data.load(found.entries[0]).shape)
    except InputRefused as error:
        return "refused", str(error)


def _report(path: Path) -> None:
    """What `measure` reads: one line of JSON."""
    from medviewer.io.decode_pool import POOL

    start = time.perf_counter()
    with _Peak() as peak:
        outcome, message = _open(path)
    seconds = time.perf_counter() - start
    POOL.close()  # then their time is counted
    times = os.times()
    cpu = times.user + times.system + times.children_user + times.children_system
    print(json.dumps(Cost(outcome, message, seconds, cpu, peak.bytes).__dict__))


def _table(names: Sequence[str]) -> int:
    from tests.fuzz.bomb_files import BOMBS

    worst = 0
    print(f"{'file':28}{'MB':>6}  {'claims':34}{'s':>6}{'cpu s':>7}{'peak MB':>9}  message")
    for name in names or BOMBS:
        with tempfile.TemporaryDirectory() as folder:
            path = BOMBS[name].build(Path(folder))
            size = sum(p.stat().st_size for p in (path.iterdir() if path.is_dir() else [path]))
            cost = measure(path)
        bad = cost.outcome == "crashed" or cost.cpu_seconds > MOST_SECONDS or cost.peak_bytes > MOST_BYTES
        worst |= bad
        print(
            f"{name:28}{size / 1e6:6.2f}  {BOMBS[name].claims:34}{cost.seconds:6.2f}{cost.cpu_seconds:7.2f}"
            f"{cost.peak_bytes / 1e6:9.0f}  {'!! ' if bad else ''}{cost.message}",
            flush=True,
        )
    return worst


def main(arguments: Sequence[str] | None = None) -> Any:
    """Print the table; exit status 1 if a file cost too much or crashed its process."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.bombs")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    return _report(options.open) if options.open else _table(options.names)


if __name__ == "__main__":
    sys.exit(main())
