"""Kills a program that edits, at random moments and inside writes, and counts the edits that do not come back.

    python -m tests.safety.kill_editing --kills 50            the scene and its journal
    python -m tests.safety.kill_editing --kills 50 --window   the window (needs a display, for instance xvfb-run)

Each child process makes seeded random edits and reports each completed edit with the time. It is killed by SIGKILL at
a random moment; every third one inside a write of its journal, a part of which is written. Many edits follow each
other without a pause, which no hand can do. A new process then recovers the work; the state must be exactly that
after edit N or a later one, where N is at least the last reported edit minus one, or all that is missing was done in
the last 5 s. Every step must also undo. Prints one line per kill and the count; the exit status is 1 unless all came
back.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
_MOST_EDITS = 400


@dataclass
class Kill:
    """One killed child: its seed, where it lived, and what it reported."""

    seed: int
    home: Path
    inside_write: bool
    reported: int = 0
    times: list[float] = field(default_factory=list)  # when each edit was reported
    ended: float = 0.0  # when it was dead


# -- the child -------------------------------------------------------------------------
def child(seed: int, scans: list[Path], window: bool, inside_write: bool, target: int) -> None:
    """Edit and report each edit. `inside_write`: end by SIGKILL inside the first write after edit `target`."""
    if inside_write:
        _stop_inside_write(target)
    if window:
        _edit_in_window(seed, scans)
        return
    from medviewer.core.scene import Scene
    from medviewer.services.journal import Journal

    scene = Scene()
    Journal(scene, lambda works: None).attach()
    editor = _editor(scene, seed, scans)
    thinking = random.Random(seed)
    while editor.count < _MOST_EDITS:
        editor.edit()
        _report(editor.count)
        time.sleep(thinking.choice((0, 0, 0.002, 0.01, 0.03)))


def _editor(scene: Any, seed: int, scans: list[Path]) -> Any:
    from tests.safety.editing import Editor, open_scan

    for path in scans[: 1 + seed % 2]:
        scene.add_volume(open_scan(path))
    return Editor(scene, seed)


def _edit_in_window(seed: int, scans: list[Path]) -> None:
    from PySide6.QtCore import QTimer

    from medviewer.gui.app import make_application, make_window
    from medviewer.services.settings import Settings

    application = make_application()
    window = make_window(Settings())
    window.show()
    editor = _editor(window.scene, seed, scans)
    editor.undo, editor.redo = window.actions_["undo"].trigger, window.actions_["redo"].trigger
    thinking = random.Random(seed)

    def edit() -> None:
        editor.edit()
        _report(editor.count)
        if editor.count < _MOST_EDITS:
            QTimer.singleShot(thinking.choice((0, 0, 2, 10, 30)), window, edit)

    QTimer.singleShot(0, window, edit)
    application.exec()


_last_reported = 0


def _report(count: int) -> None:
    global _last_reported
    _last_reported = count
    os.write(1, f"{count}\n".encode())


def _stop_inside_write(target: int) -> None:
    from medviewer.services import journal_writer

    whole_write = journal_writer._write_all

    def half_write(descriptor: int, data: bytes) -> None:
        if _last_reported < target or len(data) < 8:
            whole_write(descriptor, data)
            return
        whole_write(descriptor, data[: random.Random(target).randrange(1, len(data))])
        os.kill(os.getpid(), signal.SIGKILL)

    journal_writer._write_all = half_write


# -- the parent ------------------------------------------------------------------------
def kill_one(seed: int, folder: Path, scans: list[Path], window: bool) -> Kill:
    """Start a child and kill it."""
    chance = random.Random(1000 + seed)
    kill = Kill(seed, folder / f"home{seed}", seed % 3 == 2)
    target = chance.randrange(1, 25 if window else 60)
    arguments = ["child", str(seed), str(int(window)), str(int(kill.inside_write)), str(target), *map(str, scans)]
    environment = os.environ | {"MEDVIEWER_HOME": str(kill.home), "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.safety.kill_editing", *arguments], stdout=subprocess.PIPE, env=environment,
        cwd=REPOSITORY, stderr=subprocess.DEVNULL if window else None,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        _note(kill, line)
        if kill.reported >= target and not kill.inside_write:
            time.sleep(chance.uniform(0, 0.04))
            break
    process.send_signal(signal.SIGKILL)
    for line in process.stdout:  # reported before it died
        _note(kill, line)
    process.wait()
    kill.ended = time.monotonic()
    return kill


def _note(kill: Kill, line: bytes) -> None:
    if line.strip().isdigit() and line.endswith(b"\n"):
        kill.reported = int(line)
        kill.times.append(time.monotonic())


# -- the new process that recovers -----------------------------------------------------
def recover(kills: list[dict[str, Any]], scans: list[Path]) -> list[dict[str, Any]]:
    """For each kill: the number of the edit whose state came back (-1: none), the last one possible, and problems."""
    return [_recover_one(kill, scans) for kill in kills]


def _recover_one(kill: dict[str, Any], scans: list[Path]) -> dict[str, Any]:
    from medviewer.services.recovery import recoverable, replay
    from tests.safety.editing import state_hash

    items = recoverable(Path(kill["home"]) / "data" / "journal")
    found: dict[str, Any] = {"journals": len(items), "torn": any(item.contents.torn for item in items), "undone": True}
    recovered = None
    if items:
        result = replay(items[0])
        recovered = state_hash(result.scene)
        found["problems"] = [str(problem) for problem in result.problems]
        while result.scene.undo_stack.undo_title is not None:
            result.scene.undo_stack.undo()
        found["undone"] = not any(scan.segments for scan in result.scene.scans)
    found["edit"] = _edit_of(recovered, kill, scans)
    for item in items:
        item.release()
    return found


def _edit_of(recovered: str | None, kill: dict[str, Any], scans: list[Path]) -> int:
    """The last edit whose state is the recovered one (or, where nothing came back, has no work), found by making the
    same edits again; -1 if there is none."""
    from medviewer.core.scene import Scene
    from tests.safety.editing import has_work, state_hash

    editor = _editor(Scene(), kill["seed"], scans)
    last = -1
    for _ in range(kill["reported"] + 4):
        same = not has_work(editor.scene) if recovered is None else state_hash(editor.scene) == recovered
        last = editor.count if same else last
        editor.edit()
    return last if last >= 0 or recovered is not None else 0


def run(kills: int, window: bool = False, first_seed: int = 0) -> tuple[int, list[str]]:
    """Kill that many children; how many came back, and a table."""
    from tests.safety.editing import write_scan

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scans = [folder / "one.nii", folder / "two.nii.gz"]
        for number, path in enumerate(scans):
            write_scan(path, number)
        killed = [kill_one(seed, folder, scans, window) for seed in range(first_seed, first_seed + kills)]
        request = folder / "kills.json"
        request.write_text(json.dumps([kill.__dict__ | {"home": str(kill.home)} for kill in killed]))
        output = subprocess.run(
            [sys.executable, "-m", "tests.safety.kill_editing", "recover", str(request), *map(str, scans)],
            stdout=subprocess.PIPE, cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, check=True,
        )  # fmt: skip
        return _judge(killed, json.loads(output.stdout))


def _judge(killed: list[Kill], found: list[dict[str, Any]]) -> tuple[int, list[str]]:
    rows = ["seed  killed         reported  recovered  lost edits  lost ms  torn  result"]
    good = strict = 0
    longest = 0.0
    for kill, result in zip(killed, found, strict=True):
        lost = max(kill.reported - result["edit"], 0)
        lost_s = kill.ended - kill.times[result["edit"]] if 0 <= result["edit"] < kill.reported else 0.0
        whole = result["edit"] >= 0 and result["undone"] and not result.get("problems")
        ok = whole and (lost <= 1 or lost_s <= 5.0)
        good, strict, longest = good + ok, strict + (whole and lost <= 1), max(longest, lost_s)
        where = "inside a write" if kill.inside_write else "at random"
        rows.append(
            f"{kill.seed:4d}  {where:14s}{kill.reported:9d}{result['edit']:11d}{lost:12d}{1000 * lost_s:9.0f}"
            f"  {'yes' if result['torn'] else 'no':4s}  {'ok' if ok else 'LOST ' + str(result)}"
        )
    rows.append(f"at most the last edit lost: {strict} of {len(killed)}; longest time lost: {1000 * longest:.0f} ms")
    return good, rows


def main() -> int:
    if len(sys.argv) > 1 and sys.argv[1] == "child":
        seed, window, inside, target = (int(v) for v in sys.argv[2:6])
        child(seed, [Path(p) for p in sys.argv[6:]], bool(window), bool(inside), target)
        return 0
    if len(sys.argv) > 1 and sys.argv[1] == "recover":
        print(json.dumps(recover(json.loads(Path(sys.argv[2]).read_text()), [Path(p) for p in sys.argv[3:]])))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--window", action="store_true", help="edit in the real window")
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    options = parser.parse_args()
    good, rows = run(options.kills, options.window, options.seed)
    print("\n".join(rows))
    print(f"recovered with at most the last edit or 5 s lost: {good} of {options.kills}")
    return 0 if good == options.kills else 1


if __name__ == "__main__":
    sys.exit(main())
