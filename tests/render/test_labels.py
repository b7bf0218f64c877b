"""The words on a view."""

from __future__ import annotations

import numpy as np
import pytest

from medviewer.core.regularisation import Irregularity, Regularisation
from medviewer.core.volume import Fact, Patient, Source, Volume
from medviewer.render import labels
from medviewer.render.slice_view import Pick, SliceView


def ct(**more) -> Volume:
    values = np.zeros((10, 12, 8), np.int16, order="F")
    values[3, 4, 5] = -17
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = (-10, -140, 350)
    return Volume(values, affine, modality="CT", units="HU", **more)


def view_of(volume: Volume, plane: str = "axial") -> SliceView:
    view = SliceView(plane)
    view.set_volume(volume)
    return view


def test_plane_and_image_number():
    view = view_of(ct())
    view.set_index(6)
    assert labels.plane_line(view) == "Axial · image 7 of 8"
    loop = Volume(np.zeros((4, 4, 9), np.uint8), None, "US", kind="cine")
    assert labels.plane_line(view_of(loop, "native")) == "Frame 5 of 9"


def test_oblique_planes_say_so():
    affine = np.eye(4)
    affine[:2, :2] = [[0.9, -0.4359], [0.4359, 0.9]]
    assert labels.plane_line(view_of(Volume(np.zeros((4, 4, 4)), affine))).startswith("Axial (oblique)")


def test_positions_have_letters_and_values_have_units():
    volume = ct()
    pick = Pick((-4.0, -132.0, 365.0), (3, 4, 5))
    assert labels.position_line(volume, pick, ["Left kidney"]) == "R 4 A 132 S 365 mm · −17 HU · Left kidney"
    assert labels.position_line(volume, Pick((-4.0, -132.0, 365.0), None)) == "R 4 A 132 S 365 mm"


def test_images_without_a_place_get_pixels_only():
    volume = Volume(np.full((5, 4, 1, 3), 7, np.uint8), None, "US", kind="image")
    assert labels.position_line(volume, Pick((2.0, 3.0, 0.0), (2, 3, 0))) == "x 2 y 3 px · RGB 7 7 7"


def test_pacs_numbers_are_those_of_dicom():
    source = Source("dicom", __import__("pathlib").Path(), instance_numbers=tuple(range(101, 109)))
    view = view_of(ct(source=source, facts={"series_number": Fact(3)}))
    view.set_index(2)
    assert labels.pacs_line(view) == "Series 3 · instance 103"
    assert labels.pacs_line(view_of(ct(source=source), "coronal")) == ""


def test_identity_says_what_is_missing():
    assert labels.identity_line(ct()) == "no name · no ID · no date"
    who = Patient("Doe^Jane", "42", "19700102", "F", "20240131")
    assert labels.identity_line(ct(patient=who, title="Abdomen")) == (
        "Doe, Jane · 42 · born 1970-01-02 · F · 2024-01-31 · Abdomen"
    )


def test_badges_of_a_resampled_scan():
    done = Regularisation((Irregularity.GAP,), "Resampled for 1 missing slice.", interpolated=(2,))
    view = view_of(ct(regularisation=done))
    view.set_index(2)
    assert labels.badges(view) == ["INTERPOLATED SLICE"]
    view.set_index(3)
    assert labels.badges(view) == ["RESAMPLED"]
    assert labels.badges(view_of(ct(regularisation=done), "coronal")) == ["RESAMPLED"]
    reduced = Regularisation((Irregularity.MEMORY,), "Reduced.")
    assert labels.badges(view_of(ct(regularisation=reduced))) == ["REDUCED"]


def test_badges():
    view = view_of(ct(facts={"lossy_compression": Fact("yes")}))
    assert labels.badges(view) == ["LOSSY"]
    view.turn(horizontal=True, quarters=1)
    view.set_window((1.0, 0.0), inverted=True)
    assert labels.badges(view) == ["FLIPPED", "ROTATED", "INVERTED", "LOSSY"]
    image = Volume(np.zeros((4, 4, 1), np.uint8), None, kind="image", inverted=True)
    assert labels.badges(view_of(image, "native")) == ["SIDE NOT RECORDED"]


@pytest.mark.parametrize(("mm", "width", "text"), [(1.0, 500, "100 mm"), (0.7, 400, "50 mm"), (0.1, 500, "10 mm")])
def test_scale_bar_is_a_round_number_and_the_right_length(mm, width, text):
    length, label = labels.scale_bar(mm, width)
    assert label == text
    assert length * mm == pytest.approx(float(text.split()[0]))


def test_a_scale_bar_says_what_its_millimetres_mean():
    assert labels.scale_bar(1.0, 500, "at the detector")[1] == "100 mm at the detector"


def test_no_scale_bar_without_spacing():
    assert labels.scale_bar(None, 500) is None


@pytest.mark.parametrize(("value", "text"), [(-17.0, "−17"), (0.12345, "0.123"), (1234.5678, "1235"), (2.0, "2")])
def test_numbers_are_short(value, text):
    assert labels.number(value) == text
