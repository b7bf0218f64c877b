"""Every job of the window can be cancelled at any moment: in time, without half results, and the next one works.

A short form of `tests/benchmarks/bench_cancel.py`, which does the same on a large scan.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from medviewer.core.errors import Cancelled
from medviewer.core.progress import Progress
from medviewer.services.jobs import JobRunner, JobState
from tests.benchmarks.bench_cancel import ENDED_BAR, REACTION_BAR, Course, Workload, measure
from tests.benchmarks.large_scan import large_ct

CANCELS = 16


@pytest.fixture(scope="module")
def courses(tmp_path_factory: pytest.TempPathFactory) -> list[Course]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cancel")
        patch.setenv("MEDVIEWER_HOME", str(folder / "home"))
        (folder / "work").mkdir()
        return measure(Workload(folder / "work", large_ct((96, 80, 16))), CANCELS)


def test_random_cancels_leave_nothing_and_every_job_works_afterwards(courses: list[Course]) -> None:
    assert [problem for course in courses for problem in course.problems] == []
    assert sum(len(course.reactions) for course in courses) >= CANCELS // 4, "most jobs ended before their cancel"


def test_cancels_are_in_time(courses: list[Course]) -> None:
    assert max(max(course.reactions, default=0.0) for course in courses) <= REACTION_BAR
    assert max(max(course.endings, default=0.0) for course in courses) <= ENDED_BAR


def test_every_job_reports_progress(courses: list[Course]) -> None:
    assert {course.name for course in courses if course.reports == 0} == set()


def test_the_owner_hears_of_a_cancel_while_the_work_still_ends() -> None:
    heard, ending, may_end = threading.Event(), threading.Event(), threading.Event()
    answers: list[object] = []

    def work(progress: Progress) -> str:
        ending.set()
        may_end.wait(10)  # one step that does not ask
        return "late"

    def on_error(error: object) -> None:
        answers.append(error)
        heard.set()

    runner = JobRunner()
    job = runner.start("slow", work, answers.append, on_error)
    assert ending.wait(5)
    began = time.monotonic()
    job.cancel()
    assert heard.wait(1)
    assert time.monotonic() - began < 0.5
    assert not job.finished.is_set()
    may_end.set()
    assert job.finished.wait(5)
    job.cancel()  # a second one says nothing more
    assert len(answers) == 1
    assert isinstance(answers[0], Cancelled)
    assert job.state is JobState.CANCELLED
    runner.shutdown()


def test_it_would_notice_a_job_that_leaves_something(tmp_path: Path) -> None:
    from tests.benchmarks.bench_cancel import Remains

    remains = Remains(tmp_path)
    (tmp_path / ".half.part").write_text("x")
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    found = remains.since()
    stop.set()
    thread.join()
    assert any("half.part" in line for line in found)
    assert any("threads" in line for line in found)
