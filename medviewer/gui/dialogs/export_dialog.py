"""What to export, as what, and where. A format that the scan does not allow is disabled with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)  # fmt: skip

from medviewer.core.scene import Scan
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.gui.dialogs.base import PlainDialog
from medviewer.gui.recent import names_patient
from medviewer.gui.text import tr
from medviewer.gui.widgets.basic import heading, label
from medviewer.gui.widgets.elided import ElidedLabel
from medviewer.gui.widgets.path_line import with_choose
from medviewer.io.export_notes import Drawn, licence_notes

VIEW = "view"
_ROW = 26


@dataclass(frozen=True)
class ExportFormat:
    """`suffix` names the writer; `VIEW` is a picture of the views."""

    key: str
    suffix: str
    text: str
    note: str


FORMATS: tuple[ExportFormat, ...] = (
    ExportFormat(
        "nifti", ".nii.gz", "NIfTI label map", "One file, label names beside it; where masks overlap the later wins"
    ),
    ExportFormat("nrrd", ".seg.nrrd", "Segmentation NRRD", "Opens in 3D Slicer; keeps overlaps"),
    ExportFormat("dicom", ".dcm", "DICOM SEG", "For the PACS; refers to the source images, keeps overlaps"),
    ExportFormat("stl", ".stl", "STL surface", "Surface in patient millimetres (LPS)"),
    ExportFormat("ply", ".ply", "PLY surface", "Surface with colours, patient millimetres (LPS)"),
    ExportFormat("png", ".png", "PNG mask", "Same size as the image"),
    ExportFormat(VIEW, ".png", "Picture of the views", "What is on the screen now"),
)


@dataclass(frozen=True)
class ExportChoice:
    """What the user decided."""

    path: Path
    format: ExportFormat
    segments: tuple[Segment, ...]
    identity: bool = False  # a picture that names the patient


def refusal(choice: ExportFormat, volume: Volume, segments: int) -> str:
    """Why a format cannot be used for a scan; empty if it can."""
    if choice.key == VIEW:
        return ""
    if segments == 0:
        return tr("There is no accepted segment yet.")
    if choice.key == "png":
        return tr("A volume does not fit into one picture.") if volume.kind == "volume" and volume.shape[2] > 1 else ""
    if choice.key == "dicom" and volume.source.format == "dicom":
        return ""
    if volume.affine is None:
        return tr("The image has no place in space (no geometry).")
    if choice.key in ("stl", "ply") and volume.kind != "volume":
        return tr("Surfaces need a volume.")
    return ""


def default_name(volume: Volume, choice: ExportFormat) -> str:
    """A name without patient data: the source's file name unless that names the patient, else the plain word."""
    stem = volume.source.path.name
    for ending in (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".png", ".jpg", ".jpeg"):
        if stem.lower().endswith(ending):
            stem = stem[: -len(ending)]
    if names_patient(stem, volume.patient):
        stem = "scan"
    kind = "view" if choice.key == VIEW else "segments"
    return f"{stem or 'scan'}_{kind}{choice.suffix}"


