"""Runs the logic of plugins in a process of its own, so that the window never waits for it and survives its crash.

The window's plugins call the same `logic.run(volume, request, progress)` as everywhere; `RemoteLogic` takes it over the
border. One process serves all plugins, one call at a time, and lives until the window closes. It is started at first
use, leaves one core and the higher priority to the window, and ends with it. Nothing here imports torch or Qt.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from medviewer.core.errors import Cancelled, UserError
from medviewer.core.progress import Progress
from medviewer.core.volume import Volume
from medviewer.services import log, message_pipe, shared_array
from medviewer.services.jobs import InternalError
from medviewer.services.logic_worker import user_error
from medviewer.services.message_pipe import Head, PipeClosed

END_SECONDS = 2.5  # for cancelled work to end by itself
_POLL_SECONDS = 0.05
_SHARED_SCANS = 4  # kept by the process; older ones are sent again when they are asked about
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_UNDER_WAY = ("started", "progress")
_HINT = "Your scan and segments are not affected. Ask again to start anew."
Answer = tuple[Head, list[bytearray]]


class _NotStarted(Exception):
    """The process was gone before it began with the question."""


class LogicStopped(UserError):
    """The process of the plugins ended in the middle of a question."""

    code = "logic-stopped"


def worker_threads() -> int:
    """Cores for the work: all but one, which is left to the window."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)


