"""A resampled series says so in the window, and a series that was split offers its volumes by what is different."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "io"))

from dicom_factory import Series

from medviewer.core.regularisation import Irregularity


def test_a_tilted_series_opens_with_its_banner(qtbot, window, tmp_path) -> None:
    Series(shear=(0.0, 3.0 * float(np.tan(np.radians(15.4))), 0.0)).write(tmp_path)
    with qtbot.waitSignal(window.documents.opened, timeout=20000):
        window.open_paths([tmp_path])
    volume = window.scene.active.volume
    assert volume.regularisation.reasons == (Irregularity.TILT,)
    assert window.banner.isVisibleTo(window)
    assert window.banner.warnings[0] == volume.regularisation.sentence
    assert "gantry tilt of 15.4°" in window.banner.warnings[0]


def test_two_patients_under_one_series_are_refused_in_one_message(qtbot, window, tmp_path) -> None:
    def other(dataset, k: int) -> None:
        dataset.PatientID = f"S{k // 6}"

    Series(edit=other).write(tmp_path / "scan")
    with qtbot.waitSignal(window.documents.finished, timeout=20000):
        window.open_paths([tmp_path / "scan"])
    assert window.scene.active is None
    (toast,) = window.toasts.shown
    assert "2 different patients" in toast.text
