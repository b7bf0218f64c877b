"""Finds plugins by their manifests and gives out their logic and panels at first use."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

from medviewer.api.requests import PluginKind
from medviewer.core.errors import UserError
from medviewer.plugin_host.fitness import HINT, Fitness
from medviewer.plugin_host.loading import load_entry, made_logic
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
        self.fitness = Fitness()
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
                manifest = self._fit(plugin_id)
                with self._marked(manifest):
                    self._logic[plugin_id] = made_logic(manifest)
                    self._connect(self._logic[plugin_id])
            return self._logic[plugin_id]

    def _connect(self, logic: Any) -> None:
        """Hand a logic that asks for it (`connect(ask)`) the text segmentation, so that one loaded model serves both.
        Its answers are checked as everybody's."""
        if not callable(getattr(logic, "connect", None)):
            return
        from medviewer.plugin_host.segmenting import DEFAULT_PLUGIN, segment_with

        plugins = self if DEFAULT_PLUGIN in self._plugins else host()
        logic.connect(partial(segment_with, DEFAULT_PLUGIN, plugins=plugins))

    def panel_class(self, plugin_id: str) -> type | None:
        """The plugin's Qt widget class (`Panel(context)`), or None if it has none."""
        manifest = self._fit(plugin_id)
        return self._load(manifest, manifest.panel) if manifest.panel else None

    def parameters_class(self, plugin_id: str) -> type | None:
        """The plugin's dataclass of parameters, or None if it has none."""
        manifest = self._fit(plugin_id)
        return self._load(manifest, manifest.parameters) if manifest.parameters else None

    def checked(self, retry: bool = False) -> Sequence[PluginInfo]:
        """As `list`, after the trial of every plugin of the user: `error` names also what cannot be loaded.

        With `retry`, plugins that were switched off are tried again. Takes seconds per plugin that is new.
        """
        return [self._checked(plugin, retry) for plugin in self.list()]

    def _checked(self, plugin: PluginInfo, retry: bool) -> PluginInfo:
        if plugin.manifest is None or plugin.origin == "shipped":
            return plugin
        if retry and self.fitness.known(plugin.manifest) and self.fitness.reason_against(plugin.manifest):
            self.fitness.forget(plugin.manifest)
        return replace(plugin, error=self.fitness.reason_against(plugin.manifest))

    def ready(self, plugin_id: str) -> bool:
        """Whether the plugin's parts are given out (or refused) without a trial of seconds; see `try_out`."""
        plugin = self._plugins.get(plugin_id)
        if plugin is None or plugin.manifest is None or plugin.origin == "shipped":
            return True
        return self.fitness.known(plugin.manifest)

    def try_out(self, plugin_id: str) -> None:
        """Make the trial of a user's plugin now (a worker thread); what it says comes with `panel_class` or `logic`."""
        plugin = self._plugins[plugin_id]
        if plugin.manifest is not None:
            self.fitness.reason_against(plugin.manifest)

    def begin_start(self, plugin_id: str) -> None:
        """From here until `end_start`, an end of the program is the plugin's doing: it is off at the next start."""
        if self._plugins[plugin_id].origin == "user":
            self.fitness.begin(self.manifest(plugin_id))

    def end_start(self, plugin_id: str) -> None:
        """The plugin is started, or refused."""
        if self._plugins[plugin_id].origin == "user":
            self.fitness.end(self.manifest(plugin_id))

    def _fit(self, plugin_id: str) -> Manifest:
        """The manifest of a plugin that may be loaded; a user's plugin is tried first. Raises UserError."""
        manifest = self.manifest(plugin_id)
        if self._plugins[plugin_id].origin == "user":
            reason = self.fitness.reason_against(manifest)
            if reason:
                raise PluginBroken(reason, HINT)
        return manifest

    def _load(self, manifest: Manifest, entry: str) -> type:
        with self._marked(manifest):
            return load_entry(manifest, entry)

    def _marked(self, manifest: Manifest) -> AbstractContextManager[None]:
        user = self._plugins[manifest.id].origin == "user"
        return self.fitness.starting(manifest) if user else nullcontext()

    def _add_place(self, place: Path, origin: Origin) -> None:
        try:
            folders = _plugin_folders(place)
        except OSError as error:
            what = f'The plugin folder "{place.name}" cannot be read: {error.strerror}.'
            self._plugins[str(place)] = PluginInfo(str(place), place.name, place, origin, None, what)
            return
        for folder in folders:
            self._add(_describe(folder, origin))

    def _add(self, info: PluginInfo) -> None:
        """Under its id; a plugin that cannot be used takes no id away from one that can."""
        taken = self._plugins.get(info.id)
        if taken is None:
            self._plugins[info.id] = info
        elif taken.folder.resolve() == info.folder.resolve():
            return
        elif taken.manifest is None and info.manifest is not None:
            self._plugins[info.id] = info
            self._add_aside(taken, taken.error)
        elif info.manifest is None:
            self._add_aside(info, info.error)
        else:
            folders = f'"{info.folder.name}" has the id {info.id}, which "{taken.folder.name}" already has'
            self._add_aside(info, f"The plugin in {folders}.")

    def _add_aside(self, info: PluginInfo, error: str) -> None:
        key = f"{info.id} ({info.folder.parent.name}/{info.folder.name})"
        while key in self._plugins:
            key += "'"
        self._plugins[key] = PluginInfo(key, info.name, info.folder, info.origin, None, error)


def _order(plugin: PluginInfo) -> tuple[int, str]:
    return (plugin.manifest.order if plugin.manifest else 1000, plugin.id)


def _plugin_folders(place: Path) -> list[Path]:
    if _has_manifest(place):
        return [place]
    if not place.is_dir():
        return []
    return sorted(folder for folder in place.iterdir() if _has_manifest(folder))


def _has_manifest(folder: Path) -> bool:
    """Also where the folder may not be read: then reading its manifest tells why."""
    try:
        return (folder / MANIFEST_NAME).exists() and folder.is_dir()
    except OSError:
        return True


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