class _Child:
    """One process, the threads that read from and write to it, and the arrays it holds."""

    def __init__(self) -> None:
        self._ours: socket.socket | None = None
        theirs: socket.socket | None = None
        if shared_array.HANDS_OVER_DESCRIPTORS:
            self._ours, theirs = socket.socketpair()
        passed = [theirs.fileno()] if theirs is not None else []
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "medviewer.services.logic_worker", *map(str, passed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            pass_fds=passed,
            start_new_session=os.name == "posix",  # Ctrl+C in the terminal is the window's business
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0)
            | getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),
        )
        if theirs is not None:
            theirs.close()
        self.answers: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[tuple[Head, Sequence[Any], int | None] | None] = queue.SimpleQueue()
        self._held: OrderedDict[int, tuple[weakref.ref[Any], int]] = OrderedDict()  # id to (array, number)
        self._numbers = itertools.count(1)
        self._threads = [
            threading.Thread(target=work, name=f"medviewer-logic-{name}", daemon=True)
            for name, work in (("reader", self._read), ("writer", self._write))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def send(self, head: Head, blocks: Sequence[Any] = (), descriptor: int | None = None) -> None:
        """Queue a message; never waits. May be called from anywhere, also from a finaliser."""
        self._outbox.put((head, blocks, descriptor))

    def hold(self, array: NDArray[Any], check: Callable[[], None]) -> None:
        """See that the process has a scan's voxels; copies them at most once while it keeps them."""
        if self.number_of(array) is not None:
            self._held.move_to_end(id(array))
            return
        number = next(self._numbers)
        head: Head = {"kind": "hold", "number": number}
        if self._ours is not None:
            layout, descriptor = shared_array.put(array, check)
            self.send(head | vars(layout), (), descriptor)
        else:
            layout = shared_array.Layout.of(array)
            self.send(head | vars(layout), (array.tobytes(order=layout.order),))  # type: ignore[arg-type]
        gone = partial(self.send, {"kind": "forget", "number": number})
        self._held[id(array)] = weakref.ref(array, lambda _: gone()), number
        while len(self._held) > _SHARED_SCANS:
            _, (_, oldest) = self._held.popitem(last=False)
            self.send({"kind": "forget", "number": oldest})

    def number_of(self, array: NDArray[Any]) -> int | None:
        """The number under which the process holds an array."""
        known = self._held.get(id(array))
        return known[1] if known is not None and known[0]() is array else None

    def close(self, grace: float = 1.0) -> None:
        """End the process (at once without grace) and everything that served it."""
        self._outbox.put(None)
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            _kill(self.process)
        self.process.wait()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(2.0)
        self._held.clear()

    def _read(self) -> None:
        assert self.process.stdout is not None
        try:
            while True:
                self.answers.put(message_pipe.read_message(self.process.stdout))  # type: ignore[arg-type]
        except PipeClosed:
            pass
        except Exception as error:  # an answer that does not fit into the memory: without a reader it is of no use
            log.record_defect(error)
            _kill(self.process)
        finally:
            self.process.stdout.close()
            self.answers.put(None)

    def _write(self) -> None:
        pipe = self.process.stdin
        assert pipe is not None
        while (item := self._outbox.get()) is not None:
            head, blocks, descriptor = item
            try:
                if descriptor is not None and self._ours is not None:
                    socket.send_fds(self._ours, [b"v"], [descriptor])
                message_pipe.write_message(pipe, head, blocks)  # type: ignore[arg-type]
            except (OSError, ValueError):  # it is gone: the reader tells
                pass
            finally:
                if descriptor is not None:
                    os.close(descriptor)
            del item, blocks
        self._hang_up(pipe)

    def _hang_up(self, pipe: Any) -> None:
        for end in (pipe, self._ours):
            try:
                if end is not None:
                    end.close()
            except OSError:  # what was not sent yet cannot be sent any more
                continue


def _environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
    threads = str(worker_threads())
    return os.environ | {"PYTHONPATH": paths} | {name: os.environ.get(name, threads) for name in _THREADS}


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it started."""
    try:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except (ProcessLookupError, PermissionError):
        process.kill()


def _defect(text: str) -> InternalError:
    """Put what the other process said of its defect (without values and paths) into the log."""
    path = log.start_log()
    logging.getLogger("medviewer").error("in the process of the plugins: %s", text)
    return InternalError("The program made an internal error.", f"Nothing was changed. Details are in the log: {path}")


class LogicProcess:
    """The one process. `told(message, hint)` hears, on any thread, of what the user should know (a forced end).

    Calls from several threads wait for each other. `work` and `hint` are for the message when the process dies.
    """

    def __init__(
        self,
        told: Callable[[str, str], None] = lambda message, hint: None,
        work: str = "The model's work",
        hint: str = _HINT,
    ) -> None:
        self._told, self._work, self._hint = told, work, hint
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._numbers = itertools.count(1)
        self._closed = False
        atexit.register(self.close)

    def call(
        self,
        factory: str,
        arguments: Sequence[str],
        method: str,
        values: Sequence[Any],
        progress: Progress,
        *volumes: Volume,
    ) -> Any:
        """`factory(*arguments).method(*values, progress)` in the process; None where there is no such method.

        `factory` is "module:function". The voxels of `volumes` are handed over once and kept while they are open here.
        Raises what the logic raises as UserError, Cancelled (at latest `END_SECONDS` after the cancel the work has
        ended), LogicStopped where the process died, InternalError for a defect, which is then in the log.
        """
        while not self._lock.acquire(timeout=_POLL_SECONDS):
            progress.check_cancelled()
        try:
            question: Head = {"factory": factory, "arguments": list(arguments), "method": method}
            try:
                return self._ask(question, values, progress, volumes)
            except _NotStarted:  # it had died while nothing was asked
                return self._ask(question, values, progress, volumes)
        except _NotStarted as gone:
            raise LogicStopped(f"{self._work} could not be started: its process ends at once.", self._hint) from gone
        finally:
            self._lock.release()

    @property
    def pid(self) -> int | None:
        """Of the living process, None while there is none."""
        child = self._child
        return child.process.pid if child is not None and child.alive else None

    def prewarm(self) -> None:
        """Start the process ahead of the first question (any thread; does not wait for it)."""
        if self._lock.acquire(blocking=False):
            try:
                self._ready_child()
            finally:
                self._lock.release()

    def modules(self) -> list[str]:
        """What the process has imported."""
        return list(self.call("", (), "modules", (), Progress()))

    def close(self) -> None:
        """End the process; later calls raise Cancelled."""
        self._closed = True
        atexit.unregister(self.close)
        child, self._child = self._child, None
        if child is not None:
            child.close()

    def _ask(self, question: Head, values: Sequence[Any], progress: Progress, volumes: Sequence[Volume]) -> Any:
        child = self._ready_child()
        number = next(self._numbers)
        for volume in volumes:
            child.hold(volume.array, progress.check_cancelled)
        head = {"kind": "call", "number": number} | question
        child.send(head, message_pipe.pack_objects(tuple(values), child.number_of))
        return self._wait(child, number, progress, asked=question["method"] != "prepare")

    # -- the process ---------------------------------------------------------------
    def _ready_child(self) -> _Child:
        if self._closed:
            raise Cancelled()
        if self._child is not None and not self._child.alive:  # it died while nothing was asked
            self._drop()
        if self._child is None:
            self._child = _Child()
        return self._child

    def _drop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.close(0.0)

    # -- waiting ---------------------------------------------------------------
    def _wait(self, child: _Child, number: int, progress: Progress, *, asked: bool) -> Any:
        started = False
        try:
            while True:
                answer = self._next(child, _POLL_SECONDS, started)
                if answer is None:
                    progress.check_cancelled()
                elif answer[0].get("number") == number:
                    head, blocks = answer
                    started = True
                    if head["kind"] == "progress":
                        progress.report(head["fraction"], head["text"])
                    elif head["kind"] != "started":
                        return self._result(head, blocks)
        except Cancelled:
            self._stop_work(child, number, tell=asked)  # what was done ahead goes without a word
            raise

    def _next(self, child: _Child, timeout: float, started: bool = True) -> Answer | None:
        """The next message, None after `timeout`. Raises LogicStopped or _NotStarted where the process died."""
        try:
            answer = child.answers.get(timeout=timeout)
        except queue.Empty:
            return None
        if answer is None:
            raise self._died(child, started)
        return answer

    def _result(self, head: Head, blocks: list[bytearray]) -> Any:
        if head["kind"] == "done":
            return message_pipe.unpack_objects(blocks)
        if head["kind"] == "defect":
            raise _defect(head["text"])
        if head.get("memory"):
            self._drop()  # with the memory it holds
        raise user_error(head)

    def _stop_work(self, child: _Child, number: int, *, tell: bool) -> None:
        """Wait until cancelled work has ended; end the process where that takes too long, and `tell` the user."""
        if self._closed or not child.alive:
            return
        child.send({"kind": "cancel", "number": number})
        end = time.monotonic() + END_SECONDS
        while time.monotonic() < end and not self._closed:
            try:
                answer = self._next(child, _POLL_SECONDS)
            except LogicStopped:
                return
            if answer is not None and answer[0].get("number") == number and answer[0]["kind"] not in _UNDER_WAY:
                return
        if not self._closed:
            log.record("cancelled work did not end; its process was ended")
            self._drop()
            if tell:
                self._told("The work did not stop by itself and was ended.", "The next question loads the model again.")

    def _died(self, child: _Child, started: bool) -> Exception:
        """The process is gone: what to tell. The next call starts another one."""
        if self._closed:
            return Cancelled()
        code = child.process.wait()
        self._drop()
        if not started:
            return _NotStarted()
        log.record(f"the process of the plugins ended with status {code}")
        why = "the system ended its process, for instance for lack of memory" if code == -9 else "its process crashed"
        return LogicStopped(f"{self._work} was lost: {why}.", self._hint)


class RemoteLogic:
    """Stands in the window for a plugin's logic object: the same calls, in the other process.

    Every call is `method(volume, ..., progress)`; a method that the logic does not have gives None. Worker threads.
    """

    def __init__(self, process: LogicProcess, factory: str, arguments: Sequence[str]) -> None:
        self._process, self._factory, self._arguments = process, factory, tuple(arguments)

    def run(self, volume: Volume, request: Any, progress: Progress) -> Any:
        """See `medviewer.api.Logic`."""
        return self._call("run", volume, request, progress)

    def prepare(self, volume: Volume, *values: Any) -> Any:
        """Let the logic do ahead what it can, where it has such a method; the last value is the progress."""
        return self._call("prepare", volume, *values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return partial(self._call, name)

    def _call(self, method: str, *values: Any) -> Any:
        *given, progress = values
        volumes = [value for value in given if isinstance(value, Volume)]
        return self._process.call(self._factory, self._arguments, method, given, progress, *volumes)
