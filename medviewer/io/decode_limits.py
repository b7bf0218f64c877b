"""What a decode worker may use: memory, time, and no life of its own after the program has ended.

Linux: the worker limits its own address space (RLIMIT_AS). Windows: a Job Object limits its memory and ends it with the
program; **untested**, no Windows machine runs our tests. Elsewhere (macOS does not enforce RLIMIT_AS) a thread of the
program polls the worker's resident memory. Time is limited twice: the program kills a worker that takes too long, and
on POSIX systems the worker's own alarm ends it when the program is no longer there to do so.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

MEMORY_LIMIT = 7 << 28  # 1.75 GiB: address space, job memory or resident memory, whichever the system can limit
_POLL_SECONDS = 0.02
_ALARM_GRACE = 2.0  # seconds later than the program's own limit
Limit = Callable[[], None]


def needs_watching() -> bool:
    """Does this system offer no limit of its own, so that the program must poll the worker's memory?"""
    return not (sys.platform.startswith("linux") or sys.platform == "win32")


def limit_this_process(watched: bool) -> None:
    """Called by the worker itself before anything is decoded; `watched`: its memory is polled by the program."""
    try:
        import resource
        import signal
    except ImportError:  # Windows: see `windows_job`
        return
    if not watched:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program, which then ends its workers


def alarm(seconds: float) -> None:
    """End this process after `seconds` and some grace, whatever holds the interpreter then; 0 takes the alarm back.

    The kernel does it: a codec that hangs while it holds the interpreter's lock would let no thread of ours run. A
    worker whose program was killed in the middle of a frame therefore does not outlive its time limit. (PDEATHSIG is
    not used: it fires when the *thread* that started the worker ends.)
    """
    try:
        import signal

        signal.setitimer(signal.ITIMER_REAL, seconds + _ALARM_GRACE if seconds else 0.0)
    except (ImportError, AttributeError):  # Windows
        return


class Guard:
    """A thread that calls `kill` when the time is over or, if `watch`, the process `pid` holds too much memory."""

    def __init__(self, pid: int, seconds: float, kill: Limit, watch: bool) -> None:
        self._pid, self._end, self._kill, self._watch = pid, time.monotonic() + seconds, kill, watch
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="decode-guard")

    def __enter__(self) -> Guard:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(self._pause()):
            if time.monotonic() >= self._end or (self._watch and resident_bytes(self._pid) > MEMORY_LIMIT):
                self._kill()
                return

    def _pause(self) -> float:
        left = max(0.0, self._end - time.monotonic())
        return min(left, _POLL_SECONDS) if self._watch else left


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where it has ended."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def windows_job(process: Any) -> Any:
    """Put a started process into a Job Object with the memory limit; the handle ends it when closed. Untested.

    None on other systems. The caller keeps the handle as long as the process may live.
    """
    if sys.platform != "win32":
        return None
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.CreateJobObjectW.restype = ctypes.c_void_p
    job = kernel.CreateJobObjectW(None, None)
    limits = _ExtendedLimits()
    limits.LimitFlags = 0x100 | 0x400 | 0x2000  # process memory, die on unhandled exception, kill on close
    limits.ProcessMemoryLimit = MEMORY_LIMIT
    kernel.SetInformationJobObject(ctypes.c_void_p(job), 9, ctypes.byref(limits), ctypes.sizeof(limits))
    kernel.AssignProcessToJobObject(ctypes.c_void_p(job), ctypes.c_void_p(int(process._handle)))
    return job


class _ExtendedLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = (
        ("PerProcessUserTimeLimit", ctypes.c_int64),
        ("PerJobUserTimeLimit", ctypes.c_int64),
        ("LimitFlags", ctypes.c_uint32),
        ("MinimumWorkingSetSize", ctypes.c_size_t),
        ("MaximumWorkingSetSize", ctypes.c_size_t),
        ("ActiveProcessLimit", ctypes.c_uint32),
        ("Affinity", ctypes.c_size_t),
        ("PriorityClass", ctypes.c_uint32),
        ("SchedulingClass", ctypes.c_uint32),
        ("IoCounters", ctypes.c_uint64 * 6),
        ("ProcessMemoryLimit", ctypes.c_size_t),
        ("JobMemoryLimit", ctypes.c_size_t),
        ("PeakProcessMemoryUsed", ctypes.c_size_t),
        ("PeakJobMemoryUsed", ctypes.c_size_t),
    )
