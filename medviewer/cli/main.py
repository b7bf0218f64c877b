"""Reads the command line: chooses the command, and turns every ending into an exit status.

0 done, 1 internal error, 2 wrong usage, 3 input refused, 4 model missing, 5 output not written, 130 cancelled.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

import medviewer
from medviewer.cli import (
    batch,
    convert,
    deidentify,
    demo,
    info,
    lists,
    models,
    report,
    screenshot,
    segment,
    training,
    training_set,
)
from medviewer.cli.output import print_error
from medviewer.core.errors import Cancelled, InputRefused, UserError, WrongUsage

OpenWindow = Callable[[list[Path]], int]
_HELP = """Open a scan, type what you want to see, get a mask or an honest "not found", and export it.

medviewer [PATH...] opens the window. Research use only; not for diagnosis or treatment decisions."""

app = typer.Typer(
    name="medviewer",
    help=_HELP,
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _module in (info, convert, segment, batch, report, screenshot, deidentify, training_set, demo, training):
    _module.register(app)
app.add_typer(lists.plugins_app, name="plugins")
app.add_typer(models.models_app, name="models")

COMMANDS = (
    "info", "convert", "segment", "batch", "report", "screenshot", "deidentify", "export-training-set", "demo",
    "plugins", "models", "train", "finetune", "evaluate", "export-model",
)  # fmt: skip


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"medviewer {medviewer.__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True)] = False,
) -> None:
    return None


def main(argv: Sequence[str] | None = None, open_window: OpenWindow | None = None) -> int:
    """Run one command line and return its exit status. `open_window(paths)` is called where a window is asked for."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    try:
        if is_window_call(arguments):
            return _window(arguments, open_window)
        return _command(arguments, open_window)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except BaseException as error:
        told = as_user_error(error)
        print_error(told, as_json)
        return told.exit_status


def is_window_call(arguments: Sequence[str]) -> bool:
    """A first argument that is a command's name is the command, one that is an option is ours, else it is a path."""
    return not arguments or not (arguments[0] in COMMANDS or arguments[0].startswith("-"))


def _command(arguments: list[str], open_window: OpenWindow | None) -> int:
    status = app(arguments, prog_name="medviewer", standalone_mode=False, obj=open_window)
    return status if isinstance(status, int) else 0


def _window(arguments: list[str], open_window: OpenWindow | None) -> int:
    missing = [text for text in arguments if not Path(text).exists()]
    if missing:
        raise InputRefused(
            f'There is no file, folder or command "{missing[0]}".', f"Commands: {', '.join(COMMANDS)}."
        )
    if open_window is None:
        raise WrongUsage("No command was given.", "See `medviewer --help`.")
    return open_window([Path(text) for text in arguments])


def as_user_error(error: BaseException) -> UserError:
    """The words and exit status for whatever ended a command."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return Cancelled()
    if _is_usage_error(error):
        message = error.format_message().replace("Value error, ", "")  # type: ignore[attr-defined]
        return WrongUsage(message.rstrip(".") + ".", "See `medviewer --help`.")
    from medviewer.services.jobs import internal_error

    return internal_error(error)


def _is_usage_error(error: BaseException) -> bool:
    """Whether it is typer's usage error, which has no public name: it knows its exit code and message."""
    return hasattr(error, "format_message") and getattr(error, "exit_code", None) in (1, 2)
