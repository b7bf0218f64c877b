"""Sessions through the window: saving, closing, opening again, a scan that moved, what is asked and what is told."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from fakes import small_ct
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QMessageBox

from medviewer.core.geometry import flip_ras_lps
from medviewer.core.prediction import PointPrompt
from medviewer.core.segmentation import Segment
from medviewer.gui import recent


@pytest.fixture
def scan_file(tmp_path: Path) -> Path:
    """The small CT as a file."""
    folder = tmp_path / "case"
    folder.mkdir()
    volume = small_ct()
    nibabel.save(nibabel.Nifti1Image(np.asarray(volume.array), flip_ras_lps(volume.affine)), folder / "ct.nii.gz")
    return folder / "ct.nii.gz"


def open_and_wait(qtbot, window, path: Path) -> None:
    signal = window.sessions.opened if path.suffix == ".mvsession" else window.documents.opened
    with qtbot.waitSignal(signal, timeout=20000):
        window.open_paths([path])


def toasts(window) -> list[str]:
    return [toast.text for toast in window.toasts.shown]


def save_with_key(qtbot, window, path: Path, monkeypatch) -> None:
    """Ctrl+S, the name typed into the dialog."""
    monkeypatch.setattr(type(window.sessions), "_ask_target", lambda self: path)
    with qtbot.waitSignal(window.sessions.saved, timeout=20000):
        qtbot.keyClick(window, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)


def add_two(window) -> tuple[Segment, Segment]:
    scene = window.scene
    mask = scene.active.volume.array > 60
    scene.add_segment(Segment("Noise", mask, (9, 8, 7)))
    scene.add_segment(Segment("Dense spot", scene.active.volume.array > 1000, (200, 10, 10), opacity=0.4))
    scene.show_segment(scene.active.segments[0].id, visible=False)
    return scene.active.segments[0], scene.active.segments[1]


def test_a_session_is_saved_and_opened_again(qtbot, make_window, window, scan_file, tmp_path, monkeypatch) -> None:
    open_and_wait(qtbot, window, scan_file)
    noise, spot = add_two(window)
    scene = window.scene
    scene.set_window((300.0, 40.0))
    scene.set_inverted(True)
    scene.set_cursor((30.0, 60.0, 70.0))
    window.views.choose_layout("coronal")
    assert window.isWindowModified()
    target = scan_file.parent / "work.mvsession"
    save_with_key(qtbot, window, target, monkeypatch)
    assert not window.isWindowModified()
    assert "work.mvsession" in window.windowTitle()
    assert "Saved and checked: work.mvsession" in toasts(window)

    other = make_window()
    open_and_wait(qtbot, other, target)
    (scan,) = other.scene.scans
    assert scan is other.scene.active
    assert [(s.name, s.color, s.opacity, s.visible, s.id) for s in scan.segments] == [
        ("Noise", (9, 8, 7), 1.0, False, noise.id), ("Dense spot", (200, 10, 10), 0.4, True, spot.id),
    ]  # fmt: skip
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(scan.segments, (noise, spot), strict=True))
    assert (scan.window, scan.inverted, scan.cursor) == ((300.0, 40.0), True, scene.active.cursor)
    assert other.scene.selected_id == scene.selected_id
    assert other.views.grid.maximised == "coronal"
    assert not other.isWindowModified()
    assert "work.mvsession" in other.windowTitle()
    assert recent.recent_scans(other.settings)[0].path == target


def test_saving_again_asks_for_no_name_and_edits_count_as_unsaved(
    qtbot, window, scan_file, tmp_path, monkeypatch
) -> None:
    open_and_wait(qtbot, window, scan_file)
    add_two(window)
    target = tmp_path / "a.mvsession"
    save_with_key(qtbot, window, target, monkeypatch)
    first = target.read_bytes()
    monkeypatch.setattr(type(window.sessions), "_ask_target", lambda self: pytest.fail("asked again"))
    window.scene.rename_segment(window.scene.active.segments[0].id, "Another name")
    assert window.isWindowModified()
    with qtbot.waitSignal(window.sessions.saved, timeout=20000):
        window.sessions.save()
    assert not window.isWindowModified()
    assert target.read_bytes() != first


def test_a_preview_comes_back_and_can_be_accepted(qtbot, make_window, window, fake, scan_file, monkeypatch) -> None:
    from fakes import FakeHost

    open_and_wait(qtbot, window, scan_file)
    prompt = window.plugins.panels["text_segmentation"].prompt
    qtbot.keyClicks(prompt, "spleen")
    qtbot.keyClick(prompt, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: window.scene.active.preview is not None)
    window.plugins.call("clicked", PointPrompt((30.0, 30.0, 40.0)))
    qtbot.waitUntil(lambda: window.scene.active.preview_points != ())
    preview = window.scene.active.preview
    save_with_key(qtbot, window, scan_file.parent / "p.mvsession", monkeypatch)

    other = make_window(FakeHost(fake))
    open_and_wait(qtbot, other, scan_file.parent / "p.mvsession")
    scan = other.scene.active
    assert np.array_equal(scan.preview.mask, preview.mask)
    assert (scan.preview.prompt, scan.preview_points) == ("spleen", (PointPrompt((30.0, 30.0, 40.0)),))
    qtbot.waitUntil(lambda: scan.preview_painted)
    other.plugins.call("accept")
    assert [s.name for s in scan.segments] == ["Spleen"]
    assert np.array_equal(scan.segments[0].mask, preview.mask)


def test_opening_a_session_asks_about_unsaved_work(qtbot, window, scan_file, monkeypatch, tmp_path) -> None:
    open_and_wait(qtbot, window, scan_file)
    add_two(window)
    save_with_key(qtbot, window, tmp_path / "a.mvsession", monkeypatch)
    window.scene.delete_segment(window.scene.active.segments[0].id)
    asked: list[object] = []
    monkeypatch.setattr(window.commands, "may_lose", lambda scans: asked.append(scans) or False)
    window.open_paths([tmp_path / "a.mvsession"])
    assert len(asked) == 1
    assert len(window.scene.active.segments) == 1
    monkeypatch.setattr(window.commands, "may_lose", lambda scans: True)
    open_and_wait(qtbot, window, tmp_path / "a.mvsession")
    assert [len(scan.segments) for scan in window.scene.scans] == [2]


def test_an_edit_made_while_a_session_loads_is_asked_about(qtbot, window, scan_file, monkeypatch) -> None:
    open_and_wait(qtbot, window, scan_file)
    target = scan_file.parent / "work.mvsession"
    save_with_key(qtbot, window, target, monkeypatch)
    old = window.scene.active
    asked: list[object] = []
    monkeypatch.setattr(window.commands, "may_lose", lambda scans: asked.append(list(scans)) or len(asked) == 1)
    window.open_paths([target])
    add_two(window)
    with qtbot.waitSignal(window.sessions.failed, timeout=20000):
        pass
    assert asked[1:] == [[old]]
    assert window.scene.scans == [old]
    assert len(old.segments) == 2


@pytest.mark.parametrize("leave_out", [False, True])
def test_a_scan_that_moved_is_asked_for(qtbot, window, scan_file, tmp_path, monkeypatch, leave_out: bool) -> None:
    open_and_wait(qtbot, window, scan_file)
    add_two(window)
    save_with_key(qtbot, window, tmp_path / "a.mvsession", monkeypatch)
    window.documents.close(window.scene.active)
    assert window.sessions.path is None
    (tmp_path / "elsewhere").mkdir()
    moved = scan_file.rename(tmp_path / "elsewhere" / "renamed.nii.gz")
    texts: list[str] = []

    def press(box: QMessageBox) -> int:
        texts.append(box.text() + box.informativeText())
        wanted = "Leave it out" if leave_out else "Find the file…"
        next(b for b in box.buttons() if b.text() == wanted).click()
        return 0

    monkeypatch.setattr(QMessageBox, "exec", press)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a, **k: (str(moved), ""))
    open_and_wait(qtbot, window, tmp_path / "a.mvsession")
    assert "ct.nii.gz" in texts[0]
    assert [len(scan.segments) for scan in window.scene.scans] == ([] if leave_out else [2])
    assert window.sessions.path == (None if leave_out else tmp_path / "a.mvsession")


def test_another_scan_in_its_place_is_refused_and_nothing_is_lost(
    qtbot, window, scan_file, tmp_path, monkeypatch
) -> None:
    open_and_wait(qtbot, window, scan_file)
    add_two(window)
    save_with_key(qtbot, window, tmp_path / "a.mvsession", monkeypatch)
    image = nibabel.load(scan_file)
    values = np.asanyarray(image.dataobj).copy()
    values[0, 0, 0] += 1
    nibabel.save(nibabel.Nifti1Image(values, image.affine), scan_file)
    with qtbot.waitSignal(window.sessions.failed, timeout=20000):
        window.open_paths([tmp_path / "a.mvsession"])
    assert any("is not the scan that this session was saved with" in text for text in toasts(window))
    assert [len(scan.segments) for scan in window.scene.scans] == [2]


def test_a_damaged_session_is_one_message(qtbot, window, tmp_path) -> None:
    (tmp_path / "bad.mvsession").write_bytes(b"PK\x03\x04 not really")
    with qtbot.waitSignal(window.sessions.failed, timeout=20000):
        window.open_paths([tmp_path / "bad.mvsession"])
    assert toasts(window) == ["bad.mvsession is damaged or is not a session of medviewer."]
    assert window.stack.currentWidget() is window.empty


def test_saving_and_waiting_tells_whether_it_worked(qtbot, window, scan_file, tmp_path, monkeypatch) -> None:
    open_and_wait(qtbot, window, scan_file)
    add_two(window)
    monkeypatch.setattr(type(window.sessions), "_ask_target", lambda self: tmp_path / "no" / "a.mvsession")
    assert not window.sessions.save_and_wait()
    assert any("does not exist" in text for text in toasts(window))
    monkeypatch.setattr(type(window.sessions), "_ask_target", lambda self: tmp_path / "a.mvsession")
    assert window.sessions.save_and_wait()
    assert not window.isWindowModified()
    monkeypatch.setattr(type(window.sessions), "_ask_target", lambda self: None)
    window.sessions.path = None
    assert not window.sessions.save_and_wait()


def test_the_sample_can_be_saved_too(qtbot, window, tmp_path, monkeypatch) -> None:
    with qtbot.waitSignal(window.documents.opened, timeout=60000):
        window.documents.open_sample()
    window.scene.add_segment(Segment("Bone", window.scene.active.volume.array > 300))
    save_with_key(qtbot, window, tmp_path / "a.mvsession", monkeypatch)
    window.documents.close(window.scene.active)
    open_and_wait(qtbot, window, tmp_path / "a.mvsession")
    assert [s.name for s in window.scene.active.segments] == ["Bone"]


@pytest.mark.parametrize("works", [True, False])
def test_the_question_before_closing_can_save(qtbot, window, scan_file, tmp_path, monkeypatch, works: bool) -> None:
    open_and_wait(qtbot, window, scan_file)
    add_two(window)
    target = tmp_path / "a.mvsession" if works else tmp_path / "no" / "a.mvsession"
    monkeypatch.setattr(type(window.sessions), "_ask_target", lambda self: target)

    def press(box: QMessageBox) -> int:
        next(b for b in box.buttons() if b.text() == "Save session").click()
        return 0

    monkeypatch.setattr(QMessageBox, "exec", press)
    assert window.close() == works
    assert target.exists() == works
    assert window.isVisible() != works


def test_a_session_opens_from_the_recent_list_and_by_a_drop(qtbot, window, scan_file, tmp_path, monkeypatch) -> None:
    from PySide6.QtCore import QMimeData, QPointF, QUrl
    from PySide6.QtGui import QDropEvent

    open_and_wait(qtbot, window, scan_file)
    add_two(window)
    save_with_key(qtbot, window, tmp_path / "a.mvsession", monkeypatch)
    window.documents.close(window.scene.active)
    with qtbot.waitSignal(window.sessions.opened, timeout=20000):
        window.empty.open_recent.emit(str(tmp_path / "a.mvsession"))
    window.documents.close(window.scene.active)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "a.mvsession")), QUrl.fromLocalFile(str(scan_file))])
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    event = QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, buttons, keys)
    with qtbot.waitSignals([window.sessions.opened, window.documents.opened], timeout=20000):
        window.dropEvent(event)
    qtbot.waitUntil(lambda: len(window.scene.scans) == 2, timeout=20000)  # the session's scan, and the one beside it
    assert sorted(len(scan.segments) for scan in window.scene.scans) == [0, 2]
