"""What a command prints: one JSON document or readable lines on standard output, all else on standard error."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn, TextIO

import typer

from medviewer.core.errors import Cancelled, UserError
from medviewer.core.plain_text import printable


@dataclass(frozen=True)
class Report:
    """What a command found: the document of `--json`, the same for people, and the exit status.

    `error` is for commands that end with an error and yet have a document to show.
    """

    document: dict[str, Any]
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())
    exit_status: int = 0
    error: UserError | None = None


def finish(as_json: bool, work: Callable[[], Report]) -> NoReturn:
    """Do the work with standard output reserved, print its report, and end the command with its status."""
    with reserved_stdout() as out:
        try:
            report = work()
        except KeyboardInterrupt as error:  # typer would end the command without a word
            raise Cancelled() from error
        for warning in report.warnings:
            print(printable(f"Warning: {warning}"), file=sys.stderr)
        if report.error is not None and not as_json:
            print_error(report.error, as_json)
        out.write(json_text(report.document) if as_json else printable("".join(f"{line}\n" for line in report.lines)))
        out.flush()
    raise typer.Exit(report.error.exit_status if report.error else report.exit_status)


@contextlib.contextmanager
def reserved_stdout() -> Iterator[TextIO]:
    """The true standard output; whatever libraries print meanwhile, also from C code, goes to standard error."""
    real = sys.stdout
    real.flush()
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(_copy_of(real))
        stack.enter_context(_descriptor_redirected(1, 2))
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield out


@contextlib.contextmanager
def _copy_of(stream: TextIO) -> Iterator[TextIO]:
    """A stream to the same place that a redirection of the first does not touch."""
    try:
        copy = os.dup(stream.fileno())
    except (OSError, ValueError):  # a stream that is no file, as some test runners and notebooks have
        yield stream
        return
    with os.fdopen(copy, "w", encoding="utf-8") as out:
        yield out


@contextlib.contextmanager
def _descriptor_redirected(number: int, other: int) -> Iterator[None]:
    """What is written to one file descriptor, also by C code and child processes, goes to the other meanwhile."""
    try:
        saved = os.dup(number)
        os.dup2(other, number)
    except OSError:  # started without standard streams
        yield
        return
    try:
        yield
    finally:
        os.dup2(saved, number)
        os.close(saved)


def json_text(document: dict[str, Any]) -> str:
    """JSON with a point in every number whatever the locale, and without NaN or Infinity, which JSON does not have."""
    return json.dumps(_plain(document), ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)


def error_document(error: UserError) -> dict[str, Any]:
    return {"error": {"code": error.code, "message": error.message, "hint": error.hint}}


def print_error(error: UserError, as_json: bool) -> None:
    """Tell the user: JSON on standard output, or a sentence and a hint on standard error."""
    if as_json:
        sys.stdout.write(json_text(error_document(error)))
        sys.stdout.flush()
        return
    print(printable(f"Error: {error.message}"), file=sys.stderr)
    if error.hint:
        print(printable(error.hint), file=sys.stderr)
