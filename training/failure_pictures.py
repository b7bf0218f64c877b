"""Pictures of the worst development cases for a model card: `python -m training.failure_pictures --bundle FOLDER ...`.

The cases are those of an evaluation that was made anyway, so this is no further look. Only rows of tier A whose licence
lets everybody pass pictures on are drawn; what a card says of the others are words. Truth is outlined in green, the
model in magenta, white where both agree.
"""

from __future__ import annotations

import argparse
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from medviewer.core.errors import OutputNotWritten
from medviewer.core.geometry import closest_axes, spacing_of
from medviewer.core.volume import Volume
from medviewer.io.atomic import atomic_folder, write_text
from medviewer.models.pipeline import TextSegmenter

from .data.dev_cases import manifest_cases, stated
from .data.samples import Row, read_rows
from .data.terms import load_terminology
from .evaluation.asking import prompt_of
from .evaluation.overlap import dice

FOLDER, INDEX = "failures", "failures.json"
MOST, PER_SET = 8, 2
MOST_SIDE, MOST_BYTES = 512, 60_000
_NEVER = ("ct/liver_ircad",)  # no derivatives
_SIDES = (512, 448, 384, 320, 256, 192, 128)
_FREE = re.compile(r"\b(CC0|CC BY(-SA)?|MIT|Apache|BSD)\b")
_NOT_FREE = re.compile(r"\b(NC|ND|non-commercial|no-derivatives|research|not stated|no explicit)\b", re.IGNORECASE)
_PNG = b"\x89PNG\r\n"
_GREYS = 64  # levels, so that the files stay small
_GREEN, _MAGENTA, _WHITE = (0, 220, 90), (255, 0, 220), (255, 255, 255)
_SOFT_TISSUE = (-160.0, 240.0)  # HU
Mask = NDArray[np.bool_]
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Failure:
    """One picture of a card: a file name, what it shows, and whose picture it is."""

    file: str
    set: str
    structure: str
    dice: float
    licence: str
    source: str

    @property
    def caption(self) -> str:
        """What stands under the picture."""
        return (
            f"{self.set}: {self.structure}, Dice {self.dice:.2f}. One slice, outlines added; source: {self.source}; "
            f"licence: {self.licence}."
        )


@dataclass(frozen=True, eq=False)
class Wrong:
    """One structure of one row of the manifest and what the model made of it; masks (i, j, k) on the scan's grid."""

    row: Row
    structure: str
    dice: float
    volume: Volume
    truth: Mask
    mask: Mask


def main() -> None:
    """Parse the command line, choose, ask again, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True, help="results.json of training.evaluate for this bundle")
    parser.add_argument("--out", type=Path, required=True, help="folder to write, for export's --failures")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    results = json.loads(options.results.read_text(encoding="utf-8"))
    chosen = worst_questions(results.get("questions", []), read_rows(options.data, "dev"))
    segmenter = TextSegmenter.load(options.bundle, options.device)
    is_stated = bool(results.get("about", {}).get("state_modality"))
    wrong = [one for row, name in chosen for one in asked_again(segmenter, options.data, row, name, is_stated)]
    for failure in write_pictures(options.out, wrong):
        print(failure.caption)


def may_be_shown(row: Row) -> bool:
    """Whether everybody may pass on a picture of this row: tier A and a licence that says so."""
    free = _FREE.search(row["licence"]) is not None and _NOT_FREE.search(row["licence"]) is None
    return row["licence_tier"] == "A" and free and row["set"] not in _NEVER


def worst_questions(
    questions: Iterable[Mapping[str, Any]], rows: Iterable[Row], per_set: int = PER_SET
) -> list[tuple[Row, str]]:
    """(row, structure) with the lowest Dice of every set among the rows that may be shown: at most `per_set` scans of a
    set, one structure of each, and at most eight in all. `questions`: those of the evaluation (set, key, structure,
    dice; None where the structure is absent)."""
    shown = {row["path"]: row for row in rows if may_be_shown(row)}
    present = [question for question in questions if question["dice"] is not None and question["key"] in shown]
    asked = sorted(present, key=lambda question: float(question["dice"]))
    picked: dict[str, dict[str, tuple[Row, str]]] = defaultdict(dict)
    for question in asked:
        of_set = picked[question["set"]]
        if question["key"] not in of_set and len(of_set) < per_set:
            of_set[question["key"]] = shown[question["key"]], str(question["structure"])
    ranks = [list(of_set.values()) for of_set in picked.values()]
    return [group[rank] for rank in range(per_set) for group in ranks if rank < len(group)][:MOST]


def asked_again(segmenter: TextSegmenter, data: Path, row: Row, name: str, is_stated: bool) -> list[Wrong]:
    """The model's answer to one structure of a row, from its name alone; empty where the row does not label it."""
    (case,) = manifest_cases(data, [row])
    case = stated(case) if is_stated else case
    if name not in case.truths:
        return []
    mask = segmenter.segment(case.volume, prompt_of(name, load_terminology())).mask
    return [Wrong(row, name, dice(mask, case.truths[name]), case.volume, case.truths[name], mask)]


