"""Entry of the program: commands go to the command line, paths open the window."""

from __future__ import annotations

import sys
from pathlib import Path


def open_window(paths: list[Path]) -> int:
    """Show the window and return its exit status; raises UserError where there is no display."""
    from medviewer.services.display import require_display

    require_display()
    from medviewer.gui.app import run

    return run(paths)


def main() -> int:
    from medviewer.cli.main import main as command_line
    from medviewer.services.log import guard_output
    from medviewer.services.offline import switch_off_calls_home

    switch_off_calls_home()
    guard_output()
    return command_line(sys.argv[1:], open_window)


if __name__ == "__main__":
    sys.exit(main())
