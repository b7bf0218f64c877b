"""Scans and segments that are exported as training sets."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nibabel
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

import own_cases as own

from medviewer.core.geometry import flip_ras_lps
from medviewer.core.provenance import Provenance
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Patient, Volume
from medviewer.services.training_set import TrainingCase

MODEL = Provenance(model_id="default", model_version="2", weights_sha256="ab" * 32, prompt="the blob",
                   licence="non-commercial research weights")  # fmt: skip


def ct(orientation: str = "LPS", seed: int = 0, patient: str = "", **more: object) -> Volume:
    affine = own.affine_of(orientation)
    return Volume(own.coded(affine, seed), affine, "CT", "HU", patient=Patient(id=patient, name="Doe^Jane"),
                  title="Thorax of Doe", **more)  # fmt: skip


def blob(volume: Volume, name: str = "Blob", move: float = 0.0, **more: object) -> Segment:
    assert volume.affine is not None
    mask = own.blob(volume.affine, (14.0, -22.0 + move, 33.0))
    return Segment(name, mask, provenance=MODEL, **more)  # type: ignore[arg-type]


def case(volume: Volume, *segments: Segment) -> TrainingCase:
    return TrainingCase(volume, segments or (blob(volume),))


def document(folder: Path) -> dict:
    return json.loads((folder / "dataset.json").read_text())


def turned(array: np.ndarray, volume: Volume) -> np.ndarray:
    """(i, j, k) to (z, y, x) LPS by nibabel, another way than the trainer's."""
    assert volume.affine is not None
    ornt = nibabel.orientations.io_orientation(flip_ras_lps(volume.affine))
    target = nibabel.orientations.axcodes2ornt(("L", "P", "S"))
    moved = nibabel.orientations.apply_orientation(array, nibabel.orientations.ornt_transform(ornt, target))
    return moved.transpose(2, 1, 0)