class ExportDialog(PlainDialog):
    """Modal; `choice` is set when it was accepted."""

    def __init__(self, scan: Scan, folder: Path, parent: QWidget | None = None) -> None:
        super().__init__(tr("Export"), "", parent)
        self.scan = scan
        self.choice: ExportChoice | None = None
        self._folder, self._typed = folder, False
        self.segments = self._segment_list()
        self.group = QButtonGroup(self)
        self._by_key: dict[str, QRadioButton] = {}
        self._formats()
        self._target()
        self.add_cancel()
        self.save = self.add_action(tr("Save"))
        self.save.clicked.connect(self._finish)
        self.resize(600, 0)
        self._choose_first()

    def _segment_list(self) -> QListWidget:
        box = QListWidget()
        box.setAccessibleName(tr("Segments to save"))
        for segment in self.scan.segments:
            item = QListWidgetItem(segment.name)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked)
            item.setData(Qt.ItemDataRole.UserRole, segment)
            item.setSizeHint(QSize(160, _ROW))
            box.addItem(item)
        box.setFixedHeight(_ROW * min(max(len(self.scan.segments), 1), 5) + 14)
        box.itemChanged.connect(self._check)
        if self.scan.segments:
            self.body.addWidget(heading(tr("Segments")))
            self.body.addWidget(box)
        return box

    def _formats(self) -> None:
        self.body.addWidget(heading(tr("Format")))
        column = QVBoxLayout()
        column.setSpacing(2)
        for number, choice in enumerate(FORMATS):
            reason = refusal(choice, self.scan.volume, len(self.scan.segments))
            item = QRadioButton(tr(choice.text))
            item.setEnabled(not reason)
            item.setToolTip(reason or tr(choice.note))
            item.setMinimumWidth(170)
            note = ElidedLabel(reason or tr(choice.note), "muted")
            row = QHBoxLayout()
            row.addWidget(item)
            row.addWidget(note, 1)
            column.addLayout(row)
            self.group.addButton(item, number)
            self._by_key[choice.key] = item
        self.body.addLayout(column)
        self.group.idToggled.connect(lambda number, on: self._format_changed() if on else None)

    def _target(self) -> None:
        self.body.addWidget(heading(tr("File")))
        self.path = QLineEdit()
        self.path.setAccessibleName(tr("File name"))
        self.path.textEdited.connect(self._path_typed)
        self.path.textChanged.connect(self._check)
        self.body.addLayout(with_choose(self.path, tr("Choose the folder and the name"), self._ask_path))
        self.identity = QCheckBox(tr("Show the patient's name and number on the picture"))
        self.body.addWidget(self.identity)
        self.remark = label("", "muted", wrap=True)
        self.body.addWidget(self.remark)

    @property
    def format(self) -> ExportFormat:
        """The chosen format."""
        return FORMATS[max(self.group.checkedId(), 0)]

    def choose_format(self, key: str) -> None:
        """Check a format by key; a disabled one stays unchecked."""
        if self._by_key[key].isEnabled():
            self._by_key[key].setChecked(True)

    def chosen_segments(self) -> tuple[Segment, ...]:
        """The ticked segments in the order of the list."""
        items = [self.segments.item(row) for row in range(self.segments.count())]
        return tuple(i.data(Qt.ItemDataRole.UserRole) for i in items if i.checkState() == Qt.CheckState.Checked)

    def _choose_first(self) -> None:
        for choice in FORMATS:
            if self._by_key[choice.key].isEnabled():
                self._by_key[choice.key].setChecked(True)
                break
        self._check()

    def _format_changed(self) -> None:
        if not self._typed:
            self.path.setText(str(self._folder / default_name(self.scan.volume, self.format)))
        else:
            self.path.setText(with_suffix(self.path.text(), self.format.suffix))
        self._check()

    def _path_typed(self) -> None:
        self._typed = True

    def _ask_path(self) -> str:
        name, _ = QFileDialog.getSaveFileName(self, tr("Save as"), self.path.text(), f"*{self.format.suffix}")
        return with_suffix(name, self.format.suffix) if name else ""

    def _check(self) -> None:
        needs = self.format.key != VIEW
        self.segments.setEnabled(needs)
        self.identity.setVisible(not needs)
        problem = ""
        if needs and not self.chosen_segments():
            problem = tr("Tick at least one segment.")
        elif not self.path.text().strip():
            problem = tr("Name a file.")
        self.remark.setText(problem or self._remark())
        self.save.setEnabled(not problem)

    def _remark(self) -> str:
        names = [s.name for s in self.chosen_segments() if s.incomplete]
        remarks = []
        if self.format.key != VIEW and names:
            remarks.append(tr("Incomplete, cut by the edge of the scan: {names}.").format(names=", ".join(names)))
        if self.format.key == "dicom" and self._needs_copy():
            remarks.append(
                tr("A DICOM series of the scan is written beside it, because the segmentation must refer to one.")
            )
        remarks += [f"{note[:1].upper()}{note[1:]}" for note in licence_notes(self._drawn())]
        return " ".join(remarks) or tr("The file is read back and compared before it counts as saved.")

    def _drawn(self) -> Sequence[Drawn]:
        """What the file shows, whose models' terms hold for it: the ticked segments, or all that a picture of the views
        shows."""
        if self.format.key != VIEW:
            return self.chosen_segments()
        visible: list[Drawn] = [segment for segment in self.scan.segments if segment.visible]
        return visible + ([self.scan.preview] if self.scan.preview is not None else [])

    def _needs_copy(self) -> bool:
        """The files of the scan are not those of its grid, so that a segmentation cannot refer to them."""
        volume = self.scan.volume
        return volume.source.format != "dicom" or volume.regularisation is not None

    def _finish(self) -> None:
        path = Path(with_suffix(self.path.text().strip(), self.format.suffix)).expanduser()
        segments = self.chosen_segments() if self.format.key != VIEW else ()
        identity = self.format.key == VIEW and self.identity.isChecked()
        self.choice = ExportChoice(path, self.format, segments, identity)
        self.accept()


def with_suffix(name: str, suffix: str) -> str:
    """The name with the ending of a format, replacing that of another."""
    lower = name.lower()
    if lower.endswith(suffix):
        return name
    for other in sorted({f.suffix for f in FORMATS}, key=len, reverse=True):
        if lower.endswith(other):
            return name[: -len(other)] + suffix
    return name + suffix
