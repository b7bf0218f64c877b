"""The log file: what went wrong inside the program, without patient data and without values of variables."""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from medviewer.services.folders import user_folder
from medviewer.services.scrubbing import scrub

_LOGGER = logging.getLogger("medviewer")
_ANCHORS = ("medviewer", "plugins", "training", "site-packages")
_LIBRARIES = ("pydicom", "highdicom", "nibabel", "torch", "PIL", "asyncio", "filelock")
_MOST_FRAMES, _MOST_CAUSES = 40, 5


def log_path() -> Path:
    return user_folder("log") / "medviewer.log"


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
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handler: logging.Handler = _PrivateFile(
            path, maxBytes=1_000_000, backupCount=2, encoding="utf-8", delay=True
        )
    except OSError:  # a home that cannot be written must not stop the program
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    return handler


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """A log that only its owner can read."""

    def _open(self) -> Any:
        return open(self.baseFilename, self.mode, encoding=self.encoding, opener=_private)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def record(message: str) -> None:
    """One line of what the program did; the caller passes no patient data, and it is scrubbed all the same."""
    start_log()
    _LOGGER.info("%s", scrub(message))


def describe(error: BaseException, depth: int = 0) -> str:
    """Type, scrubbed message and the places in the code; no source lines, no local variables, no notes."""
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    places = [f"  {_module_of(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
    lines = [f"{type(error).__name__}: {scrub(_text_of(error))}", *places]
    if error.__cause__ is not None and depth < _MOST_CAUSES:
        lines.append("caused by " + describe(error.__cause__, depth + 1))
    return "\n".join(lines)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a defect of an error must not hide the error
        return ""


def _module_of(filename: str) -> str:
    """The file inside its package; of other files the name alone, since folders can be named after people."""
    parts = Path(filename).parts
    for anchor in _ANCHORS:
        if anchor in parts:
            return "/".join(parts[len(parts) - 1 - parts[::-1].index(anchor) :])
    return parts[-1] if parts else ""


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
        if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
            handle(args.exc_value)

    sys.excepthook = on_exception
    threading.excepthook = on_thread_exception


def guard_output() -> None:
    """Send to the log what libraries say on standard error by themselves: warnings, log messages, lost exceptions.

    They quote values of files, and standard error is often kept. Call once, where a process starts.
    """
    start_log()
    warnings.showwarning = _log_warning
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_thread
    root = logging.getLogger()
    if not any(isinstance(handler, _ScrubbingHandler) for handler in root.handlers):
        root.addHandler(_ScrubbingHandler(logging.WARNING))
    logging.getLogger("pydicom").setLevel(logging.ERROR)  # its warnings are about files, and there are thousands


class _ScrubbingHandler(logging.Handler):
    """What other loggers say, by its origin and without values. Its place is the root logger."""

    def emit(self, entry: logging.LogRecord) -> None:
        text = entry.msg if isinstance(entry.msg, str) else ""  # before values are filled in
        _LOGGER.warning("%s: %s", scrub_name(entry.name), scrub(text))


def scrub_name(name: str) -> str:
    """The top package of a logger's or category's name."""
    top = name.split(".", 1)[0]
    return top if top in _LIBRARIES or (top.isidentifier() and top in sys.modules) else "…"


def _log_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    _LOGGER.warning("%s: %s (%s:%s)", category.__name__, scrub(str(message)), _module_of(filename), lineno)


def _log_unraisable(args: Any) -> None:
    if args.exc_value is not None:
        record_defect(args.exc_value)


def _log_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        record_defect(args.exc_value)
