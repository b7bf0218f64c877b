"""What the readers of single files (NIfTI, NRRD, MetaImage) have in common: how a file is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from medviewer.core.errors import Cancelled, InputRefused, UserError
from medviewer.core.volume import Refused, ScanResult, SeriesEntry


def listed(path: Path, entries: Callable[[], Iterable[SeriesEntry]]) -> ScanResult:
    """The entries that a file gives, or why it was refused. Raises nothing but Cancelled for a bad file."""
    try:
        with readable(path):
            return ScanResult(tuple(entries()))
    except Cancelled:
        raise
    except UserError as error:
        return ScanResult(refused=(Refused(path, str(error)),))


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Every OSError of the block as InputRefused."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or "the drive does not answer"
        raise InputRefused(f"{path.name} cannot be read: {reason}.", "Check its permissions.") from error
