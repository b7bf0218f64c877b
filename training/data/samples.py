"""Samples in memory: 2D pictures and volumes with their labels, reduced to what training needs."""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from medviewer.core.errors import InputRefused
from medviewer.core.plain_text import one_line
from medviewer.models.preprocessing import robust_range

from ..synthesis.lesions import CORE, OEDEMA
from ..synthesis.lung_rule import LUNG_CODE, lungs_by_rule
from .sets import SetConfig

_COLUMNS = ("path", "label_path", "set", "labels", "mask_encoding", "use", "licence_tier", "licence", "source")
STORED_SIDE = 288
STORED_X_RAY = 384  # the clavicles are thin
Row = Mapping[str, str]


@dataclass(frozen=True)
class Sample:
    """One picture or volume.

    `image`: uint8 (z, y, x) already windowed, or int16 HU; z = 1 for a picture. Volumes are in LPS order, so a
    slice [z] is an axial picture as displayed. `label`: integer codes of the same shape. `tables`: trained
    name to a boolean table over the codes. `synthesise`: the image is made from the label at every draw.
    """

    key: str
    config: SetConfig
    image: NDArray[np.generic]
    label: NDArray[np.generic]
    tables: Mapping[str, NDArray[np.bool_]]
    is_hu: bool = False
    synthesise: bool = False

    @property
    def is_volume(self) -> bool:
        return self.label.shape[0] > 1

    @property
    def pool(self) -> str:
        """Samples of one pool are drawn at one input size: "x-ray", "small" (crops of few voxels) or "main"."""
        if self.config.modality == "XR":
            return "x-ray"
        return "small" if self.is_volume and max(self.label.shape) <= 80 else "main"


def read_rows(data: Path, use: str, tiers: Sequence[str] = ()) -> list[dict[str, str]]:
    """Manifest rows of one use ("train" or "dev"), of the licence tiers (empty: all). Raises InputRefused."""
    path = data / "manifest.csv"
    if not path.is_file():
        raise InputRefused(f"{data} holds no manifest.csv.", "Name the folder of the data set.")
    with path.open(newline="", encoding="utf-8") as file:
        every = list(csv.DictReader(file))
    missing = [name for name in _COLUMNS if every and name not in every[0]]
    if not every or missing:
        wrong = f"lacks the column {missing[0]}" if missing else "has no rows"
        raise InputRefused(f"{path} {wrong}.", f"Expected rows with the columns {', '.join(_COLUMNS)}.")
    rows = [row for row in every if row["use"] == use]
    return [row for row in rows if not tiers or row["licence_tier"] in tiers]


def in_validation(path: str, count: int) -> bool:
    """Whether a train row is kept for choosing thresholds: about every twelfth of the sets with >= 30 rows."""
    return count >= 30 and zlib.crc32(path.encode()) % 12 == 0


def row_labels(row: Row) -> dict[int, str]:
    """Mask value to label name; empty where the row has no table."""
    parsed = json.loads(row["labels"] or "{}")
    return {int(value): str(name) for value, name in parsed.items()} if isinstance(parsed, dict) else {}


def load_picture(data: Path, row: Row, config: SetConfig) -> Sample:
    """A 2D picture with its mask, reduced to at most STORED_SIDE (X-ray: STORED_X_RAY) pixels."""
    image = Image.open(data / row["path"]).convert("L")
    label = np.asarray(Image.open(data / row["label_path"]))
    label = label[..., 0] if label.ndim == 3 else label
    _refuse_another_grid(row, label.shape, (image.height, image.width))
    scale = min(1.0, (STORED_X_RAY if config.modality == "XR" else STORED_SIDE) / max(image.size))
    size = (round(image.width * scale), round(image.height * scale))
    pixels = np.asarray(image.resize(size, Image.Resampling.BOX))
    rows = ((np.arange(size[1]) + 0.5) * label.shape[0] / size[1]).astype(int)
    cols = ((np.arange(size[0]) + 0.5) * label.shape[1] / size[0]).astype(int)
    codes = label[np.ix_(rows, cols)].astype(np.uint16)
    bits = row["mask_encoding"].startswith("bitmask")
    labels = row_labels(row)
    if config.resampled:
        for value in set(np.unique(label).tolist()) - {0}:
            if is_line(label == value):
                codes[codes == value] = 0
    if config.lung_rule:
        codes[lungs_by_rule(pixels) & (codes == 0)] = LUNG_CODE
        labels[LUNG_CODE] = "lung"
    return Sample(row["path"], config, pixels[None], codes[None], _tables(config, labels, bits))


