"""De-identify: which files, into which folder, what may stay; then the progress; then what was done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtWidgets import QCheckBox, QRadioButton, QWidget

from medviewer.core.errors import UserError
from medviewer.core.progress import Progress
from medviewer.core.volume import Volume
from medviewer.gui.dialogs.work_dialog import WorkDialog
from medviewer.gui.jobs import GuiJobs
from medviewer.gui.text import tr
from medviewer.gui.widgets.basic import heading, label
from medviewer.gui.widgets.path_line import path_line, with_folder
from medviewer.services.deidentify import PIXELS_SENTENCE, DeidentifyReport, check_target, deidentify


class DeidentifyDialog(WorkDialog):
    """Copies the files of the shown scan, or of a folder, without the patient's identity. `report` when done."""

    def __init__(self, volume: Volume | None, folder: Path, jobs: GuiJobs, parent: QWidget | None = None) -> None:
        text = tr("Copies DICOM files without names, numbers and dates (PS3.15 Basic Profile). Originals stay as is.")
        super().__init__(tr("De-identify"), text, tr("De-identify"), jobs, parent)
        self._scan_files: tuple[Path, ...] = ()
        if volume is not None and volume.source.format == "dicom":
            self._scan_files = tuple(dict.fromkeys(volume.source.files))
        self.report: DeidentifyReport | None = None
        self._ask_files()
        self._ask_target(folder)
        self._ask_options()
        self.question.addWidget(label(tr(PIXELS_SENTENCE), "strong", wrap=True))
        self.question.addWidget(self.remark)
        self.start.clicked.connect(self.run)
        self.ask_again()

    # -- the question ------------------------------------------------------------------------------------------
    def _ask_files(self) -> None:
        self.question.addWidget(heading(tr("Files")))
        count = len(self._scan_files)
        files = {0: tr("not DICOM"), 1: tr("1 file")}.get(count, tr("{n} files").format(n=count))
        self.this_scan = QRadioButton(tr("The scan on display ({files})").format(files=files))
        self.this_scan.setEnabled(bool(count))
        self.a_folder = QRadioButton(tr("A folder"))
        self.source = path_line(tr("Folder with the originals"))
        (self.this_scan if count else self.a_folder).setChecked(True)
        self.question.addWidget(self.this_scan)
        self.question.addWidget(self.a_folder)
        self.question.addLayout(with_folder(self.source, tr("Choose the folder with the originals")))
        self.source.textEdited.connect(lambda: self.a_folder.setChecked(True))
        self.source.textChanged.connect(self.ask_again)
        self.this_scan.toggled.connect(self.ask_again)

    def _ask_target(self, folder: Path) -> None:
        self.question.addWidget(heading(tr("Copies")))
        self.target = path_line(tr("New folder for the copies"))
        self.target.setText(str(_unused(folder)))
        self.target.textChanged.connect(self.ask_again)
        self.question.addLayout(with_folder(self.target, tr("Choose a new or empty folder")))

    def _ask_options(self) -> None:
        self.question.addWidget(heading(tr("What may stay")))
        self.shift_dates = QCheckBox(tr("Dates, moved by the same random number of days for all of a patient"))
        self.keep = QCheckBox(tr("Sex, age, size and weight"))
        self.question.addWidget(self.shift_dates)
        self.question.addWidget(self.keep)

    def sources(self) -> Sequence[Path]:
        """The files or the folder that was chosen."""
        if self.this_scan.isChecked():
            return self._scan_files
        text = self.source.text().strip()
        return (Path(text).expanduser(),) if text else ()

    def ask_again(self) -> None:
        """Say what is missing."""
        problem = self._problem()
        self.say(problem, may_start=not problem)

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
    def run(self) -> None:
        """Start the work and show its progress."""
        sources, target = list(self.sources()), self._target()
        shift, keep = self.shift_dates.isChecked(), self.keep.isChecked()

        def job(progress: Progress) -> DeidentifyReport:
            return deidentify(sources, target, progress, shift_dates=shift, keep_characteristics=keep)

        self.work(job, self._told, tr("De-identifying"))
        self.doing.setText(tr("Reading the folder"))

    def _told(self, report: DeidentifyReport) -> str:
        self.report = report
        return "\n".join(report.lines())


def _unused(folder: Path) -> Path:
    """A folder name that is not taken."""
    for number in range(1, 1000):
        path = folder / ("deidentified" if number == 1 else f"deidentified-{number}")
        if not path.exists():
            return path
    return folder
