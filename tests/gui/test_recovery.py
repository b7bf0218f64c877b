"""The window after a crash: the question, its three answers, and what comes back. How the window ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import FakeHost, FakeLogic
from PySide6.QtCore import QSocketNotifier, Qt, QTimer
from PySide6.QtWidgets import QLabel, QMessageBox, QPushButton

from medviewer.core.prediction import Answer, PointPrompt, Prediction
from medviewer.core.segmentation import Segment
from medviewer.gui.endings import Endings
from medviewer.gui.recovery_dialog import question, when_text
from medviewer.services.journal import journal_folder
from medviewer.services.recovery import recoverable

REPOSITORY = Path(__file__).resolve().parents[2]
SHAPE = (40, 36, 24)


@pytest.fixture
def scan_path(tmp_path: Path) -> Path:
    import nibabel

    values = np.random.default_rng(0).integers(-500, 900, SHAPE, np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 2.0, 3.0, 1.0])), tmp_path / "knee.nii")
    return tmp_path / "knee.nii"


def box(start: int, stop: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool, order="F")
    mask[start:stop, start:stop, start:stop] = True
    return mask


def open_scan(qtbot, window, path: Path) -> None:
    with qtbot.waitSignal(window.documents.opened, timeout=20000):
        window.open_paths([path])


def work_on(window) -> None:
    """Two segments, one of them corrected and renamed."""
    scene = window.scene
    scene.add_segment(Segment("Patella", box(3, 12)))
    segment = Segment("Femur", box(10, 20))
    scene.add_segment(segment)
    scene.refine_segment(scene.active.get(segment.id).changed(mask=box(8, 21)))
    scene.rename_segment(segment.id, "Left femur")


def crash(window) -> None:
    """Leave what a killed window leaves."""
    assert window.recovery.journal.flush()
    window.recovery.journal.close(discard=False)


@pytest.fixture
def crashed(qtbot, make_window, fake, scan_path) -> Path:
    """The journal of a window that died with work."""
    window = make_window(FakeHost(fake))
    open_scan(qtbot, window, scan_path)
    work_on(window)
    crash(window)
    window.asks = False
    window.close()
    (path,) = journal_folder().glob("*.mvjournal")
    return path


def ask(qtbot, window):
    window.recovery.look()
    qtbot.waitUntil(lambda: window.recovery.dialog is not None, timeout=10000)
    qtbot.waitExposed(window.recovery.dialog)
    return window.recovery.dialog


def recover(qtbot, window) -> None:
    dialog = ask(qtbot, window)
    with qtbot.waitSignal(window.recovery.ended, timeout=20000):
        qtbot.mouseClick(dialog.recover, Qt.MouseButton.LeftButton)


def segments(window) -> list[tuple[str, int]]:
    return [(s.name, int(s.mask.sum())) for s in window.scene.active.segments]


# -- the question ------------------------------------------------------------------------------
def test_work_is_recovered_with_its_undo_steps(qtbot, crashed, make_window, fake) -> None:
    window = make_window(FakeHost(fake))
    recover(qtbot, window)
    assert segments(window) == [("Patella", 9**3), ("Left femur", 13**3)]
    assert window.isWindowModified()
    assert "knee.nii" in window.windowTitle()
    for expected in ([9**3, 13**3], [9**3, 10**3], [9**3], []):
        window.actions_["undo"].trigger()
        assert [size for _, size in segments(window)] == expected
    window.actions_["redo"].trigger()
    assert segments(window) == [("Patella", 9**3)]
    assert not crashed.exists(), "the new journal has it now"
    assert len(list(journal_folder().glob("*.mvjournal"))) == 1


def test_the_dialog_says_what_and_when(qtbot, crashed, make_window, fake) -> None:
    window = make_window(FakeHost(fake))
    dialog = ask(qtbot, window)
    texts = [w.text() for kind in (QLabel, QPushButton) for w in dialog.findChildren(kind)]
    assert any(t.startswith("Recover the work of ") and t.endswith(" on this scan?") for t in texts)
    assert "knee.nii" in texts
    assert "2 segments, 4 edits" in texts
    assert {"Recover", "Keep for later", "Delete"} <= set(texts)
    assert not dialog.isModal() or dialog.windowModality() is Qt.WindowModality.WindowModal
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert crashed.exists()


def test_kept_work_is_offered_when_its_scan_is_opened(qtbot, crashed, make_window, fake, scan_path) -> None:
    window = make_window(FakeHost(fake))
    qtbot.mouseClick(ask(qtbot, window).keep, Qt.MouseButton.LeftButton)
    assert window.recovery.dialog is None
    open_scan(qtbot, window, scan_path)
    qtbot.waitUntil(lambda: window.recovery.dialog is not None)
    with qtbot.waitSignal(window.recovery.ended, timeout=20000):
        qtbot.mouseClick(window.recovery.dialog.recover, Qt.MouseButton.LeftButton)
    assert len(window.scene.scans) == 1, "the untouched copy of the scan was closed"
    assert segments(window) == [("Patella", 9**3), ("Left femur", 13**3)]
    assert not crashed.exists()


def test_kept_work_is_offered_at_the_next_start(qtbot, crashed, make_window, fake) -> None:
    first = make_window(FakeHost(fake))
    qtbot.mouseClick(ask(qtbot, first).keep, Qt.MouseButton.LeftButton)
    first.close()
    recover(qtbot, make_window(FakeHost(fake)))
    assert not crashed.exists()


@pytest.mark.parametrize("sure", [True, False])
def test_deleting_asks_again(qtbot, crashed, make_window, fake, monkeypatch, sure: bool) -> None:
    window = make_window(FakeHost(fake))
    answer = QMessageBox.StandardButton.Yes if sure else QMessageBox.StandardButton.No
    monkeypatch.setattr(QMessageBox, "question", lambda *a, **k: answer)
    dialog = ask(qtbot, window)
    qtbot.mouseClick(dialog.delete, Qt.MouseButton.LeftButton)
    assert crashed.exists() is not sure
    assert (window.recovery.dialog is None) is sure


def test_two_windows_never_offer_the_same_work(qtbot, crashed, make_window, fake) -> None:
    first, second = make_window(FakeHost(fake)), make_window(FakeHost(fake))
    ask(qtbot, first)
    done = []
    second.recovery._found = lambda items: done.append(items)
    second.recovery.look()
    qtbot.waitUntil(lambda: bool(done))
    assert done == [[]]
    first.close()
    assert crashed.exists()


def test_a_missing_scan_is_named_and_the_work_kept(qtbot, crashed, make_window, fake, scan_path) -> None:
    scan_path.rename(scan_path.with_name("moved.nii"))
    window = make_window(FakeHost(fake))
    recover(qtbot, window)
    assert "knee.nii is no longer at" in window.toasts.shown[0].text
    assert window.scene.scans == []
    assert crashed.exists()


def test_a_preview_comes_back_with_its_card_and_clicks(qtbot, make_window, fake, scan_path) -> None:
    window = make_window(FakeHost(fake))
    open_scan(qtbot, window, scan_path)
    points = (PointPrompt((1.0, 2.0, 3.0)), PointPrompt((4.0, 5.0, 6.0), False))
    window.scene.set_preview(Prediction("patella", Answer.FOUND, box(3, 9), 0.9, title="Patella"), points)
    crash(window)
    window.asks = False
    window.close()
    again = make_window(FakeHost(fake))
    recover(qtbot, again)
    panel = again.plugins.panels["text_segmentation"]
    (card,) = panel.cards
    assert card.entry.points == points
    assert card.text.title == "Patella"
    qtbot.waitUntil(lambda: again.scene.active.preview_painted, timeout=10000)
    panel.accept()
    assert segments(again) == [("Patella", 6**3)]


def test_nothing_is_asked_where_nothing_was_lost(qtbot, make_window, fake, scan_path) -> None:
    window = make_window(FakeHost(fake))
    open_scan(qtbot, window, scan_path)
    work_on(window)
    window.scene.undo_stack.mark_saved()
    crash(window)
    assert recoverable() == []


@pytest.mark.parametrize(
    ("ago", "scans", "expected"),
    [
        (timedelta(0), 1, "Recover the work of {t:%H:%M} on this scan?"),
        (timedelta(days=2), 3, "Recover the work of {t:%Y-%m-%d, %H:%M} on 3 scans?"),
    ],
)
def test_the_words_of_the_question(ago: timedelta, scans: int, expected: str) -> None:
    now = datetime.now(UTC)
    item = SimpleNamespace(when=(now - ago).isoformat(), scans=(1,) * scans, newer=False)
    assert question(item) == expected.format(t=(now - ago).astimezone())  # type: ignore[arg-type]
    assert when_text("garbage") == "an unknown time"


def test_a_disk_that_is_full_is_told_once(qtbot, make_window, fake, scan_path, monkeypatch) -> None:
    from medviewer.services import journal_writer

    window = make_window(FakeHost(fake))
    open_scan(qtbot, window, scan_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal_writer, "_write_all", full)
    work_on(window)
    qtbot.waitUntil(lambda: any("Crash protection is off" in toast.text for toast in window.toasts.shown))
    work_on(window)
    assert not window.recovery.journal.flush()
    qtbot.wait(20)
    assert sum("Crash protection" in toast.text for toast in window.toasts.shown) == 1
    assert len(segments(window)) == 4


# -- closing ----------------------------------------------------------------------------------
def answer_with(monkeypatch, words: str) -> list[str]:
    """Press that button of the next message boxes; the texts that were shown."""
    shown: list[str] = []

    def execute(dialog: QMessageBox) -> int:
        shown.append(dialog.text())
        button = next(b for b in dialog.buttons() if b.text() == words)
        QTimer.singleShot(0, button.click)
        return original(dialog)

    original = QMessageBox.exec
    monkeypatch.setattr(QMessageBox, "exec", execute)
    return shown


@pytest.mark.parametrize("words", ["Close without saving", "Keep open"])
@pytest.mark.parametrize("way", ["window", "quit", "scan"])
def test_closing_with_unsaved_work_asks(qtbot, make_window, fake, scan_path, monkeypatch, words: str, way: str) -> None:
    window = make_window(FakeHost(fake))
    open_scan(qtbot, window, scan_path)
    work_on(window)
    assert window.recovery.journal.flush()
    shown = answer_with(monkeypatch, words)
    {"window": window.close, "quit": window.actions_["quit"].trigger, "scan": window.actions_["close_scan"].trigger}[
        way
    ]()
    assert len(shown) == 1
    assert "knee.nii" in shown[0]
    closes = words == "Close without saving"
    assert (way == "scan" or window.isVisible()) is not (closes and way != "scan")
    assert bool(window.scene.scans) is not (closes and way == "scan")
    assert window.recovery.journal.flush(1.0) or closes
    assert bool(list(journal_folder().glob("*.mvjournal"))) is not closes


def test_saved_work_closes_without_a_question(qtbot, make_window, fake, scan_path, monkeypatch) -> None:
    window = make_window(FakeHost(fake))
    open_scan(qtbot, window, scan_path)
    work_on(window)
    window.scene.undo_stack.mark_saved()
    shown = answer_with(monkeypatch, "Keep open")
    assert window.close()
    assert shown == []


def test_only_the_scan_with_unsaved_work_is_asked_about(qtbot, make_window, fake, scan_path, monkeypatch) -> None:
    from fakes import small_ct

    window = make_window(FakeHost(fake))
    open_scan(qtbot, window, scan_path)
    work_on(window)
    window.scene.add_volume(small_ct())
    shown = answer_with(monkeypatch, "Keep open")
    window.actions_["close_scan"].trigger()
    assert shown == []
    assert len(window.scene.scans) == 1


def test_a_further_answer_saves(qtbot, make_window, fake, scan_path, monkeypatch) -> None:
    window = make_window(FakeHost(fake))
    open_scan(qtbot, window, scan_path)
    work_on(window)
    saved: list[bool] = []
    window.commands.savers = [("Save it", lambda: saved.append(True) or True)]
    answer_with(monkeypatch, "Save it")
    assert window.close()
    assert saved == [True]


def test_the_end_of_the_session_asks_nothing_and_keeps_the_work(
    qtbot, make_window, fake, scan_path, monkeypatch
) -> None:
    window = make_window(FakeHost(fake))
    open_scan(qtbot, window, scan_path)
    work_on(window)
    shown = answer_with(monkeypatch, "Keep open")
    window.ask_about_losses(False)
    assert window.close()
    assert shown == []
    (item,) = recoverable()
    assert (item.scans[0].segments, item.scans[0].edits) == (2, 4)
    item.release()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_ends_the_real_program_cleanly_and_keeps_the_work(tmp_path: Path, scan_path: Path, name: str) -> None:
    """The event loop is idle when the signal comes."""
    script = f"""
