"""Imports a plugin's code by its folder, under a private package name, so that relative imports work."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from medviewer.core.errors import Cancelled, UserError
from medviewer.plugin_host.manifest import Manifest, PluginBroken
from medviewer.services import log

_PACKAGE = "_medviewer_plugins"


def load_entry(manifest: Manifest, entry: str) -> type:
    """The class named by "module:Class"; raises PluginBroken whatever goes wrong inside the plugin."""
    module_name, _, class_name = entry.partition(":")
    try:
        package = _package_of(manifest)
        module = importlib.import_module(f"{package}.{module_name}")
        found = getattr(module, class_name)
    except (KeyboardInterrupt, Cancelled):
        raise
    except BaseException as error:  # a plugin may even call sys.exit while it is imported
        log.record_defect(error)
        raise PluginBroken(
            f'The plugin "{manifest.name}" could not be loaded: {_told(error)}.',
            f"Details are in the log: {log.log_path()}",
        ) from error
    if not isinstance(found, type):
        raise PluginBroken(f'The plugin "{manifest.name}" names {entry}, which is not a class.', "Mend plugin.toml.")
    return found


def made_logic(manifest: Manifest) -> Any:
    """The plugin's logic object with its default parameters; raises PluginBroken whatever goes wrong inside it."""
    logic_class = load_entry(manifest, manifest.logic)
    try:
        logic = logic_class()
    except (KeyboardInterrupt, Cancelled):
        raise
    except BaseException as error:
        log.record_defect(error)
        raise PluginBroken(
            f'The plugin "{manifest.name}" could not be started: {_told(error)}.',
            f"Details are in the log: {log.log_path()}",
        ) from error
    if not callable(getattr(logic, "run", None)):
        raise PluginBroken(f'The plugin "{manifest.name}" has no run(volume, request, progress).', "Mend its logic.")
    return logic


def called(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a plugin's function; whatever it raises besides what the user is told becomes PluginBroken naming it."""
    try:
        return function(*arguments)
    except (UserError, KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # a plugin may even call sys.exit
        log.record_defect(error)
        raise PluginBroken(
            f'The plugin "{name}" failed: {_told(error)}.',
            f"Tell its author. Details are in the log: {log.log_path()}",
        ) from error


def _told(error: BaseException) -> str:
    """An error of a plugin in one line."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}".rstrip(": .")


def _package_of(manifest: Manifest) -> str:
    """Make the folder importable as `_medviewer_plugins.<id>` and return that name."""
    if _PACKAGE not in sys.modules:
        root = ModuleType(_PACKAGE)
        root.__path__ = []
        sys.modules[_PACKAGE] = root
    name = f"{_PACKAGE}.{manifest.id}"
    if name not in sys.modules:
        _import_folder(name, manifest.folder)
    return name


def _import_folder(name: str, folder: Path) -> None:
    init = folder / "__init__.py"
    if not init.is_file():
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
        return
    spec = importlib.util.spec_from_file_location(name, init, submodule_search_locations=[str(folder)])
    if spec is None or spec.loader is None:
        raise ImportError(f"no loader for {folder.name}")
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    try:
        spec.loader.exec_module(package)
    except BaseException:
        del sys.modules[name]
        raise


def unload(plugin_id: str) -> None:
    """Forget a plugin's modules, so that the next use imports them anew."""
    name = f"{_PACKAGE}.{plugin_id}"
    for loaded in [key for key in sys.modules if key == name or key.startswith(name + ".")]:
        del sys.modules[loaded]
