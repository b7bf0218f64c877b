"""Pictures of the worst development cases for a model card: `python -m training.failure_pictures --bundle FOLDER ...`.

The cases are those of an evaluation that was made anyway, so this is no further look. A picture holds no part of a
scan: on a plain ground the outlines of truth (green) and model (magenta, white where both agree) with a scale,
enlarged to what they need. So every set is drawn but those whose licences allow no derivatives.
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
from PIL import Image, ImageDraw
from scipy import ndimage

from medviewer.core.errors import OutputNotWritten
from medviewer.core.geometry import closest_axes, spacing_of
from medviewer.io.atomic import atomic_folder, write_text
from medviewer.models.pipeline import TextSegmenter

from .data.dev_cases import manifest_cases, stated
from .data.samples import Row, read_rows
from .data.terms import load_terminology
from .evaluation.asking import prompt_of
from .evaluation.overlap import dice
from .failure_words import in_words

FOLDER, INDEX = "failures", "failures.json"
MOST, PER_SET = 12, 2
SIDE, MOST_BYTES = 384, 60_000
_NEVER = ("ct/liver_ircad",)  # no derivatives, whatever the copy's own licence says
_NO_DERIVATIVES = re.compile(r"\bND\b|no.?deriv", re.IGNORECASE)
_PNG = b"\x89PNG\r\n"
GROUND, TRUTH, MODEL, BOTH, SCALE = range(5)  # numbers of the palette
_PALETTE = ((24, 24, 28), (0, 220, 90), (255, 0, 220), (255, 255, 255), (170, 170, 170))
_MARGIN = 1.3  # the picture's side to the longer side of what it shows
_LEAST_PIXELS = 16.0  # of the scan along a side, so that three voxels do not fill the picture
_EDGE = 14  # pixels between the scale and the border
Mask = NDArray[np.bool_]
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Failure:
    """One picture of a card: a file name, what it shows, whose annotation it is, and a sentence on what is wrong."""

    file: str
    set: str
    structure: str
    dice: float
    licence: str
    source: str
    words: str = ""

    @property
    def caption(self) -> str:
        """What stands under the picture."""
        told = f" {self.words}" if self.words else ""
        return (
            f"{self.set}: {self.structure}, Dice {self.dice:.2f}.{told} Outlines in one slice; source: {self.source}; "
            f"licence: {self.licence}."
        )


@dataclass(frozen=True, eq=False)
class Wrong:
    """One structure of one row of the manifest and what the model made of it; masks (i, j, k) on the scan's grid, whose
    place is `affine` (LPS mm), None for a picture without one."""

    row: Row
    structure: str
    dice: float
    affine: NDArray[np.float64] | None
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
    """Whether outlines of this row may be drawn: its licence does not forbid derivatives."""
    return row["set"] not in _NEVER and _NO_DERIVATIVES.search(row["licence"]) is None


def worst_questions(
    questions: Iterable[Mapping[str, Any]], rows: Iterable[Row], per_set: int = PER_SET
) -> list[tuple[Row, str]]:
    """(row, structure) with the lowest Dice of every set among the rows that may be shown: at most `per_set` scans of a
    set, one structure of each, the worst of every set first, at most twelve in all. `questions`: those of the
    evaluation (set, key, structure, dice; None where the structure is absent)."""
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
    return [Wrong(row, name, dice(mask, case.truths[name]), case.volume.affine, case.truths[name], mask)]


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
            value, words = round(one.dice, 3), described(one)
            failures.append(Failure(name, row["set"], one.structure, value, row["licence"], row["source"], words))
        index = json.dumps([asdict(failure) for failure in failures], indent=1, ensure_ascii=False)
        write_text(temporary / INDEX, index + "\n")
    return failures


def read_failures(folder: Path) -> list[Failure]:
    """The index of a folder that `write_pictures` made; at most twelve. Raises OSError, ValueError, TypeError."""
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


def described(wrong: Wrong) -> str:
    """What is wrong with the mask as a whole, in one sentence."""
    truth, mask = (_as_displayed(array, wrong.affine) for array in (wrong.truth, wrong.mask))
    return in_words(truth, mask, wrong.affine is not None)


def png_of(wrong: Wrong) -> bytes:
    """The picture as PNG of SIDE x SIDE pixels; five colours, so far below 60 kB."""
    picture = Image.fromarray(draw(wrong.truth, wrong.mask, wrong.affine), "P")
    picture.putpalette([level for colour in _PALETTE for level in colour])
    temporary = io.BytesIO()
    picture.save(temporary, format="PNG", optimize=True)
    return temporary.getvalue()


def draw(truth: Mask, mask: Mask, affine: NDArray[np.float64] | None) -> Picture:
    """Palette numbers (SIDE, SIDE): both outlines in the axial slice with most voxels in error, and the scale.

    Masks (i, j, k); displayed with the patient's right on the left and the front up, a picture without geometry as it
    is. Nothing of the scan itself is needed.
    """
    inside, found = _as_displayed(truth, affine), _as_displayed(mask, affine)
    errors = (inside ^ found).sum(axis=(0, 1))
    k = int(np.argmax(errors)) if errors.any() else int(np.argmax(inside.sum(axis=(0, 1))))
    steps = _steps(affine)
    frame = _frame(inside[:, :, k] | found[:, :, k], steps)
    green, magenta = (_outline(array[:, :, k], steps, frame) for array in (inside, found))
    numbers = np.full((SIDE, SIDE), GROUND, np.uint8)
    numbers[green], numbers[magenta], numbers[green & magenta] = TRUTH, MODEL, BOTH
    return _with_scale(numbers, frame[2], affine is not None)


def _as_displayed(array: NDArray[Any], affine: NDArray[np.float64] | None) -> NDArray[Any]:
    """(x, y, z) with x to the patient's left, y to the back, z to the head; as it is where the place is not known."""
    if affine is None:
        return array
    order = closest_axes(affine)
    turned = np.transpose(array, order)
    flips = tuple(axis for axis in range(3) if affine[axis, order[axis]] < 0)
    return np.flip(turned, flips)


