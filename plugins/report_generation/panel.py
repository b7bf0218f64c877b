"""The Report tab: draft, sentences, impression, signing, export."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from PySide6.QtCore import QBuffer, QIODevice, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from medviewer.api import Cancelled, PanelContext, Progress, UserError, position_text, reports
from medviewer.api.reports import Reviewed

from .panel_desk import LANGUAGE, NAME, Desk
from .panel_dialogs import ReasonDialog, SignDialog, ask_file, ask_sure
from .panel_draft import resting_on
from .panel_language import LanguageBar
from .panel_page import ReportPage
from .panel_parts import button, tr
from .panel_prior import PriorBar
from .panel_rows import SentenceRow, reasons_of
from .panel_top import ReportTop

_BAR_PX = 10
_KEEP_AFTER_MS = 300  # after a step: then a session and the journal have it
_FOLDER = "export_folder"


class ReportPanel(QWidget):
    """One report per scan; `desk` keeps them, `page` shows that of the active scan."""

    _moved = Signal(float, str)  # from the worker's thread

    def __init__(self, context: PanelContext) -> None:
        super().__init__()
        self.context = context
        self.desk = Desk(context, self.refresh, self._moved.emit)
        self._current = ""  # the sentence that was last clicked or reached by keys
        self._keeping = QTimer(self, singleShot=True, interval=_KEEP_AFTER_MS)
        self._keeping.timeout.connect(self.desk.keep)
        self._make_parts()
        self._make_bottom()
        self._arrange()
        self._moved.connect(self._progressed, Qt.ConnectionType.QueuedConnection)
        scene = context.scene
        scene.active_changed.connect(self._scan_changed)
        scene.scans_changed.connect(self.desk.forget_closed)
        scene.saving.connect(self.desk.keep)
        scene.segments_changed.connect(self.desk.follow)
        scene.selection_changed.connect(self._selection_changed)
        self._scan_changed()

    # -- building -------------------------------------------------------------------
    def _make_parts(self) -> None:
        self.top = top = ReportTop()
        top.template_chosen.connect(self._choose_template)
        top.language_chosen.connect(self._choose_language)
        top.indication_written.connect(lambda text: self.desk.write("indication", text))
        top.wanted.connect(self._wanted)
        self.page = page = ReportPage()
        page.row_asked.connect(self._row_asked)
        page.edited.connect(self.desk.edit)
        page.added.connect(self.desk.add)
        page.written.connect(self.desk.write)
        page.dismissed.connect(self._dismiss)
        page.conclude_wanted.connect(self._offer_findings)
        page.image_wanted.connect(self.add_image)
        page.image_removed.connect(self.desk.remove_image)
        self.language = LanguageBar(self.desk)
        self.prior = PriorBar(self.desk)

    def _make_bottom(self) -> None:
        self.sign_button = button(tr("Sign…"), "primary", tr("See what is open, then sign"), self.sign)
        self.export_button = button(tr("Export…"), "", tr("Write the report to a file"), self.export)
        self.copy_button = button(tr("Copy text"), "", tr("The report as plain text, for the RIS"), self.copy)

    def _arrange(self) -> None:
        inner = QWidget()
        holder = QVBoxLayout(inner)
        holder.setContentsMargins(0, 0, _BAR_PX, 0)
        holder.addWidget(self.page)
        holder.addStretch(1)
        self.area = area = QScrollArea()
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        bar = area.verticalScrollBar()
        bar.rangeChanged.connect(lambda low, high: holder.setContentsMargins(0, 0, 0 if high else _BAR_PX, 0))
        area.setWidget(inner)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 2, 12)
        head = QHBoxLayout()
        head.setContentsMargins(0, 0, _BAR_PX, 4)
        head.addWidget(self.top)
        column.addLayout(head)
        column.addWidget(self.language)
        column.addWidget(self.prior)
        column.addWidget(area, 1)
        column.addLayout(_row(self.sign_button, self.export_button, self.copy_button))

    # -- showing --------------------------------------------------------------------
    def refresh(self) -> None:
        """Follow the desk."""
        draft = self.desk.draft
        report = draft.reviewed.report if draft is not None and draft.reviewed is not None else None
        self.top.show_draft(draft)
        self.language.refresh()
        self.prior.refresh()
        if not self._keeping.isActive():  # the first step of several counts: a crash may take no more than that time
            self._keeping.start()
        for item in (self.sign_button, self.export_button, self.copy_button):
            item.setVisible(report is not None)
        if draft is None or draft.reviewed is None or report is None:
            self.page.clear()
            return
        words = reports.report_words(report.language)
        self.page.show_report(report, words, self._resting(draft.reviewed), draft.warnings)
        chain = [*self.page.ordered_rows(), self.sign_button, self.export_button, self.copy_button]
        for before, after in pairwise(chain):
            QWidget.setTabOrder(before, after)

    def _resting(self, reviewed: Reviewed) -> frozenset[str]:
        scan, chosen = self.context.scene.active, self.context.scene.selected_id
        segment = next((s for s in scan.segments if s.id == chosen), None) if scan is not None else None
        return resting_on(reviewed, segment)

    def _scan_changed(self) -> None:
        self._current = ""
        self.context.point_at(None)
        self.desk.take_waiting()
        self.desk.follow()
        self.desk.resume()
        draft = self.desk.draft
        self.top.indication.setText(draft.indication if draft is not None else "")
        self.refresh()

    def _selection_changed(self) -> None:
        """A segment was selected: its sentences are marked, and the first of them is brought into sight."""
        reviewed = self.desk.reviewed
        if reviewed is None:
            return
        active = self._resting(reviewed)
        for finding_id, row in self.page.rows.items():
            row.mark_active(finding_id in active)
        if self._current not in active:
            self.context.point_at(None)
            first = next((f.id for f in reviewed.report.findings if f.id in active), "")
            if first in self.page.rows:
                self.area.ensureWidgetVisible(self.page.rows[first], 0, 40)

    def _progressed(self, fraction: float, text: str) -> None:
        draft = self.desk.draft
        if draft is not None and draft.work == "draft":
            self.top.show_progress(fraction, text)

    # -- drafting ------------------------------------------------------------------
    def _wanted(self, what: str) -> None:
        steps = {
            "draft": self.draft, "stop": self.desk.cancel, "confirm_sides": self.confirm_sides, "reopen": self.reopen,
            "accept_measured": self.desk.accept_measured, "renew": self.desk.renew,
        }  # fmt: skip
        steps[what]()

    def draft(self) -> None:
        """Draft the report of the active scan."""
        if self._may_replace():
            self.desk.draft_indication(self.top.indication.text())
            self.desk.start()

    def _may_replace(self) -> bool:
        draft = self.desk.draft
        if draft is None or not draft.is_touched:
            return draft is not None
        question = tr("What you accepted, wrote and changed in this draft is lost with a new one.")
        return ask_sure(tr("New draft"), question, tr("Make a new draft"), self)

    def _choose_template(self, key: str) -> None:
        draft = self.desk.draft
        if draft is None or key == draft.template:
            return
        if draft.reviewed is None:
            draft.template = key
        elif self._may_replace():
            draft.template = key
            self.desk.start(keep_answers=True)
        self.refresh()

    def _choose_language(self, language: str) -> None:
        draft = self.desk.draft
        if draft is None or language == draft.language:
            return
        if draft.reviewed is None or self._may_replace():
            draft.language = "de" if language == "de" else "en"
            self.context.settings.set(LANGUAGE, draft.language)
            if draft.reviewed is not None:
                self.desk.start(ask=False, keep_answers=True)
        self.refresh()

    def confirm_sides(self) -> None:
        """A person confirms left and right."""
        question = tr("Confirm only after a comparison with the source. Sentences with a side come back then.")
        if ask_sure(tr("Left and right"), question, tr("They are correct"), self):
            self.desk.confirm_sides()

    # -- sentences -------------------------------------------------------------------
    def _row_asked(self, action: str, finding_id: str) -> None:
        if action == "focus":
            self._current = finding_id
            self._bring(self.page.rows[finding_id])
        elif action in ("next", "previous"):
            row = self.page.next_row(finding_id, 1 if action == "next" else -1)
            if row is not None:
                row.setFocus(Qt.FocusReason.TabFocusReason)
        elif action == "edit":
            self._edit(finding_id)
        else:
            self._current = finding_id
            {"show": self.desk.show, "accept": self.desk.accept, "reject": self.desk.reject,
             "conclude": self.desk.conclude}[action](finding_id)  # fmt: skip

    def _edit(self, finding_id: str) -> None:
        row = self.page.rows[finding_id]
        row.begin_edit()
        QTimer.singleShot(0, row, lambda: self._bring(row))  # a field is higher than its text

    def _bring(self, row: SentenceRow) -> None:
        """Into sight; the beginning of one that is higher than the view."""
        self.area.ensureWidgetVisible(row, 0, 24)
        if row.height() > self.area.viewport().height() - 48:
            self.area.verticalScrollBar().setValue(row.y() - 24)

    def _dismiss(self, finding_id: str, guard: str) -> None:
        reviewed = self.desk.reviewed
        if reviewed is None:
            return
        finding = reviewed.finding(finding_id)
        dialog = ReasonDialog(finding.text, " ".join(reasons_of(finding).get(guard, [])), self)
        if dialog.exec() and dialog.reason:
            self.desk.dismiss(finding_id, guard, dialog.reason)
        dialog.deleteLater()

    def _offer_findings(self, plus: QPushButton) -> None:
        """The accepted findings, to be put into the impression one at a time."""
        menu = QMenu(self)
        for finding in self.desk.conclusions():
            text = finding.text if len(finding.text) <= 90 else finding.text[:89] + "…"
            action = menu.addAction(text.replace("&", "&&"))
            action.triggered.connect(lambda checked=False, f=finding: self.desk.conclude(f.id))
        if menu.isEmpty():
            menu.addAction(tr("Accept a finding first; the impression rests on accepted findings.")).setEnabled(False)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(plus.mapToGlobal(plus.rect().bottomLeft()))

    def go_to(self, finding_id: str) -> None:
        """Bring a sentence into sight, with what it rests on."""
        row = self.page.rows.get(finding_id)
        if row is not None:
            self._current = finding_id
            row.setFocus(Qt.FocusReason.OtherFocusReason)
            self.desk.show(finding_id)
            self._bring(row)

    # -- key images ----------------------------------------------------------------
    def add_image(self) -> None:
        """What the views show now, into the report."""
        scan, reviewed = self.context.scene.active, self.desk.reviewed
        picture = self.context.picture()
        if scan is None or reviewed is None or not picture.size:
            return
        rows, columns, _ = picture.shape
        image = QImage(picture.tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888)
        buffer = QBuffer()
        buffer.open(QIODevice.OpenModeFlag.WriteOnly)
        image.save(buffer, "PNG")  # type: ignore[call-overload]
        current = next((f for f in reviewed.report.findings if f.id == self._current), None)
        place = tr("Views") if scan.volume.affine is None else position_text(scan.cursor)
        place = place if current is None else current.text
        if self.desk.add_image(bytes(buffer.data().data()), place, current.id if current is not None else ""):
            bar = self.area.verticalScrollBar()
            QTimer.singleShot(50, self, lambda: bar.setValue(bar.maximum()))  # after the layout

    # -- the whole report -------------------------------------------------------------
    def sign(self) -> None:
        """Show what is open; sign where nothing blocks."""
        draft, reviewed = self.desk.draft, self.desk.reviewed
        if draft is None or reviewed is None:
            return
        if draft.is_stale:  # nobody signs numbers of masks that are no longer there
            self.context.notify(tr("Masks were changed: measure again, then sign."), "warning")
            return
        dialog = SignDialog(reviewed, str(self.context.settings.get(NAME, "")), self)
        dialog.exec()
        signed, first = dialog.signed, dialog.show_first
        name = dialog.name.text().strip()
        dialog.deleteLater()
        if signed is not None:
            self.context.settings.set(NAME, name)
            self.desk.replace(reviewed, signed)
        elif first:
            QTimer.singleShot(0, self, lambda: self.go_to(first))

    def reopen(self) -> None:
        """A new version of a signed report."""
        question = tr("The signed version is kept. What you change is signed as a correction or an addendum.")
        if ask_sure(tr("Open the report again"), question, tr("Open again"), self):
            self.desk.step(lambda r: reports.reopen(r, self.desk.moment()))

    def copy(self) -> None:
        """The report as text on the clipboard."""
        reviewed = self.desk.reviewed
        if reviewed is not None:
            QGuiApplication.clipboard().setText(reports.report_text(reviewed.report))
            self.context.notify(tr("The report was copied as text."), "success")

    def export(self) -> None:
        """Ask for a file and write it."""
        settings = self.context.settings
        stored = Path(settings.get(_FOLDER, "") or Path.home())
        path = ask_file(stored if stored.is_dir() else Path.home(), "report.pdf", self)
        if path is not None:
            settings.set(_FOLDER, str(path.parent))
            self.export_to(path)

    def export_to(self, path: Path) -> None:
        """Write the report of now; the ending says in which form."""
        scan, reviewed = self.context.scene.active, self.desk.reviewed
        if scan is None or reviewed is None:
            return
        origin = reports.Origin(scan.volume)  # DICOM objects and FHIR name the study they belong to

        def work(progress: Progress) -> Path:
            progress.report(0.1, tr("Writing the report"))
            return reports.write_report(reviewed, path, origin)

        title = tr("Saving {name}").format(name=path.name)
        self.context.run_job(work, self._exported, self._export_failed, title)

    def _exported(self, path: Path) -> None:
        self.context.notify(tr("Saved: {name}").format(name=path.name), "success")

    def _export_failed(self, error: UserError) -> None:
        if not isinstance(error, Cancelled):
            self.context.notify(str(error), "error")


def _row(*buttons: QPushButton) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setContentsMargins(0, 6, _BAR_PX, 0)
    row.setSpacing(8)
    for item in buttons:
        row.addWidget(item, 1)
    return row
