"""Open a scan, type what you want to see, get a 3D mask or an honest "not found", and export it.

`open_volume` and `segment` are loaded at first use: importing the package loads no torch, VTK or Qt.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "open_volume", "segment"]

if TYPE_CHECKING:
    from medviewer.plugin_host.python_use import open_volume as open_volume
    from medviewer.plugin_host.python_use import segment as segment


def __getattr__(name: str) -> Any:
    if name in ("open_volume", "segment"):
        return getattr(import_module("medviewer.plugin_host.python_use"), name)
    raise AttributeError(f"module 'medviewer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
