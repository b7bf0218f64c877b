"""What the window does ahead while the user looks for a scan, so that nothing holds it up later."""

from __future__ import annotations

import sys
from importlib import import_module

from medviewer.core.progress import Progress
from medviewer.gui.jobs import GuiJobs

_TURN_SECONDS = 0.002  # a worker thread gives the interpreter back to the window after this long (Python: 0.005)
_MODULES = ("medviewer.services.open_data", "medviewer.render.slice_view", "medviewer.gui.views.view_grid")


def start(jobs: GuiJobs) -> None:
    """Begin; GUI thread, once the window is shown."""
    sys.setswitchinterval(_TURN_SECONDS)
    jobs.run_silently(_preload, lambda done: None)


def _preload(progress: Progress) -> None:
    from medviewer.services import resources

    resources.terminology()  # a tenth of a second of pure Python
    for name in _MODULES:
        progress.check_cancelled()
        import_module(name)
