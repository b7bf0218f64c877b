"""How soon a cancelled job lets go: `python -m tests.benchmarks.bench_cancel [--slices N] [--cancels N] [--only NAME]`.

Every long job of the window on a generated CT of 512 x 512 x N (default 600) with the shipped model: reading the
headers of a folder, loading (DICOM, NIfTI), a thumbnail, encoding, segmenting, correcting with a click, and exporting
each format. Each runs once to its end, then is cancelled at random moments of its course (`--cancels` in all, default
100, fixed seed). Prints the slowest reaction of the window (the owner hears that it is cancelled; bar 1 s) and the
longest time until the work has ended (bar 3 s, where the process of the model is ended if it must). After every cancel:
nothing was delivered, no thread or process more than before, no file left, and at the end every job works again. Exit
status 1 where a bar is missed or something was left.
"""

from __future__ import annotations

import argparse
import os
import queue
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from medviewer.core.errors import Cancelled, UserError
from medviewer.core.progress import Progress
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.services.jobs import Job, JobRunner, JobState

REACTION_BAR, ENDED_BAR = 1.0, 3.0
MODEL_NAMES = ("encode", "segment", "click")


@dataclass
class Course:
    """One kind of job and what its cancels were like."""

    name: str
    work: Callable[[Progress], Any]
    before: Callable[[], None] = lambda: None  # makes every run as long as the first
    seconds: float = 0.0
    reports: int = 0
    reactions: list[float] = field(default_factory=list)
    endings: list[float] = field(default_factory=list)
    finished_first: int = 0
    problems: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Its row of the table."""
        return (
            f"{self.name:<18}{self.seconds:9.2f}{self.reports:9d}{len(self.reactions):9d}{self.finished_first:9d}"
            f"{max(self.reactions, default=0):11.3f}{max(self.endings, default=0):9.2f}  {'; '.join(self.problems[:2])}"
        )

    @property
    def good(self) -> bool:
        """Within the bars, and nothing left behind."""
        slow = max(self.reactions, default=0) > REACTION_BAR or max(self.endings, default=0) > ENDED_BAR
        return not slow and not self.problems and self.reports > 0


HEADER = (
    f"{'job':<18}{'seconds':>9}{'reports':>9}{'cancels':>9}{'too late':>9}{'reaction s':>11}{'ended s':>9}  problems"
)


class Owner:
    """Stands for the window: answers come to its queue, as they come to the event loop."""

    def __init__(self) -> None:
        self.calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.jobs = JobRunner(self.calls.put)
        self.answers: list[Any] = []
        self.reports = 0

    def start(self, work: Callable[[Progress], Any]) -> Job:
        self.answers, self.reports = [], 0
        return self.jobs.start("job", work, self.answers.append, self.answers.append, self._moved)

    def _moved(self, state: object) -> None:
        self.reports += 1

    def wait(self, ready: Callable[[], bool], seconds: float) -> float:
        """Do what comes to the queue until something is so; seconds it took."""
        began = time.monotonic()
        while not ready() and time.monotonic() - began < seconds:
            try:
                self.calls.get(timeout=0.005)()
            except queue.Empty:
                continue
        return time.monotonic() - began


class Remains:
    """What must be the same after a cancel as before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._me = psutil.Process()
        self.now = self._look()

    def _look(self) -> tuple[frozenset[str], frozenset[int], int]:
        names = {p.relative_to(self._folder) for p in self._folder.rglob("*")}
        whole = {n for n in names if any(part.startswith("masks") for part in n.parts)}  # a save that was done already
        files = frozenset(str(name) for name in names - whole)
        children = frozenset(c.pid for c in self._me.children(recursive=True) if _is_work(c))
        return files, children, threading.active_count()

    def since(self) -> list[str]:
        """What is left, after a moment for threads to end."""
        end = time.monotonic() + 1.0
        while (found := self._differences()) and time.monotonic() < end:
            time.sleep(0.02)
        return found

    def _differences(self) -> list[str]:
        files, children, threads = self._look()
        found = [f"left file {name}" for name in files - self.now[0]]
        found += [f"left process {pid}" for pid in children - self.now[1]]
        return found + [f"{threads - self.now[2]} threads more"] * (threads > self.now[2])


