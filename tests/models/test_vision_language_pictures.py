"""The pictures that a vision-language model is shown: which slices, which way round, in which window."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medviewer.core.segmentation import Segment
from medviewer.core.volume import Fact, Volume
from medviewer.models.vision_language.pictures import (
    LONGEST_SIDE,
    Window,
    choose_slices,
    pictures_of,
    windows_of,
)
from medviewer.models.vision_language.repetition import repeated_tail

SOFT = Window(400.0, 40.0, "Soft tissue")


def scan(array: Any, affine: Any = None, **changes: Any) -> Volume:
    values = {"modality": "CT", "units": "HU"} | changes
    return Volume(np.asarray(array), np.eye(4) if affine is None else affine, **values)


def segment(box: tuple[slice, slice, slice], shape: tuple[int, int, int], name: str = "liver") -> Segment:
    mask = np.zeros(shape, bool)
    mask[box] = True
    return Segment(name, mask, term_id=name, id=name)


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (-1, -1, -1)])
def test_axial_pictures_have_the_patients_right_on_the_left_and_the_front_at_the_top(flips: tuple[int, ...]) -> None:
    """However the file stores its axes (LPS: i to the left, j to the back, k to the head)."""
    array = np.full((32, 32, 10), -1000.0)
    array[2:8, 2:8, 7] = 1000.0  # right, front, near the head
    stored = array[:: flips[0], :: flips[1], :: flips[2]]
    affine = np.diag([*map(float, flips), 1.0]) @ np.eye(4)
    affine[:3, 3] = [(n - 1) * (flip < 0) for n, flip in zip(array.shape, flips, strict=True)]
    shown = pictures_of(scan(stored, affine), (), (SOFT,), 10)
    assert [one.plane for one in shown] == ["axial"] * 10
    bright = np.array([np.asarray(one.image)[..., 0].max() for one in shown])
    assert bright.argmax() == 7  # slices count from the feet
    assert shown[7].index == (7 if flips[2] > 0 else 2)
    rows, columns = np.nonzero(np.asarray(shown[7].image)[..., 0] > 128)
    assert rows.max() < 16
    assert columns.max() < 16


def test_chosen_slices_go_through_the_found_structures() -> None:
    shape = (16, 16, 60)
    liver = segment((slice(2, 14), slice(2, 14), slice(10, 30)), shape)
    kidney = segment((slice(2, 6), slice(2, 6), slice(40, 46)), shape, "kidney")
    shown = [one.index for one in pictures_of(scan(np.zeros(shape)), (liver, kidney), (SOFT,), 6)]
    assert len(shown) == 6
    assert all(10 <= n < 30 or 40 <= n < 46 for n in shown)
    assert any(n >= 40 for n in shown)
    assert sum(n < 30 for n in shown) >= 2


def test_one_picture_shows_most_structures_and_findings_first() -> None:
    areas = np.zeros((3, 20))
    areas[0, 2:6] = areas[1, 4:8] = areas[2, 15] = 1.0
    assert choose_slices(areas, 20, 1) == (4,)
    assert choose_slices(areas, 20, 2) == (4, 15)
    areas[2] *= 3.0  # a finding
    assert choose_slices(areas, 20, 1) == (15,)


def test_without_structures_slices_are_evenly_spaced() -> None:
    assert choose_slices(np.zeros((0, 40)), 40, 4) == (5, 15, 25, 35)
    assert choose_slices(np.zeros((0, 3)), 3, 8) == (0, 1, 2)
    assert choose_slices(np.zeros((0, 1)), 1, 8) == (0,)


def test_ct_is_shown_in_the_windows_of_its_template(repository: Path) -> None:
    presets = json.loads((repository / "resources" / "presets" / "windows.json").read_text(encoding="utf-8"))
    volume = scan(np.zeros((8, 8, 8)))
    lung, mediastinum = windows_of(volume, presets, ("lung", "mediastinum"), True)
    assert (lung.width, lung.centre, lung.name) == (1500.0, -600.0, "Lunge")
    shown = pictures_of(volume, (), (lung, mediastinum), 6)
    assert [(one.index, one.window) for one in shown[:2]] == [(1, "Lunge"), (1, "Mediastinum")]
    assert len(shown) == 6
    other = windows_of(scan(np.zeros((8, 8, 8)), units=None, window=(300.0, 30.0)), presets, ("lung",), False)
    assert [(one.width, one.centre) for one in other] == [(300.0, 30.0)]  # no Hounsfield units: as stored


def test_values_of_a_window_become_black_grey_and_white() -> None:
    values = np.array([-1000.0, -160.0, 40.0, 240.0, 3000.0, np.nan])
    assert SOFT.grey(values).tolist() == [0, 0, 128, 255, 255, 0]
    assert SOFT.grey(values[:5], inverted=True).tolist() == [255, 255, 128, 0, 0]
    sigmoid = Window(400.0, 40.0, sigmoid=True).grey(np.array([40.0, 140.0, 1e6]))
    assert sigmoid.tolist() == [128, round(255 / (1 + np.exp(-1))), 255]  # PS3.3 C.11.2.1.3.1


def test_an_x_ray_is_one_picture_in_true_proportions_on_a_black_square() -> None:
    array = np.full((30, 60, 1), 1000, np.uint16)
    array[0, 0, 0] = 0
    volume = Volume(array, None, modality="DX", kind="image", spacing_mm=(0.2, 0.1, 0.0))
    (picture,) = pictures_of(volume, (), windows_of(volume, {}, ("soft_tissue",), False), 8)
    assert picture.image.size == (60, 60)  # 6 mm x 6 mm
    assert picture.slices == 1
    tall = Volume(array, None, modality="DX", kind="image", inverted=True)
    grey = np.asarray(pictures_of(tall, (), windows_of(tall, {}, (), False), 8)[0].image)[..., 0]
    assert grey.shape == (60, 60)
    assert grey[:, :15].max() == grey[:, 45:].max() == 0
    assert grey[0, 15] == 255  # MONOCHROME1: the lowest value is white


def test_ultrasound_keeps_its_colours_and_large_pictures_are_made_smaller() -> None:
    array = np.zeros((2000, 1500, 3, 3), np.uint8)
    array[..., 1, 0] = 200
    volume = Volume(array, None, modality="US", kind="cine")
    shown = pictures_of(volume, (), windows_of(volume, {}, (), False), 3)
    assert [one.index for one in shown] == [0, 1, 2]
    assert shown[1].image.size == (LONGEST_SIDE, LONGEST_SIDE)
    assert shown[1].image.getpixel((512, 512)) == (200, 0, 0)
    assert shown[0].image.getpixel((512, 512)) == (0, 0, 0)


def test_values_that_were_never_scanned_take_no_part_in_the_window() -> None:
    array = np.full((40, 40, 4), -2000.0)
    array[10:30, 10:30] = np.linspace(100, 200, 20)[:, None, None]
    volume = scan(array, units=None, modality="MR", facts={"pixel_padding_value": Fact(-2000.0)})
    (window,) = windows_of(volume, {}, (), False)
    assert 80 < window.width <= 105
    assert 140 < window.centre < 160


# -- repetition -----------------------------------------------------------------------------
def test_repetition_is_told_from_text_that_only_resembles_itself() -> None:
    assert repeated_tail([]) == 0
    assert repeated_tail(list(range(500))) == 0
    assert repeated_tail([7] * 40) == 0  # a row of dots
    assert repeated_tail([1, 2, 3, *[7] * 60]) >= 48
    sentence = list(range(30))
    assert repeated_tail(sentence * 2) == 0
    assert repeated_tail([99, *sentence * 3]) == 60
    levels = [n for level in range(5) for n in [level, *range(100, 120)]]  # "L1/2: ... L2/3: ..."
    assert repeated_tail(levels) == 0
    assert repeated_tail(list(range(140)) * 3) == 280
