"""Runs long work outside the caller's thread: progress, time left, cancel, late answers dropped. Qt-free."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from medviewer.core.errors import Cancelled, UserError
from medviewer.core.progress import Progress
from medviewer.services import log

_REPORT_SECONDS = 0.04
Work = Callable[[Progress], Any]
Deliver = Callable[[Callable[[], None]], None]


class JobState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class JobProgress:
    """How far a job is: fraction 0..1, what it does now, and seconds left (None while unknown)."""

    fraction: float
    text: str
    seconds_left: float | None


def seconds_left(elapsed: float, fraction: float) -> float | None:
    """Remaining seconds if the rest goes as fast as the part done; None while too little is known."""
    if elapsed < 0.5 or fraction < 0.02:
        return None
    return elapsed * (1.0 - fraction) / fraction


@dataclass(eq=False)
class Job:
    """One piece of work. `number` grows with every start; `channel` names what it answers for."""

    number: int
    title: str
    channel: str
    work: Work
    on_done: Callable[[Any], None]
    on_error: Callable[[UserError], None]
    on_progress: Callable[[JobProgress], None]
    state: JobState = JobState.WAITING
    finished: threading.Event = field(default_factory=threading.Event)
    _cancel: threading.Event = field(default_factory=threading.Event)
    _tell: Callable[[Job, Callable[[], None]], None] = lambda job, callback: None
    _answering: threading.Lock = field(default_factory=threading.Lock)

    def cancel(self) -> None:
        """Ask the work to stop; may be called from any thread.

        The owner gets `Cancelled` at once; the work ends at its next progress report, what it still says is dropped.
        """
        self._cancel.set()
        on_error = self.take_answer(lambda job: job.on_error)
        if on_error is not None:
            self._tell(self, partial(on_error, Cancelled()))

    def take_answer(self, pick: Callable[[Job], Any]) -> Any:
        """One of the callbacks, for the one and only answer; None if the job was answered before."""
        with self._answering:
            if self.on_done is _ignore and self.on_error is _ignore:
                return None
            picked = pick(self)
            self.forget_answers()
            return picked

    @property
    def cancelled(self) -> bool:
        return self._cancel.is_set()

    def forget_answers(self) -> None:
        """Drop the callbacks and what they hold."""
        self.on_done, self.on_error, self.on_progress = _ignore, _ignore, _ignore

    def forget(self) -> None:
        """Let go of what the work and its callbacks hold; whoever keeps a finished job keeps no scan alive."""
        self.work = _ignore
        self.forget_answers()


def _ignore(_: object) -> None:
    return None


class InternalError(UserError):
    """A defect of the program, already in the log, in the words for the user."""

    code = "internal-error"
    exit_status = 1


class JobRunner:
    """Worker threads for jobs; built once by the composition root.

    `deliver(callback)` must run the callback on the owner's thread (a GUI posts it to its event loop); the
    default runs it on the worker. All callbacks of a job go through it, in order: progress, then one of done
    or error. Starting a job in a `channel` cancels the older jobs of that channel, and their late
    answers are dropped at delivery, so a caller never sees an answer to a question it no longer asks.
    """

    def __init__(self, deliver: Deliver = lambda callback: callback(), workers: int = 1) -> None:
        self._deliver = deliver
        self._numbers = itertools.count(1)
        self._newest: dict[str, int] = {}
        self._jobs: set[Job] = set()
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._serve, name=f"medviewer-job-{n}", daemon=True) for n in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def start(
        self,
        title: str,
        work: Work,
        on_done: Callable[[Any], None] = _ignore,
        on_error: Callable[[UserError], None] = _ignore,
        on_progress: Callable[[JobProgress], None] = _ignore,
        channel: str | None = None,
    ) -> Job:
        """Run `work(progress)` on a worker. Returns at once; cancellation arrives as a `Cancelled` error."""
        number = next(self._numbers)
        job = Job(number, title, channel or f"job {number}", work, on_done, on_error, on_progress, _tell=self._post)
        with self._lock:
            older = [other for other in self._jobs if other.channel == job.channel]
            self._newest[job.channel] = number
            self._jobs.add(job)
        for other in older:
            other.cancel()
        self._queue.put(job)
        return job

    @property
    def active(self) -> list[Job]:
        """Jobs that wait or run, oldest first."""
        with self._lock:
            return sorted(self._jobs, key=lambda job: job.number)

    def cancel_all(self) -> None:
        for job in self.active:
            job.cancel()

    def shutdown(self, timeout: float = 5.0) -> None:
        """Cancel everything and wait for the workers; nothing is delivered afterwards."""
        with self._lock:
            self._newest = dict.fromkeys(self._newest, -1)
        self.cancel_all()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout)

    def _serve(self) -> None:
        while (job := self._queue.get()) is not None:
            self._run(job)
            del job  # an idle worker keeps no scan alive

    def _run(self, job: Job) -> None:
        job.state = JobState.RUNNING
        progress = Progress(self._reporter(job), lambda: job.cancelled)
        try:
            progress.check_cancelled()
            result = job.work(progress)
            progress.check_cancelled()
        except Cancelled as stop:
            self._finish(job, JobState.CANCELLED, stop)
        except UserError as error:
            self._finish(job, JobState.FAILED, error)
        except BaseException as error:  # sys.exit() in the work of a plugin ends no lane
            self._finish(job, JobState.FAILED, internal_error(error))
        else:
            self._finish(job, JobState.DONE, result)

    def _finish(self, job: Job, state: JobState, result: Any) -> None:
        job.state = state
        with self._lock:
            self._jobs.discard(job)
        answer = job.take_answer(lambda one: one.on_done if state is JobState.DONE else one.on_error)
        if answer is not None:
            self._post(job, partial(answer, result))
        job.forget()
        job.finished.set()

    def _post(self, job: Job, callback: Callable[[], None]) -> None:
        def deliver_if_current() -> None:
            if self._newest.get(job.channel) == job.number:
                callback()

        try:
            self._deliver(deliver_if_current)
        except Exception as error:  # a callback's defect must not end the worker thread
            log.record_defect(error)

    def _reporter(self, job: Job) -> Callable[[float, str], None]:
        began = time.monotonic()
        last: tuple[float, str] = (0.0, "")

        def report(fraction: float, text: str) -> None:
            nonlocal last
            now = time.monotonic()
            if text == last[1] and now - last[0] < _REPORT_SECONDS and fraction < 1.0:
                return  # nobody reads faster, and every report costs the owner's thread some time
            last = now, text
            self._post(job, partial(job.on_progress, JobProgress(fraction, text, seconds_left(now - began, fraction))))

        return report


def internal_error(error: BaseException) -> InternalError:
    """Write a defect to the log and return what the user is told about it."""
    path = log.record_defect(error)
    memory = isinstance(error, MemoryError)
    message = "There is not enough memory for this." if memory else "The program made an internal error."
    return InternalError(message, f"Nothing was changed. Details are in the log: {path}")
