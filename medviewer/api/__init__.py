"""What plugins may import of the program, besides `medviewer.models`.

Names are loaded on first use, so importing this package costs nothing and loads no torch, VTK or Qt.
`API_VERSION` grows when a name is removed or changes its meaning; a plugin states in its manifest the version it
was written for. Documented in docs/plugins.md.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

API_VERSION = 1

if TYPE_CHECKING:
    from medviewer.api.panel import PanelContext as PanelContext
    from medviewer.api.panel import PriorView as PriorView
    from medviewer.api.requests import Logic as Logic
    from medviewer.api.requests import MapRequest as MapRequest
    from medviewer.api.requests import PluginKind as PluginKind
    from medviewer.api.requests import ReportRequest as ReportRequest
    from medviewer.api.requests import SegmentRequest as SegmentRequest
    from medviewer.core.errors import Cancelled as Cancelled
    from medviewer.core.errors import InputRefused as InputRefused
    from medviewer.core.errors import ModelMissing as ModelMissing
    from medviewer.core.errors import UserError as UserError
    from medviewer.core.errors import WrongUsage as WrongUsage
    from medviewer.core.geometry import lps_to_voxel as lps_to_voxel
    from medviewer.core.geometry import position_text as position_text
    from medviewer.core.geometry import voxel_to_lps as voxel_to_lps
    from medviewer.core.prediction import Answer as Answer
    from medviewer.core.prediction import BoxPrompt as BoxPrompt
    from medviewer.core.prediction import PointPrompt as PointPrompt
    from medviewer.core.prediction import Prediction as Prediction
    from medviewer.core.progress import Progress as Progress
    from medviewer.core.progress import silent as silent
    from medviewer.core.prompts import ParsedPrompt as ParsedPrompt
    from medviewer.core.prompts import parse_prompt as parse_prompt
    from medviewer.core.prompts import split_prompts as split_prompts
    from medviewer.core.provenance import Provenance as Provenance
    from medviewer.core.scene import Scene as Scene
    from medviewer.core.segmentation import Segment as Segment
    from medviewer.core.volume import Fact as Fact
    from medviewer.core.volume import Volume as Volume
    from medviewer.services.embedding_cache import embedding_store as embedding_store
    from medviewer.services.memory import available_memory as available_memory
    from medviewer.services.model_store import find_bundle as find_bundle
    from medviewer.services.model_store import list_models as list_models
    from medviewer.services.resources import presets as presets
    from medviewer.services.resources import terminology as terminology
    from medviewer.services.settings import Settings as Settings

_HOMES = {
    "medviewer.api.panel": ("PanelContext", "PriorView"),
    "medviewer.api.requests": ("Logic", "MapRequest", "PluginKind", "ReportRequest", "SegmentRequest"),
    "medviewer.core.errors": ("Cancelled", "InputRefused", "ModelMissing", "UserError", "WrongUsage"),
    "medviewer.core.geometry": ("lps_to_voxel", "position_text", "voxel_to_lps"),
    "medviewer.core.prediction": ("Answer", "BoxPrompt", "PointPrompt", "Prediction"),
    "medviewer.core.progress": ("Progress", "silent"),
    "medviewer.core.prompts": ("ParsedPrompt", "parse_prompt", "split_prompts"),
    "medviewer.core.provenance": ("Provenance",),
    "medviewer.core.scene": ("Scene",),
    "medviewer.core.segmentation": ("Segment",),
    "medviewer.core.volume": ("Fact", "Volume"),
    "medviewer.services.embedding_cache": ("embedding_store",),
    "medviewer.services.memory": ("available_memory",),
    "medviewer.services.model_store": ("find_bundle", "list_models"),
    "medviewer.services.resources": ("presets", "terminology"),
    "medviewer.services.settings": ("Settings",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["API_VERSION", *sorted(_HOME_OF)]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"medviewer.api has no {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
