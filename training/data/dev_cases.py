"""Scans with their truth for measuring, read by the program's own readers: rows of the manifest, and phantoms.

`dev` rows only measure. `held` are the train rows that training leaves out (`samples.in_validation`): thresholds and
calibration are chosen on them. Slices of one patient may lie on both sides of that line.
"""

from __future__ import annotations

import csv
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medviewer.core.geometry import lps_to_voxel
from medviewer.core.phantom import torso_phantom
from medviewer.core.progress import silent
from medviewer.core.volume import Volume
from medviewer.io import image_file, nifti

from .samples import Row, in_validation, is_line, read_rows, row_labels
from .sets import SetConfig, load_sets, structures

Mask = NDArray[np.bool_]
Sides = Mapping[str, tuple[Mask, Mask]]
Split = Literal["dev", "held"]
_PARTLY = ("vertebra", "spine")  # two volumes label one vertebra only
VISIBLE = {"picture": 1, "volume": 20}  # voxels from which a labelled structure counts
DEV_PHANTOMS = (0,)  # never trained on
HELD_PHANTOMS = (9001, 9002, 9003)  # training's own seeds are small
_TRUNK = frozenset({"neck", "chest", "abdomen", "pelvis"})
NEAR, FAR = 3, 3  # absent structures asked per scan: annotated throughout, and of another part of the body
# sets that are only measured on: labels to trained names, modality, parts of the body in view
_ONLY_DEV: Mapping[str, tuple[Mapping[str, str], str, frozenset[str]]] = {
    "ct/liver_ircad": ({"liver": "liver"}, "CT", frozenset({"chest", "abdomen", "pelvis"})),
    "xray/covid_cxr_seg": (
        {"left lung": "lung", "right lung": "lung"}, "XR", frozenset({"chest", "abdomen", "neck"}),
    ),
}
# where a set's file names tell the patient
_PATIENT: Mapping[str, str] = {
    "ct/abdomen_curvas": r"\d_(\d+)_\d+", "ct/liver_ircad": r"(\d+)_\d+", "ct/aorta_avt": r"(\d+)_\d+",
    "ct/lung_tumor_msd": r"(\d+)_\d+", "ct/spleen_msd": r"(\d+)_spleen", "mr/heart_hvsmr2": r"(\d+)_\d+",
    "mr/spine_spider_t2w": r"(\d+)_\d+", "mr/full_head_t1w": r"(\d+)_\d+", "us/carotid_ccaus": r"(\w+)_slice",
    "xray/jsrt_scr": r"(JPC\w+)", "mr3d/hippocampus_msd": r"hippocampus_(\d+)", "mr3d/brats2013": r".*_(pat\d+)_",
    "ct3d/totalsegmentator": r"(.+)_ct", "mr3d/brain_atlas": r"(.+)_T1",
}


@dataclass(frozen=True, eq=False)
class Case:
    """One scan: trained name to its truth on the scan's grid; names known to be absent.

    `patient` is empty where the set does not tell. `sides`: trained name to the truth of the patient's left and right,
    where the set labels them apart.
    """

    set: str
    modality: str
    volume: Volume
    truths: Mapping[str, Mask]
    absent: Sequence[str] = field(default_factory=list)
    key: str = ""
    patient: str = ""
    sides: Sides = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return "volume" if self.volume.shape[2] > 1 else "picture"

    @property
    def unit(self) -> str:
        """What the bootstrap draws: the patient, or the scan where no patient is known."""
        return f"{self.set} {self.patient or self.key}"

    @property
    def unit_kind(self) -> str:
        return "patients" if self.patient else "images"


def dev_cases(
    data: Path, only: Sequence[str] | None, most: int, part: tuple[int, int] = (0, 1)
) -> Iterator[Case]:
    """Cases of the dev rows, at most `most` per set (chosen by hash); of `part` (i, n) every n-th from the i-th."""
    return manifest_cases(data, chosen_rows(data, "dev", only, most)[part[0] :: part[1]])


def chosen_rows(
    data: Path, split: Split, only: Sequence[str] | None = None, most: int = 10_000, tiers: Sequence[str] = ()
) -> list[Row]:
    """Rows of a split in sets that can be measured, at most `most` per set (chosen by hash), of the licence tiers."""
    sets = load_sets()
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in _rows_of(data, split, tiers):
        measured = row["set"] in sets or (split == "dev" and row["set"] in _ONLY_DEV)
        if measured and (not only or row["set"] in only) and row["path"]:
            groups[row["set"]].append(row)
    return [row for _, group in sorted(groups.items()) for row in sorted(group, key=_hash)[:most]]


def manifest_cases(data: Path, rows: Iterable[Row]) -> Iterator[Case]:
    """The rows as cases, one after the other."""
    sets = load_sets()
    for row in rows:
        yield _case(data, row, sets.get(row["set"]))


def phantom_cases(seeds: Sequence[int]) -> Iterator[Case]:
    """Generated torsos that are never trained on; the truth of a paired organ is also told by side."""
    config = load_sets()["phantom"]
    for seed in seeds:
        phantom = torso_phantom(seed)
        labels = {value: label.name for value, label in phantom.names.items()}
        values = config.values(labels)
        truths = {name: np.isin(phantom.labels, found) for name, found in values.items()}
        absent = _picked([], elsewhere(config.shows), f"phantom {seed}")
        sides = _sides(phantom.labels, labels, values, bits=False)
        yield Case("phantom", "CT", phantom.volume, truths, absent, f"phantom {seed}", f"phantom {seed}", sides)


