"""The whole main job on the real CT with the real model, by clicks and typing."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PySide6.QtCore import Qt

from medviewer.core.errors import UserError
from medviewer.core.laterality import cut_edges


@pytest.fixture
def real_window(make_window):
    from medviewer.services.model_store import find_bundle

    try:
        find_bundle()
    except UserError as error:
        pytest.skip(str(error))
    return make_window()


def test_open_type_accept_undo_redo_export_reopen(qtbot, real_window, real_ct: Path, tmp_path: Path) -> None:
    from medviewer.gui.dialogs.export_dialog import FORMATS, ExportChoice

    window, scene = real_window, real_window.scene
    with qtbot.waitSignal(window.documents.opened, timeout=60000):
        window.open_paths([real_ct])
    prompt = window.plugins.panels["text_segmentation"].prompt
    qtbot.waitUntil(prompt.hasFocus)
    qtbot.keyClicks(prompt, "liver")
    qtbot.keyClick(prompt, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: scene.active.preview is not None and scene.active.preview_painted, timeout=120000)
    assert scene.active.preview.cut_edges == cut_edges(scene.active.preview.mask, scene.active.volume)
    assert scene.active.segments == []

    qtbot.keyClick(prompt, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert [s.name for s in scene.active.segments] == ["Liver"]
    qtbot.keyClick(prompt, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert scene.active.segments == []
    modifiers = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(prompt, Qt.Key.Key_Z, modifiers)
    liver = scene.active.segments[0]

    out = tmp_path / "liver.nii.gz"
    with qtbot.waitSignal(window.exports.saved, timeout=60000):
        window.exports.run(scene.active, ExportChoice(out, FORMATS[0], (liver,)))
    assert not scene.undo_stack.unsaved
    saved, source = nibabel.load(out), nibabel.load(real_ct)
    assert np.array_equal(np.asarray(saved.dataobj) == 1, liver.mask)
    assert np.allclose(saved.affine, source.affine)
    sidecar = json.loads(Path(str(out).replace(".nii.gz", ".json")).read_text("utf-8"))
    assert "Liver" in json.dumps(sidecar)

    scene.delete_segment(liver.id)
    window.commands.open_masks(out)
    qtbot.waitUntil(lambda: len(scene.active.segments) == 1, timeout=20000)
    assert np.array_equal(scene.active.segments[0].mask, liver.mask)
    assert scene.active.segments[0].name == "Liver"
