"""Deterministic damage: the same seed, format and number give the same mutant in every run and on every machine."""

from __future__ import annotations

import zlib

import numpy as np

from tests.fuzz.originals import Original

_NEAR = 250  # bytes of pixel data that most changes fall into: there codecs keep their headers


def mutant(whole: Original, name: str, seed: int, number: int) -> bytes:
    """One to four bytes changed (70 % within the first 250 bytes of the pixels, the others anywhere).

    One in ten is also cut short, one in twenty loses or doubles a piece of up to 32 bytes.
    """
    rng = np.random.default_rng((seed, number, zlib.crc32(name.encode())))
    data = bytearray(whole.data)
    for _ in range(int(rng.integers(1, 5))):
        data[_place(rng, whole, len(data))] = int(rng.integers(0, 256))
    kind = rng.random()
    if kind < 0.1:
        return bytes(data[: int(rng.integers(1, len(data)))])
    if kind < 0.15:
        at, size = _place(rng, whole, len(data)), int(rng.integers(1, 33))
        piece = data[at : at + size]
        return bytes(data[:at] + data[at + size :] if rng.random() < 0.5 else data[:at] + piece + data[at:])
    return bytes(data)


def _place(rng: np.random.Generator, whole: Original, length: int) -> int:
    if rng.random() < 0.7:
        return int(rng.integers(whole.pixels, min(whole.pixels + _NEAR, length)))
    return int(rng.integers(0, length))
