"""Tells libraries not to call home, before they are imported. The proof is a test without a network, not this."""

from __future__ import annotations

import os

_SWITCHES = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "WANDB_MODE": "disabled",
}


def switch_off_calls_home() -> None:
    """Set the switches of this process and of those it starts; what the user has set stays."""
    for name, value in _SWITCHES.items():
        os.environ.setdefault(name, value)
