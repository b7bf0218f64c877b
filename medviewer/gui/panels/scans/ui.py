"""The list of open scans: picture, name, series, images, spacing."""

from __future__ import annotations

import weakref
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPixmap
from PySide6.QtWidgets import QLabel, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QVBoxLayout, QWidget

from medviewer.core.scene import Scan, Scene
from medviewer.gui.jobs import GuiJobs
from medviewer.gui.panels.list_view import RowList
from medviewer.gui.panels.scans.logic import ScanText, scan_text, thumbnail
from medviewer.gui.text import tr
from medviewer.gui.theme import current_tokens
from medviewer.gui.theme.apply import interface_font
from medviewer.gui.theme.tokens import RADIUS_SMALL, SMALL_PX
from medviewer.gui.widgets.basic import heading, label

_ROW, _PICTURE = 68, 48
Index = QModelIndex | QPersistentModelIndex


class ScanModel(QAbstractListModel):
    """Rows are the scans of the scene. Pictures are made in the background."""

    def __init__(self, scene: Scene, jobs: GuiJobs, parent: QWidget) -> None:
        super().__init__(parent)
        self._scene, self._jobs = scene, jobs
        self._pictures: dict[str, QPixmap] = {}

    def rowCount(self, parent: Index | None = None) -> int:
        return len(self._scene.scans)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self._scene.scans):
            return None
        scan = self._scene.scans[index.row()]
        text = scan_text(scan.volume)
        if role == Qt.ItemDataRole.DisplayRole:
            return text.title
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleDescriptionRole):
            return "\n".join(line for line in (text.title, text.detail, text.note) if line)
        if role == Qt.ItemDataRole.DecorationRole:
            return self._pictures.get(scan.key)
        return text if role == Qt.ItemDataRole.UserRole else None

    def refresh(self) -> None:
        """The scene's scans changed."""
        self.beginResetModel()
        keys = {scan.key for scan in self._scene.scans}
        self._pictures = {key: value for key, value in self._pictures.items() if key in keys}
        self.endResetModel()
        for scan in self._scene.scans:
            if scan.key not in self._pictures:
                self._ask_picture(scan)

    def _ask_picture(self, scan: Scan) -> None:
        key, volume = scan.key, weakref.ref(scan.volume)

        def work(progress: object) -> Any:
            alive = volume()
            return None if alive is None else thumbnail(alive)

        def done(pixels: Any) -> None:
            if pixels is None:
                return
            height, width = pixels.shape[:2]
            image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
            self._pictures[key] = QPixmap.fromImage(image.copy())
            self.dataChanged.emit(self.index(0), self.index(max(self.rowCount() - 1, 0)))

        self._jobs.run_silently(work, done, f"picture {key}")


class ScanDelegate(QStyledItemDelegate):
    """Paints one scan."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(160, _ROW)

    def paint(self, painter: QPainter, option: Any, index: Index) -> None:
        t, rect = current_tokens(), option.rect.adjusted(1, 1, -1, -1)
        text: ScanText | None = index.data(Qt.ItemDataRole.UserRole)
        if text is None:
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint_row_back(painter, option, rect)
        self._picture(painter, rect, index.data(Qt.ItemDataRole.DecorationRole))
        lines = [(text.title, t.text), *((line, t.muted) for line in (text.detail, text.note) if line)]
        x, width = rect.left() + _PICTURE + 16, rect.width() - _PICTURE - 22
        top = rect.top() + (rect.height() - 19 * len(lines)) // 2
        for number, (line, color) in enumerate(lines):
            painter.setFont(interface_font() if number == 0 else interface_font(SMALL_PX))
            painter.setPen(QColor(color))
            short = painter.fontMetrics().elidedText(line, Qt.TextElideMode.ElideRight, width)
            painter.drawText(QRect(x, top + 19 * number, width, 19), Qt.AlignmentFlag.AlignVCenter, short)
        painter.restore()

    def _picture(self, painter: QPainter, rect: QRect, picture: QPixmap | None) -> None:
        place = QRect(rect.left() + 6, rect.top() + (rect.height() - _PICTURE) // 2, _PICTURE, _PICTURE)
        path = QPainterPath()
        path.addRoundedRect(place, 4, 4)
        painter.fillPath(path, QColor("#000000"))
        if picture is None or picture.isNull():
            return
        scaled = picture.size().scaled(place.size(), Qt.AspectRatioMode.KeepAspectRatio)
        target = QRect(place.topLeft(), scaled)
        target.moveCenter(place.center())
        painter.save()
        painter.setClipPath(path)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawPixmap(target, picture)
        painter.restore()


def paint_row_back(painter: QPainter, option: Any, rect: QRect) -> None:
    """Background of a chosen or hovered row; a frame where the keyboard is."""
    t = current_tokens()
    path = QPainterPath()
    path.addRoundedRect(rect, RADIUS_SMALL, RADIUS_SMALL)
    if option.state & QStyle.StateFlag.State_Selected:
        painter.fillPath(path, QColor(t.selected))
    elif option.state & QStyle.StateFlag.State_MouseOver:
        painter.fillPath(path, QColor(t.raised))


class ScansPanel(QWidget):
    """The list with its heading."""

    menu_wanted = Signal(object)  # global position

    def __init__(self, scene: Scene, jobs: GuiJobs) -> None:
        super().__init__()
        self._scene = scene
        self.model = ScanModel(scene, jobs, self)
        self.view = RowList(_ROW, 4)
        self.view.setModel(self.model)
        self.view.setItemDelegate(ScanDelegate(self.view))
        self.view.setAccessibleName(tr("Scans"))
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.customContextMenuRequested.connect(lambda at: self.menu_wanted.emit(self.view.mapToGlobal(at)))
        self.empty: QLabel = label(tr("No scan is open."), "muted")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(heading(tr("Scans")))
        column.addWidget(self.empty)
        column.addWidget(self.view)
        scene.scans_changed.connect(self.refresh)
        scene.active_changed.connect(self._mark_active)
        self.view.selectionModel().currentChanged.connect(lambda now, before: self._choose(now.row()))
        self.refresh()

    def refresh(self) -> None:
        """Follow the scene."""
        self.model.refresh()
        self.empty.setVisible(not self._scene.scans)
        self.view.setVisible(bool(self._scene.scans))
        self._mark_active()

    def _mark_active(self) -> None:
        active = self._scene.active
        if active in self._scene.scans:
            self.view.setCurrentIndex(self.model.index(self._scene.scans.index(active)))

    def _choose(self, row: int) -> None:
        if 0 <= row < len(self._scene.scans):
            self._scene.activate(self._scene.scans[row])
