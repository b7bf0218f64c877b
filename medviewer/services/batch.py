"""Runs many prompts over many scans in one process: one model load, one encoding per scan, results row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from medviewer.core.errors import Cancelled, InputRefused, ModelMissing, OutputNotWritten, UserError
from medviewer.core.prediction import Prediction
from medviewer.core.progress import Progress
from medviewer.core.volume import Volume
from medviewer.services.batch_journal import BatchJournal
from medviewer.services.batch_rows import BatchRow
from medviewer.services.jobs import internal_error
from medviewer.services.results import RowResult, scan_warnings, segment_for, size_of, warnings_of
from medviewer.services.save_data import SUFFIXES, SavedReport, check_output, read_mask, save_segments

Ask = Callable[[Volume, str, Progress], Prediction]
Open = Callable[[Path, str | None], Volume]
Tell = Callable[[RowResult], None]
ScanKey = tuple[Path, str | None]


class Batch:
    """One run. `ask` answers one prompt, `open_scan` reads one scan; outputs go below `folder`.

    `tell` hears of every row as soon as it was tried.
    """

    def __init__(
        self,
        folder: Path,
        model_id: str,
        ask: Ask,
        open_scan: Open,
        resume: bool = False,
        tell: Tell = lambda row: None,
    ) -> None:
        self._folder, self._ask, self._open, self._resume, self._tell = folder, ask, open_scan, resume, tell
        make_folder(folder)
        self._journal = BatchJournal(folder, model_id)
        self._scans: frozenset[Path] = frozenset()

    def run(self, rows: list[BatchRow], progress: Progress) -> list[RowResult]:
        """Try every row, scan by scan; the results come in the order of the rows. Raises Cancelled, ModelMissing."""
        results: dict[int, RowResult] = {}
        self._scans = frozenset(row.scan_path.resolve() for row in rows)
        for key, group in by_scan(rows).items():
            shown = progress.part(len(results) / len(rows), (len(results) + len(group)) / len(rows))
            results |= self._run_scan(key, group, shown)
        return [results[row.number] for row in rows]

    def _run_scan(self, key: ScanKey, rows: list[BatchRow], progress: Progress) -> dict[int, RowResult]:
        volume: Volume | UserError | None = None
        told: list[str] = []  # of the scan; said once, with its first row
        results = {}
        for done, row in enumerate(rows):
            shown = progress.part(done / len(rows), (done + 1) / len(rows))
            shown.report(0.0, f"{row.scan}: {row.prompt}"[:60])
            finished = self._finished(row)
            if finished is None and not row.error and volume is None:
                volume = self._read(key)
                told = scan_warnings(volume) if isinstance(volume, Volume) else []
            result = finished or self._run_row(row, volume, shown)
            if finished is None and not result.error and told:
                result.warnings, told = [*told, *result.warnings], []
            results[row.number] = result
            self._tell(result)
        return results

    def _finished(self, row: BatchRow) -> RowResult | None:
        if not self._resume or row.error:
            return None
        found = (self._journal.finished(row, path) for path in self._possible_outputs(row))
        return next((result for result in found if result is not None), None)

    def _possible_outputs(self, row: BatchRow) -> Iterable[Path]:
        path = self._folder / row.out
        return [path] if names_format(path) else [path.with_name(path.name + end) for end in (".nii.gz", ".png")]

    def _read(self, key: ScanKey) -> Volume | UserError:
        try:
            return self._open(*key)
        except (Cancelled, KeyboardInterrupt):
            raise
        except UserError as error:
            return error
        except Exception as error:
            return internal_error(error)

    def _run_row(self, row: BatchRow, volume: Volume | UserError | None, progress: Progress) -> RowResult:
        result = RowResult(row.number, row.scan, row.prompt, row.out)
        try:
            if row.error:
                raise InputRefused(row.error)
            if isinstance(volume, UserError):
                raise volume
            assert volume is not None
            return self._answer(row, volume, result, progress)
        except (Cancelled, ModelMissing):
            raise
        except UserError as error:
            return replace(result, error=str(error))
        except Exception as error:
            return replace(result, error=str(internal_error(error)))

    def _answer(self, row: BatchRow, volume: Volume, result: RowResult, progress: Progress) -> RowResult:
        out = output_for(self._folder / row.out, volume)
        result.out = str(Path(row.out).with_name(out.name))
        if self._keeps(row, out, volume):
            return replace(result, skipped=True)
        if out.resolve() in self._scans:
            what = f"{out.name} is a scan of this table, which is never written."
            raise OutputNotWritten(what, "Choose another name for the result.")
        check_output(out, volume)
        prediction = self._ask(volume, row.prompt, progress)
        saved = self._save(prediction, volume, out)
        result.answer, result.found = str(prediction.answer), prediction.found
        result.presence, result.seconds = prediction.presence, prediction.seconds
        result.volume_ml = size_of(prediction, volume).volume_ml
        result.model, result.licence = prediction.provenance.model_text or None, prediction.provenance.licence or None
        result.warnings = [*warnings_of(prediction), *saved.warnings]
        try:
            self._journal.add(row, result, out)
        except OSError:  # the mask is written and good; only --resume knows less
            result.warnings.append("The list of finished rows could not be written; --resume will look at the mask.")
        return result

    def _keeps(self, row: BatchRow, out: Path, volume: Volume) -> bool:
        """With --resume: whether a mask that the journal does not know lies there and fits the scan."""
        if not self._resume or self._journal.knows_output(row) or not out.is_file():
            return False
        return picture_fits(out, volume) if out.suffix.lower() == ".png" else mask_fits(out, volume)

    def _save(self, prediction: Prediction, volume: Volume, out: Path) -> SavedReport:
        make_folder(out.parent)
        return save_segments(out, volume, [segment_for(prediction, volume, 0)])


def mask_fits(path: Path, volume: Volume) -> bool:
    """Whether a file can be read as masks on the scan's grid."""
    try:
        return all(segment.mask.shape == volume.shape for segment in read_mask(path, volume))
    except UserError:
        return False


def picture_fits(path: Path, volume: Volume) -> bool:
    """Whether a file is a picture of the image's size that holds 0 and 255 only."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            values = np.asarray(picture)
    except (OSError, SyntaxError, ValueError):
        return False
    return values.shape == volume.shape[1::-1] and not np.isin(values, (0, 255), invert=True).any()


def make_folder(folder: Path) -> None:
    """Make an output folder; raises OutputNotWritten."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputNotWritten(f"The folder {folder} cannot be made.", "Choose another place for it.") from error


def by_scan(rows: list[BatchRow]) -> dict[ScanKey, list[BatchRow]]:
    """Rows grouped by scan and series, in the order in which the scans appear."""
    groups: dict[ScanKey, list[BatchRow]] = {}
    for row in rows:
        groups.setdefault((row.scan_path.resolve(), row.series), []).append(row)
    return groups


def output_for(path: Path, volume: Volume) -> Path:
    """The path with the usual ending where the row gives none: PNG for a 2D image, NIfTI otherwise."""
    if names_format(path):
        return path
    return path.with_name(path.name + (".png" if volume.affine is None or volume.kind != "volume" else ".nii.gz"))


def names_format(path: Path) -> bool:
    """Whether the name has an ending; the last number of a UID ("1.2.840.113") is none."""
    return path.name.lower().endswith(SUFFIXES) or (bool(path.suffix) and not path.suffix[1:].isdigit())
