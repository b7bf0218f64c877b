"""A user's own cases: which files they are, a case as a sample, and the division into training and held-out cases."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medviewer.core.errors import InputRefused
from medviewer.core.geometry import closest_axes
from medviewer.core.volume import Volume
from medviewer.models.preprocessing import robust_range

from .samples import Sample
from .sets import SetConfig

Encoding = Literal["index", "bitmask", "binary", "named"]
Array = NDArray[np.generic]
UNKNOWN = "unknown"
_TOKENS = {"CT": "CT", "MR": "MR", "MRI": "MR", "US": "US", "CR": "XR", "DX": "XR", "XR": "XR", "RG": "XR", "XA": "XR"}
_SIDES = {"left", "right", "links", "rechts", "linke", "rechte", "linker", "rechter", "linkes", "rechtes", "gauche",
          "droite", "droit"}  # fmt: skip
_FLIP = 0.12  # as the shipped sets
_HU_RANGE = (-1100, 3000)  # as the shipped sets
_MOST_TOLD = 10


class CasesRefused(InputRefused):
    """Data that cannot be trained on. `problems`: a sentence per fault, each naming its file and what was expected."""

    code = "training-data-refused"

    def __init__(self, name: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        told = [f"\n- {problem}" for problem in self.problems[:_MOST_TOLD]]
        more = len(self.problems) - _MOST_TOLD
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        message = f"{name} cannot be trained on: {count}." + "".join(told)
        message += f"\n- and {more} more" if more > 0 else ""
        super().__init__(message, "Nothing was trained. Mend these, then start again.")


@dataclass(frozen=True)
class MaskFile:
    """One mask file and what its values mean.

    `index`: value to name. `bitmask`: bit value (1, 2, 4 ...) to name, for structures that overlap. `binary`:
    {1: name}, stored as 0 and 1 or 0 and 255. `named`: a DICOM SEG or .seg.nrrd, whose segments carry their names; no
    labels here.
    """

    path: Path
    encoding: Encoding
    labels: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CaseFile:
    """One case on the disk; nothing of its voxels has been read.

    `names`: the structures that are annotated throughout this case and trained. `series`: which series of a folder
    `image`. `units` "HU" where the data set says so. `patient`: a pseudonym; empty means unknown, and the case
    counts as a patient of its own. `spelling`: a label's name to the name it is trained under, where they differ.
    """

    key: str
    image: Path
    masks: tuple[MaskFile, ...]
    names: tuple[str, ...]
    modality: str = UNKNOWN
    units: str | None = None
    patient: str = ""
    inverted: bool = False
    dataset: str = ""
    licence: str = ""
    folder: Path = Path()
    series: str | None = None
    spelling: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Loaded:
    """A case as read: the scan, mask codes (i, j, k) on its grid, and for each code the names that hold there."""

    volume: Volume
    codes: Array
    meanings: Mapping[int, frozenset[str]]


def modality_token(text: str | None) -> str:
    """CT, MR, XR, US or "unknown", from what a header or a table calls it ("MR T1", "DX/CR PA")."""
    words = re.split(r"[^A-Z]+", (text or "").upper().replace("X-RAY", "XR").replace("XRAY", "XR"))
    return next((_TOKENS[word] for word in words if word in _TOKENS), UNKNOWN)


def split_cases(cases: Sequence[CaseFile], share: float = 0.2, seed: int = 0) -> tuple[list[CaseFile], list[CaseFile]]:
    """(training, held-out) cases. All cases of a patient go to one part; the same cases and seed give the same parts.

    About `share` of the cases are held out: at least one where `share` > 0 and there are two patients, never all.
    """
    groups: dict[str, list[CaseFile]] = defaultdict(list)
    for case in cases:
        groups[f"patient {case.patient}" if case.patient else f"case {case.key}"].append(case)
    order = sorted(groups, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    wanted = max(round(share * len(cases)), 1) if share > 0 else 0
    held: set[str] = set()
    count = 0
    for name in order[: len(order) - 1]:
        if count < wanted:
            held.add(name)
            count += len(groups[name])
    kept_out = {id(case) for name in held for case in groups[name]}
    return [c for c in cases if id(c) not in kept_out], [c for c in cases if id(c) in kept_out]


def load_sample(case: CaseFile, *, side: int | None = None) -> Sample:
    """A case as a training sample; `side` reduces a picture to that many pixels. Raises InputRefused."""
    from .case_files import load_case

    return sample_of(case, load_case(case), side=side)


def sample_of(case: CaseFile, loaded: Loaded, *, side: int | None = None) -> Sample:
    """The sample of a case that was read. Image and label are (z, y, x) in LPS order; z = 1 for a picture."""
    volume = loaded.volume
    modality = case.modality if case.modality != UNKNOWN else modality_token(volume.modality)
    is_hu = _is_hu(case, volume, modality)
    image = in_lps_order(_pixels(volume, is_hu, case.inverted or volume.inverted), volume)
    label = in_lps_order(loaded.codes, volume)
    if side is not None and image.shape[0] == 1 and max(image.shape) > side:
        image, label = _reduced(image, label, side)
    return Sample(case.key, _config(case, modality), image, label, _tables(case, loaded), is_hu=is_hu)


def _is_hu(case: CaseFile, volume: Volume, modality: str) -> bool:
    """As the set says; where it says nothing, as the program's reader finds, unless the set says that it is no CT."""
    if case.units == "HU" and volume.affine is None and volume.array.dtype == np.uint8:
        raise InputRefused(
            f"{case.image.name} holds 8-bit values, expected Hounsfield units as dataset.json says.",
            'Take "units" out of dataset.json, or store the CT as a volume.',
        )
    return case.units == "HU" or (case.units is None and modality == "CT" and volume.units == "HU")


