"""What the window shows while no scan is open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from medviewer.gui.text import tr
from medviewer.gui.theme import Tokens
from medviewer.gui.theme.icons import icon, pixmap
from medviewer.gui.widgets.basic import button, clear_layout, heading, label, set_state

_WIDTH = 520


class EmptyState(QWidget):
    """A place to drop a scan on, buttons to open one, the last ones, and a sample."""

    open_files = Signal()
    open_folder = Signal()
    open_sample = Signal()
    open_recent = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.zone = QFrame()
        self.zone.setProperty("role", "dropzone")
        self._picture = QLabel()
        self._picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.buttons: list[QPushButton] = []
        self._recent_box = QVBoxLayout()
        self._recent_box.setSpacing(0)
        self._fill_zone()
        holder = QWidget()
        holder.setMaximumWidth(_WIDTH)
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(16)
        column.addStretch(2)
        column.addWidget(self.zone)
        column.addLayout(self._recent_box)
        column.addStretch(3)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 8, 8, 8)
        row.addStretch(1)
        row.addWidget(holder, 1000)
        row.addStretch(1)

    def _fill_zone(self) -> None:
        title = label(tr("Drop a scan here"), "title")
        formats = label(
            tr("CT, MR, X-ray, ultrasound: DICOM folder or file, NIfTI, NRRD, MetaImage, PNG, JPEG"),
            "muted",
            wrap=True,
        )
        then = label(tr("Then type what you want to see, for instance “left kidney”."), "muted", wrap=True)
        for line in (title, formats, then):
            line.setAlignment(Qt.AlignmentFlag.AlignCenter)
        column = QVBoxLayout(self.zone)
        column.setContentsMargins(16, 32, 16, 32)
        column.setSpacing(8)
        column.addWidget(self._picture)
        column.addSpacing(4)
        column.addWidget(title)
        column.addWidget(formats)
        column.addWidget(then)
        column.addSpacing(12)
        column.addLayout(self._button_row())

    def _button_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addStretch(1)
        choices = (
            (tr("Open file…"), "primary", self.open_files, tr("Open a scan from a file  (Ctrl+O)")),
            (tr("Open folder…"), "", self.open_folder, tr("Open a folder of images  (Ctrl+Shift+O)")),
            (tr("Try the sample"), "", self.open_sample, tr("A generated torso phantom: no patient")),
        )
        for text, role, signal, tip in choices:
            item = button(text, role, tip)
            item.clicked.connect(signal)
            self.buttons.append(item)
            row.addWidget(item)
        row.addStretch(1)
        return row

    def set_recent(self, scans: Sequence[tuple[Path, str]], tokens: Tokens) -> None:
        """Show the last scans: path and the words for it."""
        clear_layout(self._recent_box)
        if scans:
            self._recent_box.addWidget(heading(tr("Recent")))
            self._recent_box.addSpacing(4)
        for path, words in scans:
            row = button(words, "row", tr("Open this again"))
            row.setIcon(icon("folder" if not path.suffix else "file", tokens))
            row.setIconSize(QSize(16, 16))
            row.clicked.connect(lambda checked=False, p=str(path): self.open_recent.emit(p))
            self._recent_box.addWidget(row)

    def set_hot(self, hot: bool) -> None:
        """While something is dragged over the window."""
        set_state(self.zone, "hot", "true" if hot else "false")

    def tint(self, tokens: Tokens) -> None:
        """Pictures in the colours of a theme."""
        self._picture.setPixmap(pixmap("drop", tokens.accent, 40, self.devicePixelRatioF()))
