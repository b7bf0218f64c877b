"""Cancelling inside a network: every block asks, before it runs, whether the user still wants the answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from torch import nn

from medviewer.core.progress import Progress

_POLL_S = 0.05


class _Watched(threading.local):
    progress: Progress | None = None


_WATCHED = _Watched()


class Lock(Protocol):
    """What `threading.Lock` and `RLock` share."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...

    def release(self) -> None: ...


@contextmanager
def watched(progress: Progress) -> Iterator[None]:
    """Within the block, networks and `check` on this thread raise Cancelled as soon as `progress` is cancelled."""
    before, _WATCHED.progress = _WATCHED.progress, progress
    try:
        yield
    finally:
        _WATCHED.progress = before


def check() -> None:
    """Raise Cancelled where the work of this thread was cancelled; for loops that have no progress at hand."""
    if _WATCHED.progress is not None:
        _WATCHED.progress.check_cancelled()


def watch_blocks(network: nn.Module) -> int:
    """Let every block (a module made of others) check before it runs; returns how many. A second call does nothing.

    Asking costs about a microsecond.
    """
    if getattr(network, "_asks_before_blocks", False):
        return 0
    blocks = [module for module in network.modules() if next(module.children(), None) is not None]
    for block in blocks:
        block.register_forward_pre_hook(_before_block)
    network._asks_before_blocks = True  # type: ignore[assignment]
    return len(blocks)


def _before_block(module: nn.Module, inputs: Any) -> None:
    check()


@contextmanager
def held(lock: Lock, progress: Progress) -> Iterator[None]:
    """A lock that others may hold for long (a model that loads, another prompt): waiting for it can be cancelled."""
    while not lock.acquire(timeout=_POLL_S):
        progress.check_cancelled()
    try:
        yield
    finally:
        lock.release()
