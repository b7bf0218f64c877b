"""What the actions of the window do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QFileDialog, QMenu, QMessageBox

from medviewer.core.progress import Progress
from medviewer.core.scene import Scan
from medviewer.core.segmentation import Segment
from medviewer.gui.dialogs.describe_dialog import DescribeDialog
from medviewer.gui.dialogs.export_dialog import ExportDialog
from medviewer.gui.dialogs.keys_dialog import KeysDialog
from medviewer.gui.exporting import export_folder
from medviewer.gui.model_cache import clear_model_cache
from medviewer.gui.model_choice import choose_model
from medviewer.gui.text import literal, tr
from medviewer.gui.views.tools import TOOLS
from medviewer.services.output_names import existing, outputs

if TYPE_CHECKING:
    from medviewer.gui.main_window import MainWindow


class WindowCommands:
    """Binds the window's actions."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        # Further answers to "not saved": the words on the button, and what saves and says whether all is saved now.
        self.savers: list[tuple[str, Callable[[], bool]]] = []
        actions = window.actions_
        actions.bind(
            {
                "open_files": self.ask_files,
                "open_folder": self.ask_folder,
                "open_sample": window.documents.open_sample,
                "open_mask": self.ask_masks,
                "export": self.export,
                "describe": self.describe,
                "deidentify": self.deidentify,
                "export_training_set": self.export_training_set,
                "close_scan": self.close_scan,
                "choose_model": lambda: choose_model(window),
                "clear_model_cache": lambda: clear_model_cache(window),
                "quit": window.close,
                "undo": lambda: self._step(window.scene.undo),
                "redo": lambda: self._step(window.scene.redo),
                "theme": self.switch_theme,
                "help": self.show_keys,
                "find": self.focus_prompt,
                "focus_views": window.views.focus_views,
            }
        )
        for tool in TOOLS:
            actions[tool].triggered.connect(lambda checked=False, tool=tool: window.tools.choose(tool))
        window.tools.changed.connect(lambda tool: actions[tool].setChecked(True))
        actions[window.tools.tool].setChecked(True)
        actions.place("view", window.views)

    # -- files -------------------------------------------------------------------
    def ask_files(self) -> None:
        """Choose files."""
        names, _ = QFileDialog.getOpenFileNames(self._window, tr("Open a scan"), self._folder())
        self._open([Path(n) for n in names])

    def ask_folder(self) -> None:
        """Choose a folder."""
        name = QFileDialog.getExistingDirectory(self._window, tr("Open a folder"), self._folder())
        self._open([Path(name)] if name else [])

    def _open(self, paths: Sequence[Path]) -> None:
        if paths:
            self._window.settings.set("open_folder", str(paths[0].parent))
            self._window.open_paths(paths)

    def _folder(self) -> str:
        return self._window.settings.get("open_folder", str(Path.home()))

    def ask_masks(self) -> None:
        """Choose a file with segments for the shown scan."""
        name, _ = QFileDialog.getOpenFileName(
            self._window,
            tr("Open segments"),
            self._folder(),
            "NIfTI, seg.nrrd, DICOM SEG (*.nii *.nii.gz *.nrrd *.dcm)",
        )
        if name:
            self.open_masks(Path(name))

    def open_masks(self, path: Path) -> None:
        """Add the segments of a file to the shown scan, each an undoable step."""
        scan = self._window.scene.active
        if scan is None:
            return
        volume = scan.volume

        def work(progress: Progress) -> list[Segment]:
            from medviewer.services import save_data

            return save_data.read_mask(path, volume)

        self._window.jobs.run(tr("Reading {name}").format(name=path.name), work, lambda found: self._add(scan, found))

    def _add(self, scan: Scan, segments: list[Segment]) -> None:
        scene = self._window.scene
        if scan not in scene.scans:
            return
        scene.activate(scan)
        for segment in segments:
            scene.add_segment(segment, f"open {segment.name}")
        if not segments:
            self._window.notify(tr("The file holds no segment."), "info")

    def export(self) -> None:
        """Ask what to save, then save it."""
        scan = self._window.scene.active
        if scan is None:
            return
        dialog = ExportDialog(scan, export_folder(self._window.settings), self._window)
        dialog.exec()
        choice = dialog.choice
        dialog.deleteLater()
        if choice is not None and self._may_replace(existing(outputs(choice.path, choice.segments))):
            self._window.exports.run(scan, choice)

    def _may_replace(self, there: Sequence[Path]) -> bool:
        if not there:
            return True
        names = ", ".join(path.name for path in there[:4]) + (", …" if len(there) > 4 else "")
        one = tr("{name} exists. Replace it?").format(name=names)
        question = one if len(there) == 1 else tr("These exist: {names}. Replace them?").format(names=names)
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
        return QMessageBox.question(self._window, tr("Export"), literal(question), yes | no, no) == yes

    def close_scan(self) -> None:
        """Close the shown scan, after a question where something would be lost."""
        scan = self._window.scene.active
        if scan is not None and self.may_lose([scan]):
            self._window.documents.close(scan)

    def unsaved(self, scans: Sequence[Scan]) -> list[Scan]:
        """Those with segments, or with a report or another plugin's work, that are not saved as they are now."""
        stack = self._window.scene.undo_stack
        edited = [s for s in scans if stack.unsaved_in(s.key) and (s.segments or stack.was_saved(s.key))]
        return [s for s in scans if s in edited or s.notes != s.saved_notes]

    def may_lose(self, scans: Sequence[Scan]) -> bool:
        """Ask if something on these scans was not saved; True if it may go. `savers` give further answers."""
        self._window.scene.saving.emit()
        lost = self.unsaved(scans)
        if not lost:
            return True
        box = QMessageBox(self._window)
        box.setWindowTitle(tr("Not saved"))
        box.setText(_lost_text(lost))
        box.setInformativeText(tr("Close without saving them?"))
        savers = {}
        for text, save in self.savers:
            savers[box.addButton(text, QMessageBox.ButtonRole.AcceptRole)] = save
        close = box.addButton(tr("Close without saving"), QMessageBox.ButtonRole.DestructiveRole)
        keep = box.addButton(tr("Keep open"), QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        box.setEscapeButton(keep)
        box.exec()
        clicked = box.clickedButton()
        box.deleteLater()
        for button, save in savers.items():
            if clicked is button:
                return save()
        return clicked is close

    # -- undo ------------------------------------------------------------------------
    def _step(self, act: Callable[[], None]) -> None:
        """Undo or redo, and show the scan that it changed."""
        scene = self._window.scene
        before = {scan.key: list(scan.segments) for scan in scene.scans}
        act()
        changed = [scan for scan in scene.scans if scan.segments != before[scan.key]]
        if changed and scene.active not in changed:
            scene.activate(changed[0])

    # -- the window ----------------------------------------------------------------
    def describe(self) -> None:
        """Let the user state what the file does not say."""
        scan = self._window.scene.active
        if scan is None:
            return
        dialog = DescribeDialog(scan.volume, self._window)
        if dialog.exec() == DescribeDialog.DialogCode.Accepted:
            volume = dialog.result_volume()
            if volume is not scan.volume:
                self._window.scene.replace_volume(scan, volume)
        dialog.deleteLater()

    def deidentify(self) -> None:
        """Copy DICOM files without identities."""
        from medviewer.gui.dialogs.deidentify_dialog import DeidentifyDialog

        scan, folder = self._window.scene.active, export_folder(self._window.settings)
        dialog = DeidentifyDialog(scan.volume if scan else None, folder, self._window.jobs, self._window)
        dialog.exec()
        dialog.deleteLater()

    def export_training_set(self) -> None:
        """Add the segments of open scans to a training set."""
        from medviewer.gui.dialogs.training_set_dialog import TrainingSetDialog

        window = self._window
        dialog = TrainingSetDialog(window.scene, window.jobs, window.settings, export_folder(window.settings), window)
        dialog.exec()
        dialog.deleteLater()

    def scan_menu(self, at: QPoint) -> None:
        """The context menu of the scan list."""
        menu = QMenu(self._window)
        for key in ("describe", "open_mask", "export", "export_training_set", "close_scan"):
            menu.addAction(self._window.actions_[key])
        menu.popup(at)

    def switch_theme(self) -> None:
        """Dark to light and back."""
        self._window.set_theme("light" if self._window.tokens.name == "dark" else "dark")

    def show_keys(self) -> None:
        """F1."""
        dialog = KeysDialog(self._window)
        dialog.exec()
        dialog.deleteLater()

    def focus_prompt(self) -> None:
        """Put the keyboard in the prompt line."""
        self._window.plugins.raise_tab("focus_prompt")
        self._window.plugins.call("focus_prompt")


def _lost_text(scans: Sequence[Scan]) -> str:
    """What would be lost, and on which scans."""
    names = ", ".join(scan.volume.title or scan.volume.source.path.name for scan in scans[:3])
    names += "…" if len(scans) > 3 else ""
    return tr("The work on {names} is not saved as it is now.").format(names=names)
