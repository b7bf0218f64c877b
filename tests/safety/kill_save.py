"""Kills a process with SIGKILL while it saves, again and again, for everything the program writes.

    python -m tests.safety.kill_save --kills 50

For each kind of file a child overwrites a good old file; the kill comes at a random moment of the save (`--kills`
times, seeded, spread over the measured duration) and, besides, right before each single step of it that touches the
drive (flush, rename, link, remove). Afterwards every file must be the complete old or the complete new one by its
SHA-256 (the child tells the checksums of what it is about to put in place), must read back as one of the two contents,
files that belong together must agree, and after the next save no temporary file may be left. Prints a table; exit
status 1 if anything was broken. Linux.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from save_cases import Inputs, SaveCase, all_cases, sabotaged

_LONGEST_SAVE_S = 30.0
_MOST_STEPS = 400


@dataclass
class Count:
    """What was found after the kills of one case."""

    name: str
    old: int = 0
    new: int = 0
    finished: int = 0  # of the new ones: the save had ended before the kill came
    steps: int = 0  # kills right before a step, besides the random ones
    broken: list[str] = field(default_factory=list)


class Child:
    """A forked process that saves once. It writes "s" when it starts and the checksums of what it puts in place."""

    def __init__(self, case: SaveCase, folder: Path, variant: int, kill_before_step: int | None = None) -> None:
        self._read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._read)
            _save_in_child(case, folder, variant, write, kill_before_step)
        os.close(write)
        self._told = b""

    def wait_for_start(self) -> None:
        """Returns when the save begins."""
        ready, _, _ = select.select([self._read], [], [], _LONGEST_SAVE_S)
        assert ready, "the child did not start"
        self._told += os.read(self._read, 1)

    def kill_after(self, seconds: float) -> None:
        """SIGKILL, unless it ends earlier."""
        until = time.perf_counter() + seconds
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while time.perf_counter() < until and os.waitid(os.P_PID, self.pid, look) is None:
            time.sleep(0.0002)
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> tuple[int, set[str]]:
        """Wait for its end: the exit status (negative: the signal) and the checksums that it told."""
        while data := os.read(self._read, 1 << 16):
            self._told += data
        os.close(self._read)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status), set(self._told.decode().strip("s\n").split("\n"))


def _save_in_child(case: SaveCase, folder: Path, variant: int, pipe: int, kill_before_step: int | None) -> None:
    status = 1
    try:
        _watch_steps(pipe, kill_before_step)
        os.write(pipe, b"s\n")
        case.save(folder, variant)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _watch_steps(pipe: int, kill_before_step: int | None) -> None:
    """Tell checksums before anything is renamed; count the steps that touch the drive and die before a given one."""
    count = [0]

    def step() -> None:
        count[0] += 1
        if count[0] == kill_before_step:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def run(*arguments: object, **more: object) -> object:
            if name == "replace":
                _tell(Path(str(arguments[0])), pipe)
            step()
            return call(*arguments, **more)

        return run

    from medviewer.io import folder_swap

    for name in ("replace", "fsync", "unlink", "rmdir", "link", "mkdir"):
        setattr(os, name, watched(name, getattr(os, name)))
    exchange = folder_swap._exchange

    def told(first: Path, second: Path) -> bool:
        _tell(first, pipe)
        step()
        return exchange(first, second)

    folder_swap._exchange = told


def _tell(path: Path, pipe: int) -> None:
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            os.write(pipe, _sha256(file).encode() + b"\n")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _hashes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): _sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


class Case:
    """One case under attack in a folder of its own, `old` always lying there whole before an attack."""

    def __init__(self, case: SaveCase, folder: Path) -> None:
        self.case, self.folder = case, folder
        folder.mkdir()
        self.count = Count(case.name)
        case.save(folder, 0)
        case.save(folder, 1)
        begin = time.perf_counter()
        case.save(folder, 0)
        self.seconds = time.perf_counter() - begin
        self.lies = 0  # the variant in the folder

    def attack(self, seconds: float | None, step: int | None) -> bool:
        """One kill, judged; True if the child was killed, False if it had ended."""
        before, old = _hashes(self.folder), self.lies
        child = Child(self.case, self.folder, 1 - old, step)
        child.wait_for_start()
        if seconds is not None:
            child.kill_after(seconds)
        status, told = child.end()
        what = f"{'step ' + str(step) if seconds is None else f'{1000 * seconds:.1f} ms'}"
        try:
            if status not in (0, -signal.SIGKILL):
                raise AssertionError(f"the save failed by itself (exit {status})")
            self._judge(before, told, old, status)
        except Exception as error:
            self.count.broken.append(f"{what}: {type(error).__name__}: {error}")
            self._start_again()
        return status != 0

    def _judge(self, before: dict[str, str], told: set[str], old: int, status: int) -> None:
        known = told | set(before.values())
        appended = self.case.name == "batch list"  # grows in place: judged by its rows
        after = {name: value for name, value in _hashes(self.folder).items() if not Path(name).name.startswith(".")}
        odd = [name for name, value in after.items() if value not in known and not _below_hidden(name)]
        if odd and not appended:
            raise AssertionError(f"neither old nor new: {', '.join(odd)}")
        lost = [name for name in before if name.startswith(self.case.target) and name not in after]
        if lost and not appended and self.case.target not in ("bundle",):
            raise AssertionError(f"gone: {', '.join(lost)}")
        if appended:
            self.case.found(self.folder)
            self.count.new += 1
        elif self.case.found(self.folder) == old:
            self.count.old += 1
            assert status != 0, "a finished save left the old content"
        else:
            self.count.new += 1
            self.count.finished += status == 0
        self.lies = random.randrange(2)
        self.case.save(self.folder, self.lies)
        strays = [path.name for path in self.folder.rglob(".*") if ".part" in path.name or ".aside" in path.name]
        assert not strays, f"left after the next save: {strays[0]}"
        assert not list(self.folder.rglob("previous")), "the old series was left after the next save"

    def _start_again(self) -> None:
        import shutil

        shutil.rmtree(self.folder)
        self.folder.mkdir()
        self.case.save(self.folder, 0)
        self.lies = 0

    def all_steps(self) -> None:
        """A kill before each step of a save."""
        for step in range(1, _MOST_STEPS):
            if not self.attack(None, step):
                return
            self.count.steps += 1


def _below_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in Path(name).parts)


def run(cases: list[SaveCase], kills: int, seed: int, steps: bool, folder: Path) -> list[Count]:
    """Attack every case; the counts in the order of the cases."""
    random.seed(seed)
    counts = []
    for number, case in enumerate(cases):
        attacked = Case(case, folder / str(number))
        for kill in range(kills):
            share = (kill + random.random()) / kills
            attacked.attack(1.1 * attacked.seconds * share, None)
        if steps:
            attacked.all_steps()
        counts.append(attacked.count)
    return counts


def table(counts: list[Count]) -> str:
    """Old and new hold the kills at steps, too; "ended" are new ones whose save had ended before the kill."""
    lines = [f"{'format':<22}{'old':>6}{'new':>6}{'(ended)':>9}{'at steps':>10}{'broken':>8}"]
    for c in counts:
        lines.append(f"{c.name:<22}{c.old:>6}{c.new:>6}{c.finished:>9}{c.steps:>10}{len(c.broken):>8}")
        lines += [f"    {text}" for text in c.broken[:5]]
    total = sum(c.old + c.new + len(c.broken) for c in counts)
    return "\n".join([*lines, f"{total} saves attacked, {sum(len(c.broken) for c in counts)} broken"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="random kills for each format")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-steps", action="store_true", help="leave out the kills before each step")
    parser.add_argument("--only", default="", help="one format of the table")
    parser.add_argument("--sabotage", default="", choices=["", "in place", "pair"], help="attack a bad save instead")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("MEDVIEWER_HOME", tempfile.mkdtemp())
    with tempfile.TemporaryDirectory() as folder:
        inputs = Inputs(Path(folder) / "inputs")
        cases = [sabotaged(inputs, options.sabotage)] if options.sabotage else all_cases(inputs)
        cases = [case for case in cases if options.only in ("", case.name)]
        counts = run(cases, options.kills, options.seed, not options.no_steps, Path(folder))
    print(json.dumps([vars(count) for count in counts]) if options.json else table(counts))
    return 1 if any(count.broken for count in counts) else 0


if __name__ == "__main__":
    sys.exit(main())
