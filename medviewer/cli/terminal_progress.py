"""A progress bar on standard error, where that is a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from medviewer.core.progress import Progress, silent


@contextlib.contextmanager
def terminal_progress(title: str) -> Iterator[Progress]:
    """A progress whose reports move a bar with time left; silent where nobody looks."""
    if not sys.stderr.isatty():
        yield silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=1.0)
        yield Progress(lambda fraction, text: bar.update(task, completed=fraction, description=text or title))
