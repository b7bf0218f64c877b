"""What the user knows and the file does not say: modality, and which side of an image is the patient's left."""

from __future__ import annotations

from PySide6.QtWidgets import QComboBox, QFormLayout, QWidget

from medviewer.core.volume import Fact, Volume
from medviewer.gui.dialogs.base import PlainDialog
from medviewer.gui.panels.scans.logic import modality_name
from medviewer.gui.text import tr

_MODALITIES = ("CT", "MR", "DX", "US", "MG", "XA", "PT", "OT")
_LEFT_ON_RIGHT, _LEFT_ON_LEFT = ("L", "F"), ("R", "F")


class DescribeDialog(PlainDialog):
    """Modal; `result_volume` gives the changed volume."""

    def __init__(self, volume: Volume, parent: QWidget | None = None) -> None:
        text = tr("What you state here is marked as stated by the user. The file is not changed.")
        super().__init__(tr("What this scan is"), text, parent)
        self._volume = volume
        self.modality = QComboBox()
        self.modality.addItem(tr("Not recorded"), None)
        for key in dict.fromkeys([*_MODALITIES, *([volume.modality] if volume.modality else [])]):
            self.modality.addItem(f"{modality_name(key)} ({key})", key)
        self.modality.setCurrentIndex(max(self.modality.findData(volume.modality), 0))
        self.side = QComboBox()
        for words, value in (
            (tr("Not recorded"), None),
            (tr("on the right of the picture (usual display)"), _LEFT_ON_RIGHT),
            (tr("on the left of the picture"), _LEFT_ON_LEFT),
        ):
            self.side.addItem(words, value)
        form = QFormLayout()
        form.setVerticalSpacing(12)
        form.addRow(tr("Modality"), self.modality)
        if self._side_is_open:
            self.side.setCurrentIndex(_index_of(volume.patient_orientation))
            form.addRow(tr("The patient's left is"), self.side)
        self.body.addLayout(form)
        self.add_cancel()
        self.add_action(tr("Use this")).clicked.connect(self.accept)
        self.setMinimumWidth(480)

    @property
    def _side_is_open(self) -> bool:
        """Left and right may be stated of an image without a place in the patient that came without a side."""
        fact = self._volume.facts.get("patient_orientation")
        stated = fact is not None and fact.origin == "user"
        return self._volume.affine is None and (self._volume.patient_orientation is None or stated)

    def result_volume(self) -> Volume:
        """The volume with what was stated; the voxels are shared."""
        from medviewer.services.open_data import with_modality

        volume, key = self._volume, self.modality.currentData()
        if key is not None and key != volume.modality:
            volume = with_modality(volume, key)
        if not self._side_is_open:
            return volume
        side = self.side.currentData()
        side = tuple(side) if side is not None else None
        if side == volume.patient_orientation:
            return volume
        facts = dict(volume.facts) | {"patient_orientation": Fact("\\".join(side) if side else None, "user")}
        return volume.with_changes(patient_orientation=side, facts=facts)


def needs_description(volume: Volume) -> bool:
    """Whether the modality, or left and right of an image, are not known from its source."""
    modality = volume.facts.get("modality")
    guessed = volume.modality is None or (modality is not None and modality.origin == "estimated")
    return guessed or (volume.affine is None and volume.patient_orientation is None)


def _index_of(orientation: tuple[str, str] | None) -> int:
    if orientation is None:
        return 0
    return 1 if orientation[0].startswith("L") else 2
