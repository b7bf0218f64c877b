"""De-identify: which files, into which folder, what may stay; then the progress; then what was done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QRadioButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from medviewer.core.errors import Cancelled, UserError
from medviewer.core.progress import Progress
from medviewer.core.volume import Volume
from medviewer.gui.dialogs.base import PlainDialog
from medviewer.gui.jobs import GuiJobs
from medviewer.gui.text import tr
from medviewer.gui.widgets.basic import button, heading, label
from medviewer.gui.widgets.progress_line import ProgressLine
from medviewer.services.deidentify import PIXELS_SENTENCE, DeidentifyReport, check_target, deidentify

if TYPE_CHECKING:
    from medviewer.services.jobs import Job


class DeidentifyDialog(PlainDialog):
    """Modal. Pages: the question, the progress, the report. Closing it while it works cancels the work."""

    finished_run = Signal()
    _moved = Signal(float, str)

    def __init__(self, volume: Volume | None, folder: Path, jobs: GuiJobs, parent: QWidget | None = None) -> None:
        text = tr("Copies DICOM files without names, numbers and dates (PS3.15 Basic Profile). Originals stay as is.")
        super().__init__(tr("De-identify"), text, parent)
        self._jobs = jobs
        self._job: Job | None = None
        self._scan_files: tuple[Path, ...] = ()
        if volume is not None and volume.source.format == "dicom":
            self._scan_files = tuple(dict.fromkeys(volume.source.files))
        self.report: DeidentifyReport | None = None
        self.pages = QStackedWidget()
        self.pages.addWidget(self._question_page(folder))
        self.pages.addWidget(self._progress_page())
        self.pages.addWidget(self._report_page())
        self.body.addWidget(self.pages)
        self.cancel = self.add_cancel()
        self.start = self.add_action(tr("De-identify"))
        self.start.clicked.connect(self.run)
        self._moved.connect(self._show_progress, Qt.ConnectionType.QueuedConnection)
        self.resize(620, 0)
        self._check()

    # -- the question ------------------------------------------------------------------------------------------
    def _question_page(self, folder: Path) -> QWidget:
        page, column = _page()
        column.addWidget(heading(tr("Files")))
        count = len(self._scan_files)
        files = {0: tr("not DICOM"), 1: tr("1 file")}.get(count, tr("{n} files").format(n=count))
        self.this_scan = QRadioButton(tr("The scan on display ({files})").format(files=files))
        self.this_scan.setEnabled(bool(count))
        self.a_folder = QRadioButton(tr("A folder"))
        self.source = self._path_line(tr("Folder with the originals"))
        self.source.textEdited.connect(lambda: self.a_folder.setChecked(True))
        (self.this_scan if count else self.a_folder).setChecked(True)
        self.this_scan.toggled.connect(self._check)
        column.addWidget(self.this_scan)
        column.addWidget(self.a_folder)
        column.addLayout(self._with_browse(self.source, tr("Choose the folder with the originals")))
        column.addWidget(heading(tr("Copies")))
        self.target = self._path_line(tr("New folder for the copies"))
        self.target.setText(str(_unused(folder)))
        column.addLayout(self._with_browse(self.target, tr("Choose a new or empty folder")))
        self._add_options(column)
        column.addWidget(label(tr(PIXELS_SENTENCE), "strong", wrap=True))
        self.remark = label("", "muted", wrap=True)
        column.addWidget(self.remark)
        return page

    def _add_options(self, column: QVBoxLayout) -> None:
        column.addWidget(heading(tr("What may stay")))
        self.shift_dates = QCheckBox(tr("Dates, moved by the same random number of days for all of a patient"))
        self.keep = QCheckBox(tr("Sex, age, size and weight"))
        column.addWidget(self.shift_dates)
        column.addWidget(self.keep)

    def _path_line(self, name: str) -> QLineEdit:
        line = QLineEdit()
        line.setAccessibleName(name)
        line.setPlaceholderText(name)
        line.textChanged.connect(self._check)
        return line

    def _with_browse(self, line: QLineEdit, tip: str) -> QHBoxLayout:
        browse = button(tr("Choose…"), "", tip)
        browse.clicked.connect(lambda: self._browse(line, tip))
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(line, 1)
        row.addWidget(browse)
        return row

    def _browse(self, line: QLineEdit, title: str) -> None:
        name = QFileDialog.getExistingDirectory(self, title, line.text())
        if name:
            line.setText(name)
            if line is self.source:
                self.a_folder.setChecked(True)

    def sources(self) -> Sequence[Path]:
        """The files or the folder that was chosen."""
        if self.this_scan.isChecked():
            return self._scan_files
        text = self.source.text().strip()
        return (Path(text).expanduser(),) if text else ()

    def _check(self) -> None:
        if not hasattr(self, "start"):
            return
        problem = self._problem()
        self.remark.setText(problem)
        self.remark.setVisible(bool(problem))
        self.start.setEnabled(not problem)

    def _problem(self) -> str:
        if not self.sources():
            return tr("Choose the folder with the originals.")
        if not self.target.text().strip():
            return tr("Name a folder for the copies.")
        try:
            check_target(self.sources(), self._target())
        except UserError as error:
            return str(error)
        except OSError as error:
            return tr("A folder cannot be read ({reason}).").format(reason=error.strerror)
        return ""

    def _target(self) -> Path:
        return Path(self.target.text().strip()).expanduser()

    # -- the work ----------------------------------------------------------------------------------------------
    def _progress_page(self) -> QWidget:
        page, column = _page()
        self.line = ProgressLine(560)
        self.doing = label("", "muted", wrap=True)
        column.addStretch(1)
        column.addWidget(self.line)
        column.addWidget(self.doing)
        column.addStretch(2)
        return page

    def run(self) -> None:
        """Start the work and show its progress."""
        sources, target = list(self.sources()), self._target()
        shift, keep = self.shift_dates.isChecked(), self.keep.isChecked()

        def work(progress: Progress) -> DeidentifyReport:
            shown = Progress(self._report_progress(progress), progress.is_cancelled)
            return deidentify(sources, target, shown, shift_dates=shift, keep_characteristics=keep)

        self.start.setEnabled(False)
        self.doing.setText(tr("Reading the folder"))
        self.pages.setCurrentIndex(1)
        self._job = self._jobs.run(tr("De-identifying"), work, self._done, self._failed)

    def _report_progress(self, progress: Progress) -> Callable[[float, str], None]:
        def report(fraction: float, text: str) -> None:
            progress.on_report(fraction, text)
            self._moved.emit(fraction, text)

        return report

    def _show_progress(self, fraction: float, text: str) -> None:
        self.line.set_fraction(fraction)
        self.doing.setText(text)

    def _done(self, report: DeidentifyReport) -> None:
        self._job, self.report = None, report
        self.text.setPlainText("\n".join(report.lines()))
        self.pages.setCurrentIndex(2)
        self.start.hide()
        self.cancel.setText(tr("Close"))
        self.finished_run.emit()

    def _failed(self, error: UserError) -> None:
        self._job = None
        self.pages.setCurrentIndex(0)
        self._check()
        if not isinstance(error, Cancelled):
            self.remark.setText(str(error))
            self.remark.show()
        self.finished_run.emit()

    def reject(self) -> None:
        """Cancel the work where some is running; else close."""
        if self._job is not None:
            self._job.cancel()
            self.doing.setText(tr("Cancelling…"))
            return
        super().reject()

    # -- the report --------------------------------------------------------------------------------------------
    def _report_page(self) -> QWidget:
        page, column = _page()
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setTabChangesFocus(True)
        self.text.setAccessibleName(tr("What was done"))
        self.text.setMinimumHeight(240)
        column.addWidget(self.text)
        return page


def _page() -> tuple[QWidget, QVBoxLayout]:
    page = QWidget()
    column = QVBoxLayout(page)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(8)
    return page, column


def _unused(folder: Path) -> Path:
    """A folder name that is not taken."""
    for number in range(1, 1000):
        path = folder / ("deidentified" if number == 1 else f"deidentified-{number}")
        if not path.exists():
            return path
    return folder
