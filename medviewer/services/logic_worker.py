"""The process in which the logic of plugins runs for the window. No Qt, no VTK; torch only if a plugin imports it.

Run as `python -P -m medviewer.services.logic_worker [DESCRIPTOR]`, where the descriptor is a socket over which the
shared voxels of scans come. Requests come over standard input, answers go over standard output (see `message_pipe`);
whatever plugins print goes to standard error. It ends at once when the other side is gone, also when that was killed.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import socket
import sys
import threading
import time
from typing import Any, BinaryIO

from medviewer.core.errors import UserError
from medviewer.core.progress import Progress
from medviewer.services import message_pipe, shared_array
from medviewer.services.message_pipe import Head, PipeClosed

NICENESS = 10  # the window's thread goes first
_REPORT_SECONDS = 0.05  # between two reports with the same text
_NO_MEMORY = ("There is not enough memory for this.", "Close other scans or programs, then ask again.")


class Worker:
    """Reads messages on a thread of its own and works through the calls on the main thread."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO, descriptors: socket.socket | None) -> None:
        self._requests, self._answers, self._descriptors = requests, answers, descriptors
        self._calls: queue.SimpleQueue[tuple[Head, list[bytearray]]] = queue.SimpleQueue()
        self._writing = threading.Lock()
        self._cancelled: set[int] = set()
        self._made: dict[tuple[str, ...], Any] = {}

    def serve(self) -> None:
        """Work until the other side closes."""
        threading.Thread(target=self._read, name="messages", daemon=True).start()
        self._send({"kind": "ready"})
        while True:
            head, blocks = self._calls.get()
            self._answer(head, blocks)
            del blocks

    # -- reading ---------------------------------------------------------------
    def _read(self) -> None:
        try:
            while True:
                self._take(*message_pipe.read_message(self._requests))
        except PipeClosed:
            os._exit(0)  # nobody is left to answer, whatever the main thread does
        except BaseException:  # a scan that does not fit into the memory: unread, no later question would be answered
            os._exit(1)

    def _take(self, head: Head, blocks: list[bytearray]) -> None:
        kind, number = head["kind"], int(head["number"])
        if kind == "call":
            self._calls.put((head, blocks))
        elif kind == "cancel":
            self._cancelled.add(number)
        elif kind == "hold":
            layout = shared_array.Layout(tuple(head["shape"]), head["dtype"], head["order"])
            message_pipe.HELD[number] = self._received(layout, blocks)
        elif kind == "forget":
            message_pipe.HELD.pop(number, None)

    def _received(self, layout: shared_array.Layout, blocks: list[bytearray]) -> Any:
        if blocks or self._descriptors is None:
            array = layout.over(blocks[0])
            array.flags.writeable = False
            return array
        _, descriptors, _, _ = socket.recv_fds(self._descriptors, 1, 1)
        return shared_array.get(layout, descriptors[0])

    # -- working ---------------------------------------------------------------
    def _answer(self, head: Head, blocks: list[bytearray]) -> None:
        number = int(head["number"])
        try:
            progress = Progress(self._reporter(number), lambda: number in self._cancelled)
            progress.check_cancelled()
            self._send({"kind": "started", "number": number})
            result = self._call(head, blocks, progress)
            progress.check_cancelled()
            packed = message_pipe.pack_objects(result)
        except MemoryError:
            self._send({"kind": "error", "number": number, "memory": True, **_described(UserError(*_NO_MEMORY))})
        except UserError as error:
            self._send({"kind": "error", "number": number, **_described(error)})
        except BaseException as error:  # a plugin may even call sys.exit
            self._send({"kind": "defect", "number": number, "text": _defect_text(error)})
        else:
            self._send({"kind": "done", "number": number}, packed)
        finally:
            self._cancelled.discard(number)

    def _call(self, head: Head, blocks: list[bytearray], progress: Progress) -> Any:
        if head["method"] == "modules":
            return sorted(sys.modules)
        target = self._object(head["factory"], head["arguments"])
        method = getattr(target, head["method"], None)
        if method is None:
            return None
        return method(*message_pipe.unpack_objects(blocks), progress)

    def _object(self, factory: str, arguments: list[str]) -> Any:
        """What "module:function" makes of the arguments; made once and kept."""
        key = (factory, *arguments)
        if key not in self._made:
            module, _, name = factory.partition(":")
            self._made[key] = getattr(importlib.import_module(module), name)(*arguments)
        return self._made[key]

    def _reporter(self, number: int) -> Any:
        last: list[Any] = [0.0, None]

        def report(fraction: float, text: str) -> None:
            now = time.monotonic()
            if text != last[1] or now - last[0] >= _REPORT_SECONDS or fraction >= 1.0:
                last[:] = [now, text]
                self._send({"kind": "progress", "number": number, "fraction": float(fraction), "text": text})

        return report

    def _send(self, head: Head, blocks: Any = ()) -> None:
        try:
            with self._writing:
                message_pipe.write_message(self._answers, head, blocks)
        except OSError:
            os._exit(0)


def _described(error: UserError) -> Head:
    kind = type(error)
    return {
        "type": [kind.__module__, kind.__qualname__],
        "message": error.message,
        "hint": error.hint,
        "code": error.code,
        "exit_status": error.exit_status,
    }


def _defect_text(error: BaseException) -> str:
    from medviewer.services import log

    return log.describe(error)


def user_error(head: Head) -> UserError:
    """The error that the worker described, of its own class where that can be found without importing anything."""
    module, name = head["type"]
    kind = getattr(sys.modules.get(module), name, UserError)
    if not (isinstance(kind, type) and issubclass(kind, UserError)):
        kind = UserError
    error = kind.__new__(kind)
    UserError.__init__(error, head["message"], head["hint"], code=head["code"])
    error.exit_status = head["exit_status"]
    return error


def _quiet_streams() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes for messages alone: plugins read nothing, and what they print goes to standard error."""
    requests, answers = os.fdopen(os.dup(0), "rb", buffering=1 << 16), os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def main() -> None:
    """Stand back behind the window, then serve."""
    requests, answers = _quiet_streams()
    with contextlib.suppress(AttributeError, OSError):
        os.nice(NICENESS)
    descriptors = socket.socket(fileno=int(sys.argv[1])) if len(sys.argv) > 1 else None
    Worker(requests, answers, descriptors).serve()


if __name__ == "__main__":
    main()