def is_line(mask: NDArray[np.bool_]) -> bool:
    """Whether a mask (rows, cols) has pixels, but is nowhere three of them wide."""
    return bool(mask.any()) and not ndimage.binary_erosion(mask, np.ones((3, 3), bool)).any()


def load_nifti(path: Path) -> NDArray[np.generic]:
    """Voxels as (z, y, x) with z to the head, y to the back, x to the left (LPS); nearest axes."""
    image = nib.load(path)
    axes = nib.orientations.axcodes2ornt(("L", "P", "S"))
    turn = nib.orientations.ornt_transform(nib.orientations.io_orientation(image.affine), axes)
    array = nib.orientations.apply_orientation(np.asanyarray(image.dataobj), turn)
    return np.ascontiguousarray(np.squeeze(array).transpose(2, 1, 0))


def load_volume(data: Path, row: Row, config: SetConfig) -> Sample:
    """A NIfTI volume with its labels; MR as uint8 over its robust range, CT as HU."""
    label = load_nifti(data / row["label_path"]).astype(np.uint16)
    tables = _tables(config, row_labels(row), bits=False)
    if row["path"] == row["label_path"] or not row["path"].endswith(".nii.gz"):
        return Sample(row["label_path"], config, label, label, tables, synthesise=True)
    voxels = load_nifti(data / row["path"]).astype(np.float32)
    _refuse_another_grid(row, label.shape, voxels.shape)
    if not np.isfinite(voxels).all():
        raise InputRefused(f"{row['path']} holds NaN or infinite values, expected numbers everywhere.")
    key = row["path"] + "|" + row["label_path"]
    if config.modality == "CT":
        return Sample(key, config, voxels.clip(-1100, 3000).astype(np.int16), label, tables, is_hu=True)
    low, high = robust_range(voxels)
    return Sample(key, config, ((voxels - low) / (high - low) * 255).clip(0, 255).astype(np.uint8), label, tables)


def _refuse_another_grid(row: Row, label: tuple[int, ...], image: tuple[int, ...]) -> None:
    if label != image:
        shapes = f"{'x'.join(map(str, label))}, expected the {'x'.join(map(str, image))} of {row['path']}"
        raise InputRefused(f"{row['label_path']} is {shapes}.")


def load_sample(data: Path, row: Row, config: SetConfig) -> Sample:
    """One manifest row as a sample. Raises InputRefused naming the file that cannot be used."""
    try:
        sample = _load(data, row, config)
    except (OSError, ValueError, EOFError, ImageFileError) as error:
        names = f"{row['path'] or row['label_path']} with the mask {row['label_path']}"
        reason = one_line(str(error), 200)
        raise InputRefused(f"{names} cannot be read ({reason}).", "Expected PNG or NIfTI.") from error
    _refuse_unknown_values(row, sample)
    return sample


def _load(data: Path, row: Row, config: SetConfig) -> Sample:
    if row["set"] == "mr3d/synthseg_label_maps":
        label = load_nifti(data / row["label_path"]).astype(np.uint16)
        codes = {int(v): str(int(v)) for v in (*np.unique(label), OEDEMA, CORE)}
        return Sample(row["label_path"], config, label, label, _tables(config, codes, False), synthesise=True)
    return (load_picture if row["label_path"].endswith(".png") else load_volume)(data, row, config)


def _refuse_unknown_values(row: Row, sample: Sample) -> None:
    """Values of an index mask that the row's table does not name would silently be background."""
    labels = row_labels(row)
    if not labels or sample.synthesise or not row["mask_encoding"].startswith("index"):
        return
    unknown = sorted(set(np.unique(sample.label).tolist()) - set(labels) - {0, LUNG_CODE})
    if unknown:
        known = ", ".join(str(value) for value in sorted(labels)[:12])
        raise InputRefused(f"{row['label_path']} holds the value {unknown[0]}, expected 0 or one of {known}.")


def _tables(config: SetConfig, labels: Mapping[int, str], bits: bool) -> dict[str, NDArray[np.bool_]]:
    codes = np.arange(65536 if bits else max([1023, *labels]) + 1)
    named = config.values(labels)
    if bits:
        return {name: (codes & sum(values)) > 0 for name, values in named.items()}
    return {name: np.isin(codes, values) for name, values in named.items()}
