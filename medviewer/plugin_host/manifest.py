"""Reads and checks plugin.toml, without importing anything of the plugin."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medviewer.api import API_VERSION
from medviewer.api.requests import PluginKind
from medviewer.core.errors import UserError

MANIFEST_NAME = "plugin.toml"
_REQUIRED = ("id", "name", "version", "api", "kind", "logic")
_OPTIONAL = ("panel", "parameters", "tab", "order", "description", "icon")
_ID = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_ENTRY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*\Z", re.ASCII)
_LARGEST = 64 << 10  # bytes of plugin.toml
_LONGEST = {"name": 80, "version": 40, "tab": 30, "description": 1000, "icon": 200}


class PluginBroken(UserError):
    """A plugin cannot be used; the program goes on without it."""

    code = "plugin-broken"
    exit_status = 3


@dataclass(frozen=True)
class Manifest:
    """A checked plugin.toml. `logic`, `panel` and `parameters` are "module:Class" inside the folder."""

    id: str
    name: str
    version: str
    api: int
    kind: PluginKind
    logic: str
    folder: Path
    panel: str = ""
    parameters: str = ""
    tab: str = ""
    order: int = 100
    description: str = ""
    icon: str = ""


def read_manifest(folder: Path) -> Manifest:
    """Read `folder/plugin.toml`; raises PluginBroken naming the first thing that is wrong."""
    path = folder / MANIFEST_NAME
    try:
        data = tomllib.loads(_text_of(folder, path))
    except (OSError, UnicodeDecodeError) as error:
        raise _broken(folder, "its plugin.toml cannot be read") from error
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise _broken(folder, f"its plugin.toml is not valid TOML: {error}") from error
    except RecursionError as error:
        raise _broken(folder, "its plugin.toml is nested too deep") from error
    table = data.get("plugin")
    if not isinstance(table, dict):
        raise _broken(folder, "its plugin.toml has no [plugin] table")
    _check_keys(folder, table)
    _check_values(folder, table)
    return Manifest(folder=folder, **{**table, "kind": PluginKind(table["kind"])})


def _text_of(folder: Path, path: Path) -> str:
    if not path.is_file():
        raise _broken(folder, "its plugin.toml is no file")
    with open(path, "rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise _broken(folder, f"its plugin.toml is larger than {_LARGEST >> 10} KB")
    return data.decode("utf-8")


def _broken(folder: Path, what: str) -> PluginBroken:
    return PluginBroken(
        f'The plugin in "{folder.name}" cannot be used: {what}.', "Mend it or remove the folder; see docs/plugins.md."
    )


def _check_keys(folder: Path, table: dict[str, Any]) -> None:
    for key in _REQUIRED:
        if key not in table:
            raise _broken(folder, f"plugin.toml lacks the key {key}")
    for key, value in table.items():
        if key not in (*_REQUIRED, *_OPTIONAL):
            raise _broken(folder, f"plugin.toml has the unknown key {key}")
        expected = int if key in ("api", "order") else str
        if type(value) is not expected:
            raise _broken(folder, f"{key} must be {'a whole number' if expected is int else 'text'}")


def _check_values(folder: Path, table: dict[str, Any]) -> None:
    if not _ID.match(table["id"]):
        raise _broken(folder, "id may hold only a-z, 0-9 and _, and begins with a letter")
    if table["api"] != API_VERSION:
        raise _broken(folder, f"it was written for plugin API {table['api']}, this program has {API_VERSION}")
    if table["kind"] not in list(PluginKind):
        raise _broken(folder, f"kind must be one of {', '.join(PluginKind)}")
    for key, longest in _LONGEST.items():
        value = table.get(key, "")
        if len(value) > longest or not value.isprintable():
            raise _broken(folder, f"{key} must be one line of at most {longest} characters")
    if not table["name"].strip():
        raise _broken(folder, "name is empty")
    icon = table.get("icon", "")
    if icon and not (folder / icon).resolve().is_relative_to(folder.resolve()):
        raise _broken(folder, "icon must be a file of its own folder")
    for key in ("logic", "panel", "parameters"):
        entry = table.get(key, "")
        if entry and not _ENTRY.match(entry):
            raise _broken(folder, f'{key} must look like "module:Class"')
