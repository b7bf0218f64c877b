"""The questions of the Report tab: signing, where to write the file, why a mark does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QFileDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QMessageBox,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from medviewer.api import UserError, reports
from medviewer.api.reports import SUFFIXES, Check, Moment, Reviewed, Status

from .panel_parts import button, label, remove, tr

_STATUSES = {
    "draft": "Draft", "preliminary": "Preliminary", "final": "Final", "addendum": "Addendum", "corrected": "Corrected",
}  # fmt: skip
_FORMS = {
    "pdf": "PDF", "html": "HTML", "docx": "Word", "text": "Text", "json": "JSON, with the record of every step",
    "fhir": "FHIR R4", "dicom": "DICOM",
}  # fmt: skip


def status_text(status: str) -> str:
    """A status in words."""
    return tr(_STATUSES.get(status, status))


class SignDialog(QDialog):
    """What is open, who signs, and as what. `signed` is the signed report, None until then; `show_first` is a sentence
    that the user wants to see instead."""

    def __init__(self, reviewed: Reviewed, name: str, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Sign the report"))
        self.reviewed, self.show_first = reviewed, ""
        self.signed: Reviewed | None = None
        self._words = reports.report_words(reviewed.report.language)
        self.identity = label(reports.identity_line(reviewed.report, self._words), "strong")
        self.status, self.name = QComboBox(), QLineEdit(name)
        for status in reports.next_statuses(reviewed):
            self.status.addItem(status_text(status), status)
        self.name.setPlaceholderText(tr("Your name"))
        self.problem = label("", "bad")
        self.sign = button(tr("Sign"), "primary", tr("Sign under this name"), self._sign)
        self._arrange()
        self.status.currentIndexChanged.connect(lambda index: self._check())
        self.name.textChanged.connect(lambda text: self._check())
        self.setMinimumWidth(520)
        self.resize(520, 470)
        self._check()

    def _arrange(self) -> None:
        form = QFormLayout()
        form.setVerticalSpacing(10)
        form.addRow(tr("Sign as"), self.status)
        form.addRow(tr("Name"), self.name)
        self._checks, inner = QVBoxLayout(), QWidget()
        self._checks.setSpacing(8)
        holder = QVBoxLayout(inner)
        holder.setContentsMargins(0, 0, 8, 0)
        holder.addLayout(self._checks)
        holder.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setMinimumHeight(200)
        area.setWidget(inner)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(button(tr("Cancel"), "", tr("Close without signing"), self.reject))
        buttons.addWidget(self.sign)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addWidget(label(tr("Sign the report"), "title"))
        column.addWidget(label(tr("This report is about"), "muted"))
        column.addWidget(self.identity)
        column.addLayout(form)
        column.addWidget(label(tr("Before you sign").upper(), "heading"))
        column.addWidget(area, 1)
        column.addWidget(self.problem)
        column.addLayout(buttons)

    @property
    def checks(self) -> tuple[Check, ...]:
        """What is open for the chosen status, blocking points first."""
        shown = reports.identity_line(self.reviewed.report, self._words)
        return reports.before_signing(self.reviewed.report, self._words, identity_shown=shown, status=self._status())

    def _status(self) -> Status:
        status: Status = self.status.currentData() or "final"
        return status

    def _check(self) -> None:
        while (item := self._checks.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                remove(widget)
        checks = self.checks
        for check in checks:
            self._checks.addWidget(self._line(check))
        open_points = len(reports.blocking(checks))
        self.sign.setEnabled(not open_points and bool(self.name.text().strip()) and self.status.count() > 0)
        self.problem.setText(self._why_not(open_points))

    def _why_not(self, open_points: int) -> str:
        if not self.status.count():
            return tr("This report is signed. Open it again to change it.")
        if open_points:
            return tr("Cannot be signed yet: points marked ✕ have to be settled first.")
        return "" if self.name.text().strip() else tr("Enter your name.")

    def _line(self, check: Check) -> QWidget:
        """ "✕ Must be settled" or "! Note", in words as well as by colour."""
        line = QWidget()
        row = QHBoxLayout(line)
        row.setContentsMargins(0, 0, 0, 0)
        sign = tr("✕ Must be settled: {text}") if check.blocks else tr("! To note: {text}")
        row.addWidget(label(sign.format(text=check.text), "bad" if check.blocks else ""), 1)
        if check.finding_ids:
            first = check.finding_ids[0]
            tip = tr("Close and go to the first of them")
            row.addWidget(button(tr("Show"), "link", tip, lambda: self._show(first)))
        return line

    def _show(self, finding_id: str) -> None:
        self.show_first = finding_id
        self.reject()

    def _sign(self) -> None:
        moment: Moment = reports.now(self.name.text().strip())
        shown = self.identity.text().replace("\u200b", "")
        try:
            self.signed = reports.sign(self.reviewed, self._status(), moment, self._words, identity_shown=shown)
        except UserError as error:
            self.problem.setText(str(error))
            return
        self.accept()


class ReasonDialog(QDialog):
    """Why a guard's mark does not hold; `reason` is empty until it was given."""

    def __init__(self, sentence: str, mark: str, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Dismiss a mark"))
        self.reason = ""
        self.field = QLineEdit()
        self.field.setPlaceholderText(tr("Reason, kept in the record of the report"))
        self.dismiss = button(tr("Dismiss the mark"), "primary", tr("The sentence stays as it is"), self._done)
        self.dismiss.setEnabled(False)
        self.field.textChanged.connect(lambda text: self.dismiss.setEnabled(bool(text.strip())))
        self.field.returnPressed.connect(self._done)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(button(tr("Cancel"), "", tr("Keep the mark"), self.reject))
        buttons.addWidget(self.dismiss)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addWidget(label(tr("Why does this mark not hold?"), "title"))
        column.addWidget(label(sentence))
        column.addWidget(label(mark, "warn"))
        column.addWidget(self.field)
        column.addLayout(buttons)
        self.setMinimumWidth(460)

    def _done(self) -> None:
        if self.field.text().strip():
            self.reason = self.field.text().strip()
            self.accept()


def ask_sure(title: str, question: str, yes: str, parent: QWidget) -> bool:
    """Whether to go on with something that loses work; Cancel is the default."""
    box = QMessageBox(parent)
    box.setWindowTitle(title)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(question)
    go = box.addButton(yes, QMessageBox.ButtonRole.DestructiveRole)
    stay = box.addButton(tr("Cancel"), QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(stay)
    box.setEscapeButton(stay)
    box.exec()
    sure = box.clickedButton() is go
    box.deleteLater()
    return sure


def export_filters() -> Iterator[tuple[str, str]]:
    """Ending and filter of each form, PDF first."""
    order = {".pdf": 0, ".docx": 1, ".html": 2}
    for suffix in sorted(SUFFIXES, key=lambda s: (order.get(s, 9), s)):
        form = SUFFIXES[suffix]
        yield suffix, f"{tr(_FORMS.get(form, form))} (*{suffix})"


def ask_file(folder: Path, name: str, parent: QWidget) -> Path | None:
    """Where to write the report; the ending of the name says in which form."""
    filters = dict(export_filters())
    dialog = QFileDialog(parent, tr("Export the report"), str(folder), ";;".join(filters.values()))
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.selectFile(name)

    def fit() -> None:
        chosen = dialog.selectedNameFilter()
        dialog.setDefaultSuffix(next((s[1:] for s, text in filters.items() if text == chosen), ""))

    fit()
    dialog.filterSelected.connect(lambda text: fit())
    chosen = dialog.selectedFiles() if dialog.exec() else []
    dialog.deleteLater()
    return Path(chosen[0]) if chosen else None


AskFile = Callable[[Path, str, QWidget], Path | None]
