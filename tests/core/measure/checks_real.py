"""Measurements of real scans beside those of SimpleITK, which reads the files by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from medviewer.core.volume import Volume
from tests.core.measure.bodies import segment
from tests.core.measure.checks import ROUNDING, Check, numbers, ranked, value, widths


def real(shared: Path) -> Iterator[Check]:
    """The example CT, a tumour of BraTS and a chest X-ray of JSRT with their labels."""
    yield from _abdomen(shared / "ct3d" / "totalsegmentator")
    yield from _tumour(shared / "mr3d" / "brats2013")
    yield from _x_ray(shared / "xray" / "jsrt_scr")


def opened(path: Path, modality: str) -> Volume:
    from medviewer.services.open_data import open_volume, with_modality

    return with_modality(open_volume(path), modality)


def _abdomen(folder: Path) -> Iterator[Check]:
    """Read by SimpleITK for its own numbers, by medviewer for ours."""
    import SimpleITK as sitk

    volume = opened(folder / "example_ct.nii.gz", "CT")
    labels = opened(folder / "example_ct_label.nii.gz", "CT").array
    image, label = (sitk.ReadImage(str(folder / name)) for name in ("example_ct.nii.gz", "example_ct_label.nii.gz"))
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.ComputeFeretDiameterOn()
    statistics.Execute(label)
    diagonal = float(np.linalg.norm(label.GetSpacing()))
    masks = [segment(labels == n, "kidney", side=side) for n, side in ((2, "right"), (3, "left"))]
    liver = segment(labels == 5, "liver")
    kidneys, found = numbers(volume, *masks), numbers(volume, liver)
    for n, side in ((2, "right"), (3, "left")):
        body, ml = f"example CT, {side} kidney", statistics.GetPhysicalSize(n) / 1000
        yield Check("volume", body, value(kidneys, "volume", side), ml, "ml", "SimpleITK", 1e-4 * ml)
        feret = statistics.GetFeretDiameter(n)
        yield Check("length", body, value(kidneys, "length", side), feret, "mm", "SimpleITK Feret", diagonal)
        gap = float(np.linalg.norm(np.subtract(kidneys["volume", side].points[0], statistics.GetCentroid(n))))
        yield Check("volume (centroid)", body, gap, 0.0, "mm", "SimpleITK", 1e-2)
    values = sorted(int(v) for v in sitk.GetArrayFromImage(image)[sitk.GetArrayFromImage(label) == 5])
    for quantity, share in (("intensity_p5", 0.05), ("intensity_median", 0.5), ("intensity_p95", 0.95)):
        other = ranked(values, share)
        yield Check(quantity, "example CT, liver", value(found, quantity), other, "HU", "SimpleITK voxels", 1.0)


def _tumour(folder: Path) -> Iterator[Check]:
    import SimpleITK as sitk

    volume = opened(folder / "brats_2013_pat0005_1_Flair.nii.gz", "MR")
    mask = opened(folder / "brats_2013_pat0005_1_label.nii.gz", "MR").array > 0
    found = numbers(volume, segment(mask, "flair_abnormality"))
    label = sitk.ReadImage(str(folder / "brats_2013_pat0005_1_label.nii.gz")) > 0
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(label)
    ml = statistics.GetPhysicalSize(1) / 1000
    yield Check("volume", "BraTS, whole label", value(found, "volume"), ml, "ml", "SimpleITK", 1e-4 * ml)
    for name, axis in (("left_right", 0), ("front_back", 1), ("feet_head", 2)):
        size = statistics.GetBoundingBox(1)[3 + axis] * label.GetSpacing()[axis]
        ours = value(found, f"extent_{name}")
        yield Check(f"extent_{name}", "BraTS, whole label", ours, size, "mm", "SimpleITK box", 0.01)


def _x_ray(folder: Path) -> Iterator[Check]:
    volume = opened(folder / "images" / "JPCNN015.png", "DX")
    labels = opened(folder / "labels" / "JPCNN015.png", "DX").array
    heart, lungs = ((labels & bit) > 0 for bit in (4, 3))
    found = numbers(volume, segment(heart, "heart"), segment(lungs, "lung"))
    other = widths(heart, lungs)
    yield Check("width_ratio", "JSRT JPCNN015", value(found, "width_ratio"), other, "1", "brute force", ROUNDING)
