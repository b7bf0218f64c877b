"""Plugins' logic in a process of its own: same answers, errors as themselves, cancels in time, crashes survived."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from medviewer.api import Cancelled, ModelMissing, Progress, UserError, Volume
from medviewer.core.prediction import Prediction
from medviewer.services import message_pipe
from medviewer.services.jobs import InternalError
from medviewer.services.logic_process import END_SECONDS, LogicProcess, LogicStopped, RemoteLogic, worker_threads

HERE = Path(__file__).resolve().parent
FACTORY = "probe_logic:probe"


@pytest.fixture(scope="module")
def process() -> Iterator[LogicProcess]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HERE))
        told: list[str] = []
        running = LogicProcess(lambda message, hint: told.append(message))
        running.messages = told  # type: ignore[attr-defined]
        yield running
        running.close()


@pytest.fixture
def logic(process: LogicProcess) -> RemoteLogic:
    return RemoteLogic(process, FACTORY, ())


@pytest.fixture(scope="module")
def volume() -> Volume:
    rng = np.random.default_rng(3)
    return Volume(np.asfortranarray(rng.integers(-1000, 1500, (40, 30, 20)).astype(np.int16)), np.eye(4), "CT", "HU")


def ask(logic: RemoteLogic, volume: Volume, what: str, cancelled: threading.Event | None = None) -> object:
    stop = cancelled or threading.Event()
    return logic.run(volume, what, Progress(is_cancelled=stop.is_set))


def test_a_prediction_comes_back_equal_and_progress_comes_along(logic: RemoteLogic, volume: Volume) -> None:
    texts: list[str] = []
    answer = logic.run(volume, "mask", Progress(lambda fraction, text: texts.append(text)))
    assert isinstance(answer, Prediction)
    assert answer.found
    assert answer.presence == 0.5
    assert np.array_equal(answer.mask, volume.array > 200)
    assert answer.mask.flags.f_contiguous
    assert answer.confidence is not None
    assert np.array_equal(answer.confidence, volume.array.astype(np.float32))
    assert texts == ["Thresholding"]


def test_voxels_go_over_once_read_only_and_are_forgotten_with_the_scan(
    process: LogicProcess, logic: RemoteLogic, volume: Volume
) -> None:
    expected = int(volume.array.sum(dtype=np.int64))
    assert ask(logic, volume, "sum") == (expected, True, False, 1)
    renamed = volume.with_changes(title="another name, the same voxels")
    assert ask(logic, renamed, "sum") == (expected, True, False, 1)
    other = Volume(np.ones((3, 4, 5), np.uint8, order="C"), None)
    assert ask(logic, other, "sum") == (60, False, False, 2)
    held = process.call(FACTORY, (), "do_held", (), Progress())
    assert held is None  # the probe has no such method
    before = held_arrays(process)
    del other
    gc.collect()
    assert held_arrays(process) == before - 1


def test_two_scans_of_one_call_go_over_shared(process: LogicProcess, logic: RemoteLogic, volume: Volume) -> None:
    other = Volume(np.ones((3, 4, 5), np.uint8, order="C"), None)
    expected = int(volume.array.sum(dtype=np.int64))
    assert logic.both(volume, other, Progress()) == [(expected, False), (60, False)]
    assert process._child is not None
    assert process._child.number_of(other.array) is not None


def held_arrays(process: LogicProcess) -> int:
    return int(process.call("probe_logic:held", (), "count", (), Progress()))


def test_errors_cross_the_border_as_themselves(logic: RemoteLogic, volume: Volume) -> None:
    with pytest.raises(ModelMissing, match="No model") as caught:
        ask(logic, volume, "missing")
    assert (caught.value.hint, caught.value.exit_status) == ("Install one.", 4)
    with pytest.raises(UserError) as strange:  # a class that the window does not know
        ask(logic, volume, "strange")
    assert (str(strange.value), strange.value.code) == ("Strange. Do something else.", "strange")


def test_defects_go_to_the_log_without_what_they_name(
    logic: RemoteLogic, volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path))
    for what in ("defect", "exit"):
        with pytest.raises(InternalError, match="internal error"):
            ask(logic, volume, what)
    text = "".join(path.read_text("utf-8") for path in (tmp_path / "log").iterdir())
    assert "ValueError" in text
    assert "probe_logic.py" in text
    assert "SystemExit" in text
    assert "DOE" not in text


@pytest.mark.parametrize("what", ["killed", "crash", "memory"])
def test_a_crash_is_one_message_and_the_next_question_works(logic: RemoteLogic, volume: Volume, what: str) -> None:
    with pytest.raises(UserError) as caught:
        ask(logic, volume, what)
    told = {"killed": "ended its process", "crash": "its process crashed", "memory": "not enough memory"}
    assert told[what] in str(caught.value)
    assert caught.value.hint
    assert isinstance(caught.value, LogicStopped) == (what != "memory")
    began = time.monotonic()
    assert ask(logic, volume, "count") == 1  # a new process
    assert time.monotonic() - began < 10


def test_a_process_that_died_while_idle_is_replaced_silently(
    process: LogicProcess, logic: RemoteLogic, volume: Volume
) -> None:
    ask(logic, volume, "count")
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    assert ask(logic, volume, "count") == 1


def cancelled_after(logic: RemoteLogic, volume: Volume, what: str) -> float:
    """Seconds from the cancel to the end of the work."""
    stop, at = threading.Event(), [0.0]

    def report(fraction: float, text: str) -> None:
        at[0] = time.monotonic()
        stop.set()

    with pytest.raises(Cancelled):
        logic.run(volume, what, Progress(report, stop.is_set))
    return time.monotonic() - at[0]


def test_work_that_asks_is_cancelled_at_once_and_the_process_stays(
    process: LogicProcess, logic: RemoteLogic, volume: Volume
) -> None:
    ask(logic, volume, "count")
    pid = process.pid
    assert cancelled_after(logic, volume, "wait") < 1.0
    assert process.pid == pid
    assert ask(logic, volume, "print") == 1  # what a plugin prints disturbs nothing


def test_work_that_does_not_end_is_ended_within_three_seconds_and_this_is_said(
    process: LogicProcess, logic: RemoteLogic, volume: Volume
) -> None:
    messages: list[str] = process.messages  # type: ignore[attr-defined]
    messages.clear()
    pid = process.pid
    assert END_SECONDS < cancelled_after(logic, volume, "hang") < 3.0
    assert messages == ["The work did not stop by itself and was ended."]
    assert ask(logic, volume, "count") == 1
    assert process.pid != pid


def test_what_is_done_ahead_is_ended_without_a_word(process: LogicProcess, volume: Volume) -> None:
    messages: list[str] = process.messages  # type: ignore[attr-defined]
    messages.clear()
    stop = threading.Event()
    ahead = RemoteLogic(process, "probe_logic:preparing", ())
    with pytest.raises(Cancelled):
        ahead.prepare(volume, Progress(lambda fraction, text: stop.set(), stop.is_set))
    assert messages == []


def test_it_leaves_a_core_and_the_priority_to_the_window(logic: RemoteLogic, volume: Volume) -> None:
    threads, niceness = ask(logic, volume, "threads")  # type: ignore[misc]
    assert int(threads) == worker_threads() or os.environ.get("OMP_NUM_THREADS") == threads
    assert niceness > os.nice(0)


def test_no_qt_vtk_or_torch_in_it(process: LogicProcess) -> None:
    roots = {name.partition(".")[0] for name in process.modules()}
    assert not roots & {"PySide6", "shiboken6", "vtkmodules", "vtk", "torch", "multiprocessing"}


def test_closing_leaves_no_process_and_no_thread(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    running = LogicProcess()
    ask(RemoteLogic(running, FACTORY, ()), volume, "sum")
    pid = running.pid
    running.close()
    assert pid is not None
    assert not Path(f"/proc/{pid}").exists()
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == (threads, files)
    with pytest.raises(Cancelled):
        ask(RemoteLogic(running, FACTORY, ()), volume, "sum")


PARENT = """
import sys, threading
import numpy as np
from medviewer.api import Progress, Volume
from medviewer.services.logic_process import LogicProcess, RemoteLogic
process = LogicProcess()
logic = RemoteLogic(process, "probe_logic:probe", ())
volume = Volume(np.zeros((4, 4, 4), np.int16), None)
logic.run(volume, "count", Progress())
told = lambda fraction, text: print(process.pid, flush=True)
logic.run(volume, "hang", Progress(told))
"""


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_it_dies_with_the_window_even_when_that_is_killed() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(HERE), str(HERE.parents[1])))}
    parent = subprocess.Popen([sys.executable, "-c", PARENT], env=environment, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 5
    while alive(child) and time.monotonic() < end:
        time.sleep(0.02)
    assert not alive(child)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def soon() -> Progress:
    """Cancels by itself what would otherwise wait for ever."""
    end = time.monotonic() + 30
    return Progress(is_cancelled=lambda: time.monotonic() > end)


def test_an_answer_that_does_not_fit_into_the_memory_ends_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    process, real = LogicProcess(), message_pipe.read_message

    def read(stream: BinaryIO) -> object:
        head, _ = answer = real(stream)
        if head["kind"] == "done":
            raise MemoryError
        return answer

    monkeypatch.setattr(message_pipe, "read_message", read)
    try:
        with pytest.raises(LogicStopped, match="lack of memory"):
            process.call("", (), "modules", (), soon())
        monkeypatch.undo()
        assert process.modules()
    finally:
        process.close()


def test_a_process_that_cannot_read_a_message_ends_and_is_replaced() -> None:
    process = LogicProcess()
    try:
        process.prewarm()
        child = process._child
        assert child is not None
        child.send({"kind": "hold", "number": 1, "shape": None})  # fails as one that finds no memory does
        assert child.process.wait(30) == 1
        assert process.call("", (), "modules", (), soon())
    finally:
        process.close()
