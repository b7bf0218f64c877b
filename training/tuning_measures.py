"""What a fine-tuning gained and what it cost: Dice on held-out cases by the program's own pipeline, and on slices while
training goes on; how well the old structures are still found."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medviewer.core.progress import Progress
from medviewer.core.prompts import ParsedPrompt
from medviewer.core.terminology import Term
from medviewer.core.volume import Volume
from medviewer.models.bundle import BundleInfo, TestResult, TrainedTerm
from medviewer.models.pipeline import TextSegmenter
from medviewer.models.preprocessing import (
    SOFT_TISSUE,
    WIDE,
    Letterbox,
    input_side,
    into_box,
    letterbox_of,
    to_input,
    to_unit,
)
from medviewer.models.text_sam import MODALITIES, SparsePrompts, TextSam

from .data.case_files import load_case
from .data.cases import CaseFile
from .data.dataset import SEEN_PIXELS
from .data.samples import Sample
from .target_term import Target

MOST_SHOWING, MOST_WITHOUT = 10, 4  # slices of a volume that are looked at while training
FOUND = 0.5  # presence from which a slice is given a mask here
AT_ONCE = 8  # slices
_DICOM_NAMES = {"XR": "DX"}
Mask = NDArray[np.bool_]


def dice(mask: Mask, truth: Mask) -> float:
    """Dice coefficient; 1 where both are empty."""
    total = int(mask.sum()) + int(truth.sum())
    return 1.0 if total == 0 else 2.0 * int((mask & truth).sum()) / total


def stored(network: TextSam) -> TextSam:
    """A copy with the values as a bundle stores them: rounded to float16."""
    rounded = copy.deepcopy(network)
    rounded.load_state_dict({
        name: value.half().float() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    })
    return rounded.eval().requires_grad_(False)


# -- by the pipeline --------------------------------------------------------------------------------------------------
def case_dice(
    info: BundleInfo, network: TextSam, target: Target, term: Term, parts: int, cases: Sequence[CaseFile],
    progress: Progress,
) -> list[float]:
    """Dice of the pipeline's answer to the target's name on each case, on the scan's own grid. The network is asked
    even if the model it comes from was never trained for the name. Raises Cancelled."""
    trained = TrainedTerm(target.text, dict.fromkeys(MODALITIES, TestResult()), parts)
    asked = ParsedPrompt(target.name, target.name, term)
    segmenter = TextSegmenter(replace(info, terms={term.id: trained}), stored(network), torch.device("cpu"), 0)
    found = []
    for number, case in enumerate(cases):
        progress.report(number / max(1, len(cases)), f"Measuring {case.key}")
        volume, truth = _scan_and_truth(case)
        found.append(dice(segmenter.segment(volume, asked).mask, truth))
    return found


def _scan_and_truth(case: CaseFile) -> tuple[Volume, Mask]:
    loaded = load_case(case)
    meant = [code for code, names in loaded.meanings.items()
             if any(case.spelling.get(name, name) in case.names for name in names)]
    volume = loaded.volume.with_changes(inverted=case.inverted or loaded.volume.inverted)
    if case.units is not None:
        volume = volume.with_changes(units=case.units)
    if case.modality != MODALITIES[0]:
        volume = volume.with_changes(modality=_DICOM_NAMES.get(case.modality, case.modality))
    return volume, np.isin(loaded.codes, meant)


# -- by slices --------------------------------------------------------------------------------------------------------
@torch.inference_mode()
def slice_dice(network: TextSam, sample: Sample, name: str, text: str) -> float:
    """Dice over some axial slices of a case together, on the grid of the network's input; slices without the structure
    count against the network where it shows one. For choosing among states of a network, not as a result."""
    numbers = _slices(sample, name)
    masks, box = slice_masks(network, sample, numbers, text)
    truth = np.stack([sample.tables[name][sample.label[number]] for number in numbers])
    target = torch.nn.functional.avg_pool2d(into_box(torch.from_numpy(truth[:, None].astype(np.float32)), box), 2)
    return dice(masks, (target[:, 0] > 0.5).numpy())


def slice_masks(network: TextSam, sample: Sample, numbers: Sequence[int], text: str) -> tuple[Mask, Letterbox]:
    """Masks (n, s/2, s/2) of axial slices for a text, empty where its presence is low; and how the slices lie there."""
    rows, cols = sample.label.shape[1:]
    box = letterbox_of(rows, cols, (1.0, 1.0), input_side(sample.config.modality, rows, cols))
    vector = network.encode_texts([text])
    modality = max(0, MODALITIES.index(sample.config.modality) if sample.config.modality in MODALITIES else 0)
    parts = []
    for first in range(0, len(numbers), AT_ONCE):
        part = numbers[first : first + AT_ONCE]
        features = network.encode_images(to_input(into_box(_channels(sample, part), box)))
        count = len(part)
        decoded = network.decode(
            *features, vector.expand(count, -1), torch.full((count,), modality), SparsePrompts()
        )
        parts.append((decoded.logits > 0) & (decoded.presence.sigmoid() >= FOUND)[:, None, None])
    return torch.cat(parts).numpy(), box


def _channels(sample: Sample, numbers: Sequence[int]) -> Tensor:
    last = len(sample.image) - 1
    narrow, wide = (SOFT_TISSUE, WIDE) if sample.is_hu else ((0.0, 255.0), (0.0, 255.0))
    pictures = []
    for number in numbers:
        near = [sample.image[min(max(number + step, 0), last)] for step in (0, -1, 1)]
        own, before, behind = (to_unit(picture, narrow) for picture in near)
        pictures.append(np.stack([own, to_unit(near[0], wide), before, behind]))
    return torch.from_numpy(np.stack(pictures))


def _slices(sample: Sample, name: str) -> list[int]:
    """Axial slices that show the structure, and some that do not."""
    sizes = sample.tables[name][sample.label].sum((1, 2))
    showing, without = np.flatnonzero(sizes >= SEEN_PIXELS), np.flatnonzero(sizes == 0)
    chosen = [*_evenly(showing, MOST_SHOWING), *_evenly(without, MOST_WITHOUT)]
    return sorted(chosen) or [0]


def _evenly(numbers: NDArray[np.intp], most: int) -> list[int]:
    if len(numbers) <= most:
        return [int(n) for n in numbers]
    return [int(numbers[i]) for i in np.linspace(0, len(numbers) - 1, most).round().astype(int)]


# -- old knowledge ----------------------------------------------------------------------------------------------------
def old_dice(network: TextSam, sample: Sample, texts: Sequence[str]) -> dict[str, float]:
    """Dice of old structures on a generated torso that no training sees; `texts`: what the old network knows."""
    names = [name for name in sample.tables if name in texts]
    return {name: slice_dice(network, sample, name, name) for name in names}


@torch.inference_mode()
def agreement(old: TextSam, new: TextSam, samples: Sequence[Sample], texts: Sequence[str]) -> float | None:
    """Mean Dice between the answers of the old and the new network to old prompts on the user's scans, where the old
    one finds something; None where it finds nothing."""
    found = []
    for sample in samples:
        numbers = _evenly(np.arange(len(sample.label)), 5)
        for text in texts:
            before, _ = slice_masks(old, sample, numbers, text)
            if before.any():
                after, _ = slice_masks(new, sample, numbers, text)
                found.append(dice(after, before))
    return float(np.mean(found)) if found else None
