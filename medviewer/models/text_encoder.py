"""A small trained text encoder: hashed character n-grams, so that typos and word order matter little."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn

_WORD = re.compile(r"[a-z0-9]+")
_GRAM_LENGTHS = (3, 4, 5)


def normalise(text: str) -> str:
    """Lower case ASCII words, single spaces: "Kopf-Hälfte" becomes "kopf halfte"."""
    plain = unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
    return " ".join(_WORD.findall(plain))


def ngrams(text: str) -> list[str]:
    """Whole words and their character n-grams; `<` and `>` mark word ends."""
    grams = []
    for word in normalise(text).split():
        marked = f"<{word}>"
        grams.append(marked)
        for length in _GRAM_LENGTHS:
            grams.extend(marked[start : start + length] for start in range(len(marked) - length + 1))
    return grams or ["<>"]


@lru_cache(maxsize=8192)
def hashed_ngrams(text: str, buckets: int) -> tuple[int, ...]:
    """Bucket numbers of the n-grams. CRC-32, so equal on every machine and in every run."""
    return tuple(zlib.crc32(gram.encode()) % buckets for gram in ngrams(text))


class TextEncoder(nn.Module):
    """Texts to vectors (n, dim): the mean of the n-grams, and for trained wordings a vector of the whole text, which
    tells "vertebra L4" from "vertebra L5". The latter is zero for wordings never seen."""

    def __init__(self, dim: int, buckets: int = 8192) -> None:
        super().__init__()
        self.buckets = buckets
        self.bag = nn.EmbeddingBag(buckets, dim, mode="mean")
        nn.init.normal_(self.bag.weight, std=1.0)
        self.whole = nn.Embedding(buckets, dim)
        nn.init.zeros_(self.whole.weight)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim), nn.LayerNorm(dim))

    def forward(self, texts: Sequence[str]) -> Tensor:
        """`texts`: n strings in English or German. Returns (n, dim)."""
        numbers: list[int] = []
        starts: list[int] = []
        for text in texts:
            starts.append(len(numbers))
            numbers.extend(hashed_ngrams(text, self.buckets))
        device = self.bag.weight.device
        bags = self.bag(torch.tensor(numbers, device=device), torch.tensor(starts, device=device))
        wholes = torch.tensor([zlib.crc32(normalise(text).encode()) % self.buckets for text in texts], device=device)
        return torch.as_tensor(self.mlp(bags * 3.0 + self.whole(wholes) * 8.0))
