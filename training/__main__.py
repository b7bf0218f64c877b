"""`python -m training train RECIPE`, and `evaluate`, `finetune`, `export`; `medviewer train` and so on do the same."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace

from medviewer.core.errors import Cancelled, UserError, WrongUsage
from medviewer.core.plain_text import printable

COMMANDS = ("train", "finetune", "evaluate", "export")
_USAGE = f"usage: training {{{','.join(COMMANDS)}}} ...\n\nAsk each for its options with --help."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; user errors are told on standard error."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return run(given)
    except UserError as error:
        print(printable(f"Error: {error.message}"), file=sys.stderr)
        if error.hint:
            print(printable(error.hint), file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print(Cancelled().message, file=sys.stderr)
        return Cancelled.exit_status


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status. Raises UserError."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE)
        return 0 if arguments else 2
    name, rest = arguments[0], list(arguments[1:])
    if name not in COMMANDS:
        raise WrongUsage(f'There is no command "{name}".', f"Commands: {', '.join(COMMANDS)}.")
    if name == "finetune":
        rest = _with_recipe(rest)
    command = train if name == "train" else importlib.import_module(f".{name}", __package__).main
    try:
        command(rest)
    except SystemExit as end:  # argparse: --help, or usage it has told already
        return int(end.code) if isinstance(end.code, int) else 2
    return 0


def _with_recipe(arguments: list[str]) -> list[str]:
    """`finetune [RECIPE] [options]`: the recipe's values as options, before those that were given and win."""
    if not arguments or arguments[0].startswith("-"):
        return arguments
    from .finetune_options import FinetuneOptions
    from .recipe import read_arguments

    written: list[str] = []
    for name, value in asdict(read_arguments(FinetuneOptions, arguments[0])).items():
        if isinstance(value, bool):
            written += [f"--{name}"] * value
        elif value is not None:
            written.append(f"--{name}={value}")
    return written + arguments[1:]


def train(arguments: Sequence[str]) -> None:
    """`train RECIPE [--set key=value ...] [--run DIR] [--resume]`. Raises UserError."""
    from .recipe import read_recipe, shipped_recipes
    from .recipe_limits import check_recipe

    parser = argparse.ArgumentParser(
        "train", description=f"Train a model. Shipped recipes: {', '.join(shipped_recipes())}."
    )
    parser.add_argument("recipe", metavar="RECIPE", help="a YAML file, or the name of a shipped recipe")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as data.share=0.25")
    parser.add_argument("--run", metavar="DIR", help="folder of the run; instead of run.folder")
    parser.add_argument("--resume", action="store_true", help="continue the run in that folder")
    options = parser.parse_args(arguments)
    recipe = read_recipe(options.recipe, options.set)
    if options.run is not None:
        recipe = replace(recipe, run=replace(recipe.run, folder=options.run))
    check_recipe(recipe)
    from .train_text_sam import train as train_recipe  # torch only when the recipe is good

    train_recipe(recipe, options.resume)


if __name__ == "__main__":
    sys.exit(main())
