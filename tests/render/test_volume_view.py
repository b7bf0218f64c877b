"""3D: the reduced scan, surfaces, and pictures drawn off-screen."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from medviewer.core.errors import UserError
from medviewer.core.geometry import axis_letters, lps_to_voxel, voxel_to_lps
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.render.coarse import block_mean, reduced, surface_of
from medviewer.render.gl_backend import working_window
from medviewer.render.volume_view import VolumeView


def head(affine: np.ndarray | None = None) -> Volume:
    """Bone-like blocks: a large one to the patient's left, a small one at the feet on the right, in air."""
    values = np.full((40, 36, 30), -1000, np.int16, order="F")
    values[26:36, 8:28, 12:26] = 900
    values[4:9, 14:20, 2:7] = 900
    return Volume(values, np.diag([4.0, 4.0, 5.0, 1.0]) if affine is None else affine, modality="CT", units="HU")


@pytest.fixture(scope="module")
def graphics() -> None:
    try:
        working_window()
    except UserError as error:
        pytest.skip(str(error))


def test_reducing_keeps_values_at_their_place():
    rng = np.random.default_rng(0)
    affine = np.array([[0, -2.0, 0.3, 5], [3.0, 0, 0, -7], [0, 0.2, -4.0, 11], [0, 0, 0, 1.0]])
    array = rng.normal(size=(12, 20, 16)).astype(np.float32)
    coarse = reduced(Volume(array, affine), 700)
    assert coarse.array.size <= 700
    assert axis_letters(coarse.affine) == "LPS"
    centre = voxel_to_lps(coarse.affine, (1, 1, 1))
    assert np.isfinite(lps_to_voxel(affine, centre)).all()
    factors = [n // m for n, m in zip((12, 20, 16), np.transpose(coarse.array, (1, 0, 2)).shape, strict=True)]
    low = np.round(lps_to_voxel(affine, centre) - (np.array(factors) - 1) / 2).astype(int)
    block = array[tuple(slice(a, a + f) for a, f in zip(low, factors, strict=True))]
    assert coarse.array[1, 1, 1] == pytest.approx(block.mean(), abs=1e-5)


def test_block_mean_of_a_mask_is_coverage():
    mask = np.zeros((4, 4, 4), bool)
    mask[:2] = True
    assert block_mean(mask, (4, 2, 2)).ravel().tolist() == [0.5] * 4


@pytest.mark.parametrize("sign", [1, -1])
def test_surfaces_enclose_the_mask_in_patient_space(sign):
    affine = np.diag([sign * 2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = (10, -20, 30)
    mask = np.zeros((30, 30, 30), bool)
    mask[8:20, 9:21, 10:22] = True
    surface = surface_of(mask, affine)
    assert surface is not None
    low, high = surface.points.min(axis=0), surface.points.max(axis=0)
    ends = np.array([voxel_to_lps(affine, (7.5, 8.5, 9.5)), voxel_to_lps(affine, (19.5, 20.5, 21.5))])
    assert low == pytest.approx(ends.min(axis=0), abs=1.6)
    assert high == pytest.approx(ends.max(axis=0), abs=1.6)
    a, b, c = (surface.points[surface.triangles[:, n]].astype(float) for n in range(3))
    inside = np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6
    assert inside == pytest.approx(12**3 * 24.0, rel=0.12)  # positive: triangles face outwards
    outward = surface.points - surface.points.mean(axis=0)
    assert np.mean(np.einsum("ij,ij->i", outward, surface.normals) > 0) > 0.95


def test_small_and_empty_masks():
    mask = np.zeros((9, 9, 9), bool)
    assert surface_of(mask, np.eye(4)) is None
    mask[4, 4, 4] = True
    surface = surface_of(mask, np.eye(4))
    assert surface is not None
    assert len(surface.points) > 4


@pytest.mark.usefixtures("graphics")
@pytest.mark.parametrize("flipped", [False, True])
def test_the_patient_is_seen_from_the_front(flipped):
    volume = head()
    if flipped:  # the same anatomy stored the other way round
        affine = volume.affine.copy()
        affine[:3, 3] += affine[:3, 0] * 39
        affine[:3, 0] *= -1
        volume = Volume(np.array(volume.array[::-1], order="F"), affine, modality="CT", units="HU")
    view = VolumeView()
    view.set_size(200, 160)
    view.show(volume)
    picture = view.render()[:, :140, :3].astype(int).max(axis=2)
    assert view.render().shape == (160, 200, 4)
    view.close()
    bright = np.argwhere(picture > 90)
    assert bright[:, 1].max() > 110  # the patient's left is on the right
    lower_left = bright[(bright[:, 1] < 90) & (bright[:, 0] > 80)]
    upper_left = bright[(bright[:, 1] < 70) & (bright[:, 0] < 70)]
    assert len(lower_left) > 20
    assert len(upper_left) == 0


@pytest.mark.usefixtures("graphics")
def test_parts_make_the_same_picture():
    view = VolumeView()
    view.set_size(151, 133)
    view.show(head(), [Segment("block", head().array > 0, (255, 0, 0), opacity=0.5)])
    view.rotate(30, 20)
    whole = view.render().astype(int)
    *steps, final = list(view.render_parts())
    coarse = view.render(moving=True)
    view.close()
    assert all(step is None for step in steps)
    assert len(steps) > 1
    assert final.shape == whole.shape == coarse.shape
    assert np.abs(final.astype(int) - whole).mean() < 2.0
    assert np.abs(coarse.astype(int) - whole).mean() < 12.0


@pytest.mark.usefixtures("graphics")
def test_segments_have_their_colour_and_can_be_removed():
    volume = head()
    view = VolumeView()
    view.set_size(150, 150)
    view.show(volume, [Segment("block", volume.array > 0, (0, 0, 255))])
    blue = view.render()
    assert view.title == "3D · bone + segments"
    assert (blue[..., 0].astype(int) - blue[..., 2] > 80).sum() > 500
    view.set_surfaces({})
    assert (view.render()[:90, :90, 0].astype(int) - view.render()[:90, :90, 2] > 80).sum() == 0
    assert view.title == "3D · bone"
    view.close()


@pytest.mark.usefixtures("graphics")
def test_turning_and_resetting():
    view = VolumeView()
    view.set_size(120, 120)
    view.show(head())
    front = view.render().copy()
    view.rotate(90, 0)
    side = view.render().copy()
    view.zoom(1.5)
    view.pan(5, 9)
    view.reset()
    assert np.abs(front.astype(int) - side).mean() > 1
    assert np.abs(view.render().astype(int) - front).mean() < 0.5
    view.close()


@pytest.mark.usefixtures("graphics")
def test_mr_without_units_is_rendered():
    rng = np.random.default_rng(1)
    values = rng.normal(20, 5, (40, 40, 30)).astype(np.float32)
    values[10:30, 10:30, 5:25] += 300
    view = VolumeView()
    view.set_size(100, 100)
    view.show(Volume(values, np.eye(4), modality="MR"))
    assert view.render()[40:60, 40:60, :3].mean() > 40
    assert [look.name for look in view.looks] == ["surface", "translucent"]
    view.close()


@pytest.mark.usefixtures("graphics")
@pytest.mark.parametrize("shape", [(1, 1, 1), (16, 16, 1), (1, 9, 9), (2, 2, 2)])
@pytest.mark.parametrize("kind", [">i2", "u1", "i4", "f8", "?"])
def test_flat_scans_and_any_type_can_be_drawn(shape, kind):
    array = np.asfortranarray(np.arange(np.prod(shape)).reshape(shape).astype(kind))
    view = VolumeView()
    view.set_size(40, 40)
    view.show(Volume(array, np.eye(4), modality="MR"), [Segment("all", np.ones(shape, bool))])
    assert view.render().shape == (40, 40, 4)
    view.close()


@pytest.mark.usefixtures("graphics")
def test_scans_without_a_number_can_be_drawn():
    view = VolumeView()
    view.set_size(40, 40)
    view.show(Volume(np.full((9, 9, 9), np.nan, np.float32), np.eye(4)))
    assert view.render().shape == (40, 40, 4)
    view.close()


@pytest.mark.usefixtures("graphics")
def test_closing_frees_everything():
    volume = head()
    view = VolumeView()
    view.set_size(60, 60)
    view.show(volume, [Segment("block", volume.array > 0)])
    view.render()
    stage = view.stage
    vtk_volume = stage._volume
    gone = [weakref.ref(stage), weakref.ref(volume)]
    released: list[bool] = []
    vtk_volume.AddObserver("DeleteEvent", lambda *_: released.append(True))
    view.close()
    del stage, volume, vtk_volume
    gc.collect()
    assert [ref() for ref in gone] == [None, None]
    assert released == [True]
