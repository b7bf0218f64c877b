"""The first window of a scan and the presets."""

from __future__ import annotations

import numpy as np
import pytest

from medviewer.core.volume import Fact, Volume
from medviewer.render.presets import default_window, preset_window, window_presets
from medviewer.render.raster import Look, to_grey


def volume(array, **more) -> Volume:
    return Volume(np.asfortranarray(array), np.eye(4), **more)


RAMP = np.arange(20 * 20 * 10, dtype=np.int16).reshape(20, 20, 10)


def test_the_stored_window_comes_first():
    assert default_window(volume(RAMP, modality="CT", units="HU", window=(350.0, 50.0))) == (350.0, 50.0)


def test_ct_in_hounsfield_units_opens_in_soft_tissue():
    assert default_window(volume(RAMP, modality="CT", units="HU")) == (400.0, 40.0)


def test_ct_of_unknown_unit_gets_no_hounsfield_window():
    plain = volume(RAMP, modality="CT")
    assert default_window(plain) != (400.0, 40.0)
    assert [p.name for p in window_presets(plain)] == ["As stored"]


def test_mr_uses_the_foreground():
    values = np.zeros((40, 40, 20), np.int16)
    values[10:30, 10:30, 5:15] = np.random.default_rng(0).integers(500, 900, (20, 20, 10))
    width, centre = default_window(volume(values, modality="MR"))
    assert 490 <= centre - width / 2 <= 520
    assert 880 <= centre + width / 2 <= 910


def test_x_ray_uses_percentiles_of_the_picture():
    values = np.linspace(0, 4000, 100 * 100).reshape(100, 100, 1).astype(np.uint16)
    width, centre = default_window(Volume(np.asfortranarray(values), None, "DX", kind="image"))
    assert centre - width / 2 == pytest.approx(20, abs=15)
    assert centre + width / 2 == pytest.approx(3980, abs=15)


def test_ultrasound_and_colour_are_shown_from_0_to_255():
    grey = Volume(np.zeros((4, 4, 1), np.uint8), None, "US", kind="image")
    colour = Volume(np.zeros((4, 4, 1, 3), np.uint8), None, "US", kind="image", window=(3.0, 2.0))
    assert default_window(grey) == default_window(colour) == (255.0, 127.5)


def test_empty_and_constant_scans_have_a_window():
    for values in (np.zeros((3, 3, 3), np.float32), np.full((3, 3, 3), np.nan, np.float32)):
        width, _ = default_window(volume(values))
        assert width > 0


def test_number_keys_name_the_presets_of_the_clinic():
    by_key = {p.key: p for p in window_presets(volume(RAMP, units="HU")) if p.key}
    assert sorted(by_key) == list("123456789")
    assert by_key["1"].window is None
    assert by_key["2"].window == (400, 40)
    assert by_key["3"].window == (1500, -600)
    stored = volume(RAMP, units="HU", window=(111.0, 22.0))
    assert preset_window(stored, by_key["1"]) == (111.0, 22.0)


def test_sigmoid_windows_are_curved():
    values = np.array([0, 100, 200], np.int16)
    straight, curved = to_grey(values, Look((200.0, 100.0))), to_grey(values, Look((200.0, 100.0), sigmoid=True))
    assert straight.tolist() == [0, 127, 255]
    assert curved.tolist() == [int(255 / (1 + np.exp(2))), 127, int(255 / (1 + np.exp(-2)))]


def test_sigmoid_is_used_only_for_the_stored_window():
    from medviewer.render.slice_view import SliceView

    view = SliceView("axial")
    view.set_volume(volume(RAMP, window=(50.0, 20.0), facts={"voi_lut_function": Fact("SIGMOID")}))
    assert view.look.sigmoid
    view.set_window((60.0, 20.0))
    assert not view.look.sigmoid
