"""Settings of text segmentation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Parameters:
    """`model_id` None is the catalogue's default model; `device` is "auto", "cpu", "cuda" or "mps"."""

    model_id: str | None = None
    device: str = "auto"
