"""Opening, refusing, dropping, and stating what a file does not say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import grey_image
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QPushButton


def drop(window, paths: list[Path]) -> None:
    """Drop files on the window as a file manager does."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(p)) for p in paths])
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(window, QDragEnterEvent(window.rect().center(), copy, data, left, none))
    QApplication.sendEvent(window, QDropEvent(QPointF(window.rect().center()), copy, data, left, none))


def test_the_sample_opens(qtbot, window) -> None:
    qtbot.mouseClick(window.empty.buttons[2], Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(window.documents.opened, timeout=60000):
        pass
    assert window.scene.active.volume.units == "HU"
    assert window.stack.currentWidget() is window.views


def test_a_dropped_file_opens_and_is_remembered_without_patient_data(qtbot, window, tmp_path) -> None:
    path = grey_image(tmp_path / "picture.png")
    with qtbot.waitSignal(window.documents.opened, timeout=20000):
        drop(window, [path])
    assert window.scene.active.volume.kind == "image"
    window.documents.close(window.scene.active)
    assert any("picture.png" in b.text() for b in window.empty.findChildren(QPushButton))


@pytest.mark.parametrize("make", ["text.dcm", "empty folder", "missing", "truncated.nii.gz"])
def test_bad_files_get_one_message_and_keep_the_scan(qtbot, ct_window, tmp_path, make: str) -> None:
    path = tmp_path / make
    if make == "empty folder":
        path.mkdir()
    elif make == "text.dcm":
        path.write_text("this is a letter, not an image\n" * 50)
    elif make == "truncated.nii.gz":
        path.write_bytes(b"\x1f\x8b\x08\x00" + b"\x00" * 40)
    kept = ct_window.scene.active
    with qtbot.waitSignal(ct_window.documents.finished, timeout=20000):
        ct_window.open_paths([path])
    assert ct_window.scene.active is kept
    assert len(ct_window.toasts.shown) == 1
    toast = ct_window.toasts.shown[0]
    assert toast.kind == "error"
    assert toast.text
    assert "Traceback" not in toast.text + toast.hint


def test_a_folder_of_several_series_asks(qtbot, window, tmp_path, monkeypatch) -> None:
    from medviewer.gui.dialogs import series_chooser

    for name in ("one.png", "two.png"):
        grey_image(tmp_path / name)
    (tmp_path / "notes.dcm").write_text("no image")
    asked: list[tuple[int, str]] = []

    def answer(dialog: series_chooser.SeriesChooser) -> object:
        asked.append((dialog.list.count(), dialog.ok.text()))
        dialog.list.setCurrentRow(1)
        return series_chooser.SeriesChooser.DialogCode.Accepted

    monkeypatch.setattr(series_chooser.SeriesChooser, "exec", answer)
    with qtbot.waitSignal(window.documents.opened, timeout=20000):
        window.open_paths([tmp_path])
    assert asked == [(2, "Open")]
    assert window.scene.active.volume.title.startswith("two") or "two" in str(window.scene.active.volume.source.path)


def test_the_user_states_modality_and_side(qtbot, window, tmp_path) -> None:
    from medviewer.gui.dialogs.describe_dialog import DescribeDialog
    from medviewer.services import open_data

    volume = open_data.open_volume(grey_image(tmp_path / "x.png"))
    dialog = DescribeDialog(volume)
    qtbot.addWidget(dialog)
    dialog.modality.setCurrentIndex(dialog.modality.findData("DX"))
    dialog.side.setCurrentIndex(1)
    stated = dialog.result_volume()
    assert stated.modality == "DX"
    assert stated.facts["modality"].origin == "user"
    assert stated.patient_orientation == ("L", "F")
    assert stated.array is volume.array


def test_recent_scans_do_not_name_the_patient() -> None:
    from medviewer.core.volume import Patient, SeriesEntry
    from medviewer.gui.recent import label_of

    patient = Patient(name="DOE^JANE", id="4711-0815")
    entry = SeriesEntry("1", "dicom", "CT", "volume", "CT", (2, 2, 2), None, None, "HU", patient=patient)
    assert label_of(Path("/data/study 7/export"), [entry]) == "export   ·   study 7"
    for bad in ("/data/Doe Jane/export", "/data/47110815x/export", "/data/x/jane.dcm"):
        label = label_of(Path(bad), [entry])
        assert not any(word in label.lower() for word in ("doe", "jane", "4711"))
    assert label_of(Path("/data/x/jane.dcm"), [entry]) == "CT (1 series)   ·   x"


def test_the_files_of_one_series_dropped_one_by_one_are_one_scan(shared_data: Path) -> None:
    from medviewer.core.progress import silent
    from medviewer.gui.documents import scan_all

    folder = shared_data / "dicom" / "mr_pd_papaya_20"
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    entries, _ = scan_all(files, silent())
    assert len(entries) == 1
    assert entries[0].shape_xyz[2] == len(files)


def test_what_is_not_recorded_can_be_stated_from_the_banner(qtbot, window, tmp_path, monkeypatch) -> None:
    from medviewer.gui.dialogs import describe_dialog

    with qtbot.waitSignal(window.documents.opened, timeout=20000):
        window.open_paths([grey_image(tmp_path / "x.png")])
    assert window.banner.describe.isVisible()

    def answer(dialog: describe_dialog.DescribeDialog) -> object:
        dialog.modality.setCurrentIndex(dialog.modality.findData("DX"))
        dialog.side.setCurrentIndex(1)
        return describe_dialog.DescribeDialog.DialogCode.Accepted

    monkeypatch.setattr(describe_dialog.DescribeDialog, "exec", answer)
    qtbot.mouseClick(window.banner.describe, Qt.MouseButton.LeftButton)
    assert window.scene.active.volume.modality == "DX"
    assert window.scene.active.volume.patient_orientation == ("L", "F")
    assert not window.banner.describe.isVisible()


@pytest.mark.parametrize("axes", ["LPS", "RAS", "PSL", "LSP", "SLA"])
def test_thumbnails_show_the_native_image_upright(axes: str) -> None:
    """The brightest corner of a volume bright towards left, back and feet is at the lower right of its picture."""
    from medviewer.core.volume import Volume
    from medviewer.gui.panels.scans.logic import thumbnail

    signs = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
    affine, towards = np.eye(4), []
    affine[:3, :3] = 0
    for axis, letter in enumerate(axes):
        row, sign = signs[letter]
        affine[row, axis] = sign
        towards.append(1 if letter in "LPI" else -1)
    grid = np.indices((40, 40, 40)).astype(np.float32)
    array = sum(t * g for t, g in zip(towards, grid, strict=True))
    picture = thumbnail(Volume(np.asarray(array), affine))[..., 0].astype(int)
    assert picture[-1, -1] == picture.max()
    assert picture[0, 0] == picture.min()


def test_an_image_stands_in_the_middle_while_a_series_loads(qtbot, window, shared_data: Path) -> None:
    folder = shared_data / "dicom" / "mr_pd_papaya_20"
    with qtbot.waitSignal(window.documents.loading, timeout=20000) as caught:
        window.open_paths([folder])
    assert window.stack.currentWidget() is window.waiting
    assert caught.args[0].format == "dicom"
    qtbot.waitUntil(lambda: not window.waiting.picture.isNull(), timeout=20000)
    qtbot.waitUntil(lambda: window.stack.currentWidget() is window.views, timeout=20000)
    assert window.scene.active.volume.shape[2] == 20


def test_the_advice_of_a_refusal_is_that_of_its_reason(window) -> None:
    from medviewer.core.volume import Refused

    two_patients = Refused(Path("scan"), "One series is of two patients. Export each patient's series again.")
    window.documents._found([Path("scan")], [], [two_patients])
    (toast,) = window.toasts.shown
    assert (toast.text, toast.hint) == ("One series is of two patients.", "Export each patient's series again.")


def test_a_series_that_fails_to_load_leaves_the_empty_state(qtbot, window, tmp_path, monkeypatch) -> None:
    from medviewer.core.errors import InputRefused
    from medviewer.services import open_data

    def fail(entry: object, progress: object, **more: object) -> None:
        raise InputRefused("The file ends too early.", "Copy it again.")

    monkeypatch.setattr(open_data, "load", fail)
    with qtbot.waitSignal(window.documents.finished, timeout=20000):
        window.open_paths([grey_image(tmp_path / "x.png")])
    assert window.stack.currentWidget() is window.empty
    assert [toast.text for toast in window.toasts.shown] == ["The file ends too early."]
