"""A program that works on a report and is killed: `python -m tests.safety.kill_reporting SCAN FOLDER`.

It drafts a report of three sentences, accepts, edits and rejects one after the other, keeps each state with the scan as
the Report tab does, says so when the journal has it, and then ends itself by SIGKILL.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from medviewer.core.report import signing
from medviewer.core.report.audit import Moment, Reviewed
from medviewer.core.report.document import Evidence, Finding, Identity, Report, Section
from medviewer.core.scene import Scene
from medviewer.services.journal import Journal
from medviewer.services.report_keeping import KeptReport, kept_text
from tests.safety.editing import open_scan

PLUGIN = "report_generation"
MOMENT = Moment("Dr. A. Reader", "2026-01-02T03:04:05+00:00")


def drafted() -> Reviewed:
    """Three undecided sentences."""
    texts = {"a": "Liver: volume 1500 ml.", "b": "Spleen: volume 200 ml.", "c": "A cyst of the kidney."}
    findings = tuple(
        Finding(text, "body", (Evidence("slice", slice_index=1),), "measured", id=id_) for id_, text in texts.items()
    )
    section = Section("body", "Body", findings, not_assessed=False)
    return Reviewed(Report("general", "en", Identity(name="CANARY"), sections=(section,)))


def steps(reviewed: Reviewed) -> list[Reviewed]:
    """The draft, and the report after each step."""
    accepted = signing.accept(reviewed, "a", MOMENT)
    edited = signing.edit(accepted, "b", "The spleen is large: 200 ml.", MOMENT)
    return [reviewed, accepted, edited, signing.reject(edited, "c", MOMENT)]


def main(path: Path, folder: Path) -> None:
    """Work, and die."""
    scene = Scene()
    journal = Journal(scene, lambda works: None, folder)
    journal.attach()
    scan = scene.add_volume(open_scan(path))
    for reviewed in steps(drafted()):
        scene.keep_note(scan, PLUGIN, kept_text(KeptReport(reviewed, added=frozenset({"x"}))))
        assert journal.flush()
        print(len(reviewed.trail), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
