"""Which tool the left mouse button works."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QObject, Signal

Tool = Literal["navigate", "window_level", "click_plus", "click_minus", "box"]
TOOLS: tuple[Tool, ...] = ("navigate", "window_level", "click_plus", "click_minus", "box")


class ToolState(QObject):
    """The chosen tool, shared by the tool bar and the views. GUI thread."""

    changed = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tool: Tool = "navigate"

    @property
    def tool(self) -> Tool:
        return self._tool

    def choose(self, tool: str) -> None:
        """Raises ValueError for an unknown tool."""
        for known in TOOLS:
            if known == tool:
                if known != self._tool:
                    self._tool = known
                    self.changed.emit(known)
                return
        raise ValueError(f"unknown tool {tool!r}")

    @property
    def editing(self) -> bool:
        """True for the tools that correct a mask."""
        return self._tool in ("click_plus", "click_minus", "box")
