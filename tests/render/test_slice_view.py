"""Pictures of slices: the right anatomy at the right place, whatever the file's axes are."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from render_kit import LETTERS, ORIENTATIONS, PLANES, SHAPE, SPACING, body, body_values, shown

from medviewer.core.geometry import lps_to_voxel, voxel_to_lps
from medviewer.core.volume import Volume
from medviewer.render.masks import MaskLayer
from medviewer.render.slice_view import SliceView


def expected_plane(plane: str) -> np.ndarray:
    """Grey of the plane through (11, 9, 7) as a radiologist sees it, one pixel a voxel."""
    values = body_values()
    picture = {
        "axial": values[:, :, 7].T,
        "coronal": values[:, 9, ::-1].T,
        "sagittal": values[11, :, ::-1].T,
    }[plane]
    return np.clip(picture / 900.0, 0, 1) * 255


@pytest.mark.parametrize(("permutation", "flips"), ORIENTATIONS)
@pytest.mark.parametrize("plane", PLANES)
def test_the_same_anatomy_gives_the_same_picture(plane, permutation, flips):
    volume = body(permutation, flips)
    view = shown(volume, plane, smooth=False)
    view.set_position(voxel_to_lps(body().affine, (11, 9, 7)))
    picture, wanted = view.render()[..., 0].astype(float), expected_plane(plane)
    last_row, last_column = wanted.shape[0] - 1, wanted.shape[1] - 1
    for row, column in ((0, 0), (3, 4), (last_row, 2), (5, last_column), (last_row // 2, last_column // 2)):
        voxel = lps_to_voxel(volume.affine, voxel_to_lps(body().affine, canonical_index(plane, row, column)))
        x, y = view.viewport.to_display(*view.grid.pixel(voxel))
        assert picture[int(y), int(x)] == pytest.approx(wanted[row, column], abs=1.5)
    assert view.letters() == LETTERS[plane]
    assert on_screen(view, plane)


def canonical_index(plane: str, row: int, column: int) -> tuple[int, int, int]:
    return {
        "axial": (column, row, 7),
        "coronal": (column, 9, SHAPE[2] - 1 - row),
        "sagittal": (11, column, SHAPE[2] - 1 - row),
    }[plane]


def on_screen(view: SliceView, plane: str) -> bool:
    """Patient left (or back) lies to the right, and back (or feet) lies lower."""
    middle = np.asarray(view.position())
    right = {"axial": (8, 0, 0), "coronal": (8, 0, 0), "sagittal": (0, 8, 0)}[plane]
    down = {"axial": (0, 8, 0), "coronal": (0, 0, -8), "sagittal": (0, 0, -8)}[plane]
    x0, y0 = view.locate(middle)
    x1, _ = view.locate(middle + right)
    _, y1 = view.locate(middle + down)
    return x1 > x0 and y1 > y0


def test_pixels_have_the_right_aspect():
    view = shown(body(), "coronal")
    (x0, y0), (x1, _) = view.locate((0, 0, 130)), view.locate((10, 0, 130))
    _, y1 = view.locate((0, 0, 120))
    assert x1 - x0 == pytest.approx(y1 - y0)
    assert view.mm_per_pixel() == pytest.approx(10 / (x1 - x0))


@pytest.mark.parametrize("plane", PLANES)
def test_one_notch_is_one_image_and_does_not_wrap(plane):
    view = shown(body((2, 0, 1), (True, False, True)), plane)
    start = view.index
    view.scroll(1)
    assert view.index == start + 1
    view.scroll(1000)
    assert view.index == view.grid.count - 1
    view.scroll(-1000)
    assert view.index == 0


def test_slices_are_stored_voxels_never_interpolated():
    volume = body()
    view = shown(volume, "axial", smooth=False)
    view.set_position(voxel_to_lps(volume.affine, (11, 9, 7.4)))  # between two images
    picture = view.render()[..., 0]
    stored_greys = (np.clip(volume.array[:, :, 7] / 900, 0, 1) * 255).astype(np.uint8)
    assert set(np.unique(picture)) <= set(np.unique(stored_greys)) | {0}


@pytest.mark.parametrize("ratio", [1.0, 1.25, 2.0])
@pytest.mark.parametrize("plane", PLANES)
def test_picking_finds_the_voxel_that_is_drawn(plane, ratio):
    volume = body((1, 2, 0), (False, True, False))
    view = shown(volume, plane, smooth=False)
    view.set_size(211, 173, ratio)
    view.zoom(1.7, 60, 50)
    view.pan(7, -4)
    picture = view.render()[..., 0].astype(int)
    rng = np.random.default_rng(0)
    checked = 0
    for x, y in rng.uniform((0, 0), (211, 173), (200, 2)):
        column, row = int(x * ratio), int(y * ratio)
        pick = view.pick((column + 0.5) / ratio, (row + 0.5) / ratio)
        if all(view.pick((column + dx) / ratio, (row + dy) / ratio).voxel for dx in (0, 1) for dy in (0, 1)):
            value = int(np.clip(volume.array[pick.voxel] / 900, 0, 1) * 255)
            assert picture[row, column] == pytest.approx(value, abs=1)
            checked += 1
    assert checked > 50


@pytest.mark.parametrize("ratio", [1.0, 1.25, 2.0])
def test_picking_is_the_inverse_of_drawing(ratio):
    view = shown(oblique(), "sagittal")
    view.set_size(301, 233, ratio)
    for x, y in ((3.0, 5.0), (150.5, 116.5), (290.0, 220.0)):
        assert view.locate(view.pick(x, y).position) == pytest.approx((x, y), abs=1e-6)


def oblique(shear: float = 0.0) -> Volume:
    """A volume turned about two axes; `shear` tilts the gantry."""
    a, b = np.radians(25), np.radians(-12)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.array([[1, 0, 0], [0, 1, shear], [0, 0, 1.0]]) @ np.diag(SPACING)
    affine[:3, 3] = ORIGIN_OBLIQUE
    return Volume(np.asfortranarray(body_values()), affine, modality="MR", window=(900.0, 450.0))


ORIGIN_OBLIQUE = (13.0, -70.0, 31.0)


@pytest.mark.parametrize("shear", [0.0, 0.3])
@pytest.mark.parametrize("plane", PLANES)
def test_oblique_and_tilted_volumes_keep_lengths_and_angles(plane, shear):
    view = shown(oblique(shear), plane)
    grid = view.grid
    corners = [grid.voxel(u, v, view.index) for u, v in ((1, 1), (9, 2), (4, 12))]
    world = [voxel_to_lps(view.volume.affine, c) for c in corners]
    screen = [np.array(view.locate(w)) * view.mm_per_pixel() for w in world]
    for one in range(3):
        for other in range(one):
            length = np.linalg.norm(world[one] - world[other])
            assert np.linalg.norm(screen[one] - screen[other]) == pytest.approx(length)


def test_tilted_pictures_show_the_voxel_that_is_picked():
    view = shown(oblique(0.3), "sagittal", smooth=False)
    picture = view.render()[..., 0].astype(int)
    same = checked = 0
    for row in range(3, 200, 7):
        for column in range(3, 200, 7):
            pick = view.pick(column + 0.5, row + 0.5)
            if pick.voxel is not None:
                checked += 1
                same += abs(picture[row, column] - int(np.clip(view.volume.array[pick.voxel] / 900, 0, 1) * 255)) <= 1
    assert checked > 100
    assert same >= 0.99 * checked


def test_oblique_letters_are_doubled():
    assert shown(oblique(), "axial").letters() == {"left": "RA", "right": "LP", "top": "AL", "bottom": "PR"}


def test_flips_and_turns_move_the_letters():
    view = shown(body(), "axial")
    view.turn(horizontal=True)
    assert view.letters() == {"left": "L", "right": "R", "top": "A", "bottom": "P"}
    view.turn(quarters=1)  # clockwise: what was on the left is on top
    assert view.letters()["top"] == "L"
    before = view.letters()
    view.turn(horizontal=True)  # on the screen
    after = view.letters()
    assert (after["left"], after["right"]) == (before["right"], before["left"])
    assert (after["top"], after["bottom"]) == (before["top"], before["bottom"])


def test_pictures_turn_with_the_letters():
    view = shown(body(), "axial", smooth=False)
    plain = view.render()[..., 0]
    view.turn(horizontal=True)
    assert np.array_equal(view.render()[..., 0], plain[:, ::-1])
    view.turn(horizontal=True, quarters=1)
    assert np.array_equal(view.render()[..., 0], np.rot90(plain, -1))


def test_zoom_keeps_what_is_under_the_pointer():
    view = shown(body(), "coronal")
    before = view.pick(40, 70).position
    view.zoom(3.0, 40, 70)
    assert view.pick(40, 70).position == pytest.approx(before)
    view.fit()
    assert view.pick(40, 70).position == pytest.approx(before)


def test_images_without_a_place_keep_their_own_frame():
    array = np.zeros((40, 30, 1), np.uint8, order="F")
    array[30:, :5] = 200  # right, top
    view = shown(Volume(array, None, kind="image"), "native", 160, smooth=False)
    picture = view.render()[..., 0]
    assert picture[int(0.15 * 160) + 4, 145] == 200
    assert picture[120, 20] == 0
    assert view.letters() == {}
    assert view.mm_per_pixel() is None
    assert view.pick(80, 80).voxel == (20, 15, 0)


def test_letters_of_an_x_ray_come_from_patient_orientation():
    array = np.zeros((40, 30, 1), np.uint16, order="F")
    volume = Volume(array, None, "DX", kind="image", spacing_mm=(0.2, 0.4, 0.0), patient_orientation=("L", "F"))
    view = shown(volume, "native")
    assert view.letters() == {"left": "R", "right": "L", "top": "S", "bottom": "I"}
    view.turn(horizontal=True)
    assert view.letters()["left"] == "L"
    steps = view.grid.to_plane
    assert steps[1, 1] == pytest.approx(2 * steps[0, 0])  # rows twice as far apart


def test_colour_is_shown_as_it_is():
    array = np.zeros((20, 10, 1, 3), np.uint8, order="F")
    array[:10, ..., 0] = 250
    array[10:, ..., 2] = 240
    view = shown(Volume(array, None, "US", kind="image"), "native", 100, smooth=False)
    picture = view.render()
    assert picture[50, 25].tolist() == [0, 0, 250, 255]
    assert picture[50, 75].tolist() == [240, 0, 0, 255]


def test_monochrome1_is_inverted_and_the_user_can_invert_on_top():
    array = np.full((8, 8, 1), 10, np.uint16, order="F")
    view = shown(Volume(array, None, "DX", kind="image", window=(100.0, 50.0), inverted=True), "native", 40)
    assert view.render()[20, 20, 0] == pytest.approx(255 - 25, abs=1)
    view.set_window((100.0, 50.0), inverted=True)
    assert view.render()[20, 20, 0] == pytest.approx(25, abs=1)


@pytest.mark.parametrize("kind", [">i2", ">f4", "u1", "i1", "i2", "u2", "i4", "f4", "f8"])
def test_window_is_the_same_for_every_type(kind):
    values = np.array([0, 20, 50, 80, 100], kind).reshape(5, 1, 1)
    view = shown(Volume(np.asfortranarray(values), np.eye(4), window=(60.0, 50.0)), "axial", 50, smooth=False)
    row = view.render()[25, :, 0]
    assert sorted({int(v) for v in row[2:-2]}) == [0, 127, 255]


def test_nan_is_black():
    values = np.full((4, 4, 1), np.nan, np.float32, order="F")
    assert shown(Volume(values, np.eye(4), window=(2.0, 1.0)), "axial", 20).render()[..., :3].max() == 0


@pytest.mark.parametrize("zoom", [1.0, 1.7, 12.0])
def test_large_images_are_reduced_without_moving(zoom):
    rows, columns = np.arange(1900), np.arange(1700)
    array = ((columns[:, None] // 100 % 2) * 300 + (rows[None] // 100 % 2) * 200 + 100).astype(np.uint16)[..., None]
    volume = Volume(np.asfortranarray(array), None, "DX", kind="image", window=(800.0, 400.0))
    view = shown(volume, "native", 300)
    view.zoom(zoom, 90, 120)
    picture = view.render()[..., 0].astype(int)
    same = checked = 0
    for row in range(5, 300, 9):
        for column in range(5, 300, 9):
            near = [view.pick(column + 0.5 + dx, row + 0.5 + dy).voxel for dx in (-1, 1) for dy in (-1, 1)]
            if all(near) and len({int(array[voxel]) for voxel in near}) == 1:
                checked += 1
                same += abs(picture[row, column] - int(array[near[0]] / 800 * 255)) <= 2
    assert checked > 200
    assert same == checked


def test_crosshair_meets_at_the_cursor_voxel():
    view = shown(body((2, 1, 0), (True, True, False)), "coronal", 300)
    position = voxel_to_lps(body().affine, (20, 4, 3))
    view.set_position(position)
    across_start, across_end, down_start, down_end = view.crosshair()
    x, y = view.locate(position)
    assert across_start[1] == pytest.approx(across_end[1]) == pytest.approx(y)
    assert down_start[0] == pytest.approx(down_end[0]) == pytest.approx(x)


def test_volume_is_freed():
    volume = body()
    view = shown(volume, "axial")
    view.set_layers([MaskLayer(np.ones(volume.shape, bool), (1, 2, 3))])
    view.render()
    gone = weakref.ref(volume)
    view.set_volume(None)
    del volume
    gc.collect()
    assert gone() is None
