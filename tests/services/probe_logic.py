"""Logic that misbehaves on request, for the tests of the process it runs in."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import numpy as np

from medviewer.api import Answer, ModelMissing, Prediction, Progress, UserError, Volume


class StrangeError(UserError):
    """Made from other arguments than its base."""

    code = "strange"
    exit_status = 7

    def __init__(self) -> None:
        super().__init__("Strange.", "Do something else.")


class Probe:
    def __init__(self) -> None:
        self.seen: list[int] = []
        self.calls = 0

    def run(self, volume: Volume, request: str, progress: Progress) -> Any:
        self.calls += 1
        return getattr(self, "do_" + request)(volume, progress)

    def do_count(self, volume: Volume, progress: Progress) -> int:
        return self.calls

    def do_sum(self, volume: Volume, progress: Progress) -> Any:
        flags = volume.array.flags
        self.seen.append(id(volume.array))
        return int(volume.array.sum(dtype=np.int64)), flags.f_contiguous, flags.writeable, len(set(self.seen))

    def both(self, volume: Volume, other: Volume, progress: Progress) -> Any:
        return [(int(v.array.sum(dtype=np.int64)), v.array.flags.writeable) for v in (volume, other)]

    def do_mask(self, volume: Volume, progress: Progress) -> Prediction:
        progress.report(0.5, "Thresholding")
        confidence = np.asfortranarray(volume.array.astype(np.float32))
        return Prediction("bone", Answer.FOUND, volume.array > 200, presence=0.5, confidence=confidence)

    def do_wait(self, volume: Volume, progress: Progress) -> None:
        for _ in range(6000):
            progress.report(0.5, "Waiting")
            time.sleep(0.01)

    def do_hang(self, volume: Volume, progress: Progress) -> None:
        progress.report(0.1, "Hanging")
        time.sleep(600)

    def do_killed(self, volume: Volume, progress: Progress) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def do_crash(self, volume: Volume, progress: Progress) -> None:
        import ctypes

        ctypes.string_at(0)

    def do_memory(self, volume: Volume, progress: Progress) -> None:
        raise MemoryError

    def do_exit(self, volume: Volume, progress: Progress) -> None:
        sys.exit(3)

    def do_defect(self, volume: Volume, progress: Progress) -> None:
        raise ValueError("cannot use 'DOE^JANE'")

    def do_missing(self, volume: Volume, progress: Progress) -> None:
        raise ModelMissing("No model.", "Install one.")

    def do_strange(self, volume: Volume, progress: Progress) -> None:
        raise StrangeError

    def do_print(self, volume: Volume, progress: Progress) -> int:
        print("noise " * 10_000)
        os.write(1, b"noise" * 1000)
        return 1

    def do_threads(self, volume: Volume, progress: Progress) -> Any:
        return os.environ["OMP_NUM_THREADS"], os.nice(0)


class Preparing(Probe):
    """What it does ahead does not end."""

    def prepare(self, volume: Volume, progress: Progress) -> None:
        self.do_hang(volume, progress)


def preparing() -> Preparing:
    return Preparing()


def probe() -> Probe:
    return Probe()


class Held:
    def count(self, progress: Progress) -> int:
        from medviewer.services.message_pipe import HELD

        return len(HELD)


def held() -> Held:
    return Held()
