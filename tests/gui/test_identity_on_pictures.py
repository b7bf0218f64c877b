"""A picture that is saved does not say who the patient is, unless that was asked for; the screen does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import small_ct

from medviewer.core.volume import Patient, Source
from medviewer.gui.dialogs.export_dialog import FORMATS, VIEW, ExportDialog, default_name
from medviewer.render.screenshot import screenshot

WHO = Patient("Qzvarnholt^Anna", "PID4711", "19500412", "F", "20200101")


@pytest.fixture
def named_window(window, qtbot):
    """Two pictures of it differ only by the line that names the patient."""
    window.scene.add_volume(small_ct().with_changes(patient=WHO))
    qtbot.waitUntil(lambda: window.views.isVisible() and window.jobs.current is None)
    return window


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and bool((one == other).all())


@pytest.mark.parametrize("maximised", [False, True])
def test_the_picture_of_the_views_names_the_patient_only_if_asked(named_window, qtbot, maximised: bool) -> None:
    if maximised:
        named_window.views.grid.maximise()
    grab = named_window.views.grab_picture
    qtbot.waitUntil(lambda: same(grab(False), grab(False)))
    anonymous, named = grab(False), grab(True)
    assert not same(anonymous, named)
    named_window.views.grid.identity()  # P hides the identity on the screen
    assert same(grab(True), grab(False))


def test_the_screen_still_names_the_patient_afterwards(named_window) -> None:
    named_window.views.grab_picture()
    assert any(view.show_identity for view in named_window.views.grid.views.values())


def test_the_export_dialog_offers_it_for_pictures_and_does_not_propose_it(named_window, tmp_path: Path) -> None:
    dialog = ExportDialog(named_window.scene.active, tmp_path, named_window)
    dialog.show()
    dialog.choose_format(VIEW)
    assert dialog.identity.isVisible()
    assert not dialog.identity.isChecked()
    dialog.save.click()
    assert dialog.choice.identity is False


@pytest.mark.parametrize("view", ["axial", "volume"])
def test_a_screenshot_names_the_patient_only_if_asked(view: str) -> None:
    named, other = (small_ct().with_changes(patient=who) for who in (WHO, Patient("Somebody^Else", "1")))
    assert same(screenshot(named, view), screenshot(other, view))
    assert not same(screenshot(named, view, identity=True), screenshot(other, view, identity=True))


@pytest.mark.parametrize("folder", ["QZVARNHOLT_ANNA", "pid4711", "1950-04-12 ct", "qzvarnholt^anna.nii.gz"])
def test_a_folder_that_names_the_patient_gives_no_file_name(tmp_path: Path, folder: str) -> None:
    source = Source("dicom", tmp_path / folder)
    volume = small_ct().with_changes(patient=WHO, source=source)
    assert {default_name(volume, choice).split(".")[0] for choice in FORMATS} == {"scan_segments", "scan_view"}


def test_another_name_is_kept(tmp_path: Path) -> None:
    volume = small_ct().with_changes(patient=WHO, source=Source("nifti", tmp_path / "case_07.nii.gz"))
    assert default_name(volume, FORMATS[0]) == "case_07_segments.nii.gz"
