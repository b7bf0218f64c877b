"""Header strings made to be taken for markup, paths or commands are shown as plain text, everywhere in the window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import Qt as GuiQt
from PySide6.QtWidgets import QApplication, QLabel, QListWidget, QMessageBox, QWidget

from medviewer.core.segmentation import Segment
from medviewer.core.volume import Refused
from medviewer.gui.dialogs.export_dialog import FORMATS, ExportDialog, default_name
from medviewer.gui.dialogs.series_chooser import SeriesChooser
from medviewer.services.open_data import scan_path
from tests.safety import nasty


def every_text(root: QWidget) -> Iterator[tuple[QWidget, str, bool]]:
    """(widget, text, can it be taken for markup?) of what the widgets under a window show and say on hovering."""
    for widget in [root, *root.findChildren(QWidget)]:
        if isinstance(widget, QLabel):
            rich = widget.textFormat() != Qt.TextFormat.PlainText and GuiQt.mightBeRichText(widget.text())
            yield widget, widget.text(), rich
        if isinstance(widget, QListWidget):
            for row in range(widget.count()):
                item = widget.item(row)
                yield widget, item.text(), False
                yield widget, item.toolTip(), GuiQt.mightBeRichText(item.toolTip())
        yield widget, widget.windowTitle(), False
        yield widget, widget.toolTip(), GuiQt.mightBeRichText(widget.toolTip())
        yield widget, widget.accessibleName(), False


def check(root: QWidget) -> int:
    """Every text is harmless; returns how many there were."""
    count = 0
    for widget, shown, rich in every_text(root):
        for sign in nasty.DANGEROUS:
            assert sign not in shown, f"{type(widget).__name__} shows {sign!r}"
        assert len(shown) < 4000, f"{type(widget).__name__} shows {len(shown)} characters"
        if rich:
            assert "<img" not in shown, f"{type(widget).__name__} takes a header string for markup"
            assert "<a href" not in shown
            assert "<b>" not in shown
        count += bool(shown)
    return count


def test_the_window_shows_plain_text(window, qtbot, tmp_path: Path) -> None:
    """One window, one scan after the other."""
    for name, text in nasty.NASTY.items():
        window.open_paths([nasty.write(tmp_path / name / "scan", text, slices=2)])
        opened = len(window.scene.scans) + 1
        qtbot.waitUntil(lambda opened=opened: len(window.scene.scans) == opened and window.jobs.current is None)
        volume = window.scene.active.volume
        window.scene.add_segment(Segment(volume.patient.name or "x", volume.array > 50))
        window.notify(volume.title, "error", volume.patient.name)
        QApplication.processEvents()
        assert check(window) > 20, name
        dialog = ExportDialog(window.scene.active, tmp_path, window)
        assert check(dialog) > 5, name
        for choice in FORMATS:
            proposed = default_name(volume, choice)
            assert proposed.startswith("scan_")
            assert "/" not in proposed


def test_the_series_chooser_shows_plain_text(window, qtbot, tmp_path: Path) -> None:
    found = [scan_path(nasty.write(tmp_path / name, text, slices=2)) for name, text in nasty.NASTY.items()]
    entries = [entry for catalogue in found for entry in catalogue.entries]
    assert len(entries) == len(nasty.NASTY)
    refused = [Refused(tmp_path / text, text) for text in ("<img src=x>.dcm", "<b>bold</b>")]
    chooser = SeriesChooser(entries, refused, window.jobs, window)
    assert check(chooser) > len(entries)
    qtbot.waitUntil(lambda: not window.jobs._lanes["silent"].active)
    chooser.deleteLater()


@pytest.mark.parametrize("name", ["<img src=x>.nii.gz", "a & b.nii.gz", "%n%s.nii.gz", "-rf.nii.gz", "=1+1.nii.gz"])
def test_odd_file_names_are_plain_text_in_questions(window, qtbot, tmp_path: Path, monkeypatch, name: str) -> None:
    (tmp_path / name).touch()
    asked: list[str] = []
    monkeypatch.setattr(QMessageBox, "question", lambda parent, title, words, *rest: asked.append(words))
    window.commands._may_replace([tmp_path / name])
    assert "<img" not in asked[0]
    window.open_paths([tmp_path / name])
    qtbot.waitUntil(lambda: window.jobs.current is None and bool(window.toasts.shown))
    assert check(window) > 5
