"""What a user does in the real window with one scan, and what goes wrong on the way. Run in a process of its own:

    python -m tests.safety.window_journey SCAN OUT [SECRET ...]

Opens SCAN, asks the shipped model, accepts, exports every format under the name that the dialog proposes, saves the
session, opens files that are refused, and raises defects that quote each SECRET in a slot, a thread, a warning and a
logger. Before it closes, it copies the user's folders to OUT/snapshot, so that what a crash would leave can be seen.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from medviewer.core.segmentation import Segment
from medviewer.gui.app import make_application, make_window
from medviewer.gui.dialogs.export_dialog import FORMATS, VIEW, ExportChoice, default_name, refusal
from medviewer.services.settings import Settings

_WAIT_S = 120


def main(scan: Path, out: Path, secrets: Sequence[str]) -> None:
    """The whole journey; raises AssertionError where a step does not come to its end."""
    make_application()
    window = make_window(Settings())
    window.show()
    window.open_paths([scan])
    wait(lambda: window.scene.active is not None, "the scan opens")
    wait(lambda: window.jobs.current is None, "the first jobs end")
    ask(window, "liver")
    accept(window)
    export_all(window, out)
    window.sessions.save_to(out / "work.mvsession")
    wait(lambda: (out / "work.mvsession").exists() and window.jobs.current is None, "the session is saved")
    refused(window, scan, out)
    defects(window, secrets)
    window.scene.rename_segment(window.scene.active.segments[0].id, "Renamed")
    window.recovery.journal.flush()
    shutil.copytree(os.environ["MEDVIEWER_HOME"], out / "snapshot")
    window.scene.undo_stack.mark_saved()
    window.close()
    QApplication.processEvents()
    print("journey done")


def wait(until: Callable[[], object], what: str) -> None:
    """Run the event loop until something is so."""
    end = time.monotonic() + _WAIT_S
    while not until():
        assert time.monotonic() < end, what
        QApplication.processEvents()
        time.sleep(0.005)


def ask(window: Any, prompt: str) -> None:
    """Type a prompt and wait for the answer."""
    panel = window.plugins.panels["text_segmentation"]
    panel.prompt.setFocus()
    QTest.keyClicks(panel.prompt, prompt)
    QTest.keyClick(panel.prompt, Qt.Key.Key_Return)
    wait(lambda: panel.cards and window.jobs.current is None, "the model answers")


def accept(window: Any) -> None:
    """Keep the preview; where the model found nothing, a threshold, so that there is something to export."""
    active = window.scene.active
    if active.preview is not None and active.preview.mask.any():
        window.scene.accept_preview()
    window.scene.add_segment(Segment("Threshold", active.volume.array > 50))
    assert active.segments


def export_all(window: Any, out: Path) -> None:
    """Every format that the scan allows, under the proposed name in a folder of the format."""
    active = window.scene.active
    for choice in FORMATS:
        if refusal(choice, active.volume, len(active.segments)):
            continue
        target = out / choice.key / default_name(active.volume, choice)
        target.parent.mkdir(parents=True)
        segments = () if choice.key == VIEW else tuple(active.segments)
        window.exports.run(active, ExportChoice(target, choice, segments))
        told = len(window.toasts.shown)
        wait(lambda: window.jobs.current is None, f"{choice.key} is saved")
        assert target.exists() or len(window.toasts.shown) > told, f"{choice.key} failed without a word"


def refused(window: Any, scan: Path, out: Path) -> None:
    """Open files that cannot be read."""
    source = scan if scan.is_file() else sorted(scan.iterdir())[0]
    for name, data in (("cut.dcm", source.read_bytes()[: source.stat().st_size // 2]), ("empty.dcm", b"")):
        (out / name).write_bytes(data)
        window.open_paths([out / name])
        wait(lambda: window.jobs.current is None, f"{name} is refused")
        (out / name).unlink()


def defects(window: Any, secrets: Sequence[str]) -> None:
    """Raise what nobody catches, with values in the messages and in the local variables."""
    for secret in secrets:
        QTimer.singleShot(0, window, lambda secret=secret: raise_with(secret))
        thread = threading.Thread(target=raise_with, args=(secret,))
        thread.start()
        thread.join()
        window.jobs.run("a job", lambda progress, secret=secret: raise_with(secret), lambda done: None)
        warnings.warn(f"Invalid value for VR DA: {secret} is not a date", UserWarning, stacklevel=1)
        logging.getLogger("pydicom").error("value %s of %r", secret, {"name": secret})
        logging.getLogger("elsewhere").error("file %s", secret)
    wait(lambda: window.jobs.current is None, "the defects are told")


def raise_with(secret: str) -> None:
    """An error whose message, notes, cause and local variables hold a value."""
    local = {"patient": secret}
    try:
        raise KeyError(secret)
    except KeyError as error:
        wrapped = ValueError(f"could not convert {secret} to a float in {local}")
        wrapped.add_note(f"while reading {secret}")
        raise wrapped from error


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
    except BaseException:  # the program's own hook would send it to the log
        traceback.print_exc()
        os._exit(1)
