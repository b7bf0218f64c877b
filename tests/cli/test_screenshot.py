"""`screenshot`: a view as PNG, with masks, without a window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest


def pixels(path: Path) -> Any:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("view", ["axial", "coronal", "sagittal"])
def test_a_view_is_drawn_and_masks_change_it(run: Any, scan: Path, tmp_path: Path, view: str) -> None:
    mask, plain, marked = tmp_path / "mask.nii.gz", tmp_path / "plain.png", tmp_path / "marked.png"
    prompt = ("--prompt", "bone", "--plugin", "example_threshold")
    assert run("segment", scan, *prompt, "--out", mask).status == 0
    at = ("--at", "-4,-12,33")
    ran = run("screenshot", scan, "--out", plain, "--view", view, *at, "--json")
    assert (ran.status, ran.document["view"]) == (0, view)
    assert run("screenshot", scan, "--out", marked, "--view", view, *at, "--mask", mask).status == 0
    without, with_mask = pixels(plain), pixels(marked)
    colourful = np.abs(with_mask - without).max(axis=2) > 40
    assert without.std() > 10
    assert colourful.sum() > 50


def test_a_picture_has_one_view(run: Any, picture: Path, tmp_path: Path) -> None:
    assert run("screenshot", picture, "--out", tmp_path / "p.png").status == 0
    assert pixels(tmp_path / "p.png").std() > 10


@pytest.mark.parametrize(
    ("more", "status"),
    [
        (("--out", "p.jpg"), 2),
        (("--out", "p.png", "--at", "1,2"), 2),
        (("--out", "p.png", "--mask", "nothing.nii.gz"), 3),
        (("--out", "no/p.png"), 5),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    run: Any, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], status: int
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run("screenshot", scan, *more, "--json")
    assert ran.status == status
    assert ran.document["error"]["message"]


def test_a_mask_of_another_scan_is_refused(run: Any, scan: Path, tmp_path: Path) -> None:
    import nibabel

    other = tmp_path / "other.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones((3, 3, 3), np.uint8), np.diag([1.0, 1, 1, 1])), other)
    ran = run("screenshot", scan, "--mask", other, "--out", tmp_path / "p.png", "--json")
    assert ran.status == 3
