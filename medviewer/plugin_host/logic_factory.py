"""Makes a plugin's logic from its folder, in the process where the window lets plugins work."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from medviewer.plugin_host.host import PluginHost, host
from medviewer.plugin_host.loading import called
from medviewer.plugin_host.manifest import Manifest, read_manifest

FACTORY = "medviewer.plugin_host.logic_factory:logic_in"  # for `services.logic_process`


class _Named:
    """A plugin's logic whose failures name the plugin; everything else is the logic's own."""

    def __init__(self, logic: Any, name: str) -> None:
        self._logic, self._name = logic, name

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._logic, attribute)
        return partial(called, self._name, found) if callable(found) else found


def logic_in(folder: str) -> Any:
    """The logic object of the plugin in a folder. Raises PluginBroken, whatever goes wrong inside the plugin."""
    manifest = read_manifest(Path(folder))
    return _Named(_host_of(manifest).logic(manifest.id), manifest.name)


def _host_of(manifest: Manifest) -> PluginHost:
    """The process's own plugins for one that the program ships, so that shipped ones share what they hold (a loaded
    model); else a host for that plugin alone."""
    for plugin in host().list():
        if plugin.origin == "shipped" and plugin.manifest is not None and plugin.folder == manifest.folder:
            return host()
    return PluginHost([manifest.folder])
