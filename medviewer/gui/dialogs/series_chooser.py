"""Which of several series to open: pictures, descriptions, counts; what was refused and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import shiboken6
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QIcon, QImage, QPixmap
from PySide6.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem, QPlainTextEdit, QWidget

from medviewer.core.volume import Refused, SeriesEntry
from medviewer.gui.dialogs.base import PlainDialog
from medviewer.gui.jobs import GuiJobs
from medviewer.gui.panels.scans.logic import modality_name, scan_text
from medviewer.gui.text import literal, tr
from medviewer.gui.widgets.basic import heading

_PICTURE = 56


class SeriesChooser(PlainDialog):
    """Several may be chosen; nothing is opened without a choice."""

    def __init__(
        self, entries: Sequence[SeriesEntry], refused: Sequence[Refused], jobs: GuiJobs, parent: QWidget | None
    ) -> None:
        text = tr("There are {n} series. Choose what to open; Ctrl chooses several.").format(n=len(entries))
        super().__init__(tr("Choose a series"), text, parent)
        self.entries = list(entries)
        self.list = QListWidget()
        self.list.setIconSize(QSize(_PICTURE, _PICTURE))
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.setAccessibleName(tr("Series"))
        self.list.setSpacing(2)
        for entry in self.entries:
            self.list.addItem(self._item(entry))
        self.list.itemSelectionChanged.connect(self._selection_changed)
        self.list.itemActivated.connect(lambda item: self.accept())
        self.body.addWidget(self.list, 3)
        if refused:
            self._show_refused(refused)
        self.add_cancel()
        self.ok = self.add_action(tr("Open"))
        self.ok.clicked.connect(self.accept)
        self.resize(640, 640)
        self.list.setCurrentRow(0)
        self._selection_changed()
        for row, entry in enumerate(self.entries):
            self._ask_picture(jobs, row, entry)

    @property
    def chosen(self) -> list[SeriesEntry]:
        """The chosen series in the order of the list."""
        return [self.entries[index] for index in sorted(i.row() for i in self.list.selectedIndexes())]

    def _item(self, entry: SeriesEntry) -> QListWidgetItem:
        text = scan_text(entry)
        lines = [text.title, f"{modality_name(entry.modality)} · {text.detail}"]
        lines += [entry.warnings[0]] if entry.warnings else []
        item = QListWidgetItem("\n".join(lines))
        blank = QPixmap(_PICTURE, _PICTURE)
        blank.fill(Qt.GlobalColor.black)
        item.setIcon(plain_icon(blank))
        item.setSizeHint(QSize(200, _PICTURE + 16))
        item.setToolTip(literal("\n".join([entry.id, *entry.warnings])))
        return item

    def _show_refused(self, refused: Sequence[Refused]) -> None:
        self.body.addWidget(heading(tr("Not read")))
        box = QPlainTextEdit("\n".join(map(refusal_line, refused)))
        box.setReadOnly(True)
        box.setTabChangesFocus(True)
        box.setAccessibleName(tr("Files that were not read"))
        box.setMaximumHeight(80)
        self.body.addWidget(box, 1)

    def _ask_picture(self, jobs: GuiJobs, row: int, entry: SeriesEntry) -> None:
        from medviewer.services import open_data

        def done(pixels: Any) -> None:
            if shiboken6.isValid(self):
                self.list.item(row).setIcon(plain_icon(square(picture_of(pixels), _PICTURE)))

        jobs.run_silently(lambda progress: open_data.thumbnail(entry, 2 * _PICTURE), done)

    def _selection_changed(self) -> None:
        count = len(self.list.selectedIndexes())
        self.ok.setEnabled(count > 0)
        self.ok.setText(tr("Open {n} series").format(n=count) if count > 1 else tr("Open"))


def refusal_line(refused: Refused) -> str:
    """The reason, with the file's name where the reason does not begin with it."""
    name = refused.path.name
    return refused.reason if refused.reason.startswith(name) else f"{name}: {refused.reason}"


def picture_of(pixels: Any) -> QPixmap:
    """A pixmap of uint8 (rows, cols) or (rows, cols, 3)."""
    rgb = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    rgb = np.ascontiguousarray(rgb, np.uint8)
    height, width = rgb.shape[:2]
    return QPixmap.fromImage(QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy())


def plain_icon(picture: QPixmap) -> QIcon:
    """An icon that looks the same when it is selected."""
    result = QIcon(picture)
    result.addPixmap(picture, QIcon.Mode.Selected)
    return result


def square(picture: QPixmap, size: int) -> QPixmap:
    """The picture, whole, on a black square."""
    from PySide6.QtGui import QPainter

    result = QPixmap(2 * size, 2 * size)
    result.fill(Qt.GlobalColor.black)
    mode = Qt.TransformationMode.SmoothTransformation
    scaled = picture.scaled(result.size(), Qt.AspectRatioMode.KeepAspectRatio, mode)
    painter = QPainter(result)
    painter.drawPixmap((2 * size - scaled.width()) // 2, (2 * size - scaled.height()) // 2, scaled)
    painter.end()
    return result


def ask_series(
    jobs: GuiJobs, parent: QWidget
) -> Callable[[Sequence[SeriesEntry], Sequence[Refused]], list[SeriesEntry]]:
    """A function that asks the user."""

    def ask(entries: Sequence[SeriesEntry], refused: Sequence[Refused]) -> list[SeriesEntry]:
        dialog = SeriesChooser(entries, refused, jobs, parent)
        accepted = dialog.exec() == SeriesChooser.DialogCode.Accepted
        chosen = dialog.chosen if accepted else []
        dialog.deleteLater()
        return chosen

    return ask
