"""Ctrl+C and a polite kill end a training after the step under way, so that its state can be saved."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

Stop = threading.Event


@contextlib.contextmanager
def stop_when_interrupted() -> Iterator[Stop]:
    """An event that SIGINT and SIGTERM set; a second SIGINT raises KeyboardInterrupt at once. The handlers of before
    come back at the end. Outside the main thread, which alone may have handlers, the event is never set."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