def stated(case: Case) -> Case:
    """The case with its modality stated, as in a DICOM file or by the user."""
    names = {"XR": "DX"}
    return replace(case, volume=case.volume.with_changes(modality=names.get(case.modality, case.modality)))


def _rows_of(data: Path, split: Split, tiers: Sequence[str]) -> list[dict[str, str]]:
    if split == "dev":
        return read_rows(data, "dev", tiers)
    rows = read_rows(data, "train", tiers)
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        counts[row["set"]] += 1
    return [row for row in rows if in_validation(row["path"], counts[row["set"]])]


def _hash(row: Row) -> int:
    return zlib.crc32(row["path"].encode())


def _case(data: Path, row: Row, config: SetConfig | None) -> Case:
    volume = _read(data / row["path"])
    labels = row_labels(row)
    codes = _codes(data / row["label_path"], volume)
    bits = row["mask_encoding"].startswith("bitmask")
    values = _values(row["set"], labels, config)
    truths = _truths(codes, values, bits, "report" in row["path"])
    least = VISIBLE["volume" if volume.shape[2] > 1 else "picture"]
    return Case(
        row["set"], config.modality if config else _ONLY_DEV[row["set"]][1], volume,
        {name: mask for name, mask in truths.items() if mask.sum() >= least and not _is_left_over(mask, config)},
        _absent(row, config, truths), row["path"], _patient(data, row), _sides(codes, labels, values, bits),
    )


def _is_left_over(mask: Mask, config: SetConfig | None) -> bool:
    """Whether a label is no outline of a person: then it is neither asked for nor taken to be absent."""
    return config is not None and config.resampled and mask.shape[2] == 1 and is_line(mask[..., 0])


def _read(path: Path) -> Volume:
    reader = nifti if path.suffix == ".gz" else image_file
    entry = reader.scan(path, silent()).entries[0]
    return reader.load(entry, silent())


def _truths(
    codes: NDArray[np.int64], values: Mapping[str, Sequence[int]], bits: bool, is_report: bool
) -> dict[str, Mask]:
    known = [name for name in values if name in structures() and not (is_report and name in _PARTLY)]
    return {name: _where(codes, values[name], bits) for name in known}


def _where(codes: NDArray[np.integer], values: Sequence[int], bits: bool) -> Mask:
    return np.asarray((codes & sum(values)) > 0 if bits else np.isin(codes, values))


def _values(name: str, labels: Mapping[int, str], config: SetConfig | None) -> dict[str, list[int]]:
    if config is not None:
        return config.values(labels)
    trained = _ONLY_DEV[name][0]
    values: dict[str, list[int]] = defaultdict(list)
    for value, label in labels.items():
        if label in trained:
            values[trained[label]].append(value)
    return values


def _sides(
    codes: NDArray[np.integer], labels: Mapping[int, str], values: Mapping[str, Sequence[int]], bits: bool
) -> dict[str, tuple[Mask, Mask]]:
    """Left and right of names whose every label tells its side ("kidney left", "left lung")."""
    sides = {}
    for name, members in values.items():
        words = {value: set(labels.get(value, "").split()) & {"left", "right"} for value in members}
        if not set(name.split()) & {"left", "right"} and all(len(found) == 1 for found in words.values()):
            halves = [[v for v in members if words[v] == {side}] for side in ("left", "right")]
            sides[name] = (_where(codes, halves[0], bits), _where(codes, halves[1], bits))
    return sides


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


# -- absence and patients ---------------------------------------------------------------------------------------------
def _absent(row: Row, config: SetConfig | None, truths: Mapping[str, Mask]) -> list[str]:
    """Structures annotated throughout but not here, and some that lie in no part of the body in view.

    Stricter than training, which also takes as absent what a projection or an ultrasound picture never outlines.
    """
    far = elsewhere(config.shows if config else _ONLY_DEV[row["set"]][2])
    partly = "report" in row["path"]  # these volumes label vessels only
    throughout = [] if config is None or partly else sorted(config.throughout)
    near = [name for name in throughout if name not in truths or not truths[name].any()]
    return _picked(near, far, row["path"])


def elsewhere(shows: frozenset[str]) -> list[str]:
    """Trained names that lie in no part of the body in view; the spine runs through the whole trunk."""
    view = shows | {"spine"} if shows & _TRUNK else shows
    return [name for name, places in sorted(structures().items()) if not places & view]


def _picked(near: Sequence[str], far: Sequence[str], key: str) -> list[str]:
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    picks = [list(rng.permutation(sorted(pool)))[:count] for pool, count in ((near, NEAR), (far, FAR)) if pool]
    return [str(name) for pick in picks for name in pick]


def _patient(data: Path, row: Row) -> str:
    if row["set"] == "xray/covid_cxr_seg":
        return _covid_patients(data).get(PurePosixPath(row["source_path"]).name, "")
    found = re.match(_PATIENT.get(row["set"], r"(?!)"), PurePosixPath(row["path"]).name)
    return found[1] if found else ""


@cache
def _covid_patients(data: Path) -> dict[str, str]:
    """Picture name to patient, from the notes that come with the set."""
    path = data / "text" / "covid_chestxray_metadata_notes.csv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["filename"]: row["patientid"] for row in csv.DictReader(file) if row["patientid"]}
