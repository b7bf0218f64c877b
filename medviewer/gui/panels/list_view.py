"""A list whose rows are painted by a delegate; keyboard, focus and selection are Qt's own."""

from __future__ import annotations

from PySide6.QtCore import QAbstractListModel, QModelIndex, QSize, Qt
from PySide6.QtWidgets import QAbstractItemView, QFrame, QListView, QSizePolicy


class RowList(QListView):
    """As high as its rows, up to `max_rows`; scrolls beyond."""

    def __init__(self, row_height: int, max_rows: int) -> None:
        super().__init__()
        self._row_height, self._max_rows = row_height, max_rows
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)

    def setModel(self, model: QAbstractListModel) -> None:  # type: ignore[override]
        super().setModel(model)
        model.modelReset.connect(self.updateGeometry)
        model.rowsInserted.connect(self.updateGeometry)

    def sizeHint(self) -> QSize:
        rows = self.model().rowCount(QModelIndex()) if self.model() else 0
        return QSize(200, min(max(rows, 1), self._max_rows) * self._row_height + 6)

    def minimumSizeHint(self) -> QSize:
        return QSize(120, self._row_height + 6)
