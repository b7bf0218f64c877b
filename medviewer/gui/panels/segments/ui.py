"""The list of segments: colour, name, size, visibility; keys and a menu for the rest."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import (
    QAbstractItemModel,
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
    Signal,
)  # fmt: skip
from PySide6.QtGui import QColor, QMouseEvent, QPainter
from PySide6.QtWidgets import QApplication, QLabel, QStyledItemDelegate, QStyleOptionViewItem, QVBoxLayout, QWidget

from medviewer.core.scene import Scene
from medviewer.core.segmentation import Segment
from medviewer.gui.panels.facts.cache import FactsCache
from medviewer.gui.panels.list_view import RowList
from medviewer.gui.panels.scans.ui import paint_row_back
from medviewer.gui.panels.segments.logic import size_text
from medviewer.gui.text import tr
from medviewer.gui.theme import current_tokens
from medviewer.gui.theme.icons import pixmap
from medviewer.gui.widgets.basic import heading, label

_ROW = 32
SEGMENT_ROLE = Qt.ItemDataRole.UserRole
SIZE_ROLE = Qt.ItemDataRole.UserRole + 1
Index = QModelIndex | QPersistentModelIndex


class SegmentModel(QAbstractListModel):
    """Rows are the segments of the active scan; editing a name renames the segment, undoably."""

    def __init__(self, scene: Scene, facts: FactsCache, parent: QWidget) -> None:
        super().__init__(parent)
        self._scene, self._facts = scene, facts

    @property
    def segments(self) -> list[Segment]:
        return self._scene.active.segments if self._scene.active else []

    def rowCount(self, parent: Index | None = None) -> int:
        return len(self.segments)

    def flags(self, index: Index) -> Qt.ItemFlag:
        return super().flags(index) | Qt.ItemFlag.ItemIsEditable

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self.segments):
            return None
        segment = self.segments[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return segment.name
        if role == SIZE_ROLE:
            looked = self._facts.get(segment)
            return size_text(looked.size, segment.incomplete) if looked else "…"
        if role == Qt.ItemDataRole.ToolTipRole:
            return tr("{name}: F2 renames, Space shows or hides, Enter jumps to it").format(name=segment.name)
        return segment if role == SEGMENT_ROLE else None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        name = str(value).strip()
        if role != Qt.ItemDataRole.EditRole or not name or not index.isValid():
            return False
        segment = self.segments[index.row()]
        if name != segment.name:
            self._scene.rename_segment(segment.id, name)
        return True

    def refresh(self) -> None:
        """The segments changed."""
        self.beginResetModel()
        self.endResetModel()


class SegmentDelegate(QStyledItemDelegate):
    """Paints one segment; a click on the eye shows or hides it."""

    eye_clicked = Signal(str)

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(160, _ROW)

    def paint(self, painter: QPainter, option: Any, index: Index) -> None:
        t, rect = current_tokens(), option.rect.adjusted(1, 1, -1, -1)
        segment: Segment | None = index.data(SEGMENT_ROLE)
        if segment is None:
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint_row_back(painter, option, rect)
        self._swatch(painter, rect, segment)
        size = index.data(SIZE_ROLE)
        eye = eye_rect(option.rect)
        width = painter.fontMetrics().horizontalAdvance(size)
        place = QRect(eye.left() - width - 8, rect.top(), width, rect.height())
        painter.setPen(QColor(t.warn if segment.incomplete else t.muted))
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, size)
        painter.setPen(QColor(t.text if segment.visible else t.muted))
        room = QRect(rect.left() + 30, rect.top(), place.left() - rect.left() - 38, rect.height())
        name = painter.fontMetrics().elidedText(segment.name, Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter, name)
        ratio = painter.device().devicePixelRatioF()
        picture = pixmap("eye" if segment.visible else "eye_off", t.muted, 16, ratio)
        painter.drawPixmap(eye.topLeft(), picture)
        painter.restore()

    def _swatch(self, painter: QPainter, rect: QRect, segment: Segment) -> None:
        color = QColor(*segment.color)
        place = QRect(rect.left() + 8, rect.center().y() - 6, 12, 12)
        painter.setPen(color)
        painter.setBrush(color if segment.visible else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(place, 3, 3)

    def updateEditorGeometry(self, editor: QWidget, option: Any, index: Index) -> None:
        editor.setGeometry(option.rect.adjusted(24, 0, -24, 0))

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        editor = super().createEditor(parent, option, index)
        editor.setStyleSheet("padding: 0 4px; border-width: 1px;")
        return editor

    def editorEvent(self, event: QEvent, model: QAbstractItemModel, option: Any, index: Index) -> bool:
        if _left_release(event) and eye_rect(option.rect).adjusted(-6, -6, 6, 6).contains(_place(event)):
            self.eye_clicked.emit(index.data(SEGMENT_ROLE).id)
            return True
        return super().editorEvent(event, model, option, index)


def _left_release(event: QEvent) -> bool:
    if event.type() != QEvent.Type.MouseButtonRelease or not isinstance(event, QMouseEvent):
        return False
    return event.button() == Qt.MouseButton.LeftButton


def _place(event: QEvent) -> QPoint:
    return event.position().toPoint() if isinstance(event, QMouseEvent) else QPoint()


def eye_rect(row: QRect) -> QRect:
    """Where the eye of a row is."""
    return QRect(row.right() - 26, row.center().y() - 8, 16, 16)


class SegmentsPanel(QWidget):
    """The list with its heading. What keys and menu do is bound by the window."""

    menu_wanted = Signal(object)  # global position

    def __init__(self, scene: Scene, facts: FactsCache) -> None:
        super().__init__()
        self._scene, self._refreshing = scene, False
        self.model = SegmentModel(scene, facts, self)
        self.view = RowList(_ROW, 12)
        self.view.setModel(self.model)
        facts.changed.connect(self.view.viewport().update)  # no dataChanged: it would reset a name being edited
        self.delegate = SegmentDelegate(self.view)
        self.delegate.eye_clicked.connect(self.toggle)
        self.view.setItemDelegate(self.delegate)
        self.view.setEditTriggers(RowList.EditTrigger.DoubleClicked)
        self.view.setAccessibleName(tr("Segments"))
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.customContextMenuRequested.connect(lambda at: self.menu_wanted.emit(self.view.mapToGlobal(at)))
        self.empty: QLabel = label(tr("None yet. Accepted masks appear here."), "muted", wrap=True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(heading(tr("Segments")))
        column.addWidget(self.empty)
        column.addWidget(self.view)
        for signal in (scene.segments_changed, scene.active_changed):
            signal.connect(self.refresh)
        scene.selection_changed.connect(self._mark_selected)
        self.view.selectionModel().currentChanged.connect(lambda now, before: self._choose(now.row()))
        self.refresh()

    def refresh(self) -> None:
        """Follow the scene; the keyboard stays in the list if it was there."""
        focus = QApplication.focusWidget()
        inside = focus is not None and (focus is self.view or self.view.isAncestorOf(focus))
        self._refreshing = True
        self.model.refresh()
        self._refreshing = False
        self.empty.setVisible(not self.model.segments)
        self.view.setVisible(bool(self.model.segments))
        self._mark_selected()
        if inside and self.model.segments:
            self.view.setFocus(Qt.FocusReason.OtherFocusReason)

    def toggle(self, segment_id: str) -> None:
        """Show or hide a segment."""
        scan = self._scene.active
        if scan is not None:
            self._scene.show_segment(segment_id, visible=not scan.get(segment_id).visible)

    def rename(self) -> None:
        """Edit the name of the selected segment in place."""
        self.view.edit(self.view.currentIndex())

    def _mark_selected(self) -> None:
        ids = [s.id for s in self.model.segments]
        if self._scene.selected_id in ids:
            self.view.setCurrentIndex(self.model.index(ids.index(self._scene.selected_id)))
        elif not self._refreshing:
            self.view.setCurrentIndex(QModelIndex())

    def _choose(self, row: int) -> None:
        if not self._refreshing and 0 <= row < len(self.model.segments):
            self._scene.select(self.model.segments[row].id)
