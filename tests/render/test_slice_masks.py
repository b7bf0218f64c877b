"""Masks on slices: outlines at the right pixels, fills, previews, frames."""

from __future__ import annotations

import numpy as np
import pytest
from render_kit import PLANES, body, shown

from medviewer.core.geometry import lps_to_voxel, voxel_to_lps
from medviewer.core.volume import Volume
from medviewer.render.masks import MaskLayer


@pytest.mark.parametrize("plane", PLANES)
def test_outline_lies_on_the_mask_and_nowhere_else(plane):
    volume = body((1, 0, 2), (True, False, True))
    mask = np.zeros(volume.shape, bool, order="F")
    mask[5:12, 6:15, 4:11] = True
    view = shown(volume, plane, 397, smooth=False)  # no pixel centre on an edge
    view.set_position(voxel_to_lps(volume.affine, (8, 10, 7)))
    plain = view.render().astype(int)
    view.set_layers([MaskLayer(mask, (255, 0, 0))])
    changed = np.argwhere((view.render().astype(int) != plain).any(axis=2))
    assert len(changed) > 100
    for row, column in changed[:: max(len(changed) // 200, 1)]:
        assert mask[view.pick(column + 0.5, row + 0.5).voxel]
    inside = view.locate(voxel_to_lps(volume.affine, (8, 10, 7)))
    assert np.array_equal(view.render()[int(inside[1]), int(inside[0])], plain[int(inside[1]), int(inside[0])])


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("shear", [0.0, 0.3])
def test_outlines_follow_turns_flips_and_tilted_gantries(quarters, shear):
    affine = body().affine.copy()
    affine[1, 2] = shear * affine[2, 2]
    volume = body().with_changes(affine=affine, spacing_mm=None)
    mask = np.zeros(volume.shape, bool, order="F")
    mask[5:12, 6:15, 4:11] = True
    view = shown(volume, "sagittal", 397, smooth=False)
    view.set_position(voxel_to_lps(affine, (8, 10, 7)))
    view.turn(horizontal=True, quarters=quarters)
    plain = view.render().astype(int)
    view.set_layers([MaskLayer(mask, (255, 0, 0))])
    changed = np.argwhere((view.render().astype(int) != plain).any(axis=2))
    assert len(changed) > 100
    hits = [mask[view.pick(column + 0.5, row + 0.5).voxel] for row, column in changed]
    assert np.mean(hits) > 0.995  # a pixel centre on the very edge may fall to either side


def test_smooth_outline_stays_within_half_a_voxel_of_the_edge():
    volume = body()
    mask = np.zeros(volume.shape, bool, order="F")
    mask[6:14, 5:12, 7] = True
    view = shown(volume, "axial", 400)
    view.set_index(7)
    plain = view.render().astype(int)
    view.set_layers([MaskLayer(mask, (255, 0, 0))])
    changed = np.argwhere((view.render().astype(int) != plain).any(axis=2))
    for row, column in changed:
        i, j, _ = lps_to_voxel(volume.affine, view.pick(column + 0.5, row + 0.5).position)
        assert 5.0 <= i <= 14.0
        assert 4.0 <= j <= 12.0
    x, y = view.locate(voxel_to_lps(volume.affine, (5.5, 8, 7)))  # the edge between voxels 5 and 6
    assert (np.abs(changed[:, 1] - x) + np.abs(changed[:, 0] - y)).min() < 3


def test_a_single_voxel_is_seen_however_small_the_picture():
    volume = Volume(np.zeros((400, 400, 3), np.int16, order="F"), np.eye(4), window=(100.0, 50.0))
    mask = np.zeros(volume.shape, bool, order="F")
    mask[201, 77, 1] = True
    for size in (90, 400, 900):
        view = shown(volume, "axial", size)
        view.set_index(1)
        view.set_layers([MaskLayer(mask, (0, 255, 0))])
        assert view.render()[..., 1].max() > 60, size


def test_fill_preview_opacity_and_hiding():
    volume = body()
    mask = np.zeros(volume.shape, bool, order="F")
    mask[6:14, 5:12, 7] = True
    view = shown(volume, "axial", 300)
    view.set_index(7)
    plain = view.render().copy()
    view.set_layers([MaskLayer(mask, (255, 0, 0), fill=0.5)])
    x, y = (int(n) for n in view.locate(voxel_to_lps(volume.affine, (10, 8, 7))))
    assert view.render()[y, x, 2] > plain[y, x, 2] + 40
    assert view.drawn_previews == 0
    view.set_layers([MaskLayer(mask, (255, 0, 0), preview=True)])
    preview = view.render()
    assert view.drawn_previews == 1
    view.set_layers([MaskLayer(mask, (255, 0, 0))])
    assert not np.array_equal(preview, view.render())
    view.masks_shown = False
    assert np.array_equal(view.render(), plain)
    view.masks_shown = True
    view.set_index(2)
    view.set_layers([MaskLayer(mask, (255, 0, 0), preview=True)])
    view.render()
    assert view.drawn_previews == 0  # on this image there is nothing of it


def test_mask_of_another_frame_is_not_drawn():
    volume = Volume(np.zeros((30, 20, 4), np.uint8, order="F"), None, modality="US", kind="cine")
    mask = np.ones(volume.shape, bool, order="F")
    view = shown(volume, "native")
    view.set_layers([MaskLayer(mask, (0, 255, 0), frame=2, name="heart")])
    view.set_index(1)
    assert view.render()[..., :3].max() == 0
    assert view.layers_at((3, 3, 1)) == []
    view.set_index(2)
    assert view.render()[..., 1].max() == 255
    assert view.layers_at((3, 3, 2)) == ["heart"]
