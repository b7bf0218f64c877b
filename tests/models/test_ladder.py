"""Memory that runs out while a model works: smaller batches, half precision, the CPU, a clear message (R30).

Not run on a GPU: the errors are raised by hand at the network's own calls, and a "GPU" is the CPU with the abilities of
one. What a GPU's allocator does after such an error is therefore not shown here.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medviewer.core.errors import Cancelled, InputRefused
from medviewer.core.phantom import torso_phantom
from medviewer.core.prediction import Prediction
from medviewer.core.prompts import parse_prompt
from medviewer.core.terminology import Terminology
from medviewer.core.volume import Volume
from medviewer.models import ladder, runtime
from medviewer.models.footprint import Footprint
from medviewer.models.ladder import Effort, first_effort, is_out_of_memory, quick_in_bfloat16
from medviewer.models.pipeline import TextSegmenter

CPU = torch.device("cpu")
ERRORS: list[Callable[[], Exception]] = [
    lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory"),
    lambda: RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
    lambda: RuntimeError("CUDA error: out of memory"),
    MemoryError,
]


SLICES = 9
SIDE = 192  # of the network's input for this scan


@cache
def scan() -> Volume:
    return torso_phantom(0, shape=(80, 64, SLICES), spacing=(5.0, 5.0, 12.0), contrast=2).volume


class Scarce:
    """Lets a call of the network fail as long as a condition on the batch, the precision and the step holds."""

    def __init__(self, segmenter: TextSegmenter, name: str, fails: Callable[[int, Effort], bool]) -> None:
        self.segmenter, self.fails, self.plain = segmenter, fails, getattr(segmenter.network, name)
        self.make_error = ERRORS[0]
        self.efforts: list[Effort] = []
        self.alive: list[weakref.ref[torch.Tensor]] = []
        setattr(segmenter.network, name, self)

    def __call__(self, first: torch.Tensor, *others: Any) -> Any:
        effort = self.segmenter._runtime.effort
        if not self.efforts or self.efforts[-1] != effort:
            assert not [ref for ref in self.alive if ref() is not None], "an attempt's tensors outlived it"
            self.alive.clear()
            self.efforts.append(effort)
        if self.fails(len(first), effort):
            taken = torch.ones(1000)
            self.alive.append(weakref.ref(taken))
            raise self.make_error()
        return self.plain(first, *others)


@pytest.fixture
def bundle(repository: Path) -> Path:
    return repository / "resources" / "models" / "default"


@pytest.fixture
def segmenter(bundle: Path) -> TextSegmenter:
    return TextSegmenter.load(bundle, "cpu")


def like_a_gpu(segmenter: TextSegmenter, can_halve: bool = False) -> TextSegmenter:
    """The CPU, with a GPU's last steps (the half one is slow here); the batch begins small, to be quick."""
    segmenter._runtime.effort = Effort(CPU, batch=2, can_halve=can_halve, fallback=CPU, brief=quick_in_bfloat16())
    return segmenter


def ask(segmenter: TextSegmenter, terminology: Terminology) -> Prediction:
    return segmenter.segment(scan(), parse_prompt("lungs", terminology))


