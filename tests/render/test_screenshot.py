"""Pictures without a window."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from medviewer.core.errors import WrongUsage
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.render.screenshot import screenshot


def volume() -> Volume:
    values = np.zeros((50, 40, 30), np.int16, order="F")
    values[10:40, 8:30, 5:25] = 60
    return Volume(values, np.diag([2.0, 2.0, 3.0, 1.0]), modality="CT", units="HU")


def amber(picture: np.ndarray) -> np.ndarray:
    """Where orientation letters are."""
    red, green, blue = (picture[..., c].astype(int) for c in range(3))
    return (red > 110) & (red - blue > 35) & (red - green < 70) & (green > blue)


@pytest.mark.parametrize("view", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("size", [(640, 480), (200, 220)])
def test_pictures_have_letters_on_four_sides(view, size):
    picture = screenshot(volume(), view, size=size)
    assert picture.shape == (size[1], size[0], 3)
    assert picture.dtype == np.uint8
    where = amber(picture)
    rows, columns = size[1] // 3, size[0] // 3
    assert where[rows:-rows, :40].any()
    assert where[rows:-rows, -40:].any()
    assert where[:rows, columns:-columns].any()
    assert where[-rows:, columns:-columns].any()


def test_segments_are_outlined_on_the_slice_that_shows_most_of_them():
    mask = np.zeros((50, 40, 30), bool, order="F")
    mask[15:30, 12:25, 20:23] = True
    picture = screenshot(volume(), "axial", [Segment("liver", mask, (255, 0, 255))])
    pink = (picture[..., 0] > 200) & (picture[..., 1] < 60) & (picture[..., 2] > 200)
    assert pink.sum() > 200
    hidden = screenshot(volume(), "axial", [Segment("liver", mask, (255, 0, 255), visible=False)])
    assert not ((hidden[..., 0] > 200) & (hidden[..., 1] < 60) & (hidden[..., 2] > 200)).any()


def test_the_crosshair_marks_the_place_asked_for():
    at = (40.0, 30.0, 45.0)
    plain, marked = screenshot(volume(), "axial"), screenshot(volume(), "axial", at=at)
    assert (plain != marked).any()


def test_images_have_one_view():
    image = Volume(np.full((30, 20, 1), 100, np.uint8), None, "US", kind="image")
    assert np.array_equal(screenshot(image, "axial"), screenshot(image, "sagittal"))


def test_wrong_views_are_refused():
    with pytest.raises(WrongUsage):
        screenshot(volume(), "diagonal")
    image = Volume(np.zeros((30, 20, 1), np.uint8), None, "US", kind="image")
    with pytest.raises(WrongUsage):
        screenshot(image, "volume")


def test_slices_need_neither_vtk_nor_qt():
    code = (
        "import numpy as np, sys\n"
        "from medviewer.core.volume import Volume\n"
        "from medviewer.render.screenshot import screenshot\n"
        "screenshot(Volume(np.zeros((9, 9, 9)), np.eye(4)), 'axial')\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('vtk', 'vtkmodules', 'PySide6', 'torch')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_opengl_3d_is_a_plain_picture_from_the_front(monkeypatch):
    from medviewer.core.errors import UserError

    def none() -> None:
        raise UserError("This computer has no OpenGL.")

    monkeypatch.setattr("medviewer.render.gl_backend.working_window", none)
    values = np.full((60, 50, 40), -1000, np.int16, order="F")
    values[3:57, 3:47, 2:38] = 0
    values[40:55, 10:40, 25:38] = 700  # the patient's left, high up
    body = Volume(values, np.diag([2.0, 2.0, 3.0, 1.0]), modality="CT", units="HU")
    mask = np.zeros(values.shape, bool)
    mask[5:15, 20:30, 2:10] = True
    picture = screenshot(body, "volume", [Segment("cyst", mask, (0, 0, 255))], size=(300, 300)).astype(int)
    bright = np.argwhere((picture[..., 0] > 120) & (picture[..., 2] > 80))
    bright = bright[(bright[:, 0] > 45) & (bright[:, 0] < 275)]
    assert bright[:, 1].mean() > 180  # patient left is on the right
    assert bright[:, 0].mean() < 150
    blue = np.argwhere(picture[..., 2] - picture[..., 0] > 100)
    assert len(blue) > 100
    assert blue[:, 1].mean() < 120
    assert blue[:, 0].mean() > 170
