"""Sentences of a local language model in the Report tab: choose its folder, accept its licence, ask, see it write."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QInputDialog,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from medviewer.api import Cancelled, Progress, UserError
from medviewer.api.reports import Finding, LanguageModel

from .language import language_model
from .panel_desk import Desk
from .panel_parts import breakable, button, label, tr
from .panel_writing import Writer

_SHOWN = 400  # characters of the text so far
_MENU = 90  # characters of a sentence in a menu


class LanguageBar(QWidget):
    """Stands above the sentences while there is a report. `writer` does the work. `choose_folder(parent)` and
    `ask_licence(model, parent)` are the questions to the user."""

    _more = Signal()  # from the worker's thread

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.choose_folder: Callable[[QWidget], Path | None] = ask_folder
        self.ask_licence: Callable[[LanguageModel, QWidget], bool] = ask_licence
        self.writer = Writer(desk, self.refresh, self._more.emit)
        self._make_parts()
        self._more.connect(self._show_text, Qt.ConnectionType.QueuedConnection)
        desk.scene.active_changed.connect(self._scan_changed)
        desk.scene.scans_changed.connect(self.writer.forget_closed)
        self.refresh()

    def _make_parts(self) -> None:
        tip = tr("Drafts of a model on this computer; each is checked, and you decide about each")
        self.add = button("", "link", tip, self.ask)
        self.choose = button(tr("Model…"), "link", tr("Choose the folder of a language model"), self.change_model)
        self.prior = button(tr("Prior report…"), "link", tr("An earlier report for the model to read"), self.give_prior)
        self.offers = button("", "link", tr("Put one into the impression"), self.offer)
        self.stop = button(tr("Cancel"), "", tr("Stop the model; the report stays as it is"), self.writer.cancel)
        self.text, self.problem = label("", "muted"), label("", "warn")
        self.text.setAccessibleName(tr("What the model writes"))
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(self.choose)
        row.addWidget(self.prior)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 10, 0)
        column.setSpacing(4)
        column.addWidget(self.add, 0, Qt.AlignmentFlag.AlignLeft)
        column.addLayout(row)
        for item in (self.text, self.stop, self.problem):
            column.addWidget(item)
        column.addWidget(self.offers, 0, Qt.AlignmentFlag.AlignLeft)

    # -- showing --------------------------------------------------------------------
    def refresh(self) -> None:
        """Follow the desk and the model's work."""
        work, folder, ready = self.writer.work, self.writer.folder, self.writer.is_ready
        working = work is not None and work.is_working
        self.setVisible(ready or working)
        name = tr("Add sentences of {model}").format(model=breakable(_name_of(folder))) if folder is not None else ""
        self.add.setText(name or tr("Add sentences of a language model…"))
        self.add.setVisible(ready and not working)
        self.choose.setVisible(ready and not working and folder is not None)
        self.prior.setVisible(ready and not working)
        self.prior.setText(tr("Prior report given…") if work is not None and work.prior else tr("Prior report…"))
        self.stop.setVisible(working)
        self.problem.setText(breakable(work.problem) if work is not None else "")
        self.problem.setVisible(bool(self.problem.text()))
        offered = len(self.writer.suggestions)
        self.offers.setText(tr("Suggestions for the impression ({n})…").format(n=offered))
        self.offers.setVisible(bool(offered))
        self._show_text()

    def _show_text(self) -> None:
        """The end of what the model wrote so far."""
        work = self.writer.work
        working = work is not None and work.is_working
        told = work.text if work is not None and working else ""
        shown = told if len(told) <= _SHOWN else "…" + told[-_SHOWN:]
        self.text.setText(breakable(shown) or tr("Starting…"))
        self.text.setVisible(working)

    def _scan_changed(self) -> None:
        self.writer.take_waiting()
        self.refresh()

    # -- asking ---------------------------------------------------------------------
    def ask(self) -> None:
        """Ask the remembered model, after its folder was looked at and its licence accepted."""
        folder = self.writer.folder
        if folder is None:
            self.change_model()
        else:
            self._look(folder)

    def change_model(self) -> None:
        """Choose another folder, and ask it."""
        folder = self.choose_folder(self)
        if folder is not None:
            self._look(folder)

    def _look(self, folder: Path) -> None:
        def work(progress: Progress) -> LanguageModel:
            progress.report(0.1, tr("Looking at the model"))
            return language_model(folder)

        title = tr("Looking at the language model")
        self.desk.context.run_job(work, lambda model: self._looked(folder, model), self._refused, title)

    def _looked(self, folder: Path, model: LanguageModel) -> None:
        if not self.writer.is_accepted(model):
            if not self.ask_licence(model, self):
                return
            self.writer.accept(model)
        self.writer.remember(folder)
        self.writer.start()

    def _refused(self, error: UserError) -> None:
        work = self.writer.work
        if work is not None and not isinstance(error, Cancelled):
            work.problem = str(error)
        self.refresh()

    def give_prior(self) -> None:
        """An earlier report for the model to read; kept for this scan while the window is open."""
        work = self.writer.work
        if work is None:
            return
        told = tr("The model reads it. The program compares nothing with it, so sentences about a change are marked.")
        text, given = QInputDialog.getMultiLineText(self, tr("Prior report"), told, work.prior)
        if given:
            work.prior = text.strip()
            self.refresh()

    # -- suggestions -----------------------------------------------------------------
    def offer(self) -> None:
        """The model's suggestions, each with the accepted findings that it may rest on."""
        menu = self.offers_menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.offers.mapToGlobal(self.offers.rect().bottomLeft()))

    def offers_menu(self) -> QMenu:
        """A menu per suggestion; choosing a finding puts that suggestion into the impression."""
        menu = QMenu(self)
        for suggestion in self.writer.suggestions:
            inner = menu.addMenu(_short(suggestion.text))
            self._fill(inner, suggestion)
        return menu

    def _fill(self, menu: QMenu, suggestion: Finding) -> None:
        found = self.writer.supports(suggestion)
        if not found:
            menu.addAction(tr("Accept a finding first; the impression rests on accepted findings.")).setEnabled(False)
            return
        menu.addAction(tr("It rests on:")).setEnabled(False)
        for finding in found:
            action = menu.addAction(_short(finding.text))
            action.triggered.connect(partial(self._insert, suggestion, finding.id))

    def _insert(self, suggestion: Finding, finding_id: str, checked: bool = False) -> None:
        self.writer.insert(suggestion, finding_id)
        self.refresh()


