"""The job runner: order of answers, late answers, cancel, errors, time left. Waits for events, never sleeps."""

from __future__ import annotations

import gc
import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from medviewer.core.errors import Cancelled, InputRefused, UserError
from medviewer.core.progress import Progress
from medviewer.services.jobs import InternalError, Job, JobProgress, JobRunner, JobState, seconds_left

WAIT = 10.0


class Owner:
    """Stands for the GUI thread: callbacks wait in a queue until the owner runs them."""

    def __init__(self) -> None:
        self._calls: queue.Queue[Callable[[], None]] = queue.Queue()

    def post(self, call: Callable[[], None]) -> None:
        self._calls.put(call)

    def run_until(self, done: Callable[[], bool]) -> None:
        while not done():
            self._calls.get(timeout=WAIT)()

    def run_pending(self) -> int:
        count = 0
        while not self._calls.empty():
            self._calls.get()()
            count += 1
        return count


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def runner(owner: Owner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[JobRunner]:
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path))
    made = JobRunner(owner.post)
    yield made
    made.shutdown()


def test_the_answer_arrives_on_the_owners_thread(runner: JobRunner, owner: Owner) -> None:
    seen: list[Any] = []
    threads: list[Any] = []

    def work(progress: Progress) -> int:
        threads.append(threading.current_thread())
        return 42

    runner.start("answer", work, lambda result: seen.append((result, threading.current_thread())))
    owner.run_until(lambda: bool(seen))
    assert seen == [(42, threading.current_thread())]
    assert threads[0] is not threading.current_thread()


def test_progress_comes_before_the_answer(runner: JobRunner, owner: Owner) -> None:
    seen: list[Any] = []

    def work(progress: Progress) -> str:
        progress.report(0.25, "reading")
        return "done"

    runner.start("steps", work, seen.append, on_progress=seen.append)
    owner.run_until(lambda: "done" in seen)
    assert seen == [JobProgress(0.25, "reading", None), "done"]


def test_a_newer_job_of_the_channel_voids_the_older_ones_answer(runner: JobRunner, owner: Owner) -> None:
    seen: list[str] = []
    first = runner.start("find", lambda progress: "old", seen.append, channel="find")
    assert first.finished.wait(WAIT)  # its answer is already posted, but not delivered
    runner.start("find", lambda progress: "new", seen.append, channel="find")
    owner.run_until(lambda: bool(seen))
    owner.run_pending()
    assert seen == ["new"]


def test_a_newer_job_cancels_the_older_one_that_runs(runner: JobRunner, owner: Owner) -> None:
    started, release = threading.Event(), threading.Event()
    seen: list[object] = []

    def slow(progress: Progress) -> str:
        started.set()
        assert release.wait(WAIT)
        progress.check_cancelled()
        return "old"

    first = runner.start("find", slow, seen.append, seen.append, channel="find")
    assert started.wait(WAIT)
    runner.start("find", lambda progress: "new", seen.append, channel="find")
    release.set()
    owner.run_until(lambda: "new" in seen)
    assert first.state is JobState.CANCELLED
    assert seen == ["new"]


def test_cancel_stops_work_that_polls(runner: JobRunner, owner: Owner) -> None:
    started = threading.Event()
    errors: list[UserError] = []

    def endless(progress: Progress) -> None:
        started.set()
        while True:
            progress.report(0.5, "still")

    job = runner.start("endless", endless, on_error=errors.append)
    assert started.wait(WAIT)
    job.cancel()
    assert job.finished.wait(WAIT)
    owner.run_until(lambda: bool(errors))
    assert isinstance(errors[0], Cancelled)


def test_a_cancelled_job_that_waits_never_starts(runner: JobRunner, owner: Owner) -> None:
    release = threading.Event()
    ran: list[str] = []
    runner.start("first", lambda progress: release.wait(WAIT))
    second = runner.start("second", lambda progress: ran.append("second"))
    second.cancel()
    release.set()
    assert second.finished.wait(WAIT)
    assert ran == []
    assert second.state is JobState.CANCELLED


def test_user_errors_pass_and_defects_become_internal_errors(runner: JobRunner, owner: Owner) -> None:
    errors: list[UserError] = []

    def refuse(progress: Progress) -> None:
        raise InputRefused("The file is empty.", "Choose another one.")

    def fail(progress: Progress) -> None:
        raise KeyError("PatientName=Doe^John")

    runner.start("refuse", refuse, on_error=errors.append)
    runner.start("fail", fail, on_error=errors.append)
    owner.run_until(lambda: len(errors) == 2)
    assert isinstance(errors[0], InputRefused)
    assert isinstance(errors[1], InternalError)
    assert "Doe" not in str(errors[1])


def test_a_defect_in_a_callback_does_not_end_the_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path))
    runner = JobRunner()
    done = threading.Event()
    runner.start("bad callback", lambda progress: 1, lambda result: 1 / 0)
    runner.start("good", lambda progress: 1, lambda result: done.set())
    assert done.wait(WAIT)
    runner.shutdown()


class Scan:
    """Stands for voxels that must be freed when a scan is closed."""


def test_a_finished_job_keeps_nothing_alive(runner: JobRunner, owner: Owner) -> None:
    done: list[int] = []

    def start() -> tuple[Job, weakref.ref[Scan]]:
        scan = Scan()
        job = runner.start("use", lambda progress: id(scan), lambda result: done.append(id(scan)))
        return job, weakref.ref(scan)

    job, scan = start()
    owner.run_until(lambda: bool(done))
    assert job.finished.wait(WAIT)
    barrier = runner.start("next", lambda progress: None)
    assert barrier.finished.wait(WAIT)
    owner.run_pending()
    gc.collect()
    assert scan() is None


def test_nothing_is_delivered_after_shutdown(owner: Owner) -> None:
    runner = JobRunner(owner.post)
    seen: list[int] = []
    job = runner.start("late", lambda progress: 1, seen.append)
    assert job.finished.wait(WAIT)
    runner.shutdown()
    owner.run_pending()
    assert seen == []


def test_time_left_is_unknown_at_first_and_then_proportional() -> None:
    assert seconds_left(0.1, 0.5) is None
    assert seconds_left(5.0, 0.0) is None
    assert seconds_left(5.0, 0.25) == pytest.approx(15.0)
    assert seconds_left(5.0, 1.0) == 0.0
