"""Where the logic of the window's plugins runs: in one process beside the window."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, Qt, Signal

from medviewer.services.logic_process import LogicProcess, RemoteLogic


class PluginLogic(QObject):
    """The logic objects that panels get. `told(message, hint)` comes on the GUI thread."""

    told = Signal(str, str)
    _heard = Signal(str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._heard.connect(self.told, Qt.ConnectionType.QueuedConnection)
        self.process = LogicProcess(self._heard.emit)

    def of(self, host: Any, plugin_id: str) -> Any:
        """A stand-in for the plugin's logic; what is not a `PluginHost` (a stand-in of tests) keeps its own object."""
        from medviewer.plugin_host.host import PluginHost
        from medviewer.plugin_host.logic_factory import FACTORY

        if not isinstance(host, PluginHost):
            return host.logic(plugin_id)
        return RemoteLogic(self.process, FACTORY, (str(host.manifest(plugin_id).folder),))

    def shut_down(self) -> None:
        """End the process; what is being asked ends as cancelled."""
        self.process.close()
