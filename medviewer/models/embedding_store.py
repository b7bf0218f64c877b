"""Where embeddings may be kept longer than the program runs. Models know no files: who wants this passes a store in."""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

Pieces = Mapping[str, Sequence[NDArray[Any]]]


class EmbeddingStore(Protocol):
    """Arrays by key. Any thread may call; no call raises: a store that cannot keep things forgets them."""

    def read(self, key: str) -> Mapping[str, NDArray[Any]] | None:
        """The arrays that were written, bit for bit, as this call's own copy (large ones may lie on the disk, mapped
        into memory); None where there are none."""
        ...

    def write(self, key: str, pieces: Pieces) -> None:
        """Keep arrays, each given as its rows (n arrays of one shape and type are one array (n, ...)). May return
        before it is done: the pieces must not change afterwards."""
        ...

    def scratch(self, size: int) -> mmap.mmap | None:
        """`size` zero bytes on the disk, mapped into memory, for as long as the map lives; None where there is no room
        or the user wants nothing on the disk. No other process can open them."""
        ...
