"""The log file: what went wrong inside the program, without patient data and without values of variables."""

from __future__ import annotations

import logging
import logging.handlers
import re
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from medviewer.services.folders import user_folder

_LOGGER = logging.getLogger("medviewer")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_PATH = re.compile(r"(?:[A-Za-z]:)?[\\/][^\s,;:]+")
_CODED_NAME = re.compile(r"\S*\^\S*")
_LONG_NUMBER = re.compile(r"\d[\d.]{5,}")


def log_path() -> Path:
    return user_folder("log") / "medviewer.log"


def scrub(text: str) -> str:
    """A message without what could name a patient: quoted values, paths, DICOM names, long numbers."""
    for pattern in (_QUOTED, _PATH, _CODED_NAME, _LONG_NUMBER):
        text = pattern.sub("…", text)
    return text[:300]


def start_log() -> Path:
    """Open the rotating log file (3 files of 1 MB); later calls only return its path."""
    path = log_path()
    open_now = [getattr(handler, "baseFilename", "") for handler in _LOGGER.handlers]
    if str(path) in open_now:
        return path
    for handler in list(_LOGGER.handlers):
        _LOGGER.removeHandler(handler)
        handler.close()
    _LOGGER.addHandler(_file_handler(path))
    _LOGGER.propagate = False
    _LOGGER.setLevel(logging.INFO)
    return path


def _file_handler(path: Path) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler: logging.Handler = logging.handlers.RotatingFileHandler(
            path, maxBytes=1_000_000, backupCount=2, encoding="utf-8", delay=True
        )
    except OSError:  # a home that cannot be written must not stop the program
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    return handler


def record(message: str) -> None:
    """One line of what the program did; the caller passes no patient data, and it is scrubbed all the same."""
    start_log()
    _LOGGER.info("%s", scrub(message))


def describe(error: BaseException) -> str:
    """Type, scrubbed message and the places in the code; no source lines, no local variables."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"  {_module_of(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
    lines = [f"{type(error).__name__}: {scrub(str(error))}", *places]
    if error.__cause__ is not None:
        lines.append("caused by " + describe(error.__cause__))
    return "\n".join(lines)


def _module_of(filename: str) -> str:
    return "/".join(Path(filename).parts[-3:])


def record_defect(error: BaseException) -> Path:
    """Write a defect to the log; returns the log's path."""
    path = start_log()
    _LOGGER.error("%s", describe(error))
    return path


def install_hook(show: Callable[[BaseException, Path], None] | None = None) -> None:
    """Send every uncaught exception, of any thread, to the log and then to `show(error, log path)`."""

    def handle(error: BaseException) -> None:
        path = record_defect(error)
        if show is not None:
            show(error, path)

    def on_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            handle(error)

    def on_thread_exception(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            handle(args.exc_value)

    sys.excepthook = on_exception
    threading.excepthook = on_thread_exception
