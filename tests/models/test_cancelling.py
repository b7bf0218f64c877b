"""Cancelling inside networks: at every block, and nothing is left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from medviewer.core.errors import Cancelled
from medviewer.core.prediction import PointPrompt, Prediction
from medviewer.core.progress import Progress
from medviewer.core.prompts import parse_prompt
from medviewer.core.terminology import Terminology
from medviewer.core.volume import Volume
from medviewer.models import cancelling
from medviewer.models.pipeline import TextSegmenter


@pytest.fixture
def segmenter(untrained: Path) -> TextSegmenter:
    return TextSegmenter.load(untrained, "cpu")


def scan(slices: int = 10) -> Volume:
    rng = np.random.default_rng(3)
    affine = np.diag([-2.0, 2.0, 3.0, 1.0])
    return Volume(rng.normal(0, 200, (40, 36, slices)).astype(np.int16), affine, "CT", "HU")


class Counter:
    """Cancels at the n-th question."""

    def __init__(self, at: int = 10**9) -> None:
        self.at, self.asked = at, 0
        self.progress = Progress(is_cancelled=self._ask)

    def _ask(self) -> bool:
        self.asked += 1
        return self.asked >= self.at


def test_blocks_are_watched_once(segmenter: TextSegmenter) -> None:
    assert cancelling.watch_blocks(segmenter.network) == 0
    hooked = [m for m in segmenter.network.modules() if m._forward_pre_hooks]
    assert all(len(module._forward_pre_hooks) == 1 for module in hooked)
    assert len(hooked) > 40


def test_encoder_decoder_and_text_ask_before_their_blocks(segmenter: TextSegmenter) -> None:
    asked: set[str] = set()
    names = {module: name.split(".")[0] for name, module in segmenter.network.named_modules()}
    for module in names:
        module.register_forward_pre_hook(lambda m, _: asked.add(names[m]))
    counter = Counter()
    volume = scan(1)
    with cancelling.watched(counter.progress):
        segmenter.encode(volume, counter.progress)
        before = counter.asked
        segmenter.network.encode_texts(["liver"])
    assert before > 30
    assert counter.asked > before
    assert {"image_encoder", "text_encoder"} <= asked


def test_outside_of_a_job_nothing_is_asked(segmenter: TextSegmenter) -> None:
    with pytest.raises(Cancelled), cancelling.watched(Progress(is_cancelled=lambda: True)):
        segmenter.network.encode_texts(["liver"])
    segmenter.network.encode_texts(["liver"])


def test_a_cancel_at_any_question_leaves_no_trace(segmenter: TextSegmenter, terminology: Terminology) -> None:
    """Every 23th of all questions of a prompt, encoding included; afterwards the answer is the same, bit for bit."""
    volume, prompt = scan(), parse_prompt("left kidney", terminology)

    def ask(progress: Progress) -> Prediction:
        return segmenter.segment(volume, prompt, points=[PointPrompt((-20.0, 30.0, 12.0))], progress=progress)

    ask(Progress())  # from here on the text is known, and every prompt asks as often
    segmenter._runtime.cache.clear()
    counter = Counter()
    reference = ask(counter.progress)
    assert counter.asked > 150
    for at in range(1, counter.asked + 1, 23):
        segmenter._runtime.cache.clear()
        with pytest.raises(Cancelled):
            ask(Counter(at).progress)
        _assert_whole(segmenter)
        _assert_same(ask(Progress()), reference)
    for at in range(1, 60, 7):  # what was encoded stays whole under a cancel of the next prompt
        with pytest.raises(Cancelled):
            ask(Counter(at).progress)
        _assert_whole(segmenter, entries=1)
        _assert_same(ask(Progress()), reference)


def _assert_whole(segmenter: TextSegmenter, entries: int | None = None) -> None:
    kept = list(segmenter._runtime.cache._entries.values())
    assert entries is None or len(kept) == entries
    assert all(entry.kept == entry.count for entry in kept)


def _assert_same(answer: Prediction, reference: Prediction) -> None:
    assert (answer.answer, answer.presence) == (reference.answer, reference.presence)
    assert answer.warnings == reference.warnings
    np.testing.assert_array_equal(answer.mask, reference.mask)


def test_a_cancelled_encoding_is_not_stored(untrained: Path) -> None:
    class Store:
        written = 0

        def read(self, key: str) -> None:
            return None

        def write(self, key: str, pieces: object) -> None:
            self.written += 1

        def scratch(self, size: int) -> None: ...

    store = Store()
    segmenter = TextSegmenter.load(untrained, "cpu", store=store)
    with pytest.raises(Cancelled):
        segmenter.encode(scan(), Counter(60).progress)
    assert store.written == 0
    segmenter.encode(scan())
    assert store.written == 1


@pytest.mark.timeout(30)
def test_waiting_for_the_model_can_be_cancelled(segmenter: TextSegmenter, terminology: Terminology) -> None:
    """While another prompt holds the model."""
    cancelled, entered, leave = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        with segmenter._lock:
            entered.set()
            leave.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait(20)
    threading.Timer(0.1, cancelled.set).start()
    began = time.monotonic()
    work: list[Callable[[Progress], object]] = [
        lambda progress: segmenter.encode(scan(), progress),
        lambda progress: segmenter.segment(scan(), parse_prompt("liver", terminology), progress=progress),
    ]
    for call in work:
        with pytest.raises(Cancelled):
            call(Progress(is_cancelled=cancelled.is_set))
    assert time.monotonic() - began < 10
    leave.set()
    holder.join()


def test_torch_takes_the_threads_it_is_given(untrained: Path, repository: Path) -> None:
    """Loading a model does not change their number; the window's process is started with one less than all cores."""
    import os
    import subprocess
    import sys

    code = (
        "import sys, torch; before = torch.get_num_threads(); from medviewer.models.pipeline import TextSegmenter; "
        "TextSegmenter.load(sys.argv[1], 'cpu'); assert torch.get_num_threads() == before; print(before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(untrained)], cwd=repository, env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "1"
