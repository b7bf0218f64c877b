"""The demonstration: a generated scan goes the way of any scan, and the masks are measured against its truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medviewer.core.phantom import Phantom, torso_phantom
from medviewer.core.prediction import Prediction
from medviewer.core.progress import Progress
from medviewer.core.prompts import parse_prompt
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.services.batch import make_folder
from medviewer.services.resources import terminology
from medviewer.services.results import segment_for

PROMPTS = ("liver", "lungs", "left kidney", "right kidney", "spleen", "heart", "aorta")
REQUIRED = ("liver", "lungs", "left kidney", "right kidney", "spleen")
REQUIRED_DICE = 0.85
VIEWS = ("axial", "coronal", "sagittal", "volume")
SCAN_NAME = "phantom.nii.gz"

Ask = Callable[[Volume, str, Progress], Prediction]
Draw = Callable[[Volume, str, list[Segment]], NDArray[np.uint8]]


@dataclass(frozen=True)
class DemoRow:
    """One prompt of the demonstration; `dice` is measured against the phantom's labels."""

    prompt: str
    answer: str
    dice: float
    seconds: float

    @property
    def good(self) -> bool:
        return self.prompt not in REQUIRED or self.dice >= REQUIRED_DICE


@dataclass(frozen=True)
class DemoReport:
    scan: Path
    rows: tuple[DemoRow, ...]
    outputs: tuple[Path, ...]
    warnings: tuple[str, ...]
    model: str = ""  # with what its weights may be used for

    @property
    def good(self) -> bool:
        return all(row.good for row in self.rows)


def run_demo(folder: Path, ask: Ask, draw: Draw, progress: Progress) -> DemoReport:
    """Write the phantom, open it, prompt it, export masks and pictures into `folder`. Raises UserError."""
    from medviewer.services.open_data import open_volume

    make_folder(folder)
    progress.report(0.0, "Generating the sample scan")
    phantom = torso_phantom(seed=0)
    scan = write_scan(folder, phantom)
    volume = open_volume(scan)
    answers = _ask_all(volume, ask, progress.part(0.1, 0.7))
    rows = tuple(_row(answer, phantom) for answer in answers)
    segments = [segment_for(answer, volume, index) for index, answer in enumerate(answers)]
    masks, warnings = export_masks(folder, volume, segments, progress.part(0.7, 0.9))
    pictures = export_views(folder, volume, segments, draw, progress.part(0.9, 1.0))
    return DemoReport(scan, rows, (scan, *masks, *pictures), tuple(warnings), answers[0].provenance.model_line)


def write_scan(folder: Path, phantom: Phantom) -> Path:
    from medviewer.services.save_data import save_volume_nifti

    path = folder / SCAN_NAME
    save_volume_nifti(path, phantom.volume)
    return path


def _ask_all(volume: Volume, ask: Ask, progress: Progress) -> list[Prediction]:
    answers = []
    for done, prompt in enumerate(PROMPTS):
        shown = progress.part(done / len(PROMPTS), (done + 1) / len(PROMPTS))
        shown.report(0.0, prompt)
        answers.append(ask(volume, prompt, shown))
    return answers


def _row(answer: Prediction, phantom: Phantom) -> DemoRow:
    parsed = parse_prompt(answer.prompt, terminology())
    truth = phantom.mask(parsed.term.id if parsed.term else "", parsed.side)
    return DemoRow(answer.prompt, str(answer.answer), dice(answer.mask, truth), answer.seconds)


def dice(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Overlap 0..1 of two masks; 1 where both are empty."""
    total = int(mask.sum()) + int(truth.sum())
    return 1.0 if total == 0 else 2.0 * int((mask & truth).sum()) / total


def export_masks(
    folder: Path, volume: Volume, segments: list[Segment], progress: Progress
) -> tuple[list[Path], list[str]]:
    """NIfTI and DICOM SEG (with the scan as a DICOM series beside it); the paths written, and warnings."""
    from medviewer.services.save_data import save_segments

    paths: list[Path] = []
    warnings: list[str] = []
    for name, start in (("segments.nii.gz", 0.0), ("segments.dcm", 0.5)):
        saved = save_segments(folder / name, volume, segments, progress.part(start, start + 0.5))
        paths += [saved.path, *saved.extra_paths]
        warnings += [text for text in saved.warnings if text not in warnings]
    return paths, warnings


def export_views(
    folder: Path, volume: Volume, segments: list[Segment], draw: Draw, progress: Progress
) -> list[Path]:
    from medviewer.services.save_data import save_view_png

    paths = []
    for done, view in enumerate(VIEWS):
        progress.report(done / len(VIEWS), f"Drawing the {view} view")
        path = folder / f"{view}.png"
        paths.append(save_view_png(path, draw(volume, view, segments), volume, segments).path)
    return paths
