"""The shipped wordings that vision-language models are asked in. Read once; any thread."""

from __future__ import annotations

from functools import cache

from medviewer.core.report.model_prompt import ModelPrompts, read_model_prompts
from medviewer.services.resources import resource_path


@cache
def model_prompts() -> ModelPrompts:
    """The prompts of `resources/report/model_prompts.toml`."""
    path = resource_path("report/model_prompts.toml")
    return read_model_prompts(path.read_text(encoding="utf-8"), path.name)