class LicenceDialog(QDialog):
    """What a model is and what its folder says about its use. Accepted by a click on the one button that says so."""

    def __init__(self, model: LanguageModel, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Licence of a language model"))
        self.terms = QPlainTextEdit(model.licence_text)
        self.terms.setReadOnly(True)
        self.terms.setAccessibleName(tr("Licence"))
        tip = tr("Remembered until its terms change")
        self.agree = button(tr("Accept and use the model"), "primary", tip, self.accept)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(_default(button(tr("Cancel"), "", tr("Do not use the model"), self.reject)))
        buttons.addWidget(self.agree)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addWidget(label(model.name, "title"))
        size = tr("{layout} layout, {size:.1f} GB of weights")
        column.addWidget(label(size.format(layout=model.layout, size=model.weights_bytes / 1e9), "muted"))
        if not model.tested:
            column.addWidget(label(tr("The program was not tested with models of this layout."), "warn"))
        column.addWidget(label(tr("Licence: {name}").format(name=model.licence), "strong"))
        column.addWidget(self.terms, 1)
        told = tr("Its sentences are drafts: each must be compared with the images. Nothing leaves this computer.")
        column.addWidget(label(told))
        column.addLayout(buttons)
        self.resize(560, 480)


def _default(item: QPushButton) -> QPushButton:
    item.setDefault(True)
    return item


def ask_licence(model: LanguageModel, parent: QWidget) -> bool:
    """Whether the user accepts the terms of a model."""
    dialog = LicenceDialog(model, parent)
    agreed = bool(dialog.exec())
    dialog.deleteLater()
    return agreed


def ask_folder(parent: QWidget) -> Path | None:
    """The folder of a language model."""
    title = tr("Folder of a language model (it holds config.json)")
    chosen = QFileDialog.getExistingDirectory(parent, title, str(Path.home()))
    return Path(chosen) if chosen else None


def _name_of(folder: Path) -> str:
    """As people know it: of a snapshot in a hub's cache the name of the repository."""
    repository = folder.parent.parent.name
    return repository.split("--")[-1] if repository.startswith("models--") else folder.name


def _short(text: str) -> str:
    return (text if len(text) <= _MENU else text[: _MENU - 1] + "…").replace("&", "&&")
