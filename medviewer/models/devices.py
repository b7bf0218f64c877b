"""Where the network runs.

On the CPU torch takes as many threads as there are cores, or as OMP_NUM_THREADS says. The command line leaves it at
that; the window's process for plugin logic is started with one thread less than there are cores (at least one), so that
a core is left to the window. Nothing here changes the number.
"""

from __future__ import annotations

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
