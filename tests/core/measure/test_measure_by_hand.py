"""Hand measurements: mm from the patient's space, pixels where nothing is calibrated, and sentences of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from medviewer.core.measure import HandDrawing, measure_by_hand
from medviewer.core.volume import Volume
from tests.core.measure.bodies import CENTRE, grid, rotation, scan

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "report"))
REGION = {"x0": 0.0, "y0": 0.0, "x1": 39.0, "y1": 59.0, "dx": 0.5, "dy": 0.25}


def ct(turn: float = 20.0) -> Volume:
    shape, affine = grid((30, 30, 30), (0.8, 0.8, 2.5), (2, 0, 1), (1, -1, 1), rotation(3, turn))
    rng = np.random.default_rng(1)
    return Volume(rng.normal(50, 10, shape).astype(np.int16), affine, "CT", "HU")


def test_a_length_is_that_between_the_points_in_the_patient_whatever_the_grid() -> None:
    drawing = HandDrawing("length", (tuple(CENTRE), tuple(CENTRE + np.array((6.0, 8.0, 0.0)))), "liver")  # type: ignore[arg-type]
    (found,) = measure_by_hand(ct(), drawing)
    assert (found.value, found.unit) == (pytest.approx(10.0), "mm")
    assert (found.range_text, found.segment_ids, found.term_id) == ("", (), "liver")


def test_of_two_diameters_the_longer_is_the_long_axis() -> None:
    at = [tuple(CENTRE + np.array(p)) for p in ((0, 0, 0), (0, 7, 0), (-5, 3, 0), (6, 3, 0))]
    long, short = measure_by_hand(ct(0), HandDrawing("bidirectional", tuple(at)))  # type: ignore[arg-type]
    assert (long.quantity, long.value) == ("long_axis", pytest.approx(11.0))
    assert (short.quantity, short.value) == ("short_axis", pytest.approx(7.0))


@pytest.mark.parametrize("degrees", [15.0, 90.0, 140.0])
def test_angles_are_those_in_the_patient_and_cobb_is_never_above_90(degrees: float) -> None:
    one, other = np.array((9.0, 0, 0)), 7 * np.array((np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees)), 0))
    corner = HandDrawing("angle", tuple(tuple(CENTRE + p) for p in (one, 0 * one, other)))  # type: ignore[misc]
    assert measure_by_hand(ct(), corner)[0].value == pytest.approx(degrees)
    lines = HandDrawing("cobb", tuple(tuple(CENTRE + p) for p in (0 * one, one, -other / 2, other / 2)))  # type: ignore[misc]
    found = measure_by_hand(ct(), lines)[0]
    assert (found.value, found.unit) == (pytest.approx(min(degrees, 180 - degrees)), "deg")


def test_a_region_has_its_area_and_the_values_of_its_voxels() -> None:
    volume = Volume(np.random.default_rng(2).integers(0, 99, (30, 40, 9)).astype(np.int16),
                    np.diag([0.5, 0.8, 3.0, 1.0]), "CT", "HU")  # fmt: skip
    corners = ((2.0, 4.0, 12.0), (8.0, 16.0, 12.0))
    area, mean, spread, median = measure_by_hand(volume, HandDrawing("rectangle", corners))
    values = volume.array[4:17, 5:21, 4].astype(float)
    assert (area.value, area.unit, area.slice_index) == (pytest.approx(13 * 16 * 0.4), "mm2", 4)
    assert (mean.value, spread.value, median.value) == pytest.approx(
        (values.mean(), values.std(ddof=1), np.median(values))
    )
    ellipse = measure_by_hand(volume, HandDrawing("ellipse", ((1.0, 1.6, 12.0), (13.0, 28.8, 12.0))))[0]
    assert ellipse.value == pytest.approx(np.pi * 6.0 * 13.6, rel=0.03)


def test_a_picture_without_a_pixel_size_gives_pixels() -> None:
    mask = np.zeros((40, 60, 1), bool)
    drawing = HandDrawing("length", ((1.0, 2.0, 0.0), (4.0, 6.0, 0.0)))
    (found,) = measure_by_hand(scan(mask, None, "DX", kind="image"), drawing)
    assert (found.value, found.unit) == (pytest.approx(5.0), "px")
    at_detector = scan(mask, None, "DX", kind="image", spacing_mm=(0.2, 0.2, 0.0), spacing_note="at the detector")
    (found,) = measure_by_hand(at_detector, drawing)
    assert (found.value, found.unit, found.flags) == (pytest.approx(1.0), "mm", ("at the detector",))


def test_ultrasound_is_measured_in_its_calibrated_region_and_refused_across_regions() -> None:
    mask = np.zeros((80, 60, 1), bool)
    volume = scan(mask, None, "US", kind="image", spacing_mm=(0.1, 0.1, 0.0), calibrated_regions=(REGION,))
    inside = HandDrawing("length", ((5.0, 10.0, 0.0), (11.0, 26.0, 0.0)))
    assert measure_by_hand(volume, inside)[0].value == pytest.approx(5.0)  # 6 * 0.5, 16 * 0.25
    (across,) = measure_by_hand(volume, HandDrawing("length", ((30.0, 10.0, 0.0), (50.0, 10.0, 0.0))))
    assert (across.value, across.reason) == (None, "across_regions")


def test_drawings_that_make_no_sense_are_refused() -> None:
    place = (float(CENTRE[0]), float(CENTRE[1]), float(CENTRE[2]))
    with pytest.raises(ValueError, match="2 points"):
        measure_by_hand(ct(), HandDrawing("length", (place,)))
    with pytest.raises(ValueError, match="outside"):
        measure_by_hand(ct(), HandDrawing("length", (place, (900.0, 0.0, 0.0))))
    with pytest.raises(ValueError, match="coincide"):
        measure_by_hand(ct(), HandDrawing("angle", (place, place, place)))


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", ["Liver, measured by hand: length 10 mm.", "Place drawn on the image, measured by hand: angle 90 °."]),
        ("de", ["Leber, von Hand gemessen: Länge 10 mm.", "Eingezeichnete Stelle, von Hand gemessen: Winkel 90 °."]),
    ],
)
def test_hand_measurements_feed_the_report(language: str, told: list[str]) -> None:
    """They stand beside the program's own, point at where they were drawn, and pass the guards."""
    from report_kit import scan as kit_scan
    from report_kit import template_of

    from medviewer.services.report_drafting import DraftCase, draft

    volume = kit_scan()
    drawings = (HandDrawing("length", ((4.0, 4.0, 5.0), (10.0, 12.0, 5.0)), "liver"),
                HandDrawing("angle", ((10.0, 4.0, 5.0), (4.0, 4.0, 5.0), (4.0, 10.0, 5.0))))  # fmt: skip
    by_hand = tuple(m for drawing in drawings for m in measure_by_hand(volume, drawing))
    report = draft(volume, DraftCase(template_of("ct_abdomen"), language, by_hand=by_hand)).report  # type: ignore[arg-type]
    assert [f.text.split(" Seri")[0] for f in report.findings] == told
    assert not [mark for f in report.findings for mark in f.marks]
    first = report.findings[0]
    assert (first.heading, first.is_supported) == ("liver", True)
    assert first.evidence[0].position == (7.0, 8.0, 5.0)