def _is_work(process: psutil.Process) -> bool:
    """Whether a child should have ended: the decode workers and the process of the plugins stay on purpose."""
    try:
        words = " ".join(process.cmdline())
        return process.status() != psutil.STATUS_ZOMBIE and not any(
            name in words for name in ("decode_worker", "logic_worker", "resource_tracker")
        )
    except psutil.Error:
        return False


def ellipsoid(shape: tuple[int, int, int], place: float) -> np.ndarray:
    """A mask of a tenth of each axis in radius, its middle at a share of the shape."""
    mask = np.zeros(shape, bool, order="F")
    radii = [max(n // 8, 2) for n in shape]
    box = tuple(slice(int(n * place) - r, int(n * place) + r + 1) for n, r in zip(shape, radii, strict=True))
    grid = np.ogrid[tuple(slice(-r, r + 1) for r in radii)]
    mask[box] = sum((g / r) ** 2 for g, r in zip(grid, radii, strict=True)) <= 1
    return mask


class Workload:
    """The jobs of the window on one scan. The model's process is the one that the window uses."""

    def __init__(self, folder: Path, volume: Volume, *, model: bool = True) -> None:
        from medviewer.plugin_host.host import host
        from medviewer.plugin_host.logic_factory import FACTORY
        from medviewer.services.logic_process import LogicProcess, RemoteLogic
        from tests.benchmarks.large_scan import write_dicom, write_nifti

        self.folder, self.out = folder, folder / "out"
        self.out.mkdir()
        self.dicom, self.nifti = write_dicom(folder / "dicom", volume), write_nifti(folder / "scan.nii", volume)
        self.process = LogicProcess()
        self.logic: Any = RemoteLogic(self.process, FACTORY, (str(host().manifest("text_segmentation").folder),))
        self.volume, self.fresh, self.model = volume, volume, model
        self.segments = (
            Segment("First", ellipsoid(volume.shape, 0.35)),
            Segment("Second", ellipsoid(volume.shape, 0.6)),
        )

    def renew(self) -> None:
        """The scan with other voxels: nothing about it is known yet."""
        array = self.volume.array.copy(order="F")
        array[0, 0, 0] = random.randrange(1000)
        array[1, 0, 0] = random.randrange(1000)
        self.fresh = self.volume.with_changes(array=array)

    def courses(self) -> list[Course]:
        """All of them."""
        from medviewer.services import open_data, save_apart

        entry = open_data.scan_path(self.dicom).entries[0]
        file = open_data.scan_path(self.nifti).entries[0]
        found = [
            Course("scan a folder", lambda progress: open_data.scan_path(self.dicom, progress)),
            Course("load DICOM", lambda progress: open_data.load(entry, progress)),
            Course("load NIfTI", lambda progress: open_data.load(file, progress)),
            Course("thumbnail", lambda progress: _thumbnail(entry, progress)),
        ]
        for ending in (".nii.gz", ".seg.nrrd", ".dcm", ".stl", ".ply"):
            path = self.out / f"masks{ending}"

            def save(progress: Progress, path: Path = path) -> Any:
                return save_apart.save_segments(path, self.volume, self.segments, progress)

            found.append(Course(f"export {ending}", save, self.clear))
        return [*found, *self._of_the_model()] if self.model else found

    def _of_the_model(self) -> list[Course]:
        from medviewer.api import PointPrompt, SegmentRequest

        def ask(text: str, **more: Any) -> Callable[[Progress], Any]:
            return lambda progress: self.logic.run(self.fresh, SegmentRequest(text, **more), progress)

        click = PointPrompt(
            (0.0, 0.0, float(self.volume.affine[2, 3]) if self.volume.affine is not None else 0.0), False
        )
        previous = self.segments[0].mask
        return [
            Course("encode", lambda progress: self.logic.prepare(self.fresh, SegmentRequest(""), progress), self.renew),
            Course("segment", ask("spine"), self.encode),
            Course("click", ask("liver", points=(click,), previous=previous), self.encode),
        ]

    def encode(self) -> None:
        """The encoding exists: only the rest is measured."""
        from medviewer.api import SegmentRequest

        self.logic.prepare(self.fresh, SegmentRequest(""), Progress())

    def clear(self) -> None:
        """No output of an earlier run."""
        import shutil

        shutil.rmtree(self.out)
        self.out.mkdir()

    def close(self) -> None:
        self.process.close()


def _thumbnail(entry: Any, progress: Progress) -> Any:
    """As the window makes the first picture."""
    from medviewer.services import open_data

    progress.report(0.0, "Picture")
    return open_data.thumbnail(entry, 512)


def run_whole(owner: Owner, course: Course) -> None:
    """To the end, without a cancel."""
    course.before()
    job = owner.start(course.work)
    course.seconds = owner.wait(lambda: job.finished.is_set() and bool(owner.answers), 1200)
    course.reports = owner.reports
    if job.state is not JobState.DONE:
        course.problems.append(f"it ended as {job.state}: {owner.answers}")


def cancel_once(owner: Owner, course: Course, after: float, folder: Path) -> None:
    """Start it, cancel it after so many seconds, and look at what is left."""
    course.before()
    remains = Remains(folder)
    job = owner.start(course.work)
    owner.wait(lambda: job.finished.is_set(), after)
    if job.finished.is_set():
        course.finished_first += 1
        owner.wait(lambda: bool(owner.answers), 1)
        return
    began = time.monotonic()
    job.cancel()
    owner.wait(lambda: bool(owner.answers), 30)
    course.reactions.append(time.monotonic() - began)
    job.finished.wait(60)
    course.endings.append(time.monotonic() - began)
    owner.wait(lambda: False, 0.02)
    if len(owner.answers) != 1 or not isinstance(owner.answers[0], Cancelled):
        course.problems.append(f"answered {owner.answers}")
    if job.state is JobState.FAILED:
        course.problems.append("failed instead of ending")
    if job.state is JobState.CANCELLED:
        course.problems += remains.since()


def measure(workload: Workload, cancels: int, only: str = "", seed: int = 1) -> list[Course]:
    """Every job once, then cancelled at random, then once more. Raises UserError where a job does not work."""
    owner, chance = Owner(), random.Random(seed)
    courses = [course for course in workload.courses() if only in course.name]
    try:
        for course in courses:
            run_whole(owner, course)
            print(f"... {course.name}: {course.seconds:.1f} s", file=sys.stderr, flush=True)
        for number in range(cancels):
            course = courses[number % len(courses)]
            cancel_once(owner, course, chance.random() * course.seconds, workload.folder)
        for course in courses:
            first = course.seconds
            run_whole(owner, course)
            course.seconds = max(first, course.seconds)
    except UserError as error:
        raise SystemExit(str(error)) from error
    finally:
        owner.jobs.shutdown()
        workload.close()
    return courses


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=600)
    parser.add_argument("--cancels", type=int, default=100)
    parser.add_argument("--only", default="", help="part of the name of one job")
    options = parser.parse_args()
    from tests.benchmarks.large_scan import SIZE, large_ct

    with tempfile.TemporaryDirectory(prefix="medviewer-bench-") as home:
        os.environ["MEDVIEWER_HOME"] = home
        folder = Path(home) / "work"
        folder.mkdir()
        workload = Workload(folder, large_ct((SIZE[0], SIZE[1], options.slices)))
        courses = measure(workload, options.cancels, options.only)
    print(HEADER)
    for course in courses:
        print(course.line())
    good = all(course.good for course in courses)
    print("all within the bars, nothing left" if good else "NOT all within the bars")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