def _steps(affine: NDArray[np.float64] | None) -> tuple[float, float]:
    """Length of a voxel along x and y as displayed: mm, or 1 pixel."""
    if affine is None:
        return 1.0, 1.0
    spacing, order = spacing_of(affine), closest_axes(affine)
    return float(spacing[order[0]]), float(spacing[order[1]])


def _frame(shown: Mask, steps: tuple[float, float]) -> tuple[float, float, float]:
    """Left and upper edge and side of the square that is drawn, in the unit of `steps`."""
    indices = np.nonzero(shown) if shown.any() else tuple(np.array([0, n - 1]) for n in shown.shape)
    ends = [(float(i.min()) * step, (float(i.max()) + 1.0) * step) for i, step in zip(indices, steps, strict=True)]
    side = max(_MARGIN * max(high - low for low, high in ends), _LEAST_PIXELS * max(steps))
    left, top = ((low + high - side) / 2 for low, high in ends)
    return left, top, side


def _outline(mask: Mask, steps: tuple[float, float], frame: tuple[float, float, float]) -> Mask:
    """The inner edge, two pixels wide, of a mask (x, y) in the square; rows are y."""
    places = (np.arange(SIDE) + 0.5) * frame[2] / SIDE
    columns, rows = (np.floor((places + start) / step).astype(int) for start, step in zip(frame, steps, strict=False))
    padded = np.pad(mask, 1)  # indices outside are clipped to the empty border
    columns, rows = (np.clip(i, -1, n) + 1 for i, n in zip((columns, rows), mask.shape, strict=True))
    large = padded[np.ix_(columns, rows)].T
    return np.asarray(large & ~ndimage.binary_erosion(large, iterations=2))


def _with_scale(numbers: Picture, side: float, in_mm: bool) -> Picture:
    """With a bar of a round length in the lower left corner, and the letters R and L where sides are known."""
    length = round_length(side / 3)
    picture = Image.fromarray(numbers, "L")
    pen = ImageDraw.Draw(picture)
    pen.fontmode = "1"  # no shades: the numbers are those of a palette
    y = SIDE - _EDGE
    pen.line([(_EDGE, y), (_EDGE + round(length * SIDE / side), y)], fill=SCALE, width=3)
    pen.text((_EDGE, y - 18), f"{length:g} {'mm' if in_mm else 'px'}", fill=SCALE)
    if in_mm:
        pen.text((4, SIDE // 2), "R", fill=SCALE)
        pen.text((SIDE - 12, SIDE // 2), "L", fill=SCALE)
    return np.asarray(picture)


def round_length(most: float) -> float:
    """The largest of 1, 2, 5, 10, 20 ... that is at most `most`, which is positive; also 0.5, 0.2, 0.1 ..."""
    unit = 10.0 ** np.floor(np.log10(most))
    return float(unit * max(factor for factor in (1, 2, 5) if factor * unit <= most * (1 + 1e-9)))


if __name__ == "__main__":
    main()
