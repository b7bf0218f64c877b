"""The process in which a user's plugin is imported for the first time. Run by `trial`; nothing of it is kept.

`python -P -m medviewer.plugin_host.trial_process FOLDER`. It says two lines on standard output: "ready" when what the
plugin needs of others is imported (from then on the time counts), then one JSON text: {"error": ""} or the reason.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TextIO

_LONGEST_SECONDS = 150
_LARGE = ("medviewer", "torch", "torchvision", "numpy", "scipy", "skimage", "PySide6", "SimpleITK", "transformers")


def main() -> None:
    """Try the plugin in the folder named on the command line, answer, and end at once, whatever it left running."""
    folder = Path(sys.argv[1])
    _end_with_the_program()
    answers = _own_answers()
    _import_needed(folder)
    print("ready", file=answers, flush=True)
    print(json.dumps({"error": _tried(folder)}), file=answers, flush=True)
    os._exit(0)


def _end_with_the_program() -> None:
    """Also where the plugin hangs and the program was killed meanwhile."""
    program = os.fdopen(os.dup(0), "rb", buffering=0)

    def wait() -> None:
        program.read(1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
    if hasattr(signal, "alarm"):
        signal.alarm(_LONGEST_SECONDS)  # where the plugin lets no other thread run


def _own_answers() -> TextIO:
    """Keep standard output for the two lines: what the plugin prints goes nowhere."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    return answers


def _tried(folder: Path) -> str:
    from medviewer.plugin_host.loading import load_entry, made_logic
    from medviewer.plugin_host.manifest import PluginBroken, read_manifest

    try:
        manifest = read_manifest(folder)
        for entry in filter(None, (manifest.parameters, manifest.panel)):
            load_entry(manifest, entry)
        made_logic(manifest)
    except PluginBroken as error:
        return error.message
    return ""


def _import_needed(folder: Path) -> None:
    """Import the large libraries that the plugin's files name, so that a slow disk does not count against it."""
    for name in sorted({name for file in sorted(folder.rglob("*.py"))[:200] for name in _imports(file)}):
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _imports(file: Path) -> set[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return {name for name in names if name.split(".")[0] in _LARGE}


if __name__ == "__main__":
    main()
