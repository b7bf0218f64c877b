"""Runs the whole program where there is no network, and counts what it asks of the network:

    python -m tests.safety.no_network

The commands, the window and two training steps run in an empty network namespace (`unshare -rn`) under strace, which
follows all child processes. They must work, and no call may name an internet address. Local sockets (the display) are
counted apart.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.safety.command_journey import REPOSITORY, commands, environment
from tests.safety.planted import PlantedSeries

_INTERNET = re.compile(r"\b(?:connect|sendto|sendmsg|sendmmsg|bind)\(.*\bAF_INET6?\b")
_ATTEMPT = re.compile(r"\b(?:connect|sendto|sendmsg|sendmmsg|bind)\(")
_NAME_LOOKUP = re.compile(r"sin6?_port=htons\(53\)")
SCREEN = ("xvfb-run", "-a", "-s", "-screen 0 1920x1080x24")


@dataclass(frozen=True)
class Traced:
    """A run without a network: its exit status, calls that name an internet address, all other network calls."""

    name: str
    status: int
    internet: tuple[str, ...]
    local: int
    words: str


def missing_tool() -> str:
    """Why the proof cannot be made here; empty if it can."""
    for tool in ("unshare", "strace"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        return "this machine does not permit network namespaces (unshare -rn)"
    trial = subprocess.run(["unshare", "-rn", "strace", "-o", os.devnull, "true"], capture_output=True, check=False)
    return "this machine does not permit strace" if trial.returncode else ""


def traced(name: str, call: Sequence[str], env: dict[str, str], folder: Path, screen: bool = False) -> Traced:
    """Run a call without a network and count."""
    trace = folder / "trace.txt"
    before = ["unshare", "-rn", *(SCREEN if screen else ())]
    strace = ["strace", "-f", "-qq", "-e", "trace=network", "-o", str(trace)]
    done = subprocess.run(
        [*before, *strace, *call], cwd=REPOSITORY, env=env, capture_output=True, timeout=500, check=False
    )
    lines = trace.read_text(errors="replace").splitlines()
    internet = tuple(line for line in lines if _INTERNET.search(line) or _NAME_LOOKUP.search(line))
    local = sum(bool(_ATTEMPT.search(line)) for line in lines) - len(internet)
    return Traced(name, done.returncode, internet, local, (done.stdout + done.stderr).decode(errors="replace"))


def namespace_is_empty(env: dict[str, str], folder: Path) -> Traced:
    """The proof of the proof: a program that does call out fails here and is counted."""
    code = "import socket; socket.create_connection(('192.0.2.1', 80), 2)"
    return traced("(a program that calls out)", [sys.executable, "-c", code], env, folder)


def command_runs(folder: Path, scan: Path, only: Sequence[str] = ()) -> list[Traced]:
    """The commands, all or some."""
    env = environment(folder / "home", folder / "tmp")
    (folder / "out").mkdir(exist_ok=True)
    calls = commands(scan, folder / "out")
    calls["deidentify"] = ["deidentify", str(scan), str(folder / "deidentified")]
    calls |= {f"{words} list": [words, "list"] for words in ("models", "plugins")}
    chosen = {name: words for name, words in calls.items() if not only or name in only}
    return [traced(n, [sys.executable, "-m", "medviewer", *words], env, folder) for n, words in chosen.items()]


def window_run(folder: Path, scan: Path, secrets: Sequence[str] = ("defect",)) -> Traced:
    """The window with a prompt, exports, a session and defects."""
    env = environment(folder / "home", folder / "tmp")
    out = folder / "out"
    out.mkdir()
    call = [sys.executable, "-m", "tests.safety.window_journey", str(scan), str(out), *secrets]
    return traced("window", call, env, folder, screen=True)


def training_run(folder: Path) -> Traced:
    """Two training steps on a generated torso."""
    env = environment(folder / "home", folder / "tmp")
    return traced("two training steps", [sys.executable, "-m", "tests.safety.training_journey"], env, folder)


def main() -> int:
    """Print the table; 0 if everything worked and nothing called out."""
    why = missing_tool()
    if why:
        print(f"skipped: {why}")
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        PlantedSeries().write(folder / "scan")
        env = environment(folder / "home", folder / "tmp")
        control = namespace_is_empty(env, folder)
        (folder / "window").mkdir()
        commands_ = command_runs(folder, folder / "scan")
        runs = [*commands_, window_run(folder / "window", folder / "scan"), training_run(folder)]
    print(f"{'run without a network':<28} {'exit':>4} {'internet calls':>15} {'local calls':>12}")
    for run in (*runs, control):
        print(f"{run.name:<28} {run.status:>4} {len(run.internet):>15} {run.local:>12}")
    failed = [run for run in runs if run.status or run.internet]
    for run in failed:
        print(run.words[-2000:], *run.internet[:5], sep="\n")
    return 1 if failed or not control.internet or not control.status else 0


if __name__ == "__main__":
    sys.exit(main())
