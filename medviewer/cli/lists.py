"""`medviewer plugins list` and `medviewer models list`."""

from __future__ import annotations

import typer

from medviewer.cli.options import AsJson
from medviewer.cli.output import Report, finish

plugins_app = typer.Typer(help="Plugins.", no_args_is_help=True)
models_app = typer.Typer(help="Models.", no_args_is_help=True)


@plugins_app.command("list")
def list_plugins(as_json: AsJson = False) -> None:
    """List the plugins; a broken one is listed with the reason."""
    finish(as_json, _plugins)


@models_app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the known models and whether they are installed."""
    finish(as_json, _models)


@plugins_app.callback()
def _plugins_group() -> None:
    return None


@models_app.callback()
def _models_group() -> None:
    return None


def _plugins() -> Report:
    from medviewer.plugin_host import host

    rows, lines = [], []
    for plugin in host().list():
        manifest = plugin.manifest
        version, kind = (manifest.version, str(manifest.kind)) if manifest else (None, None)
        rows.append(
            {
                "id": plugin.id,
                "name": plugin.name,
                "version": version,
                "kind": kind,
                "origin": plugin.origin,
                "folder": str(plugin.folder),
                "error": plugin.error or None,
            }
        )
        lines.append(f"{plugin.id}  {plugin.error or f'{plugin.name} {version}, {kind}, {plugin.origin}'}")
    return Report({"plugins": rows}, tuple(lines or ["no plugins"]))


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
