"""Opening and closing scans: header scan, choice of the series, loading, all in the worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from medviewer.core.errors import Cancelled, UserError
from medviewer.core.progress import Progress
from medviewer.core.scene import Scan, Scene
from medviewer.core.volume import Refused, SeriesEntry, Volume
from medviewer.gui import recent
from medviewer.gui.jobs import GuiJobs
from medviewer.gui.text import tr
from medviewer.services.settings import Settings

Then = Callable[[Scan], None]
Choose = Callable[[Sequence[SeriesEntry], Sequence[Refused]], Sequence[SeriesEntry]]
_NOT_A_SCAN = "Choose DICOM, NIfTI, NRRD, MetaImage, PNG or JPEG files."


class Documents(QObject):
    """What is open. `choose` asks the user which series to open where there are several."""

    notified = Signal(str, str, str)  # text, kind, hint
    loading = Signal(object)  # SeriesEntry whose voxels are being read
    opened = Signal(object)  # Scan
    finished = Signal()  # an opening ended, in whichever way

    def __init__(self, scene: Scene, jobs: GuiJobs, settings: Settings, choose: Choose, parent: QObject) -> None:
        super().__init__(parent)
        self._scene, self._jobs, self._settings, self._choose = scene, jobs, settings, choose

    def open_paths(self, paths: Sequence[Path], then: Then | None = None) -> None:
        """Open files and folders; what is open stays open whatever comes. `then(scan)`: do this with each scan instead
        of showing it."""
        wanted = [Path(p) for p in paths]
        if not wanted:
            return

        def work(progress: Progress) -> tuple[list[SeriesEntry], list[Refused]]:
            return scan_all(wanted, progress)

        self._jobs.run(
            tr("Reading {name}").format(name=wanted[0].name),
            work,
            lambda found: self._found(wanted, *found, then=then),
            self._failed,
        )

    def open_sample(self) -> None:
        """Open the generated torso."""

        def work(progress: Progress) -> Volume:
            from medviewer.core.phantom import torso_phantom

            progress.report(0.1, tr("Generating the sample"))
            return torso_phantom(seed=0).volume

        self._jobs.run(tr("Sample"), work, lambda volume: self._add(volume), self._failed)

    def close(self, scan: Scan) -> None:
        """Forget a scan and what belongs to it."""
        self._scene.close(scan)

    def _found(
        self, paths: Sequence[Path], entries: list[SeriesEntry], refused: list[Refused], *,
        then: Then | None = None,
    ) -> None:
        if not entries:
            self._tell_nothing(paths, refused)
            return
        chosen = list(entries) if len(entries) == 1 else list(self._choose(entries, refused))
        if len(entries) == 1 and refused:
            count = len(refused)
            text = tr("1 file was not read.") if count == 1 else tr("{n} files were not read.").format(n=count)
            self.notified.emit(text, "warning", refused[0].reason)
        for entry in chosen:
            self._load(entry, then)
        if chosen:
            for path in paths:
                recent.remember(self._settings, path, chosen)
        else:
            self.finished.emit()

    def _tell_nothing(self, paths: Sequence[Path], refused: Sequence[Refused]) -> None:
        if len(refused) == 1:
            from medviewer.services.open_data import nothing_readable

            error = nothing_readable(paths[0], refused)
            self.notified.emit(error.message, "error", error.hint)
        elif refused:
            text = tr("{name} holds no scan that can be read: {n} files were refused.")
            self.notified.emit(text.format(name=paths[0].name, n=len(refused)), "error", refused[0].reason)
        else:
            self.notified.emit(tr("{name} holds no scan.").format(name=paths[0].name), "error", tr(_NOT_A_SCAN))
        self.finished.emit()

    def _load(self, entry: SeriesEntry, then: Then | None) -> None:
        from medviewer.services import open_data

        self.loading.emit(entry)
        title = tr("Opening {name}").format(name=entry.title or entry.path.name)

        def add(volume: Volume) -> None:
            self._add(volume, then)

        self._jobs.run(title, lambda progress: open_data.load(entry, progress), add, self._failed)

    def _add(self, volume: Volume, then: Then | None = None) -> None:
        scan = self._scene.add_volume(volume, activate=then is None)
        self.opened.emit(scan)
        if then is not None:
            then(scan)
        self.finished.emit()

    def _failed(self, error: UserError) -> None:
        if not isinstance(error, Cancelled):
            self.notified.emit(error.message, "error", error.hint)
        self.finished.emit()


def scan_all(paths: Sequence[Path], progress: Progress) -> tuple[list[SeriesEntry], list[Refused]]:
    """Header scan of several paths; the files of one series, named one by one, give that series once.

    A path that fails as a whole raises only if it is the only one.
    """
    from medviewer.services import open_data

    entries: dict[tuple[str, Path], SeriesEntry] = {}
    refused: dict[Path, Refused] = {}
    covered: set[Path] = set()
    for number, path in enumerate(paths):
        part = progress.part(number / len(paths), (number + 1) / len(paths))
        if path in covered:
            continue
        try:
            catalogue = open_data.scan_path(path, part)
        except Cancelled:
            raise
        except UserError as error:
            if len(paths) == 1:
                raise
            refused[path] = Refused(path, str(error))
            continue
        for entry in catalogue.entries:
            files = _files_of(entry)
            covered |= files
            entries.setdefault((entry.id, min(files, default=entry.path)), entry)
        refused |= {item.path: item for item in catalogue.refused}
    return list(entries.values()), list(refused.values())


def _files_of(entry: SeriesEntry) -> set[Path]:
    """The files of a DICOM series; empty for formats of one file."""
    return {Path(frame.path) for frame in getattr(entry.handle, "frames", ())}
