"""Where the network runs."""

from __future__ import annotations

import os

import torch

from medviewer.core.errors import ModelMissing, WrongUsage

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA, else Apple's GPU, else the CPU. Raises ModelMissing (with the fix) for an absent device."""
    if name not in DEVICES:
        raise WrongUsage(f'There is no device "{name}".', "Use auto, cpu, cuda or mps.")
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device in ("cuda", "mps", "cpu") if present[device])
    if not present[name]:
        wanted = "an NVIDIA GPU with its driver" if name == "cuda" else "an Apple GPU"
        raise ModelMissing(f"The device {name} is not available here.", f"It needs {wanted}; or use --device cpu.")
    return torch.device(name)


def leave_room() -> None:
    """Leave one core to the window where there are more than two."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores > 2 and torch.get_num_threads() >= cores:
        torch.set_num_threads(cores - 1)
