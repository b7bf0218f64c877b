"""Work that must not get lost: the journal of the window's scene, and the question about what a crash left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from medviewer.core.errors import Cancelled, UserError
from medviewer.core.progress import Progress
from medviewer.core.scene import Scan
from medviewer.gui.text import tr
from medviewer.services.journal import Journal
from medviewer.services.scan_identity import same_place

if TYPE_CHECKING:
    from medviewer.gui.main_window import MainWindow
    from medviewer.gui.recovery_dialog import RecoveryDialog
    from medviewer.services.recovery import Recoverable, Recovered


class Recovery(QObject):
    """Follows the window's scene until `finish`; `look` asks about earlier work, one question at a time."""

    _told = Signal(bool)  # from the thread that writes: it works again, or not
    _written = Signal(object, object, bool)  # Recoverable, keys, whether the new journal is on the disk
    ended = Signal()  # a recovery ended, in whichever way

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window, self._scene = window, window.scene
        self.journal = Journal(window.scene, self._told.emit)
        self.dialog: RecoveryDialog | None = None
        self._waiting: list[Recoverable] = []  # held, to be asked about
        self._kept: list[Recoverable] = []  # put aside, asked about again when their scan is opened
        self._told.connect(self._tell)
        self._written.connect(self._done_with)
        self._scene.scan_opened.connect(self._scan_opened)
        self.journal.attach()

    def look(self) -> None:
        """Search for earlier work in the background, then ask."""

        def work(progress: Progress) -> list[Recoverable]:
            from medviewer.services.recovery import recoverable

            return recoverable()

        self._window.jobs.run_silently(work, self._found, "recovery")

    def finish(self, *, discard: bool) -> None:
        """The window closes. `discard`: what is not saved was given up by the user."""
        if self.dialog is not None:
            self.dialog.item.release()
        for item in self._waiting:
            item.release()
        self.journal.close(discard=discard)

    # -- asking -----------------------------------------------------------------------
    def _found(self, items: list[Recoverable]) -> None:
        self._waiting += items
        self._ask_next()

    def _ask_next(self) -> None:
        if self.dialog is not None or not self._waiting:
            return
        from medviewer.gui.recovery_dialog import RecoveryDialog

        item = self._waiting.pop(0)
        self.dialog = RecoveryDialog(item, self._window)
        self.dialog.chosen.connect(self._chosen)
        self.dialog.open()

    def _chosen(self, choice: str) -> None:
        dialog, self.dialog = self.dialog, None
        if dialog is None:
            return
        item = dialog.item
        dialog.deleteLater()
        if choice == "recover":
            self._recover(item)
        elif choice == "delete":
            item.delete()
        else:
            self._keep(item)
        self._ask_next()

    def _keep(self, item: Recoverable) -> None:
        item.keep()
        self._kept.append(item)

    def _scan_opened(self, scan: Scan) -> None:
        """Ask again about work on this scan that was put aside."""
        fitting = [k for k in self._kept if any(same_place(lost.identity, scan.volume) for lost in k.scans)]
        for item in fitting:
            self._kept.remove(item)
            if item.hold():
                self._waiting.append(item)
        self._ask_next()

    # -- bringing back -------------------------------------------------------------------
    def _recover(self, item: Recoverable) -> None:
        from medviewer.services.recovery import replay

        def work(progress: Progress) -> Recovered:
            return replay(item, progress, [scan.volume for scan in list(self._scene.scans)])

        self._window.jobs.run(
            tr("Recovering the work"), work, lambda found: self._adopt(item, found), lambda e: self._failed(item, e)
        )

    def _adopt(self, item: Recoverable, found: Recovered) -> None:
        before, stack = list(self._scene.scans), self._scene.undo_stack
        scans, steps = list(found.scene.scans), len(found.scene.undo_stack.done)
        self._scene.adopt(found.scene)
        arrays = {id(scan.volume.array) for scan in scans}
        for scan in before:  # the same scan, opened just now and untouched
            touched = scan.segments or scan.preview is not None or scan.notes or stack.has_work(scan.key)
            if id(scan.volume.array) in arrays and not touched:
                self._scene.close(scan)
        for scan in scans:
            self._window.documents.opened.emit(scan)
        segments = sum(len(scan.segments) for scan in scans)
        reports = sum(len(scan.notes) for scan in scans)
        text = tr("Recovered: {work}.").format(work=counted(segments, steps, previewed(scans), reports))
        self._window.notify(text, "success" if not found.problems else "warning", " ".join(map(str, found.problems)))
        self.journal.writer.when_safe(lambda works: self._written.emit(item, found.keys, works))

    def _done_with(self, item: Recoverable, keys: tuple[str, ...], written: bool) -> None:
        """The old journal may go only when the new one has what was in it."""
        if written:
            item.mark_recovered(keys)
        if item.scans or not written:
            self._keep(item)
        self.ended.emit()

    def _failed(self, item: Recoverable, error: UserError) -> None:
        self._keep(item)
        if not isinstance(error, Cancelled):
            self._window.notify(error.message, "error", error.hint)
        self.ended.emit()

    def _tell(self, works: bool) -> None:
        if works:
            self._window.notify(tr("Crash protection is on again."), "success")
            return
        self._window.notify(
            tr("Crash protection is off: the journal of your work cannot be written."), "error",
            tr("You can go on. Free some space, and save your work from time to time."),
        )  # fmt: skip


def previewed(scans: list[Scan]) -> int:
    """How many scans have a preview that waits for a decision."""
    return sum(scan.preview is not None for scan in scans)


def counted(segments: int, edits: int, previews: int, reports: int = 0) -> str:
    """For instance "3 segments, 7 edits, 1 preview"; what there is none of is left out."""
    kinds = (
        (segments, tr("segment"), tr("segments")), (edits, tr("edit"), tr("edits")),
        (previews, tr("preview"), tr("previews")), (reports, tr("report"), tr("reports")),
    )  # fmt: skip
    return ", ".join(_count(*kind) for kind in kinds if kind[0]) or tr("no segments")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
