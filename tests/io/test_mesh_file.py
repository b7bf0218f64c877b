"""Surfaces: closed, at their place in LPS mm, with the mask's volume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files_oracle import AFFINES, oblique, segments, volume
from scipy.ndimage import binary_dilation

from medviewer.core.errors import OutputNotWritten
from medviewer.core.geometry import voxel_to_lps
from medviewer.core.progress import silent
from medviewer.core.segmentation import Segment
from medviewer.io import mesh_file

SHAPE = (40, 36, 32)


def ball(radius: float = 11.0) -> Any:
    index = np.indices(SHAPE) - np.array([18, 17, 15]).reshape(3, 1, 1, 1)
    return (index**2).sum(axis=0) < radius**2


def single() -> Any:
    mask = np.zeros(SHAPE, np.bool_)
    mask[20, 20, 20] = True
    return mask


def noise() -> Any:
    return np.random.default_rng(1).random(SHAPE) > 0.7


def sheet() -> Any:
    mask = np.zeros(SHAPE, np.bool_)
    mask[:, 10, :] = True  # one voxel thin and touching four edges of the scan
    return mask


def tree() -> Any:
    mask = np.zeros(SHAPE, np.bool_)
    mask[5:35, 10, 10] = mask[20, 10:30, 10] = mask[20, 20, 10:30] = True
    return mask | binary_dilation(ball(5.0))


def full() -> Any:
    return np.ones(SHAPE, np.bool_)


def corners_touch() -> Any:
    mask = np.zeros(SHAPE, np.bool_)
    mask[10:15, 10:15, 10:15] = mask[15:20, 15:20, 15:20] = True
    return mask


@pytest.mark.parametrize("make", [ball, single, noise, sheet, tree, full, corners_touch])
@pytest.mark.parametrize("suffix", [".stl", ".ply"])
def test_closed_with_the_masks_volume(tmp_path: Path, make: Any, suffix: str) -> None:
    scan = volume(oblique(), SHAPE)
    made = [Segment("a", make())]
    path = tmp_path / f"m{suffix}"
    mesh_file.write(path, scan, made, silent())
    mesh_file.verify(path, scan, made)
    mesh = mesh_file.read_mesh(path)
    assert mesh.watertight
    expected = made[0].mask.sum() * 0.7 * 1.9 * 4.3
    assert mesh.volume_mm3 == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("name", AFFINES)
def test_the_box_is_the_masks_box_in_lps(tmp_path: Path, name: str) -> None:
    scan = volume(AFFINES[name], SHAPE)
    path = tmp_path / "m.stl"
    mesh_file.write(path, scan, [Segment("a", ball())], silent())
    points = mesh_file.read_mesh(path).triangles.reshape(-1, 3)
    inside = voxel_to_lps(AFFINES[name], np.argwhere(ball()))
    half = np.abs(AFFINES[name][:3, :3]).sum(axis=1) / 2
    np.testing.assert_array_less(np.abs(points.min(axis=0) - inside.min(axis=0)), half * 1.5)
    np.testing.assert_array_less(np.abs(points.max(axis=0) - inside.max(axis=0)), half * 1.5)
    np.testing.assert_allclose((points.min(axis=0) + points.max(axis=0)) / 2, inside.mean(axis=0), atol=0.3)
    assert mesh_file.read_mesh(path).volume_mm3 > 0  # normals outwards


def test_vtk_reads_the_same(tmp_path: Path) -> None:
    """An independent reader: same triangles, closed, same volume."""
    pytest.importorskip("vtkmodules")
    from vtkmodules.vtkFiltersCore import vtkCleanPolyData, vtkFeatureEdges, vtkMassProperties
    from vtkmodules.vtkIOGeometry import vtkSTLReader
    from vtkmodules.vtkIOPLY import vtkPLYReader

    scan = volume(oblique(), SHAPE)
    for suffix, reader in ((".stl", vtkSTLReader()), (".ply", vtkPLYReader())):
        path = tmp_path / f"m{suffix}"
        mesh_file.write(path, scan, [Segment("a", ball())], silent())
        reader.SetFileName(str(path))
        clean = vtkCleanPolyData()
        clean.SetInputConnection(reader.GetOutputPort())
        edges = vtkFeatureEdges()
        edges.SetInputConnection(clean.GetOutputPort())
        edges.FeatureEdgesOff()
        edges.ManifoldEdgesOff()
        edges.Update()
        assert edges.GetOutput().GetNumberOfCells() == 0  # no open edge
        mass = vtkMassProperties()
        mass.SetInputConnection(clean.GetOutputPort())
        mass.Update()
        assert mass.GetVolume() == pytest.approx(ball().sum() * 0.7 * 1.9 * 4.3, rel=0.02)


def test_an_empty_mask_and_several(tmp_path: Path) -> None:
    scan = volume(oblique())
    for suffix in (".stl", ".ply"):
        path = tmp_path / f"m{suffix}"
        mesh_file.write(path, scan, segments(scan)[2:], silent())
        mesh_file.verify(path, scan, segments(scan)[2:])
        assert len(mesh_file.read_mesh(path).triangles) == 0
        mesh_file.write(path, scan, segments(scan), silent())
        mesh_file.verify(path, scan, segments(scan))


def test_the_coordinate_system_is_stated(tmp_path: Path) -> None:
    scan = volume(oblique())
    mesh_file.write(tmp_path / "m.stl", scan, segments(scan), silent())
    mesh_file.write(tmp_path / "m.ply", scan, segments(scan), silent())
    assert b"SPACE=LPS UNIT=mm" in (tmp_path / "m.stl").read_bytes()[:80]
    assert b"comment medviewer SPACE=LPS UNIT=mm" in (tmp_path / "m.ply").read_bytes()[:200]


def test_damage_is_noticed(tmp_path: Path) -> None:
    scan = volume(oblique(), SHAPE)
    path = tmp_path / "m.stl"
    mesh_file.write(path, scan, [Segment("a", ball())], silent())
    with pytest.raises(OutputNotWritten, match="mm³"):
        mesh_file.verify(path, scan, [Segment("a", ball(9.0))])
    with pytest.raises(OutputNotWritten, match="another place"):
        mesh_file.verify(path, scan, [Segment("a", np.roll(ball(), 6, axis=0))])
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    with pytest.raises(OutputNotWritten, match="cut short"):
        mesh_file.verify(path, scan, [Segment("a", ball())])
    damaged = bytearray(whole)
    damaged[84 + 12 : 84 + 16] = np.float32(500).tobytes()
    path.write_bytes(damaged)
    with pytest.raises(OutputNotWritten, match="not closed"):
        mesh_file.verify(path, scan, [Segment("a", ball())])
