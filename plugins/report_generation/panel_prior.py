"""Choose a prior in the Report tab, see how it is compared with, take it out again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QDialog, QFileDialog, QHBoxLayout, QLineEdit, QMenu, QVBoxLayout, QWidget

from medviewer.api.reports import PriorCheck

from .panel_desk import Desk
from .panel_parts import breakable, button, label, tr
from .panel_prior_desk import PriorDesk, PriorWork

_SETTLED_MS = 900  # after the last step of a move
_FOLDER = "open_folder"
AskReason = Callable[[PriorCheck, str, QWidget], str]
AskPath = Callable[[bool, str, QWidget], Path | None]


class PriorBar(QWidget):
    """Stands above the sentences while there is a report. `ask_reason(check, language, parent)` gives "" for no;
    `ask_path(is_folder, start, parent)` asks for a file or folder."""

    _moved = Signal(float, str)  # from the worker's thread

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.ask_reason: AskReason = ask_reason
        self.ask_path: AskPath = ask_path
        self.prior = PriorDesk(desk, self._changed, self._moved.emit)
        self._settled = QTimer(self, singleShot=True, interval=_SETTLED_MS)
        self._settled.timeout.connect(self._compare_again)
        self._make_parts()
        self._moved.connect(self._progressed, Qt.ConnectionType.QueuedConnection)
        desk.scene.active_changed.connect(self._scan_changed)
        desk.scene.scans_changed.connect(self._scans_changed)
        self.refresh()

    def _make_parts(self) -> None:
        tip = tr("An earlier study of this patient: its masks, the change, and its images beside these")
        self.choose = button(tr("Compare with a prior…"), "link", tip, self.offer)
        self.state = label("", "strong")
        self.registration, self.progress = label("", "muted"), label("", "muted")
        self.problem = label("", "warn")
        self.stop = button(tr("Cancel"), "", tr("Stop the comparison; the report stays as it is"), self.prior.cancel)
        self.beside = button("", "link", tr("Its images beside these, scrolled together"), self._toggle)
        self.remove = button(tr("Remove the prior"), "link", tr("Out of the report again"), self.prior.remove)
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(self.beside)
        row.addWidget(self.remove)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 10, 0)
        column.setSpacing(4)
        column.addWidget(self.choose, 0, Qt.AlignmentFlag.AlignLeft)
        for item in (self.state, self.registration, self.progress, self.stop, self.problem):
            column.addWidget(item)
        column.addLayout(row)

    # -- showing --------------------------------------------------------------------
    def refresh(self) -> None:
        """Follow the desk."""
        draft, state = self.desk.draft, self.prior.state
        is_open = draft is not None and draft.is_open
        working = state is not None and bool(state.work)
        self.setVisible(state is not None or (is_open and draft is not None and draft.reviewed is not None))
        self.choose.setVisible(is_open and not working and state is None)
        _say(self.state, _named(state) if state is not None else "")
        _say(self.progress, (self.progress.text() or tr("Starting…")) if working else "")
        self.stop.setVisible(working)
        _say(self.problem, self._note())
        self._show_registration(state)
        self.beside.setVisible(self.prior.can_show)
        self.beside.setText(tr("Hide the prior") if state is not None and state.is_shown else tr("Show the prior"))
        self.remove.setVisible(state is not None and state.study is not None and is_open)

    def _show_registration(self, state: PriorWork | None) -> None:
        made = state.study.registration if state is not None and state.study is not None else None
        language = self.desk.draft.language if self.desk.draft is not None else "en"
        _say(self.registration, made.statement(language) if made is not None else "")

    def _note(self) -> str:
        """Why a comparison failed, and that what the report was compared with is not open."""
        reviewed = self.desk.reviewed
        if self.prior.state is None and reviewed is not None and reviewed.report.facts.get("prior"):
            lost = tr("The prior of this report is not open. Choose it again before masks are changed: "
                      "its sentences leave the report when it is measured without it.")  # fmt: skip
            return " ".join(part for part in (self.prior.problem, lost) if part)
        closed = tr("The prior was closed: open it again to see it. The report keeps the comparison.")
        state = self.prior.state
        gone = state is not None and state.study is not None and not self.prior.can_show
        return " ".join(part for part in (self.prior.problem, closed if gone else "") if part)

    def _progressed(self, fraction: float, text: str) -> None:
        state = self.prior.state
        if state is not None and state.work:
            _say(self.progress, f"{round(100 * fraction)} % · {text}")

    def _changed(self) -> None:
        state = self.prior.state
        if state is None or not state.work:
            self.progress.setText("")
        if self.prior.is_behind and state is not None and not state.work:
            self._settled.start()
        self.refresh()

    def _scan_changed(self) -> None:
        self.progress.setText("")
        QTimer.singleShot(0, self, self.prior.show)  # after the views have turned to the scan
        self.refresh()

    def _scans_changed(self) -> None:
        self.prior.forget_closed()
        if self.prior.state is not None and not self.prior.can_show:
            self.prior.show()
        self.refresh()

    def _toggle(self) -> None:
        state = self.prior.state
        if state is not None:
            self.prior.set_shown(not state.is_shown)

    def _compare_again(self) -> None:
        if self.prior.is_behind:
            self.prior.again()

    # -- choosing -------------------------------------------------------------------
    def offer(self) -> None:
        """The open scans, and files."""
        menu = QMenu(self)
        for scan in self.prior.others:
            action = menu.addAction(scan_name(scan).replace("&", "&&"))
            action.triggered.connect(lambda checked=False, s=scan: self.take(s))
        if self.prior.others:
            menu.addSeparator()
        menu.addAction(tr("Files…")).triggered.connect(lambda checked=False: self._open(is_folder=False))
        menu.addAction(tr("A folder…")).triggered.connect(lambda checked=False: self._open(is_folder=True))
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.choose.mapToGlobal(self.choose.rect().bottomLeft()))

    def _open(self, *, is_folder: bool) -> None:
        context, scan = self.desk.context, self.desk.scene.active
        path = self.ask_path(is_folder, str(context.settings.get(_FOLDER, "")), self)
        if path is not None and scan is not None:
            context.open_beside([path], partial(self._opened, scan))

    def _opened(self, scan: Any, prior: Any) -> None:
        """A scan that was opened to be compared with; the first of several is taken, the others are open."""
        if self.desk.scene.active is scan and self.prior.state is None:
            self.take(prior)

    def take(self, prior: Any) -> None:
        """Compare with a scan, after what speaks against it was answered."""
        check, language = self.prior.check(prior), self.desk.draft.language if self.desk.draft else "en"
        if check.refused:
            self.desk.context.notify(" ".join(check.lines(language)), "warning")
            return
        reason = self.ask_reason(check, language, self).strip() if check.differing else ""
        if check.differing and not reason:
            self.desk.context.notify(tr("Not compared: the prior is of another patient."), "warning")
            return
        others = check.lines(language) if not check.differing else ()
        if self.prior.compare(prior, reason) and others:
            self.desk.context.notify(" ".join(others), "info")


class PriorReasonDialog(QDialog):
    """The identity of the prior differs; `reason` is empty until one was given."""

    def __init__(self, check: PriorCheck, language: str, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Another patient?"))
        self.reason = ""
        self.field = QLineEdit()
        self.field.setPlaceholderText(tr("Reason, kept in the record of the report"))
        self.go = button(tr("Compare all the same"), "primary", tr("Only where it is the same person"), self._done)
        self.go.setEnabled(False)
        self.field.textChanged.connect(lambda text: self.go.setEnabled(bool(text.strip())))
        self.field.returnPressed.connect(self._done)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(button(tr("Cancel"), "", tr("Do not compare"), self.reject))
        buttons.addWidget(self.go)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addWidget(label(tr("Is this the same patient?"), "title"))
        for line in check.lines("de" if language == "de" else "en"):
            column.addWidget(label(line, "warn"))
        column.addWidget(label(tr("The prior is compared with only if you say why it is the same person.")))
        column.addWidget(self.field)
        column.addLayout(buttons)
        self.setMinimumWidth(480)

    def _done(self) -> None:
        if self.field.text().strip():
            self.reason = self.field.text().strip()
            self.accept()


def ask_reason(check: PriorCheck, language: str, parent: QWidget) -> str:
    """Why a prior of another identity is used all the same; "" for no."""
    dialog = PriorReasonDialog(check, language, parent)
    dialog.exec()
    reason = dialog.reason
    dialog.deleteLater()
    return reason


def ask_path(is_folder: bool, start: str, parent: QWidget) -> Path | None:
    """The file or folder of the prior."""
    if is_folder:
        chosen = QFileDialog.getExistingDirectory(parent, tr("Folder of the prior"), start)
    else:
        chosen, _ = QFileDialog.getOpenFileName(parent, tr("The prior"), start)
    return Path(chosen) if chosen else None


def scan_name(scan: Any) -> str:
    """An open scan in a menu: its date, modality, title and how many masks it has."""
    volume, count = scan.volume, len(scan.segments)
    masks = tr("1 mask") if count == 1 else tr("{n} masks").format(n=count)
    date = _readable(volume.patient.study_date) or tr("no date")
    parts = (date, volume.modality or "", volume.title, masks if count else "")
    return " · ".join(part for part in parts if part)


def _named(state: PriorWork) -> str:
    date = _readable(state.scan.volume.patient.study_date) or tr("no date")
    return tr("Prior: {date} · {title}").format(date=date, title=state.scan.volume.title or tr("scan"))


def _readable(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 and date.isdigit() else date


def _say(place: Any, text: str) -> None:
    place.setText(breakable(text))
    place.setVisible(bool(text))
