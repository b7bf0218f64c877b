"""Asks a text-segmentation plugin, and checks that its answer fits the scan. Window, command line and Python use it."""

from __future__ import annotations

from typing import Any

from medviewer.api.requests import PluginKind, SegmentRequest
from medviewer.core.errors import WrongUsage
from medviewer.core.prediction import Prediction
from medviewer.core.progress import Progress, silent
from medviewer.core.volume import Volume
from medviewer.plugin_host.host import PluginHost, host
from medviewer.plugin_host.loading import called
from medviewer.plugin_host.manifest import PluginBroken

DEFAULT_PLUGIN = "text_segmentation"
DEVICES = ("auto", "cpu", "cuda", "mps")


def segment_with(
    plugin_id: str,
    volume: Volume,
    request: SegmentRequest,
    progress: Progress | None = None,
    plugins: PluginHost | None = None,
) -> Prediction:
    """Run one request on a plugin. Raises UserError, also where the plugin answers something impossible."""
    plugins = plugins or host()
    manifest = plugins.manifest(plugin_id)
    if manifest.kind is not PluginKind.TEXT_SEGMENTATION:
        raise WrongUsage(f'The plugin "{plugin_id}" does not segment.', "See `medviewer plugins list`.")
    if request.device not in DEVICES:
        raise WrongUsage(f'There is no device "{request.device}".', f"Choose one of {', '.join(DEVICES)}.")
    answer = called(manifest.name, plugins.logic(plugin_id).run, volume, request, progress or silent())
    return _checked(answer, volume, manifest.name)


def _checked(answer: Any, volume: Volume, name: str) -> Prediction:
    if not isinstance(answer, Prediction):
        raise PluginBroken(f'The plugin "{name}" did not answer with a Prediction.', "Tell its author.")
    if answer.mask.shape != volume.shape or answer.mask.dtype != bool:
        raise PluginBroken(f'The plugin "{name}" answered with a mask of another size.', "Tell its author.")
    return answer