def dice(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.fixture(scope="module")
def reference(shipped: TextSegmenter, terminology: Terminology) -> Prediction:
    """The answer of a run in which nothing is short."""
    answer = ask(shipped, terminology)
    assert 500 < answer.mask.sum() < 0.5 * answer.mask.size
    return answer


def own_warnings(answer: Prediction) -> tuple[str, ...]:
    """Those about memory."""
    return tuple(warning for warning in answer.warnings if warning.startswith("Memory"))


@pytest.mark.parametrize("make", ERRORS)
def test_the_words_of_memory_errors_are_known(make: Callable[[], Exception]) -> None:
    assert is_out_of_memory(make())


@pytest.mark.parametrize("error", [RuntimeError("wrong shapes"), ValueError("out of memory"), Cancelled()])
def test_other_errors_are_not_taken_for_them(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_the_steps_in_their_order() -> None:
    gpu = Effort(torch.device("cuda"), can_halve=True, fallback=CPU)
    told = []
    step: Effort | None = gpu
    while step is not None:
        told.append((step.device.type, step.batch, step.half, step.notice))
        step = step.lighter()
    assert [t[:3] for t in told] == [
        ("cuda", 8, False), ("cuda", 2, False), ("cuda", 1, False), ("cuda", 1, True),
        ("cpu", 8, False), ("cpu", 2, False), ("cpu", 1, False),
    ]  # fmt: skip
    assert told[0][3] == ""
    assert told[3][3] == "Memory was short: computed one slice at a time, in half precision."
    assert told[4][3] == "Memory was short: computed on the cpu device instead of cuda."
    assert first_effort(CPU).can_halve is False


@pytest.mark.parametrize("make", ERRORS)
@pytest.mark.parametrize("name", ["encode_images", "decode_visible"])
def test_smaller_batches_give_the_same_answer(
    segmenter: TextSegmenter, terminology: Terminology, reference: Prediction, name: str, make: Callable[[], Exception]
) -> None:
    scarce = Scarce(segmenter, name, lambda count, effort: count > 4)
    scarce.make_error = make
    answer = ask(segmenter, terminology)
    assert [effort.batch for effort in scarce.efforts] == [8, 2]
    assert own_warnings(answer) == ("Memory was short: computed 2 slices at a time.",)
    assert dice(answer.mask, reference.mask) >= 0.999
    assert own_warnings(ask(segmenter, terminology)) == own_warnings(answer)


@pytest.mark.parametrize("name", ["encode_images", "decode_visible"])
def test_half_precision_on_a_gpu(
    segmenter: TextSegmenter, terminology: Terminology, reference: Prediction, name: str
) -> None:
    scarce = Scarce(like_a_gpu(segmenter, can_halve=True), name, lambda count, effort: not effort.half)
    answer = ask(segmenter, terminology)
    assert scarce.efforts[-1].half
    assert scarce.efforts[-1].batch == 1
    assert own_warnings(answer) == ("Memory was short: computed one slice at a time, in half precision.",)
    assert answer.provenance.parameters["precision"] == "float16"
    assert dice(answer.mask, reference.mask) >= 0.999


@pytest.mark.parametrize("name", ["encode_images", "decode_visible"])
def test_the_cpu_after_a_gpu(
    segmenter: TextSegmenter, terminology: Terminology, reference: Prediction, name: str
) -> None:
    Scarce(like_a_gpu(segmenter), name, lambda count, effort: not effort.gave_up)
    answer = ask(segmenter, terminology)
    assert "instead of" in own_warnings(answer)[0]
    assert dice(answer.mask, reference.mask) >= 0.999
    np.testing.assert_array_equal(answer.mask, reference.mask)


@pytest.mark.parametrize("name", ["encode_images", "decode_visible"])
def test_the_end_of_the_ladder_is_a_message(segmenter: TextSegmenter, terminology: Terminology, name: str) -> None:
    scarce = Scarce(like_a_gpu(segmenter), name, lambda count, effort: True)
    with pytest.raises(InputRefused, match="not enough memory") as caught:
        ask(segmenter, terminology)
    assert caught.value.code == "not-enough-memory"
    assert caught.value.__cause__ is None
    assert not segmenter._runtime.cache._entries
    scarce.fails = lambda count, effort: False
    assert ask(segmenter, terminology).mask.any()  # the model is still good for the next prompt


def test_twenty_times_in_a_row(untrained: Path, terminology: Terminology) -> None:
    """Each run goes down to the CPU; tensors of failed attempts are gone each time (`Scarce` asserts it)."""
    liver, few = parse_prompt("liver", terminology), scan().with_changes(array=scan().array[:, :, 3:6])
    segmenter = TextSegmenter.load(untrained, "cpu")
    presence = segmenter.segment(few, liver).presence
    scarce = Scarce(segmenter, "decode_visible", lambda count, effort: not effort.gave_up)
    for _ in range(20):
        segmenter._runtime.effort = Effort(CPU, batch=1, fallback=CPU)
        assert segmenter.segment(few, liver).presence == presence
    assert len(scarce.efforts) == 20 * 2


def test_a_model_that_does_not_fit_the_gpu_goes_to_the_cpu(
    bundle: Path, terminology: Terminology, monkeypatch: pytest.MonkeyPatch, reference: Prediction
) -> None:
    moves: list[str] = []
    plain = runtime.Runtime._move

    def move(self: runtime.Runtime) -> None:
        moves.append(self.effort.gave_up or "first")
        if not self.effort.gave_up:
            raise ERRORS[0]()
        plain(self)

    monkeypatch.setattr(runtime.Runtime, "_move", move)
    monkeypatch.setattr(runtime, "first_effort", lambda device: Effort(device, can_halve=True, fallback=CPU))
    segmenter = TextSegmenter.load(bundle, "cpu")
    assert moves[0] == "first"
    assert moves[-1] == "cpu"
    answer = ask(segmenter, terminology)
    assert own_warnings(answer) == ("Memory was short: computed on the cpu device instead of cpu.",)
    np.testing.assert_array_equal(answer.mask, reference.mask)


def test_weights_that_do_not_fit_are_a_message(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(info: object) -> None:
        raise MemoryError

    monkeypatch.setattr("medviewer.models.pipeline.load_network", no_room)
    with pytest.raises(InputRefused, match="not enough memory for the model"):
        TextSegmenter.load(bundle, "cpu")


def test_other_errors_pass_unchanged(segmenter: TextSegmenter, terminology: Terminology) -> None:
    scarce = Scarce(segmenter, "encode_images", lambda count, effort: True)
    scarce.make_error = lambda: RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="shapes"):
        ask(segmenter, terminology)
    assert segmenter._runtime.effort == first_effort(CPU)


# -- before anything is loaded or encoded ------------------------------------------------
def test_a_model_is_refused_before_it_is_loaded(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(info: object) -> None:
        raise AssertionError("it was loaded")

    monkeypatch.setattr("medviewer.models.pipeline.load_network", never)
    with pytest.raises(InputRefused, match="not enough memory for the model default"):
        TextSegmenter.load(bundle, "cpu", free_memory=lambda: 10_000_000)


def test_the_batch_fits_the_memory_that_is_free(
    segmenter: TextSegmenter, bundle: Path, terminology: Terminology, reference: Prediction
) -> None:
    footprint = Footprint.of(segmenter.info.network)
    shape = (SLICES, 64, 80)
    fixed = footprint.to_answer(shape, SIDE) + SLICES * footprint.embedding_bytes(SIDE)
    for batch, told in ((8, ()), (2, ("Memory was short: computed 2 slices at a time.",))):
        free = fixed + footprint.to_encode(shape, batch, SIDE) + 1000
        small = TextSegmenter.load(bundle, "cpu", free_memory=lambda: 10**12)
        small._runtime._free_memory = lambda free=free: free
        answer = ask(small, terminology)
        assert own_warnings(answer) == told
        assert dice(answer.mask, reference.mask) >= 0.999
    small._runtime._free_memory = lambda: footprint.to_encode(shape, 1, SIDE) // 2
    small._runtime.cache.clear()
    with pytest.raises(InputRefused, match="not enough memory to encode"):
        ask(small, terminology)


def test_embeddings_beyond_the_free_memory_are_not_kept(
    bundle: Path, terminology: Terminology, reference: Prediction
) -> None:
    footprint = Footprint.of(TextSegmenter.load(bundle, "cpu").info.network)
    shape = (SLICES, 64, 80)
    free = footprint.to_answer(shape, SIDE) + footprint.to_encode(shape, 8, SIDE) + 8 * footprint.embedding_bytes(SIDE)
    small = TextSegmenter.load(bundle, "cpu", free_memory=lambda: 10**12)
    small._runtime._free_memory = lambda: free
    answer = ask(small, terminology)
    entry = next(iter(small._runtime.cache._entries.values()))
    assert 0 < entry.kept < SLICES
    assert dice(answer.mask, reference.mask) >= 0.999


def test_the_shipped_network_in_half_precision(shipped: TextSegmenter) -> None:
    """What the half step does to real weights: logits of one slice, float16 arithmetic against float32."""
    images = torch.rand(1, 4, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    results = []
    for half in (False, True):
        with torch.inference_mode(), torch.autocast("cpu", torch.float16, enabled=half):
            image, features = shipped.network.encode_images(images)
            text = shipped.network.encode_texts(["liver"])
            seen, drawn = shipped.network.decode_visible(image, features, text, torch.tensor([1]), 0.0)
            results.append((seen.float().sigmoid(), drawn.float()))
    (seen, drawn), (seen_half, drawn_half) = results
    assert float((seen - seen_half).abs().max()) < 0.01
    assert float((drawn - drawn_half).abs().median()) < 0.05


def test_release_knows_every_device() -> None:
    for name in ("cpu", "cuda", "mps"):
        ladder.release(torch.device(name))
