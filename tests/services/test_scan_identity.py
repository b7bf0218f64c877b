"""Scans are found again by path and hashes, and never taken for another one."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "io"))

from dicom_factory import Series, shear

from medviewer.core.errors import InputRefused
from medviewer.core.phantom import torso_phantom
from medviewer.core.progress import silent
from medviewer.core.volume import Volume
from medviewer.core.voxel_hash import voxel_hash
from medviewer.services import open_data
from medviewer.services.scan_identity import (
    ScanIdentity,
    identity_of,
    reopen,
    same_place,
    stated,
    with_stated,
)


def volumes_of(folder: Path) -> list[Volume]:
    return [open_data.load(entry) for entry in open_data.scan_path(folder).entries]


def test_each_series_of_a_folder_is_found_again(tmp_path: Path) -> None:
    """Two series of the same shape, and one that is resampled because of its tilt."""
    Series(slices=5).write(tmp_path / "a")
    Series(slices=5, origin=(1.0, 2.0, 3.0)).write(tmp_path / "b")
    Series(slices=6, shear=shear(12.0)).write(tmp_path / "c")
    volumes = volumes_of(tmp_path)
    assert len(volumes) == 3
    for volume in volumes:
        identity = ScanIdentity.from_dict(identity_of(volume, "salt").as_dict())
        again = reopen(identity, silent())
        assert again.id == volume.id
        assert np.array_equal(again.array, volume.array)
        assert [same_place(identity, other) for other in volumes] == [other is volume for other in volumes]
        assert volume.id not in str(identity.as_dict())


def test_a_changed_voxel_position_or_spacing_is_another_scan(tmp_path: Path) -> None:
    series = Series(slices=4)
    series.write(tmp_path)
    (volume,) = volumes_of(tmp_path)
    identity = identity_of(volume, "salt")
    for other in (replace(series, intercept=-1023.0), replace(series, origin=(-20.0, -30.0, 41.0))):
        other.write(tmp_path)
        with pytest.raises(InputRefused, match="not the scan"):
            reopen(identity, silent())
    series.write(tmp_path)
    assert voxel_hash(reopen(identity, silent())) == identity.voxels


def test_a_series_with_a_new_uid_is_the_same_scan(tmp_path: Path) -> None:
    """After deidentification the voxels are what counts."""
    series = Series(slices=4)
    series.write(tmp_path)
    (volume,) = volumes_of(tmp_path)
    identity = identity_of(volume, "salt")
    replace(series, series_uid="1.2.3.4").write(tmp_path)
    assert reopen(identity, silent()).id == "1.2.3.4"


def test_the_hash_does_not_depend_on_the_memory_order() -> None:
    values = np.random.default_rng(0).integers(-9, 9, (5, 6, 7), np.int16)
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    hashes = {voxel_hash(Volume(np.array(values, order=order), affine)) for order in ("C", "F")}
    assert len(hashes) == 1
    mirrored = np.diag([-1.0, 2.0, 3.0, 1.0])
    assert voxel_hash(Volume(values.copy(), mirrored)) not in hashes
    assert voxel_hash(Volume(values.copy(), None)) not in hashes
    assert voxel_hash(Volume(values.astype(np.int32), affine)) not in hashes


def test_the_sample_is_made_again() -> None:
    volume = torso_phantom(seed=0).volume
    identity = identity_of(volume, "salt")
    assert identity.name == "sample"
    assert np.array_equal(reopen(identity, silent()).array, volume.array)
    with pytest.raises(InputRefused, match="not the scan"):
        reopen(replace(identity, voxels="0" * 32), silent())


@pytest.mark.parametrize("change", [{"shape": [1, 2]}, {"shape": "abc"}, {"path": None, "voxels": None}, {}])
def test_damaged_references_are_refused(change: dict[str, object]) -> None:
    values = {"path": "/x", "format": "nifti", "series": "s", "salt": "t", "shape": [1, 2, 3], "voxels": "v"} | change
    if not change:
        del values["salt"]
    if change == {"path": None, "voxels": None}:
        assert ScanIdentity.from_dict(values).path == Path("None")
        return
    with pytest.raises(ValueError, match=r"damaged|expected|invalid"):
        ScanIdentity.from_dict(values)


def test_what_was_stated_is_said_again() -> None:
    volume = Volume(np.zeros((4, 4, 1), np.uint8), None, kind="image")
    assert stated(volume) == {}
    said = with_stated(volume, {"modality": "DX", "patient_orientation": ["L", "F"]})
    assert stated(said) == {"modality": "DX", "patient_orientation": ["L", "F"]}
    with pytest.raises(ValueError, match="damaged"):
        with_stated(volume, {"modality": "not one"})


def test_a_scan_that_was_reduced_for_memory_is_reduced_again(tmp_path: Path) -> None:
    from medviewer.services.load_again import load_as

    Series(slices=8).write(tmp_path)
    (entry,) = open_data.scan_path(tmp_path).entries
    small = load_as(entry, (12, 10, 4), silent())
    assert small.shape == (12, 10, 4)
    again = reopen(identity_of(small, "salt"), silent())
    assert np.array_equal(again.array, small.array)
    assert np.allclose(again.affine, small.affine)
