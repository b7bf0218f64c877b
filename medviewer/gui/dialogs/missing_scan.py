"""Asks where the scans of a session are that are not where it expects them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from medviewer.gui.text import literal, tr


def ask_places(missing: Mapping[int, Path], session: Path, parent: QWidget) -> dict[int, Path | None] | None:
    """The new place of each scan by its number, None for one to leave out; None altogether where the user cancels."""
    found: dict[int, Path | None] = {}
    for number, place in missing.items():
        known = _beside(place, found)
        if known is not None:
            found[number] = known
            continue
        answer = MissingScan(place, session, parent)
        if not answer.ask():
            return None
        found[number] = answer.place
    return found


def _beside(place: Path, found: Mapping[int, Path | None]) -> Path | None:
    """Where one scan was found, the next one of the session often lies beside it."""
    places = (other.parent / place.name for other in found.values() if other is not None)
    return next((path for path in places if path.exists()), None)


class MissingScan:
    """The question for one scan; `place` is the answer."""

    def __init__(self, expected: Path, session: Path, parent: QWidget) -> None:
        self.place: Path | None = None
        self._session, self._parent = session, parent
        self.box = QMessageBox(parent)
        self.box.setWindowTitle(tr("A scan is missing"))
        self.box.setTextFormat(Qt.TextFormat.PlainText)
        self.box.setText(tr("The scan {name} of this session is not where it was.").format(name=expected.name))
        text = tr("It was expected at {path}. Where is it now? Only the same voxels are accepted.")
        self.box.setInformativeText(literal(text.format(path=expected)))
        role = QMessageBox.ButtonRole.ActionRole
        self.file = self.box.addButton(tr("Find the file…"), role)
        self.folder = self.box.addButton(tr("Find the folder…"), role)
        self.leave = self.box.addButton(tr("Leave it out"), role)
        self.cancel = self.box.addButton(tr("Cancel"), QMessageBox.ButtonRole.RejectRole)
        self.box.setDefaultButton(self.file)
        self.box.setEscapeButton(self.cancel)

    def ask(self) -> bool:
        """Ask until there is an answer; False where the user cancels."""
        while True:
            self.box.exec()
            chosen = self.box.clickedButton()
            if chosen is self.leave:
                return True
            if chosen not in (self.file, self.folder):
                return False
            self.place = self._choose(folder=chosen is self.folder)
            if self.place is not None:
                return True

    def _choose(self, *, folder: bool) -> Path | None:
        start = str(self._session.parent)
        if folder:
            name = QFileDialog.getExistingDirectory(self._parent, tr("Where the scan is now"), start)
        else:
            name, _ = QFileDialog.getOpenFileName(self._parent, tr("Where the scan is now"), start)
        return Path(name) if name else None
