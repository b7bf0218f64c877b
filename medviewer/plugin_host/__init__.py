"""Plugins: manifests, discovery, loading at first use, isolation."""

from medviewer.plugin_host.host import PluginHost, PluginInfo, host, user_places
from medviewer.plugin_host.manifest import Manifest, PluginBroken, read_manifest

__all__ = ["Manifest", "PluginBroken", "PluginHost", "PluginInfo", "host", "read_manifest", "user_places"]
