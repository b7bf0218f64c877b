"""Export as training set: which scans, into which folder; then the progress; then what was done."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QCheckBox, QRadioButton, QWidget

from medviewer.core.errors import UserError
from medviewer.core.progress import Progress
from medviewer.core.scene import Scan, Scene
from medviewer.gui.dialogs.work_dialog import WorkDialog
from medviewer.gui.jobs import GuiJobs
from medviewer.gui.text import tr
from medviewer.gui.widgets.basic import heading, label
from medviewer.gui.widgets.path_line import path_line, with_folder
from medviewer.services.settings import Settings
from medviewer.services.training_set import (
    PIXELS_SENTENCE,
    TrainingSetReport,
    cases_of,
    check_target,
    export_training_set,
)

FOLDER_KEY = "training_set_folder"
_MOST_LABELS = 6


class TrainingSetDialog(WorkDialog):
    """Adds the accepted segments of the shown scan, or of all open scans, to a training set. `report` when done."""

    def __init__(
        self, scene: Scene, jobs: GuiJobs, settings: Settings, folder: Path, parent: QWidget | None = None
    ) -> None:
        text = tr("Adds the accepted segments with their scans to a folder that the trainer reads, without names.")
        super().__init__(tr("Export as training set"), text, tr("Export"), jobs, parent)
        self._settings = settings
        self._every = [scan for scan in scene.scans if scan.segments]
        self._shown = [scan for scan in self._every if scan is scene.active]
        self.report: TrainingSetReport | None = None
        self._ask_scans()
        self._ask_folder(folder)
        self.question.addWidget(label(tr(PIXELS_SENTENCE), "strong", wrap=True))
        self.burned_in = label("", "strong", wrap=True)
        self.question.addWidget(self.burned_in)
        self.question.addWidget(self.remark)
        self.start.clicked.connect(self.run)
        self._check()

    # -- the question -------------------------------------------------------------------------------------------------
    def _ask_scans(self) -> None:
        self.question.addWidget(heading(tr("Scans")))
        self.this_scan = QRadioButton(tr("The scan on display ({count})").format(count=_count(self._shown)))
        self.all_scans = QRadioButton(tr("All open scans with segments ({count})").format(count=_count(self._every)))
        self.this_scan.setEnabled(bool(self._shown))
        several = len(self._every) > 1 or not self._shown
        (self.all_scans if several else self.this_scan).setChecked(True)
        self.only_corrected = QCheckBox(tr("Only masks that a person corrected or drew"))
        for item in (self.this_scan, self.all_scans, self.only_corrected):
            item.toggled.connect(self._check)
            self.question.addWidget(item)

    def _ask_folder(self, folder: Path) -> None:
        self.question.addWidget(heading(tr("Training set")))
        self.target = path_line(tr("Folder of the training set"))
        self.target.setText(self._settings.get(FOLDER_KEY, "") or str(folder / "training-set"))
        self.target.textChanged.connect(self._check)
        tip = tr("Choose a new or empty folder, or a training set to add to")
        self.question.addLayout(with_folder(self.target, tip, tr("Choose the folder of the training set")))

    def scans(self) -> list[Scan]:
        """The scans that were chosen."""
        return self._shown if self.this_scan.isChecked() else self._every

    def folder(self) -> Path:
        """The folder that was chosen."""
        return Path(self.target.text().strip()).expanduser()

    def _check(self) -> None:
        flagged = sum(_is_burned_in(scan) for scan in self.scans())
        one, several = tr("1 scan says"), tr("{n} scans say").format(n=flagged)
        told = tr("{scans} that text is burned into the pixels; it may identify the patient.")
        self.burned_in.setText(told.format(scans=one if flagged == 1 else several))
        self.burned_in.setVisible(bool(flagged))
        if not self.target.text().strip():
            self.say(tr("Name a folder."), may_start=False)
            return
        try:
            known = check_target(self.folder())
        except UserError as error:
            self.say(str(error), may_start=False)
            return
        labels = ", ".join(list(known.labels)[:_MOST_LABELS]) + ("…" if len(known.labels) > _MOST_LABELS else "")
        count = len(known.entries)
        cases = tr("1 case") if count == 1 else tr("{n} cases").format(n=count)
        old = tr("This set has {cases}: {labels}. The same scans are replaced.").format(cases=cases, labels=labels)
        self.say(old if known.labels else tr("A new training set."), may_start=True)

    def ask_again(self) -> None:
        """Cases that were complete are kept: say what the set holds now."""
        self._check()

    # -- the work -----------------------------------------------------------------------------------------------------
    def run(self) -> None:
        """Start the export and show its progress."""
        cases, folder, only_corrected = cases_of(self.scans()), self.folder(), self.only_corrected.isChecked()
        self._settings.set(FOLDER_KEY, str(folder))

        def job(progress: Progress) -> TrainingSetReport:
            return export_training_set(cases, folder, progress, only_corrected=only_corrected)

        self.work(job, self._told)

    def _told(self, report: TrainingSetReport) -> str:
        self.report = report
        return "\n".join(report.lines())


def _count(scans: list[Scan]) -> str:
    segments = sum(len(scan.segments) for scan in scans)
    told = tr("1 scan") if len(scans) == 1 else tr("{n} scans").format(n=len(scans))
    return told + ", " + (tr("1 segment") if segments == 1 else tr("{n} segments").format(n=segments))


def _is_burned_in(scan: Scan) -> bool:
    fact = scan.volume.facts.get("burned_in_annotation")
    return fact is not None and str(fact.value).upper() == "YES"
