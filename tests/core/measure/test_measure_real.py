"""Measurements of real scans with the masks that came with them, against SimpleITK and what is known of the scans."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medviewer.core.measure import Rules, measure_scan
from medviewer.core.report.document import Measurement
from medviewer.services.open_data import open_volume, with_modality
from tests.core.measure.bodies import segment

sitk = pytest.importorskip("SimpleITK")


@pytest.fixture(scope="module")
def example(shared_data: Path, rules: Rules) -> dict[tuple[str, str | None, str], Measurement]:
    """Every measurement of the example CT by structure, side and quantity."""
    folder = shared_data / "ct3d" / "totalsegmentator"
    volume = with_modality(open_volume(folder / "example_ct.nii.gz"), "CT")
    labels = open_volume(folder / "example_ct_label.nii.gz").array
    names = {"spleen": [1], "kidney": [2, 3], "liver": [5], "aorta": [52]}
    masks = [segment(np.isin(labels, values), name) for name, values in names.items()]
    return {(m.term_id, m.side, m.quantity): m for m in measure_scan(volume, masks, rules)}


@pytest.mark.parametrize("structure", ["liver", "spleen", "aorta"])
def test_liver_spleen_and_aorta_of_the_example_are_incomplete(example, structure: str) -> None:  # type: ignore[no-untyped-def]
    of_it = [m for (term, _, _), m in example.items() if term == structure]
    assert of_it
    assert all("incomplete" in m.flags for m in of_it)
    assert all(
        m.value is None and m.reason == "cut_by_edge" for m in of_it if m.quantity in ("volume", "length", "z_extent")
    )


def test_kidneys_of_the_example_agree_with_simpleitk(example, shared_data: Path) -> None:  # type: ignore[no-untyped-def]
    labels = sitk.ReadImage(str(shared_data / "ct3d" / "totalsegmentator" / "example_ct_label.nii.gz"))
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.ComputeFeretDiameterOn()
    statistics.Execute(labels)
    diagonal = float(np.linalg.norm(labels.GetSpacing()))
    for side, label in (("right", 2), ("left", 3)):
        assert example["kidney", side, "volume"].value == pytest.approx(
            statistics.GetPhysicalSize(label) / 1000, rel=1e-4
        )
        feret = statistics.GetFeretDiameter(label)
        assert feret <= example["kidney", side, "length"].value <= feret + diagonal


def test_no_range_without_age_sex_and_phase(example) -> None:  # type: ignore[no-untyped-def]
    assert {m.range_text for m in example.values()} == {""}


def test_a_tumour_of_brats_lies_on_the_side_of_its_voxels(shared_data: Path, rules: Rules) -> None:
    folder = shared_data / "mr3d" / "brats2013"
    for case, side in (("0004", "left"), ("0005", "right")):
        volume = with_modality(open_volume(folder / f"brats_2013_pat{case}_1_Flair.nii.gz"), "MR")
        mask = open_volume(folder / f"brats_2013_pat{case}_1_label.nii.gz").array > 0
        found = {m.quantity: m for m in measure_scan(volume, [segment(mask, "flair_abnormality")], rules)}
        head = np.argwhere(volume.array > 0) @ volume.affine[:3, :3].T  # type: ignore[index]
        tumour = np.argwhere(mask) @ volume.affine[:3, :3].T  # type: ignore[index]
        assert (tumour[:, 0].mean() > head[:, 0].mean()) == (side == "left")
        assert found["side_share"].side == side
        assert found["side_share"].value > 95  # type: ignore[operator]
        assert "long_axis" not in found, "an abnormality including oedema is not a lesion to be measured by RECIST"


def test_ratios_of_chest_x_rays_without_facts_are_widths_of_pixels_only(shared_data: Path, rules: Rules) -> None:
    folder = shared_data / "xray" / "jsrt_scr"
    volume = with_modality(open_volume(folder / "images" / "JPCNN015.png"), "DX")
    labels = open_volume(folder / "labels" / "JPCNN015.png").array
    names = {"heart": 4, "lung": 3}
    found = measure_scan(volume, [segment((labels & bit) > 0, name) for name, bit in names.items()], rules)
    values = {m.quantity: m for m in found}
    assert values["cardiothoracic_ratio"].reason == "projection_unknown"
    assert values["width_ratio"].value == pytest.approx(0.46, abs=0.02)
    assert json.dumps([m.range_text for m in found]) == json.dumps([""] * len(found))
