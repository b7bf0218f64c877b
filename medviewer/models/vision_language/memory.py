"""How much memory a vision-language model takes, known from its files and its description before it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from medviewer.core.errors import InputRefused
from medviewer.models.ladder import quick_in_bfloat16
from medviewer.models.vision_language.shards import TensorSizes

_ALWAYS = 400_000_000  # the libraries, the tokenizer, what one layer computes
_WEIGHTS_FACTOR = 1.05
# Per pair of tokens: the masks. Attention itself is never held as a whole; measured on random models of both layouts
# with 1,000 to 4,500 tokens, where the sum below was 1.0 to 1.9 times the peak beyond the weights.
_MASK_BYTES = 12
_TYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32, "F64": torch.float32}


@dataclass(frozen=True)
class Need:
    """Bytes of the weights in the arithmetic that is used, and of the work on one prompt."""

    weights: int
    work: int

    @property
    def total(self) -> int:
        return int(self.weights * _WEIGHTS_FACTOR) + self.work + _ALWAYS


@dataclass(frozen=True)
class Plan:
    """Where and in which arithmetic a model runs. `gave_up`: a GPU that has too little free memory."""

    device: torch.device
    dtype: torch.dtype
    gave_up: bool = False

    @property
    def arithmetic(self) -> str:
        """ "bfloat16", "float16" or "float32"."""
        return str(self.dtype).removeprefix("torch.")


def need_of(sizes: TensorSizes, config: Any, dtype: torch.dtype, pictures: int, tokens: int) -> Need:
    """`config`: of transformers; `tokens`: of text, beside the pictures' own."""
    item = torch.empty(0, dtype=dtype).element_size()
    text, vision = config.get_text_config(), config.vision_config
    layers, heads, hidden = (int(getattr(text, name, 0) or 0) for name in _TEXT)
    shared = int(getattr(text, "num_key_value_heads", 0) or heads)
    head_dim = int(getattr(text, "head_dim", 0) or (hidden // max(heads, 1)))
    patches = _patches(vision)
    inner = int(getattr(text, "intermediate_size", 0) or 4 * hidden)
    longest = int(getattr(text, "max_position_embeddings", 0) or 1 << 30)
    length = min(tokens + pictures * int(getattr(config, "mm_tokens_per_image", 0) or patches), longest)
    kept = 2 * layers * shared * head_dim * length * item
    wide = 6 * int(getattr(vision, "hidden_size", 0) or 0) + 2 * int(getattr(vision, "intermediate_size", 0) or 0)
    seen = pictures * patches * wide * item
    done = length * (3 * inner + 8 * hidden) * item + _MASK_BYTES * length**2
    return Need(sizes.numbers * item, kept + seen + done)


_TEXT = ("num_hidden_layers", "num_attention_heads", "hidden_size")


def _patches(vision: Any) -> int:
    """Of one picture, before any are merged."""
    side, patch = (getattr(vision, name, None) for name in ("image_size", "patch_size"))
    return (int(side or 336) // max(1, int(patch or 14))) ** 2


def choose_plan(
    name: str, device: torch.device, may_fall_back: bool, sizes: TensorSizes, need: Callable[[torch.dtype], Need],
    free_memory: Callable[[], int] | None,
) -> Plan:
    """The quickest arithmetic that fits: of the weights' own type where the device is made for it. A GPU that is too
    small is left for the processor where `may_fall_back`. Raises InputRefused where nothing fits."""
    if device.type != "cpu":
        fitting = _fitting(_types_on(device, sizes), need, device_memory(device))
        if fitting is not None and (free_memory is None or need(fitting).weights <= free_memory()):
            return Plan(device, fitting)
        if not may_fall_back:
            raise _too_large(name, need(_types_on(device, sizes)[-1]), device_memory(device), " of the graphics card")
    kinds = _types_on(torch.device("cpu"), sizes)
    free = free_memory() if free_memory is not None else None
    fitting = kinds[0] if free is None else _fitting(kinds, need, free)
    if fitting is None:
        raise _too_large(name, need(kinds[-1]), free or 0, "")
    return Plan(torch.device("cpu"), fitting, gave_up=device.type != "cpu")


def device_memory(device: torch.device) -> int:
    """Free bytes of a GPU."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())


def _types_on(device: torch.device, sizes: TensorSizes) -> tuple[torch.dtype, ...]:
    """What may be computed in, the preferred first. float16 weights of a processor become bfloat16 or float32, because
    processors have no quick float16; bfloat16 weights never become float16, whose range is too small for them."""
    stored = _TYPES.get(sizes.main_type, torch.float32)
    if stored is torch.float32:
        return (torch.float32, torch.bfloat16)
    if device.type == "cpu":
        return (torch.bfloat16,) if quick_in_bfloat16() else (torch.float32, torch.bfloat16)
    if stored is torch.bfloat16 and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        return (torch.float32,)
    return (stored,)


def _fitting(kinds: tuple[torch.dtype, ...], need: Callable[[torch.dtype], Need], free: int) -> torch.dtype | None:
    return next((kind for kind in kinds if need(kind).total <= free), None)


def _too_large(name: str, need: Need, free: int, where: str) -> InputRefused:
    return InputRefused(
        f"The model {name} needs about {need.total / 1e9:.1f} GB of memory{where} (its weights alone "
        f"{need.weights / 1e9:.1f} GB), and {free / 1e9:.1f} GB are free.",
        "Close other programs or scans, or choose a smaller model.", code="not-enough-memory",
    )  # fmt: skip
