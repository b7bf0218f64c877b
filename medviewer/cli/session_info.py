"""What `medviewer info` says of a session file: what it holds and whether its scans are where it expects them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from medviewer.cli.output import Report

if TYPE_CHECKING:
    from medviewer.services.session_document import SavedScan


def is_session(path: Path) -> bool:
    """By the name; the content is checked when it is read."""
    from medviewer.io import session_file

    return session_file.is_session(path)


def describe_session(path: Path) -> Report:
    """Reads the session alone, no scan. Raises InputRefused for damage and for a newer schema."""
    from medviewer.io.session_file import SCHEMA
    from medviewer.services.sessions import missing_scans, read_session

    session = read_session(path)
    missing = missing_scans(path, session)
    scans = [_scan(path, saved, number in missing) for number, saved in enumerate(session.scans)]
    document = {"session": {"schema": SCHEMA, "program": session.program, "saved": session.saved, "scans": scans}}
    first = f"session of {len(scans)} {'scan' if len(scans) == 1 else 'scans'}, saved {session.saved}"
    warnings = tuple(f"The scan {scan['path']} is not there." for scan in scans if scan["missing"])
    return Report(document, (first, *(line for scan in scans for line in _lines(scan))), warnings)


def _scan(path: Path, saved: SavedScan, missing: bool) -> dict[str, Any]:
    scan = saved.scan
    return {
        "path": scan.sample or str(scan.place(path)),
        "missing": missing,
        "shape_xyz": list(scan.shape),
        "segments": [header["name"] for header, _ in saved.segments],
        "preview": saved.preview is not None,
    }


def _lines(scan: dict[str, Any]) -> list[str]:
    size = " x ".join(str(n) for n in scan["shape_xyz"])
    return [f"{scan['path']}  {size}", *(f"  segment: {name}" for name in scan["segments"])]
