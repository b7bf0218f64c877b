"""Whether a window can be shown here."""

from __future__ import annotations

import os
import sys

from medviewer.core.errors import WrongUsage


def has_display() -> bool:
    """Whether this computer shows windows: always outside Linux, there with an X11 or Wayland session."""
    if not sys.platform.startswith("linux"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def require_display() -> None:
    """Raise WrongUsage where no window can be shown, before the window system would end the program."""
    if not has_display() and os.environ.get("QT_QPA_PLATFORM") in (None, "", "xcb", "wayland"):
        raise WrongUsage(
            "There is no display to open a window on.", "Use the commands, see `medviewer --help`.", code="no-display"
        )
