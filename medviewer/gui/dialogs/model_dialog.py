"""Choose the model that answers: what each may be used for, and its card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QImage, QTextBlockFormat, QTextCursor, QTextDocument
from PySide6.QtWidgets import QHBoxLayout, QListWidget, QListWidgetItem, QTextBrowser, QVBoxLayout, QWidget

from medviewer.gui.dialogs.base import PlainDialog
from medviewer.gui.model_cache import size_text
from medviewer.gui.text import tr
from medviewer.gui.widgets.basic import label
from medviewer.services.model_store import ModelInfo

_MOST_PICTURE = 4_000_000  # bytes
_LIST_WIDTH = 250
_PARAGRAPH_PX = 8
_MARKDOWN = QTextDocument.MarkdownFeature.MarkdownDialectGitHub | QTextDocument.MarkdownFeature.MarkdownNoHTML


class CardView(QTextBrowser):
    """A model card with its pictures. Shows PNG files of the model's own folder and nothing else; opens no links."""

    def __init__(self) -> None:
        super().__init__()
        self._folder: Path | None = None
        self.setOpenLinks(False)
        self.setAccessibleName(tr("Model card"))
        self.setProperty("role", "card")

    def show_card(self, model: ModelInfo) -> None:
        """Show the card of a model from its beginning."""
        self._folder = model.folder
        text = model.card() or tr("This model has no card.")
        self.document().setMarkdown(text, _MARKDOWN)
        self._space_paragraphs()
        self.moveCursor(self.textCursor().MoveOperation.Start)

    def _space_paragraphs(self) -> None:
        """Markdown comes without distance between paragraphs."""
        block = self.document().begin()
        while block.isValid():
            cursor = QTextCursor(block)
            if cursor.currentTable() is None:
                margins = QTextBlockFormat(block.blockFormat())
                margins.setTopMargin(_PARAGRAPH_PX if margins.headingLevel() else 0)
                inside_list = block.textList() is not None and block.next().textList() is not None
                margins.setBottomMargin(0 if inside_list else _PARAGRAPH_PX)
                cursor.setBlockFormat(margins)
            block = block.next()

    def loadResource(self, kind: int, name: QUrl | str) -> Any:
        """A picture beside the card; anything else is nothing."""
        path = self._picture(name if isinstance(name, QUrl) else QUrl(name))
        return QImage() if path is None else QImage(str(path))

    def _picture(self, name: QUrl) -> Path | None:
        if self._folder is None or name.scheme() not in ("", "file"):
            return None
        root = self._folder.resolve()
        path = (root / name.path()).resolve()
        inside = path.is_relative_to(root) and path.suffix.lower() == ".png" and path.is_file()
        return path if inside and path.stat().st_size <= _MOST_PICTURE else None


class ModelDialog(PlainDialog):
    """Modal; `choice` is the model to use from now on, None where it stays as it was."""

    def __init__(self, models: Sequence[ModelInfo], current: str, parent: QWidget | None = None) -> None:
        text = tr("Segments and open answers stay as they are; the next prompt is asked of the chosen model.")
        super().__init__(tr("Model"), text, parent)
        self.choice: ModelInfo | None = None
        self._models, self._current = [model for model in models if model.installed], current
        self.facts = label("", "muted", wrap=True)
        self.card = CardView()
        self.list = self._make_list()
        self._arrange()
        self.add_cancel(tr("Close"))
        self.use = self.add_action(tr("Use this model"))
        self.use.clicked.connect(self._finish)
        self.list.currentRowChanged.connect(self._show)
        ids = [model.id for model in self._models]
        self.list.setCurrentRow(ids.index(current) if current in ids else 0)
        self._show(self.list.currentRow())
        self.resize(960, 640)

    def _make_list(self) -> QListWidget:
        box = QListWidget()
        box.setAccessibleName(tr("Installed models"))
        box.setFixedWidth(_LIST_WIDTH)
        box.setWordWrap(True)
        for model in self._models:
            used = tr(" (in use)") if model.id == self._current else ""
            licence = model.licence or tr("licence not stated")
            item = QListWidgetItem(f"{model.id} {model.version}".strip() + f"{used}\n{licence}")
            item.setData(Qt.ItemDataRole.UserRole, model)
            box.addItem(item)
        return box

    def _arrange(self) -> None:
        right = QVBoxLayout()
        right.setSpacing(8)
        right.addWidget(self.facts)
        right.addWidget(self.card, 1)
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(self.list)
        row.addLayout(right, 1)
        self.body.addLayout(row, 1)
        if not self._models:
            self.facts.setText(tr("No model is installed."))

    def _show(self, row: int) -> None:
        self.use.setEnabled(0 <= row < len(self._models) and self._models[row].id != self._current)
        if 0 <= row < len(self._models):
            self.facts.setText(facts_text(self._models[row]))
            self.card.show_card(self._models[row])

    def _finish(self) -> None:
        self.choice = self._models[self.list.currentRow()]
        self.accept()


def facts_text(model: ModelInfo) -> str:
    """What a user must know before choosing: the licence first."""
    commercial = {
        True: tr("Commercial use is allowed."),
        False: tr("Commercial use is not allowed."),
        None: tr("Whether commercial use is allowed is not stated."),
    }[model.commercial_use]
    size = tr("Size: {size}.").format(size=size_text(model.size_bytes)) if model.size_bytes else ""
    return " ".join(part for part in (f"{model.line}.", commercial, size, model.intended_use) if part)
