"""Development rows as scans with their truth, read by the program's own readers."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medviewer.core.geometry import lps_to_voxel
from medviewer.core.progress import silent
from medviewer.core.volume import Volume
from medviewer.io import image_file, nifti

from .samples import Row, read_rows, row_labels
from .sets import SetConfig, load_sets, structures

Mask = NDArray[np.bool_]
_PARTLY = ("vertebra", "spine")  # two volumes label one vertebra only
VISIBLE = {"picture": 1, "volume": 20}  # voxels from which a labelled structure counts
# sets that are only measured on: labels to trained names
_ONLY_DEV: Mapping[str, Mapping[str, str]] = {
    "ct/liver_ircad": {"liver": "liver"},
    "xray/covid_cxr_seg": {"left lung": "lung", "right lung": "lung"},
}


@dataclass(frozen=True, eq=False)
class Case:
    """One scan: trained name to its truth on the scan's grid; names known to be absent."""

    set: str
    modality: str
    volume: Volume
    truths: Mapping[str, Mask]
    absent: Sequence[str] = field(default_factory=list)


def dev_cases(
    data: Path, only: Sequence[str] | None, most: int, part: tuple[int, int] = (0, 1)
) -> Iterator[Case]:
    """Cases of the dev rows, at most `most` per set (chosen by hash); of `part` (i, n) every n-th from the i-th."""
    sets = load_sets()
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in read_rows(data, "dev"):
        if (row["set"] in sets or row["set"] in _ONLY_DEV) and (not only or row["set"] in only):
            rows[row["set"]].append(row)
    chosen = []
    for _, group in sorted(rows.items()):
        chosen += sorted(group, key=lambda r: zlib.crc32(r["path"].encode()))[:most]
    for row in chosen[part[0] :: part[1]]:
        yield _case(data, row, sets.get(row["set"]))


def _case(data: Path, row: Row, config: SetConfig | None) -> Case:
    volume = _read(data / row["path"])
    truths = _truths(data, row, config, volume)
    least = VISIBLE["volume" if volume.shape[2] > 1 else "picture"]
    visible = {name: mask for name, mask in truths.items() if mask.sum() >= least}
    modality = config.modality if config else ("XR" if row["modality"].startswith("DX") else "CT")
    return Case(row["set"], modality, volume, visible, _absent(config, truths, row["path"]))


def _read(path: Path) -> Volume:
    reader = nifti if path.suffix == ".gz" else image_file
    entry = reader.scan(path, silent()).entries[0]
    return reader.load(entry, silent())


def _truths(data: Path, row: Row, config: SetConfig | None, volume: Volume) -> dict[str, Mask]:
    codes = _codes(data / row["label_path"], volume)
    bits = row["mask_encoding"].startswith("bitmask")
    truths = {}
    for name, values in _values(row, config).items():
        truths[name] = (codes & sum(values)) > 0 if bits else np.isin(codes, values)
    partly = _PARTLY if "report" in row["path"] else ()
    return {name: mask for name, mask in truths.items() if name in structures() and name not in partly}


def _values(row: Row, config: SetConfig | None) -> dict[str, list[int]]:
    labels = row_labels(row)
    if config is not None:
        return config.values(labels)
    values: dict[str, list[int]] = defaultdict(list)
    for value, label in labels.items():
        if label in _ONLY_DEV[row["set"]]:
            values[_ONLY_DEV[row["set"]][label]].append(value)
    return values


def _codes(path: Path, volume: Volume) -> NDArray[np.int64]:
    """Mask values on the scan's grid (i, j, k); label volumes may be stored in another orientation. Raises ValueError
    where they do not cover the same voxels."""
    if path.suffix == ".gz":
        labels = _read(path)
        assert volume.affine is not None
        assert labels.affine is not None
        corner = np.round(lps_to_voxel(labels.affine, volume.affine[:3, 3])).astype(int)
        steps = np.round(np.linalg.inv(labels.affine[:3, :3]) @ volume.affine[:3, :3]).astype(int)
        index = [np.arange(n) for n in volume.shape]
        order = [int(np.flatnonzero(steps[axis])[0]) for axis in range(3)]  # scan axis along each label axis
        places = [corner[axis] + steps[axis, order[axis]] * index[order[axis]] for axis in range(3)]
        for place, count in zip(places, labels.shape, strict=True):
            if sorted(place) != list(range(count)):
                raise ValueError(f"{path.name} is not on the grid of its scan")
        taken = np.asarray(labels.array)[np.ix_(*places)]
        return np.transpose(taken, np.argsort(order)).astype(np.int64)
    picture = np.asarray(Image.open(path))
    return (picture if picture.ndim == 2 else picture[..., 0]).T[:, :, None].astype(np.int64)


def _absent(config: SetConfig | None, truths: Mapping[str, Mask], path: str) -> list[str]:
    """Up to two structures annotated throughout but not here, and two of another part of the body."""
    if config is None:
        return []
    rng = np.random.default_rng(zlib.crc32(path.encode()))
    near = [n for n in sorted(config.throughout) if n not in truths or not truths[n].any()]
    picks = [list(rng.permutation(pool))[:2] for pool in (near, list(config.elsewhere)) if pool]
    return [str(name) for pick in picks for name in pick]