def in_lps_order(array: Array, volume: Volume) -> Array:
    """(i, j, k) to (z, y, x) with z to the head, y to the back, x to the left, by the nearest axes; exact, nothing is
    resampled. A single slice becomes (1, rows, columns) as displayed; without a place in the patient as stored."""
    if volume.affine is None:
        return np.ascontiguousarray(array.transpose(2, 1, 0))
    axes = closest_axes(volume.affine)  # voxel axes along x, y, z
    turned = array.transpose(axes[::-1])
    backward = [volume.affine[row, axes[row]] < 0 for row in (2, 1, 0)]
    turned = turned[tuple(slice(None, None, -1 if back else 1) for back in backward)]
    if turned.shape[0] > 1 and 1 in turned.shape:
        turned = (turned[:, 0, :] if turned.shape[1] == 1 else turned[:, :, 0])[::-1][None]
    return np.ascontiguousarray(turned)


def _pixels(volume: Volume, is_hu: bool, inverted: bool) -> Array:
    """int16 HU, or uint8 by the rule of the program: 8 bits as they are, the rest over its robust range."""
    values = volume.luminance()
    if is_hu:
        return np.asarray(np.rint(values).clip(*_HU_RANGE).astype(np.int16))
    if volume.array.dtype == np.uint8:
        shown = np.rint(values).astype(np.uint8)
    else:
        low, high = robust_range(values)
        unit = (np.asarray(values, np.float32) - np.float32(low)) / np.float32(high - low)
        shown = np.rint(unit.clip(0.0, 1.0) * 255).astype(np.uint8)
    return np.asarray(255 - shown if inverted else shown)


def _reduced(image: Array, label: Array, side: int) -> tuple[Array, Array]:
    """A picture (1, rows, cols) with its codes at most `side` pixels long; codes by the nearest."""
    rows, cols = image.shape[1:]
    scale = side / max(rows, cols)
    size = (max(1, round(cols * scale)), max(1, round(rows * scale)))
    picture = Image.fromarray(image[0]).convert("I") if image.dtype != np.uint8 else Image.fromarray(image[0])
    pixels = np.asarray(picture.resize(size, Image.Resampling.BOX)).astype(image.dtype)
    at_rows = ((np.arange(size[1]) + 0.5) * rows / size[1]).astype(int)
    at_cols = ((np.arange(size[0]) + 0.5) * cols / size[0]).astype(int)
    return pixels[None], np.ascontiguousarray(label[:, at_rows][:, :, at_cols])


def _tables(case: CaseFile, loaded: Loaded) -> dict[str, NDArray[np.bool_]]:
    size = max([*loaded.meanings, 0]) + 1
    tables = {name: np.zeros(size, np.bool_) for name in case.names}
    for code, names in loaded.meanings.items():
        for name in names:
            spelled = case.spelling.get(name, name)
            if spelled in tables:
                tables[spelled][code] = True
    return tables


def _config(case: CaseFile, modality: str) -> SetConfig:
    sided = any(_SIDES & set(name.casefold().split()) for name in case.names)
    return SetConfig(
        name=case.dataset or case.folder.name,
        modality=modality,
        shows=frozenset(),
        throughout=frozenset(case.names),
        weight=1.0,
        merge={},
        ignore=frozenset(),
        flip=0.0 if sided else _FLIP,  # a mirrored picture would show the other side
        lung_rule=False,
        elsewhere=(),
    )
