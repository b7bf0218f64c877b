"""What is tried when memory runs out: smaller batches, half precision (GPU), the CPU, then a clear message.

The steps are the same on every device, so that they can be tested without a GPU by raising the errors that a GPU
raises. Not run on a real GPU here: CUDA's own recovery after an error, and MPS.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace

import torch

from medviewer.core.errors import InputRefused

BATCH = 8  # slices encoded together where memory allows
_PHRASES = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "alloc_failed")


@dataclass(frozen=True)
class Effort:
    """How the network is run. `brief`: bfloat16 arithmetic, which this processor is quicker at. `can_halve`: float16
    arithmetic saves memory here. `fallback`: the device after this; `gave_up`: the one before."""

    device: torch.device
    batch: int = BATCH
    half: bool = False
    can_halve: bool = False
    fallback: torch.device | None = None
    gave_up: str = ""
    brief: bool = False

    @property
    def arithmetic(self) -> torch.dtype:
        """Of the network; everything else is float32."""
        return torch.float16 if self.half else torch.bfloat16 if self.brief else torch.float32

    @property
    def precision(self) -> str:
        """The arithmetic's name: "float32", "bfloat16" or "float16"."""
        return str(self.arithmetic).removeprefix("torch.")

    def lighter(self) -> Effort | None:
        """The next step down, None where there is none."""
        if self.batch > 1:
            return replace(self, batch=max(1, self.batch // 4))
        if self.can_halve and not self.half:
            return replace(self, half=True)
        if self.fallback is not None:
            return replace(first_effort(self.fallback), gave_up=self.device.type)
        return None

    @property
    def notice(self) -> str:
        """What the user is told; empty where nothing was changed."""
        steps = [f"on the {self.device.type} device instead of {self.gave_up}"] if self.gave_up else []
        if self.batch < BATCH:
            steps.append("one slice at a time" if self.batch == 1 else f"{self.batch} slices at a time")
        if self.half:
            steps.append("in half precision")
        return f"Memory was short: computed {', '.join(steps)}." if steps else ""


def first_effort(device: torch.device) -> Effort:
    """Whole batches; bfloat16 on processors made for it, else float32. A GPU may fall back to half precision, then to
    the CPU."""
    if device.type == "cpu":
        return Effort(device, brief=quick_in_bfloat16())
    return Effort(device, can_halve=True, fallback=torch.device("cpu"))


def quick_in_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16 (x86: AVX-512 BF16 or AMX), which then takes half the time
    of float32; on others it would take longer."""
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in asked)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or in the computer."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(phrase in text for phrase in _PHRASES)


def release(device: torch.device) -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if device.type == "cuda" and torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif device.type == "mps" and torch.backends.mps.is_available():
        torch.mps.empty_cache()


def not_enough(what: str) -> InputRefused:
    """The end of the ladder."""
    return InputRefused(
        f"There is not enough memory {what}.", "Close other programs or scans, or crop the scan, then try again.",
        code="not-enough-memory",
    )