def write_pictures(out: Path, wrong: Sequence[Wrong]) -> list[Failure]:
    """Draw into the folder `out` (replaced as a whole), with an index. What may not be shown is left out."""
    allowed = [one for one in wrong if may_be_shown(one.row)][:MOST]
    failures = []
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(out) as temporary:
        for number, one in enumerate(allowed, start=1):
            row = one.row
            name = f"{number}_{row['set'].replace('/', '_')}_{one.structure.replace(' ', '_')}.png"
            (temporary / name).write_bytes(png_of(one))
            value = round(one.dice, 3)
            failures.append(Failure(name, row["set"], one.structure, value, row["licence"], row["source"]))
        index = json.dumps([asdict(failure) for failure in failures], indent=1, ensure_ascii=False)
        write_text(temporary / INDEX, index + "\n")
    return failures


def read_failures(folder: Path) -> list[Failure]:
    """The index of a folder that `write_pictures` made; at most eight. Raises OSError, ValueError, TypeError."""
    entries = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    return [Failure(**entry) for entry in entries][:MOST]


def copy_pictures(failures: Sequence[Failure], source: Path | None, temporary: Path) -> None:
    """Put the pictures beside the card of a bundle that is being written. Raises OutputNotWritten for one that is too
    large or no PNG, OSError."""
    if not failures or source is None:
        return
    (temporary / FOLDER).mkdir()
    for failure in failures:
        data = (source / failure.file).read_bytes()
        if len(data) > MOST_BYTES or not data.startswith(_PNG):
            raise OutputNotWritten(f"{failure.file} is no PNG of at most {MOST_BYTES // 1000} kB.", "Draw it again.")
        (temporary / FOLDER / failure.file).write_bytes(data)


def png_of(wrong: Wrong) -> bytes:
    """The picture as PNG: the largest side up to 512 pixels that stays within 60 kB."""
    data = b""
    for side in _SIDES:
        temporary = io.BytesIO()
        _palette_picture(draw(wrong.volume, wrong.truth, wrong.mask, side)).save(temporary, format="PNG", optimize=True)
        data = temporary.getvalue()
        if len(data) <= MOST_BYTES:
            break
    return data


def draw(volume: Volume, truth: Mask, mask: Mask, side: int) -> Picture:
    """Palette numbers (rows, cols), longer side `side`: 0..63 grey, then truth, model, both.

    An axial slice as displayed (the patient's right on the left, front up), the one with most voxels in error; a
    picture without geometry as it is.
    """
    image = _as_displayed(volume.luminance(), volume)
    inside, found = _as_displayed(truth, volume), _as_displayed(mask, volume)
    errors = (inside ^ found).sum(axis=(0, 1))
    k = int(np.argmax(errors)) if errors.any() else int(np.argmax(inside.sum(axis=(0, 1))))
    size = _size(volume, image.shape[:2], side)
    grey = Image.fromarray(_to_grey(image[:, :, k].T, volume)).resize(size, Image.Resampling.BICUBIC)
    numbers = (np.asarray(grey) // (256 // _GREYS)).astype(np.uint8)
    green, magenta = (_outline(array[:, :, k].T, size) for array in (inside, found))
    numbers[green], numbers[magenta], numbers[green & magenta] = _GREYS, _GREYS + 1, _GREYS + 2
    return numbers


def _as_displayed(array: NDArray[Any], volume: Volume) -> NDArray[Any]:
    """(x, y, z) with x to the patient's left, y to the back, z to the head; as it is where the place is not known."""
    if volume.affine is None:
        return array
    order = closest_axes(volume.affine)
    turned = np.transpose(array, order)
    flips = tuple(axis for axis in range(3) if volume.affine[axis, order[axis]] < 0)
    return np.flip(turned, flips)


def _size(volume: Volume, shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Columns and rows in pixels, with the scan's own proportions."""
    steps = (1.0, 1.0)
    if volume.affine is not None:
        spacing, order = spacing_of(volume.affine), closest_axes(volume.affine)
        steps = float(spacing[order[0]]), float(spacing[order[1]])
    width, height = shape[0] * steps[0], shape[1] * steps[1]
    scale = side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _to_grey(values: NDArray[Any], volume: Volume) -> Picture:
    if volume.units == "HU":
        low, high = _SOFT_TISSUE
    elif values.dtype == np.uint8:
        low, high = 0.0, 255.0
    else:
        low, high = (float(value) for value in np.percentile(values, (0.5, 99.5)))
    unit = (values.astype(np.float32) - low) / max(high - low, 1e-6)
    return (unit.clip(0, 1) * 255).astype(np.uint8)


def _outline(mask: Mask, size: tuple[int, int]) -> Mask:
    """The inner edge of a mask (rows, cols) at another size, two pixels wide."""
    large = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)) > 0
    return np.asarray(large & ~ndimage.binary_erosion(large, iterations=2))


def _palette_picture(numbers: Picture) -> Image.Image:
    picture = Image.fromarray(numbers, "P")
    greys = [level for grey in range(_GREYS) for level in [round(grey * 255 / (_GREYS - 1))] * 3]
    picture.putpalette([*greys, *_GREEN, *_MAGENTA, *_WHITE])
    return picture


if __name__ == "__main__":
    main()
