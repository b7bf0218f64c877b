"""A small session beside its scan, and what the tests of session files do to it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "sessions"
sys.path.insert(0, str(FIXTURES))

from make_schema_1 import write_scan  # noqa: E402


def copied(folder: Path) -> Path:
    """A copy of the fixture's session, beside its scan."""
    write_scan(folder)
    return Path(shutil.copy(FIXTURES / "schema_1.mvsession", folder))


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> Path:
    """The session with a forged document and masks whose checksums are right again."""
    parts = members(path)
    document = json.loads(parts.pop("session.json"))
    change(document, parts)
    if isinstance(document.get("masks"), dict):
        document["masks"] = {name: hashlib.sha256(data).hexdigest() for name, data in parts.items()}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("session.json", json.dumps(document), zipfile.ZIP_DEFLATED)
        for name, data in parts.items():
            archive.writestr(name, data, zipfile.ZIP_STORED)
    return path
