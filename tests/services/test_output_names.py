"""The names that an export will write are the names that it writes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "safety"))

from save_cases import Inputs, segments, solid

from medviewer.services import save_data
from medviewer.services.output_names import existing, outputs


@pytest.mark.parametrize("name", ["m.nii.gz", "m.nii", "m.seg.nrrd", "m.dcm", "m.stl", "m.ply", "m.png"])
@pytest.mark.parametrize("count", [1, 2])
def test_outputs_are_named_before_they_are_written(tmp_path: Path, name: str, count: int) -> None:
    inputs = Inputs(tmp_path / "in")
    scan = inputs.picture if name == "m.png" else inputs.short
    made = (solid(inputs.nifti, 0) if name.endswith((".stl", ".ply")) else segments(scan, 0))[:count]
    scan = inputs.nifti if name.endswith((".stl", ".ply")) else scan
    (tmp_path / "out").mkdir()
    planned = outputs(tmp_path / "out" / name, made)
    assert existing(planned) == []
    save_data.save_segments(tmp_path / "out" / name, scan, made)
    assert sorted(planned) == sorted((tmp_path / "out").iterdir())
    assert existing(planned) == planned


def test_names_that_the_drive_does_not_take(tmp_path: Path) -> None:
    assert existing([tmp_path / ("x" * 300), tmp_path]) == [tmp_path]
