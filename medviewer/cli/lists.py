"""`medviewer plugins list`."""

from __future__ import annotations

from typing import Annotated

import typer

from medviewer.cli.options import AsJson
from medviewer.cli.output import Report, finish

plugins_app = typer.Typer(help="Plugins.", no_args_is_help=True)


@plugins_app.command("list")
def list_plugins(
    as_json: AsJson = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try plugins again that were switched off.")] = False,
) -> None:
    """List the plugins; a broken one is listed with the reason. A new one of yours is tried first (seconds)."""
    finish(as_json, lambda: _plugins(retry))


@plugins_app.callback()
def _plugins_group() -> None:
    return None


def _plugins(retry: bool) -> Report:
    from medviewer.plugin_host import host

    rows, lines = [], []
    for plugin in host().checked(retry):
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