import sys; sys.path.insert(0, {str(REPOSITORY)!r}); sys.path.insert(0, {str(REPOSITORY / "tests" / "gui")!r})
from pathlib import Path
from PySide6.QtCore import QTimer
from medviewer.gui import app
from test_recovery import work_on
made = app.make_window
def make(settings):
    window = made(settings)
    window.documents.opened.connect(lambda scan: (work_on(window), QTimer.singleShot(300, ready)))
    return window
def ready():
    print("ready", flush=True)
app.make_window = make
sys.exit(app.run([Path({str(scan_path)!r})]))
"""
    home = tmp_path / "own home"
    environment = os.environ | {"MEDVIEWER_HOME": str(home)}
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, name))
    assert process.wait(30) == 0
    (item,) = recoverable(home / "data" / "journal")
    assert (item.scans[0].segments, item.scans[0].edits, item.damaged, item.contents.torn) == (2, 4, False, False)
    item.release()


def test_signals_are_given_back(qtbot, window) -> None:
    before = signal.getsignal(signal.SIGTERM)
    called: list[bool] = []
    endings = Endings(lambda: called.append(True), window)
    endings.install()
    assert isinstance(endings._watch, QSocketNotifier)
    os.kill(os.getpid(), signal.SIGTERM)
    qtbot.waitUntil(lambda: bool(called))
    endings.remove()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_broken_settings_file_does_not_stop_the_window(qtbot, make_window, settings, tmp_path) -> None:
    from medviewer.services.settings import Settings

    for text in ("{broken", "[1, 2]", '{"theme": 7, "prompt_history": "x", "recent_scans": [[1]]}', ""):
        settings.path.parent.mkdir(parents=True, exist_ok=True)
        settings.path.write_text(text)
        settings.__init__(settings.path)  # type: ignore[misc]
        window = make_window(FakeHost(FakeLogic()))
        assert window.isVisible()
        assert isinstance(Settings(settings.path).get("theme", "dark"), str)
