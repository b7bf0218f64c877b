"""`medviewer train`, `finetune`, `evaluate`, `export-model`: the training package, found by its name when asked for."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

import medviewer
from medviewer.cli.output import Report, finish
from medviewer.core.errors import Cancelled, ModelMissing, WrongUsage

_FORWARD = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
_HINTS = {"transformers": "peft", "yaml": "PyYAML"}


def register(app: typer.Typer) -> None:
    for command in (train, finetune, evaluate):
        app.command(context_settings=_FORWARD)(command)
    app.command("export-model", context_settings=_FORWARD)(export_model)


def train(context: typer.Context) -> None:
    """Train a model: RECIPE [--set KEY=VALUE] [--run DIR] [--resume]."""
    _run("train", context.args)


def finetune(context: typer.Context) -> None:
    """Teach a model a structure of your own: --data CASES --prompt NAME."""
    from medviewer.services.model_store import list_models, model_folders

    shipped, own = model_folders()
    taken = [model.id for model in list_models() if model.folder is None or model.folder.parent == shipped]
    _run("finetune", [*context.args, "--user-models", str(own), "--reserved", ",".join(taken)])


def evaluate(context: typer.Context) -> None:
    """Measure a model: --data FOLDER [--bundle MODEL] [--out DIR]."""
    from medviewer.services.model_store import model_folders

    _run("evaluate", [*context.args, "--user-models", str(model_folders()[1])])


def export_model(context: typer.Context) -> None:
    """Write a trained run as a model: --run DIR --out MODELS/NAME."""
    _run("export", context.args)


def _run(command: str, arguments: Sequence[str]) -> None:
    """Hand the rest of the command line on. With --json, what is told on the way goes to standard error."""
    given = [argument for argument in arguments if argument != "--json"]
    if len(given) < len(arguments):
        finish(True, lambda: Report({"command": command, "arguments": given, "exit_status": _status(command, given)}))
    try:
        raise typer.Exit(_status(command, given))
    except KeyboardInterrupt as error:  # typer would end the command without a word
        raise Cancelled() from error


def _status(command: str, arguments: Sequence[str]) -> int:
    try:
        status = training_commands()([command, *arguments])
    except ModuleNotFoundError as error:
        raise _not_installed(error) from error
    if status == WrongUsage.exit_status:
        raise WrongUsage(f"The options of {command} were not understood.", f"See `medviewer {command} --help`.")
    return status


def training_commands() -> Callable[[Sequence[str]], int]:
    """`run` of the training package: the one installed with the program, else the one of this checkout.

    Raises ModelMissing where there is none, and ModuleNotFoundError where it needs a library that is not installed.
    """
    if importlib.util.find_spec("medviewer.training") is not None:
        return importlib.import_module("medviewer.training.__main__").run
    checkout = Path(medviewer.__file__).resolve().parents[1]
    if not (checkout / "training" / "__main__.py").is_file():
        raise ModelMissing("The training package is not part of this installation.", "Install medviewer again.")
    if sys.path[0] != str(checkout):
        sys.path.insert(0, str(checkout))  # before any other package of this common name
    return importlib.import_module("training.__main__").run


def _not_installed(error: ModuleNotFoundError) -> ModelMissing:
    name = (error.name or "a library").split(".")[0]
    return ModelMissing(
        f"Training needs {_HINTS.get(name, name)}, which is not installed.",
        'Install what training needs with `pip install "medviewer[train]"`.',
    )
