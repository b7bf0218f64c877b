#!/usr/bin/env python3
"""Sets medviewer up beside this file and runs it. Needs nothing but Python 3.11 or later.

python3 start.py [--headless] [--out DIR]   run the demonstration (a window if there is a display)
python3 start.py run [ARGUMENTS]            run medviewer with these arguments
python3 start.py test [PYTEST ARGUMENTS]    run all checks and tests
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE / ".venv"
CONSTRAINTS = HERE / ".ci" / "constraints.txt"
DEBIAN_PACKAGES = HERE / ".ci" / "debian-packages.txt"
ON_WINDOWS = os.name == "nt"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if ON_WINDOWS else "bin/python")
GUI_MINUTES = 12


def main(arguments):
    if sys.version_info < (3, 11):
        return fail("medviewer needs Python 3.11 or later; this is {}.{}.".format(*sys.version_info[:2]))
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    testing = arguments[:1] == ["test"]
    problem = set_up("dev" if testing else "")
    if problem:
        return fail(problem)
    if testing:
        return run_tests(arguments[1:])
    command = arguments if arguments[:1] == ["demo"] else ["demo", *arguments]
    if arguments[:1] == ["run"]:
        command = arguments[1:]
    return subprocess.call([str(PYTHON), "-m", "medviewer", *command])


def fail(message):
    print(message, file=sys.stderr)
    return 1


# Setting up


def set_up(extra):
    """Make the environment and install into it; returns what is wrong, or "". Fast where nothing changed."""
    install_system_libraries()
    if not environment_works():
        problem = make_environment()
        if problem:
            return problem
    if not is_installed(extra):
        problem = install(extra)
        if problem:
            return problem
    return ""


def environment_works():
    if not PYTHON.exists():
        return False
    check = [str(PYTHON), "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    return subprocess.call(check, stderr=subprocess.DEVNULL) == 0


def make_environment():
    """A virtual environment in .venv; Debian keeps what that needs in a package of its own."""
    if not can_make_environments() and not apt_install(["python3-venv"]):
        return "Python's venv module is missing. On Debian or Ubuntu: sudo apt-get install python3-venv"
    print(f"Making an environment in {ENVIRONMENT}", flush=True)
    command = [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)]
    if subprocess.call(command) == 0:
        return ""
    return f"The environment could not be made in {ENVIRONMENT}; see the message above."


def can_make_environments():
    return all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))


def install(extra):
    """Install medviewer in place, with the versions the tests ran with."""
    what = str(HERE) + ("[dev]" if extra else "")
    print("Installing medviewer; the first time this takes some minutes.", flush=True)
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--retries", "5"]
    if not sys.stdout.isatty():
        command.append("--quiet")
    if subprocess.call([*command, "-c", str(CONSTRAINTS), "-e", what]) != 0:
        return "The installation failed; see the message above. Is the network there, and about 8 GB of disk?"
    stamp_path(extra).write_text(fingerprint())
    if extra:
        stamp_path("").write_text(fingerprint())
    return ""


def is_installed(extra):
    try:
        return stamp_path(extra).read_text() == fingerprint()
    except OSError:
        return False


def stamp_path(extra):
    return ENVIRONMENT / f".medviewer-{extra or 'run'}"


def fingerprint():
    """Changes when the requirements, the versions, the interpreter or the place of the checkout change."""
    digest = hashlib.sha256(str(HERE).encode())
    for path in (HERE / "pyproject.toml", CONSTRAINTS, ENVIRONMENT / "pyvenv.cfg"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def install_system_libraries():
    """On Debian as root, install the libraries that drawing needs; elsewhere only say which are missing."""
    if not sys.platform.startswith("linux") or not shutil.which("dpkg-query"):
        return
    missing = [name for name in debian_packages("needed") if not debian_has(name)]
    if missing and not apt_install(missing):
        print("Missing for windows and 3D; please run: sudo apt-get install " + " ".join(missing), file=sys.stderr)


def debian_packages(kind):
    lines = DEBIAN_PACKAGES.read_text().splitlines()
    return [line.split()[1] for line in lines if line.startswith(kind + " ")]


def debian_has(name):
    """Installed under this name, or (libglib2.0-0t64) under the one of newer releases."""
    for package in (name, name + "t64"):
        query = ["dpkg-query", "-W", "-f", "${Status}", package]
        if b"ok installed" in subprocess.run(query, capture_output=True).stdout:
            return True
    return False


def apt_install(packages):
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return False
    print("Installing " + " ".join(packages), flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    quiet = {"env": environment, "stdout": subprocess.DEVNULL}
    subprocess.call(["apt-get", "update", "-qq"], **quiet)
    return subprocess.call(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], **quiet) == 0


# Tests


def run_tests(arguments):
    """Checks of the source first, then the tests, those with windows in a process of their own."""
    steps = []
    if not arguments:
        steps += [
            ("ruff", [str(PYTHON), "-m", "ruff", "check", "."], 5),
            ("mypy", [str(PYTHON), "-m", "mypy"], 15),
            ("import contracts", [str(PYTHON), "-c", "from importlinter.cli import lint_imports_command as f; f()"], 5),
        ]
    pytest = [str(PYTHON), "-X", "faulthandler", "-m", "pytest", "-q"]
    windows = [*virtual_screen(), *pytest, "-m", "gui", "--timeout", "120", "--timeout-method", "thread", *arguments]
    steps += [
        ("tests", [*pytest, "-m", "not gui", *arguments], 40),
        ("tests with windows", windows, GUI_MINUTES),
    ]
    with tempfile.TemporaryDirectory() as home:
        results = [run_step(name, command, minutes, home) for name, command, minutes in steps]
    print("\nSummary")
    for name, status, seconds in results:
        print(f"  {name:20} {status:10} {seconds:6.0f} s")
    return 0 if all(status in ("passed", "none") for _, status, _ in results) else 1


def run_step(name, command, minutes, home):
    print(f"\n== {name}", flush=True)
    environment = {**os.environ, "MEDVIEWER_HOME": home, "LIBGL_ALWAYS_SOFTWARE": "1"}
    began = time.monotonic()
    try:
        code = call_with_limit(command, minutes * 60, environment)
    except subprocess.TimeoutExpired:
        print(f"{name} did not end within {minutes} minutes", flush=True)
        code = -1
    except FileNotFoundError as error:
        print(error, flush=True)
        code = -1
    nothing_selected = "pytest" in command and code == 5
    status = "none" if nothing_selected else ("passed" if code == 0 else "FAILED")
    return name, status, time.monotonic() - began


def call_with_limit(command, seconds, environment):
    """Exit code of a command; at the limit, and on Ctrl-C, it ends together with the processes it started."""
    process = subprocess.Popen(command, cwd=HERE, env=environment, start_new_session=not ON_WINDOWS)
    try:
        return process.wait(seconds)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        if ON_WINDOWS:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        raise


def virtual_screen():
    """Windows of tests open on a screen nobody sees, where there is one to be had."""
    if shutil.which("xvfb-run"):
        return ["xvfb-run", "--auto-servernum", "--server-args", "-screen 0 1600x1000x24"]
    return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
