"""Which weights a fine-tuning changes: low-rank adapters on the large layers (Hu et al. 2022), or all of them.

The text encoder stays as it is but for the one row that belongs to the new structure's name, so no other prompt
changes its meaning.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Literal, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn

from medviewer.models.text_encoder import normalise
from medviewer.models.text_sam import TextSam

Method = Literal["lora", "full"]
# deeper stages of the encoder, all of the way up; the transformer; what turns a text into masks
_ADAPTED = re.compile(
    r"image_encoder\.(down8|down16|down32|coarse|up16|up8|up4|up2)\b(?!.*\.place$)"
    r"|mask_decoder\.(transformer|gate|query|refine|output_hypernetworks_mlps)\b|text_to_tokens"
)
_SMALL = re.compile(r"mask_decoder\.(mask_bias|presence_head|iou_prediction_head|output_upscaling)\b")
_KEPT = ("text_encoder", "image_encoder.stem", "image_encoder.down4")
_NORMS = (nn.GroupNorm, nn.LayerNorm)


class Tunable:
    """A network, which of its weights are trained, and how the result becomes an ordinary network again."""

    def __init__(self, network: TextSam, method: Method, rank: int, text: str) -> None:
        self.network = network
        self._row = row_of(text, network)
        self._adapted: PeftModel | None = None
        if method == "lora":
            self._adapted = _with_adapters(network, rank)
        for name, parameter in network.named_parameters():
            if method == "full" or not re.search(r"lora_[AB]\.", name):
                parameter.requires_grad_(method == "full" and not name.startswith("text_encoder."))
        if method == "lora":
            for parameter in _trained_fully(network):
                parameter.requires_grad_(True)
        self._train_one_row()

    def _train_one_row(self) -> None:
        table = self.network.text_encoder.whole.weight
        keep = torch.zeros(len(table), 1)
        keep[self._row] = 1.0
        table.requires_grad_(True)
        table.register_hook(lambda gradient: gradient * keep)

    def parameters(self) -> dict[str, nn.Parameter]:
        """What is trained, by name."""
        return {name: p for name, p in self.network.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def load(self, values: dict[str, Tensor]) -> None:
        """Put values in the place of what is trained."""
        for name, parameter in self.parameters().items():
            parameter.copy_(values[name])

    def merged(self) -> TextSam:
        """The network without adapters, whose work is in its weights now. This object is used up."""
        if self._adapted is None:
            return self.network
        return cast(TextSam, self._adapted.merge_and_unload())


def row_of(text: str, network: TextSam) -> int:
    """The row of the text encoder's table that belongs to a whole wording."""
    return zlib.crc32(normalise(text).encode()) % network.text_encoder.buckets


def _with_adapters(network: TextSam, rank: int) -> PeftModel:
    names = [name for name, module in network.named_modules()
             if isinstance(module, nn.Linear | nn.Conv2d) and _ADAPTED.match(name)]
    config = LoraConfig(r=rank, lora_alpha=rank, lora_dropout=0.0, bias="none", target_modules=names)
    return cast(PeftModel, get_peft_model(network, config))  # type: ignore[arg-type]


def _trained_fully(network: TextSam) -> Iterator[nn.Parameter]:
    """Norms and small heads: few numbers that matter much. Not those of the first stages, whose large pictures would
    make every step slower."""
    for name, module in network.named_modules():
        if not name.startswith(_KEPT) and isinstance(module, _NORMS):
            yield from module.parameters()
        elif _SMALL.match(name):
            yield from module.parameters(recurse=False)
