"""Nothing is clipped: at 1280x800, and at 125 % on a 1280x800 screen (1024x640 in Qt's own pixels)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from clipping import clipped
from fakes import FakeHost, small_ct

from medviewer.core.segmentation import Segment


def fill(window, qtbot) -> None:
    """A window with something in every part."""
    window.scene.add_volume(small_ct())
    window.scene.add_segment(Segment("Inferior vena cava, the longest name in the list", small_ct().array > 60))
    panel = window.plugins.panels["text_segmentation"]
    panel.run_text("liver; left kidney; pancreas; brain; something unheard of; no liver; aorta")
    qtbot.waitUntil(lambda: window.jobs.current is None, timeout=20000)
    qtbot.waitUntil(lambda: window.scene.active.preview_painted, timeout=20000)
    qtbot.waitUntil(lambda: "Volume" in window.figures.rows(), timeout=20000)
    window.notify("Something could not be read.", "error", "Choose another file, or copy it again from where it came.")


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("size", [(1280, 800), (1024, 640), (1920, 1080)])
def test_no_text_is_cut(qtbot, make_window, fake, settings, theme: str, size: tuple[int, int]) -> None:
    settings.set("theme", theme)
    window = make_window(FakeHost(fake), size)
    assert clipped(window) == []
    fill(window, qtbot)
    assert clipped(window) == []


def test_dialogs_are_not_cut(qtbot, make_window, fake, tmp_path: Path) -> None:
    from medviewer.gui.dialogs.describe_dialog import DescribeDialog
    from medviewer.gui.dialogs.export_dialog import ExportDialog
    from medviewer.gui.dialogs.keys_dialog import KeysDialog

    window = make_window(FakeHost(fake))
    fill(window, qtbot)
    scan = window.scene.active
    for dialog in (ExportDialog(scan, tmp_path, window), KeysDialog(window), DescribeDialog(scan.volume, window)):
        dialog.show()
        qtbot.waitExposed(dialog)
        assert clipped(dialog) == [], type(dialog).__name__
        dialog.close()
        dialog.deleteLater()


@pytest.mark.parametrize("scale", ["1.25", "2"])
def test_no_text_is_cut_when_the_screen_is_scaled(scale: str, tmp_path: Path, repository: Path) -> None:
    script = Path(__file__).parent / "scaled_window.py"
    environment = os.environ | {
        "QT_SCALE_FACTOR": scale,
        "MEDVIEWER_HOME": str(tmp_path),
        "PYTHONPATH": str(repository),
    }
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split("\n")[0] == f"ratio {float(scale)}"
    assert "cut:" not in done.stdout, done.stdout
