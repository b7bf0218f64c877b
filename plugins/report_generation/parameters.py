"""Settings of report generation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Parameters:
    """Used where a request leaves them open. `model_id` None is the catalogue's default model."""

    model_id: str | None = None
