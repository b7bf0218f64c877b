"""Finds plugins by their manifests and gives out their logic and panels at first use."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from medviewer.api.requests import PluginKind
from medviewer.core.errors import UserError
from medviewer.plugin_host.loading import load_entry
from medviewer.plugin_host.manifest import MANIFEST_NAME, Manifest, PluginBroken, read_manifest
from medviewer.services import log
from medviewer.services.resources import shipped_folder
from medviewer.services.settings import Settings

PLUGIN_FOLDERS_SETTING = "plugin_folders"
Origin = Literal["shipped", "user"]


@dataclass(frozen=True)
class PluginInfo:
    """One plugin folder. `error` is empty where its manifest is good; a broken one has only a folder and an id."""

    id: str
    name: str
    folder: Path
    origin: Origin
    manifest: Manifest | None = None
    error: str = ""

    @property
    def usable(self) -> bool:
        return self.manifest is not None and not self.error


class PluginHost:
    """All plugins of a list of places. A place is a plugin folder or a folder of plugin folders.

    Shipped plugins come first; a user's plugin cannot take the id of another one. Safe to use from any thread.
    """

    def __init__(self, shipped: Iterable[Path], user: Iterable[Path] = ()) -> None:
        self._lock = threading.RLock()
        self._logic: dict[str, Any] = {}
        self._plugins: dict[str, PluginInfo] = {}
        for place in shipped:
            self._add_place(place, "shipped")
        for place in user:
            self._add_place(place, "user")

    def list(self, kind: PluginKind | None = None) -> Sequence[PluginInfo]:
        """All plugins in the order of their tabs, also the broken ones; with a kind, the good ones of that kind."""
        plugins = sorted(self._plugins.values(), key=_order)
        if kind is None:
            return plugins
        return [plugin for plugin in plugins if plugin.manifest is not None and plugin.manifest.kind is kind]

    def manifest(self, plugin_id: str) -> Manifest:
        """The manifest of a good plugin; raises UserError for an unknown or broken one."""
        plugin = self._plugins.get(plugin_id)
        if plugin is None:
            names = ", ".join(sorted(self._plugins)) or "none"
            raise UserError(f'There is no plugin "{plugin_id}".', f"Plugins here: {names}.", code="no-plugin")
        if plugin.manifest is None or plugin.error:
            raise PluginBroken(plugin.error, "Mend it or remove the folder; see docs/plugins.md.")
        return plugin.manifest

    def logic(self, plugin_id: str) -> Any:
        """The plugin's logic object, made at first use with its default parameters and kept."""
        with self._lock:
            if plugin_id not in self._logic:
                self._logic[plugin_id] = self._make_logic(self.manifest(plugin_id))
            return self._logic[plugin_id]

    def panel_class(self, plugin_id: str) -> type | None:
        """The plugin's Qt widget class (`Panel(context)`), or None if it has none."""
        manifest = self.manifest(plugin_id)
        return load_entry(manifest, manifest.panel) if manifest.panel else None

    def parameters_class(self, plugin_id: str) -> type | None:
        """The plugin's dataclass of parameters, or None if it has none."""
        manifest = self.manifest(plugin_id)
        return load_entry(manifest, manifest.parameters) if manifest.parameters else None

    def _make_logic(self, manifest: Manifest) -> Any:
        logic_class = load_entry(manifest, manifest.logic)
        try:
            logic = logic_class()
        except Exception as error:
            log.record_defect(error)
            raise PluginBroken(
                f'The plugin "{manifest.name}" could not be started: {type(error).__name__}: {error}.',
                f"Details are in the log: {log.log_path()}",
            ) from error
        if not callable(getattr(logic, "run", None)):
            message = f'The plugin "{manifest.name}" has no run(volume, request, progress).'
            raise PluginBroken(message, "Mend its logic.")
        return logic

    def _add_place(self, place: Path, origin: Origin) -> None:
        for folder in _plugin_folders(place):
            info = _describe(folder, origin)
            taken = self._plugins.get(info.id)
            if taken is None:
                self._plugins[info.id] = info
            elif taken.folder.resolve() != folder.resolve():
                self._add_clash(info, taken)

    def _add_clash(self, info: PluginInfo, taken: PluginInfo) -> None:
        error = f'The plugin in "{info.folder.name}" has the id {info.id}, which "{taken.folder.name}" already has.'
        key = f"{info.id} ({info.folder.name})"
        self._plugins[key] = PluginInfo(key, info.name, info.folder, info.origin, None, error)


def _order(plugin: PluginInfo) -> tuple[int, str]:
    return (plugin.manifest.order if plugin.manifest else 1000, plugin.id)


def _plugin_folders(place: Path) -> list[Path]:
    if (place / MANIFEST_NAME).is_file():
        return [place]
    if not place.is_dir():
        return []
    return sorted(folder for folder in place.iterdir() if (folder / MANIFEST_NAME).is_file())


def _describe(folder: Path, origin: Origin) -> PluginInfo:
    try:
        manifest = read_manifest(folder)
    except PluginBroken as error:
        log.record(f"plugin folder refused: {error.message}")
        return PluginInfo(folder.name, folder.name, folder, origin, None, error.message)
    return PluginInfo(manifest.id, manifest.name, folder, origin, manifest)


def user_places(settings: Settings) -> list[Path]:
    """Folders the user enabled: of the environment variable MEDVIEWER_PLUGINS, then of the settings."""
    named = [part for part in os.environ.get("MEDVIEWER_PLUGINS", "").split(os.pathsep) if part]
    stored: list[Any] = settings.get(PLUGIN_FOLDERS_SETTING, [])
    return [Path(part).expanduser() for part in (*named, *stored) if isinstance(part, str)]


@cache
def host() -> PluginHost:
    """The program's plugins: shipped ones and those of folders the user enabled. Made once."""
    return PluginHost([shipped_folder("plugins")], user_places(Settings()))
