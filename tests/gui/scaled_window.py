"""Run in a process of its own with QT_SCALE_FACTOR set: prints the ratio, then what is cut."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from clipping import clipped
from fakes import FakeHost, FakeLogic, small_ct

from medviewer.core.scene import Scene
from medviewer.gui.app import make_application
from medviewer.gui.main_window import MainWindow
from medviewer.services.settings import Settings


def main() -> int:
    application = make_application()
    window = MainWindow(Scene(), Settings(), FakeHost(FakeLogic()))
    ratio = window.devicePixelRatioF()
    window.resize(round(1280 / 1.25), round(800 / 1.25))
    window.show()
    window.scene.add_volume(small_ct())
    window.plugins.panels["text_segmentation"].run_text("liver; pancreas; brain")
    deadline = time.monotonic() + 60
    while not window.scene.active.preview_painted and time.monotonic() < deadline:
        application.processEvents()
    print(f"ratio {ratio}")
    for line in clipped(window):
        print(line)
    window.scene.undo_stack.mark_saved()
    window.close()
    return 0 if window.scene.active.preview_painted else 1


if __name__ == "__main__":
    sys.exit(main())
