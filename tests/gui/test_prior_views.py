"""A prior beside the scan: linked places, the overlay that shows whether the registration is right, moving it."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication
from views_kit import wheel

from medviewer.api.panel import PriorView
from medviewer.core.geometry import voxel_to_lps
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume

_SHAPE = (48, 44, 36)


def turned(degrees: float, axis: int, shift: tuple[float, float, float]) -> np.ndarray:
    """A rigid matrix."""
    angle, matrix = np.radians(degrees), np.eye(4)
    first, second = [n for n in range(3) if n != axis]
    matrix[[first, first, second, second], [first, second, first, second]] = (
        np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle),
    )  # fmt: skip
    matrix[:3, 3] = shift
    return matrix


PRIOR_TO_SCAN = turned(14, 0, (9, -6, 12)) @ turned(10, 2, (0, 0, 0))


def code(lps: np.ndarray) -> np.ndarray:
    """A value that tells the place: 0.5 HU for 1 mm along each axis, all different."""
    return lps @ np.array([1.0, 2.3, 4.1])


def coded(affine: np.ndarray, to_scan: np.ndarray) -> Volume:
    """A scan whose values tell the place in the current scan."""
    index = np.stack(np.meshgrid(*map(np.arange, _SHAPE), indexing="ij"), axis=-1)
    values = code(voxel_to_lps(to_scan, voxel_to_lps(affine, index)))
    return Volume(np.asfortranarray(values.astype(np.float32)), affine, "CT", "HU", window=(600.0, 0.0))


def scan_and_prior() -> tuple[Volume, Volume]:
    current = np.diag([2.0, 2.0, 3.0, 1.0])
    current[:3, 3] = (-48, -44, -50)
    oblique = turned(20, 1, (-50, -46, -72)) @ np.diag([2.4, 2.2, 2.6, 1.0])
    return coded(current, np.eye(4)), coded(oblique, PRIOR_TO_SCAN)


class Shown:
    """A window with both, and what the pane asked for."""

    def __init__(self, window, qtbot) -> None:
        self.window, self.nudges, self.hidden = window, [], 0
        scan, self.prior = scan_and_prior()
        window.scene.add_volume(scan)
        qtbot.waitUntil(lambda: window.views.isVisible())
        self.show()

    def show(self, matrix: np.ndarray | None = PRIOR_TO_SCAN) -> None:
        mask = np.zeros(_SHAPE, bool)
        mask[20:26, 20:26, 15:20] = True
        segments = (Segment("Liver", mask, (255, 0, 0)),)
        self.window.views.show_prior(
            PriorView(self.prior, segments, matrix, "2024-01-31", "Registered.", False, self.nudges.append, self._hide)
        )
        QApplication.processEvents()

    def _hide(self) -> None:
        self.hidden += 1
        self.window.views.show_prior(None)

    @property
    def pane(self):
        return self.window.views.prior


@pytest.fixture
def shown(window, qtbot) -> Shown:
    return Shown(window, qtbot)


def test_linking_shows_the_same_place_of_an_oblique_prior(shown) -> None:
    rng, scene = np.random.default_rng(3), shown.window.scene
    for voxel in rng.integers((14, 14, 12), (34, 30, 24), (12, 3)):
        scene.set_cursor(tuple(voxel_to_lps(scene.active.volume.affine, voxel)))
        for widget in shown.pane.slices.values():
            i, j, k = np.rint(widget.view.voxel).astype(int)
            found, wanted = shown.prior.array[i, j, k], code(np.asarray(scene.active.cursor))
            assert abs(found - wanted) < 0.5 * np.sum([2.4 * 4.7, 2.2 * 4.7, 2.6 * 4.7]) / 2  # within the voxel
            exact = code(np.asarray(shown.pane.link.in_scan(widget.view.position())))
            assert exact == pytest.approx(wanted, abs=1e-6)


def test_scrolling_the_prior_moves_the_scan_and_no_further(shown) -> None:
    scene, prior = shown.window.scene, shown.pane.slices["axial"]
    before, index, voxel = np.asarray(scene.active.cursor), prior.view.index, prior.view.voxel
    wheel(prior, -3)
    assert prior.view.index == index + 3  # what was asked for: the scan's own slices do not pull it back
    moved = np.asarray(scene.active.cursor) - before
    wanted = PRIOR_TO_SCAN[:3, :3] @ ((index + 3 - voxel[2]) * shown.prior.affine[:3, 2])
    assert moved == pytest.approx(wanted, abs=1e-6)


def test_a_click_in_the_prior_moves_the_scan_to_that_place(shown) -> None:
    prior, scene = shown.pane.slices["axial"], shown.window.scene
    where = QPointF(prior.width() * 0.45, prior.height() * 0.55)
    wanted = shown.pane.link.in_scan(prior.view.pick(where.x(), where.y()).position)
    for kind in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease):
        left = Qt.MouseButton.LeftButton
        event = QMouseEvent(kind, where, prior.mapToGlobal(where), left, left, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(prior, event)
    assert scene.active.cursor == pytest.approx(wanted, abs=1e-6)


def test_unlinked_views_stay_where_they_are_and_say_so(shown) -> None:
    scene, prior = shown.window.scene, shown.pane.slices["axial"]
    shown.pane.unlink.click()
    before = prior.view.position()
    scene.set_cursor((0.0, 0.0, 0.0))
    assert prior.view.position() == before
    assert "NOT LINKED" in [text for text, _ in prior._words().top_right]


def test_the_view_says_prior_with_its_date_and_where_the_prior_ends(shown) -> None:
    scene, prior = shown.window.scene, shown.pane.slices["axial"]
    assert prior._words().top_left[0][0] == "PRIOR · 2024-01-31"
    assert shown.pane.title.text() == "PRIOR · 2024-01-31"
    assert not prior.is_outside
    scene.set_cursor((-48.0, -44.0, 55.0))
    assert prior.is_outside
    assert "NOT IN THE PRIOR" in [text for text, _ in prior._words().top_right]


def test_the_prior_laid_over_the_scan_has_the_values_of_the_same_place(shown) -> None:
    from medviewer.render.overlaid import sampled_slice

    scan = shown.window.scene.active.volume
    view = shown.pane.overlaid["axial"].view
    into_prior = np.linalg.inv(PRIOR_TO_SCAN)
    laid = sampled_slice(shown.prior, into_prior, scan, view.grid, view.index)
    own = view.grid.extract(scan.array, view.index)
    covered = ~np.isnan(laid)
    assert covered.mean() > 0.5
    inner = covered[1:-1, 1:-1] & covered[2:, 1:-1] & covered[:-2, 1:-1] & covered[1:-1, 2:] & covered[1:-1, :-2]
    assert np.abs(laid - own)[1:-1, 1:-1][inner].max() < 8  # linear; the outermost half voxel is held
    assert np.median(np.abs(laid - own)[1:-1, 1:-1][inner]) < 0.01


def test_swipe_shows_the_prior_left_of_the_line_and_the_scan_right_of_it(shown) -> None:
    pane = shown.pane
    pane.mode.setCurrentIndex(pane.mode.findData("swipe"))
    QApplication.processEvents()
    assert pane.shown is pane.overlaid["axial"]
    view = pane.shown.view
    swiped = view.render()[..., 0].astype(int)
    middle = swiped.shape[1] // 2
    view.share = 0.0
    alone = view.render()[..., 0].astype(int)
    view.share = 1.0
    prior = view.render()[..., 0].astype(int)
    assert (swiped[:, middle + 1 :] == alone[:, middle + 1 :]).all()
    assert (swiped[:, : middle - 1] == prior[:, : middle - 1]).all()


def test_the_arrows_ask_for_a_step_in_mm_towards_their_letter(shown) -> None:
    pane = shown.pane
    pane.step.setCurrentIndex(pane.step.findData(5.0))
    for letter in "RLAPIS":
        pane.moves[letter].click()
    assert shown.nudges == [(-5, 0, 0), (5, 0, 0), (0, -5, 0), (0, 5, 0), (0, 0, -5), (0, 0, 5)]


def test_another_matrix_moves_the_prior_at_once(shown) -> None:
    pane, scene = shown.pane, shown.window.scene
    before = np.asarray(pane.slices["axial"].view.position())
    moved = np.eye(4)
    moved[2, 3] = 10.0  # the prior goes 10 mm up, so what is shown of it lies 10 mm further down
    shown.show(moved @ PRIOR_TO_SCAN)
    assert shown.pane is pane
    after = np.asarray(pane.slices["axial"].view.position())
    assert PRIOR_TO_SCAN[:3, :3] @ (after - before) == pytest.approx((0, 0, -10), abs=1e-6)
    assert pane.link.in_scan(tuple(after)) == pytest.approx(scene.active.cursor, abs=1e-6)


def test_zoom_is_shared_in_mm(shown) -> None:
    axial, prior = shown.window.views.grid.slices["axial"], shown.pane.slices["axial"]
    QApplication.processEvents()
    assert prior.view.mm_per_pixel() == pytest.approx(axial.view.mm_per_pixel(), rel=1e-6)
    axial.view.zoom(2.0)
    axial.refresh()
    assert prior.view.mm_per_pixel() == pytest.approx(axial.view.mm_per_pixel(), rel=1e-6)
    prior.view.zoom(1.5)
    prior.refresh()
    assert axial.view.mm_per_pixel() == pytest.approx(prior.view.mm_per_pixel(), rel=1e-6)


def test_the_window_is_shared_in_hounsfield_units(shown) -> None:
    shown.window.scene.set_window((400.0, 40.0))
    assert shown.pane.slices["axial"].view.look.window == (400.0, 40.0)


def test_the_plane_follows_the_view_that_is_worked_in(shown) -> None:
    shown.window.views.choose_layout("grid")
    shown.window.views.grid.slices["coronal"].setFocus()
    QApplication.processEvents()
    assert shown.pane.shown is shown.pane.slices["coronal"]


def test_hiding_and_another_scan_take_the_prior_away(shown, qtbot) -> None:
    views = shown.window.views
    assert views.grid.maximised == "axial"
    shown.pane.hide_button.click()
    assert shown.hidden == 1
    assert views.prior is None
    assert views.grid.maximised is None
    shown.show()
    shown.window.scene.add_volume(scan_and_prior()[0])
    assert views.prior is None
    views.grid.slices["axial"].refresh()  # nothing of the pane listens any more
    QApplication.processEvents()


def test_without_a_matrix_nothing_is_linked_or_laid_over(shown) -> None:
    shown.window.views.show_prior(None)
    shown.show(None)
    assert not shown.pane.can_overlay
    assert not shown.pane.mode.isVisible()
    before = shown.pane.slices["axial"].view.position()
    shown.window.scene.set_cursor((0.0, 0.0, 0.0))
    assert shown.pane.slices["axial"].view.position() == before


def test_a_picture_of_the_views_has_the_prior_and_not_its_date(shown) -> None:
    alone = shown.window.views.grid.width()
    picture = shown.window.views.grab_picture()
    assert picture.shape[1] > alone
    assert shown.pane.slices["axial"].show_identity


def test_showing_a_prior_leaves_the_zoom_of_the_scan(shown, qtbot) -> None:
    axial = shown.window.views.grid.slices["axial"]
    qtbot.wait(50)
    assert (axial.view.camera.zoom, axial.view.camera.pan) == (1.0, (0.0, 0.0))
    pane = shown.pane
    for mode in ("swipe", "blend", "checker", "beside"):
        pane.mode.setCurrentIndex(pane.mode.findData(mode))
        qtbot.wait(20)
    assert (axial.view.camera.zoom, axial.view.camera.pan) == (1.0, (0.0, 0.0))
