"""`medviewer models list`, `models card ID`, and what the model may keep on the disk: `models --clear-cache`,
`models --cache-gb N`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from medviewer.cli.options import AsJson
from medviewer.cli.output import Report, finish
from medviewer.core.errors import ModelMissing, WrongUsage
from medviewer.core.plain_text import one_line

if TYPE_CHECKING:
    from medviewer.services.model_store import ModelInfo

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
    """List the known models: version, licence, commercial use, size, state of the weights' SHA-256, intended use."""
    finish(as_json, _models)


@models_app.command("card")
def show_card(
    model: Annotated[str | None, typer.Argument(metavar="[ID]", help="The default one without.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print a model's card: data and licences, figures, failures, what it is for and what not."""
    finish(as_json, lambda: _card(model))


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

    rows = [_row(model) for model in known_models()]
    return Report({"models": rows}, tuple(_table(rows) if rows else ["no models"]))


def _row(model: ModelInfo) -> dict[str, Any]:
    return {
        "id": model.id,
        "title": model.title,
        "task": model.task,
        "version": model.version or None,
        "licence": model.licence or None,
        "commercial_use": model.commercial_use,
        "installed": model.installed,
        "default": model.default,
        "size_bytes": model.size_bytes or None,
        "weights": model.weights_state(),
        "intended_use": model.intended_use or None,
        "folder": None if model.folder is None else str(model.folder),
    }


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """Columns that are as wide as they must be; the intended use stands last, for it is a sentence."""
    yes_or_no = {True: "yes", False: "no", None: "not stated"}
    cells = [["id", "version", "licence", "commercial use", "size", "sha256", "intended use"]]
    for row in rows:
        size = f"{row['size_bytes'] / 1e6:.1f} MB" if row["size_bytes"] else "-"
        name = f"{row['id']} (default)" if row["default"] else row["id"]
        texts = [name, row["version"] or "-", row["licence"] or "not stated", yes_or_no[row["commercial_use"]], size]
        texts += [row["weights"], row["intended_use"] or row["title"]]
        cells.append([one_line(str(text), 200) for text in texts])
    widths = [max(len(line[column]) for line in cells) for column in range(6)]
    return ["  ".join([*(text.ljust(width) for text, width in zip(line[:6], widths, strict=True)), line[6]])
            for line in cells]


def _card(model_id: str | None) -> Report:
    from medviewer.services.model_store import find_model

    model = find_model(model_id)
    text = model.card()
    if not text:
        raise ModelMissing(f"The model {model.id} has no card.", "Ask for one where the model came from.")
    return Report({"id": model.id, "card": text}, tuple(text.splitlines()))
