"""Saving through the window where it is not possible, and that the window never writes to the scans it shows."""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from fakes import add_segment, small_ct
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "safety"))

from small_drive import filled, read_only, small_drive
from source_session import watch

from medviewer.core.geometry import flip_ras_lps
from medviewer.gui.dialogs.export_dialog import FORMATS, VIEW, ExportChoice


def toasts(window) -> list[tuple[str, str, str]]:
    return [(toast.kind, toast.text, toast.hint) for toast in window.toasts.shown]


def export(qtbot, window, path: Path, key: str) -> None:
    choice = next(f for f in FORMATS if f.key == key)
    target = path.with_name(path.name + choice.suffix)
    segments = () if key == VIEW else tuple(window.scene.active.segments)
    with qtbot.waitSignal(window.exports.finished, timeout=20000):
        window.exports.run(window.scene.active, ExportChoice(target, choice, segments))


@pytest.mark.parametrize("why", ["full", "read-only"])
def test_a_drive_that_cannot_be_written_loses_nothing(qtbot, ct_window, tmp_path, why: str) -> None:
    segment = add_segment(ct_window)
    with small_drive(tmp_path / "drive") as drive:
        with filled(drive) if why == "full" else read_only(drive):
            before = sorted(path.name for path in drive.iterdir())
            for choice in FORMATS:
                if choice.key == "png":
                    continue
                export(qtbot, ct_window, drive / "m", choice.key)
                kind, text, hint = toasts(ct_window)[-1]
                assert kind == "error"
                assert f"{drive / 'm'}{choice.suffix} was not written" in text
                assert ("no space is left" if why == "full" else "read-only") in text
                assert "choose another folder" in hint.lower() or "another drive" in hint
                assert sorted(path.name for path in drive.iterdir()) == before
        assert ct_window.scene.active.segments == [segment]
        assert ct_window.isWindowModified()
        export(qtbot, ct_window, tmp_path / "m", "nifti")
    assert (tmp_path / "m.nii.gz").is_file()
    assert not ct_window.isWindowModified()


def test_the_message_of_a_long_path_fits_its_frame(qtbot, ct_window, tmp_path) -> None:
    add_segment(ct_window)
    export(qtbot, ct_window, tmp_path / ("a long folder name " * 4) / "and-one-without-any-blanks-in-it" / "m", "nifti")
    (toast,) = ct_window.toasts.shown
    qtbot.waitUntil(toast.isVisible)
    for child in toast.findChildren(type(toast.rows.itemAt(0).layout().itemAt(0).widget())):
        needed = child.fontMetrics().boundingRect(child.rect(), Qt.TextFlag.TextWordWrap, child.text())
        assert needed.width() <= child.width()
        assert needed.height() <= child.height() + 2


def test_the_window_writes_nothing_to_the_scan(qtbot, window, tmp_path, monkeypatch) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    volume = small_ct()
    nibabel.save(nibabel.Nifti1Image(np.asarray(volume.array), flip_ras_lps(volume.affine)), folder / "ct.nii.gz")
    before = [(path.name, path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()]
    attempts: list[str] = []
    watch(folder, attempts)
    with qtbot.waitSignal(window.documents.opened, timeout=20000):
        window.open_paths([folder])
    prompt = window.plugins.panels["text_segmentation"].prompt
    qtbot.keyClicks(prompt, "spleen")
    qtbot.keyClick(prompt, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: window.scene.active.preview is not None and window.scene.active.preview_painted)
    qtbot.keyClick(prompt, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    (tmp_path / "out").mkdir()
    for choice in FORMATS:
        if choice.key != "png":
            export(qtbot, window, tmp_path / "out" / "m", choice.key)
    with qtbot.waitSignal(window.sessions.saved, timeout=20000):
        window.sessions.save_to(tmp_path / "out" / "s.mvsession")
    window.documents.close(window.scene.active)
    with qtbot.waitSignal(window.sessions.opened, timeout=20000):
        window.open_paths([tmp_path / "out" / "s.mvsession"])
    window.scene.undo_stack.mark_saved()
    window.close()
    QApplication.processEvents()
    assert attempts == []
    assert [(path.name, path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()] == before
    assert len(list((tmp_path / "out").iterdir())) > 6


def test_everything_that_would_be_replaced_is_named_before(qtbot, ct_window, tmp_path, monkeypatch) -> None:
    from PySide6.QtWidgets import QMessageBox

    from medviewer.services.output_names import existing, outputs

    add_segment(ct_window, "Left kidney")
    add_segment(ct_window, "Spleen")
    (tmp_path / "m_1_left_kidney.stl").write_text("precious")
    asked: list[str] = []
    monkeypatch.setattr(QMessageBox, "question", lambda parent, title, words, *rest: asked.append(words))
    there = existing(outputs(tmp_path / "m.stl", ct_window.scene.active.segments))
    assert not ct_window.commands._may_replace(there)
    assert ["m_1_left_kidney.stl" in words for words in asked] == [True]
    assert ct_window.commands._may_replace(existing(outputs(tmp_path / "other.stl", [])))
