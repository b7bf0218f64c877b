"""`medviewer models list`, and what the model may keep on the disk: `models --clear-cache`, `models --cache-gb N`."""

from __future__ import annotations

from typing import Annotated

import typer

from medviewer.cli.options import AsJson
from medviewer.cli.output import Report, finish
from medviewer.core.errors import WrongUsage

models_app = typer.Typer(help="Models.", no_args_is_help=True, invoke_without_command=True)
ClearCache = Annotated[
    bool, typer.Option("--clear-cache", help="Remove the encoded scans that the model keeps on the disk.")
]
CacheSize = Annotated[
    float | None,
    typer.Option("--cache-gb", min=0, help="How many GB of encoded scans may be kept from now on; 0 keeps none."),
]


@models_app.callback()
def _models_group(
    context: typer.Context, clear_cache: ClearCache = False, cache_gb: CacheSize = None, as_json: AsJson = False
) -> None:
    asked = clear_cache or cache_gb is not None
    if asked and context.invoked_subcommand:
        raise WrongUsage("--clear-cache and --cache-gb stand alone.", "Use `medviewer models --clear-cache`.")
    if asked:
        finish(as_json, lambda: _change_cache(clear_cache, cache_gb))
    if context.invoked_subcommand is None:
        raise WrongUsage("No command was given.", "See `medviewer models --help`.")


@models_app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the known models and whether they are installed."""
    finish(as_json, _models)


def _change_cache(clear_it: bool, gigabytes: float | None) -> Report:
    from medviewer.services.embedding_cache import cache_folder, clear, set_quota, used

    freed = clear() if clear_it else 0
    lines = []
    if gigabytes is not None:
        freed += set_quota(gigabytes)
        lines.append(f"The model may keep {gigabytes:g} GB on the disk." if gigabytes else "The model keeps nothing.")
    lines.append(f"{freed / 1e6:.1f} MB of the model cache were freed.")
    return Report({"freed_bytes": freed, "left_bytes": used(), "folder": str(cache_folder())}, tuple(lines))


def _models() -> Report:
    from medviewer.services.model_store import list_models as known_models

    rows, lines = [], []
    for model in known_models():
        rows.append(
            {
                "id": model.id,
                "title": model.title,
                "task": model.task,
                "version": model.version or None,
                "licence": model.licence or None,
                "commercial_use": model.commercial_use,
                "installed": model.installed,
                "default": model.default,
            }
        )
        state = "installed" if model.installed else "not installed"
        lines.append(f"{model.id}  {model.title}, {state}{', default' if model.default else ''}")
    return Report({"models": rows}, tuple(lines or ["no models"]))
