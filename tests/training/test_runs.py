"""Trainings of the recipe `smoke`: repeatable, resumable, stopped by a signal, and told in words when they fail."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medviewer.core.errors import Cancelled, InputRefused, OutputNotWritten
from training import train_text_sam
from training.arguments import Recipe
from training.data.batches import Batch
from training.data.corpus import Corpus, Sources, load_corpus, read_sources
from training.processes import Processes
from training.recipe import read_recipe
from training.reporting import Reporter
from training.run_state import BEST, STATE, read_tensors

QUICK = ["run.tensorboard=false", "data.phantoms=1"]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """One phantom to train on; nothing to check with, so that a check costs nothing."""
    loaded = load_corpus(read_recipe("smoke").data)
    return replace(loaded, held=[])


def recipe_in(folder: Path, *changes: str) -> Recipe:
    return read_recipe("smoke", [*QUICK, f"run.folder={folder}", *changes])


def run(recipe: Recipe, corpus: Corpus, resume: bool = False, stop_after: int | None = None) -> train_text_sam.Setup:
    """`train` with a corpus that is there already; stopped after so many steps."""
    state = train_text_sam.set_up(recipe, corpus, Processes(), resume)
    reporter, stop = Reporter(state.folder, recipe.run.tensorboard, quiet=True), threading.Event()
    if stop_after is not None:
        reporter.step = lambda share, step, parts: stop.set() if step == stop_after else None  # type: ignore[method-assign]
    try:
        train_text_sam.fit(state, reporter, stop, lambda model, held: {"phantom liver": 0.5})
    finally:
        state.batches.close()
        reporter.close()
    return state


def difference(one: Path, other: Path) -> float:
    first, second = (read_tensors(folder / STATE) for folder in (one, other))
    assert first["step"] == second["step"]
    return max(
        float((a.float() - b.float()).abs().max())
        for part in ("model", "average")
        for a, b in zip(first[part].values(), second[part].values(), strict=True)
    )


def test_the_same_seed_gives_the_same_weights_also_across_a_break(corpus: Corpus, tmp_path: Path) -> None:
    run(recipe_in(tmp_path / "one"), corpus)
    with pytest.raises(Cancelled, match="after step 2"):
        run(recipe_in(tmp_path / "two"), corpus, stop_after=2)
    assert read_tensors(tmp_path / "two" / STATE)["step"] == 2
    run(recipe_in(tmp_path / "two"), corpus, resume=True)
    assert difference(tmp_path / "one", tmp_path / "two") == 0.0
    run(recipe_in(tmp_path / "three", "run.seed=1"), corpus)
    assert difference(tmp_path / "one", tmp_path / "three") > 0.0


def test_a_run_writes_what_is_needed_to_repeat_it(corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(recipe_in(folder, "budget.steps=2", "budget.check_steps=1", "budget.patience=5"), corpus)
    assert read_recipe(str(folder / "recipe.yaml")).budget.patience == 5
    assert read_sources(folder) == corpus.sources
    assert corpus.sources.tiers == ()
    assert read_tensors(folder / BEST)["step"] == 1


def test_events_and_log(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path, tensorboard=True)
    for step in (1, 2):
        reporter.step(step / 2, step, {"total": float(step)})
    reporter.means(2, 0.1, 1e-3)
    reporter.check(2, 0.1, {"phantom liver": 0.25})
    reporter.close()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss/total")] == [(2, 1.5)]
    assert [e.value for e in events.Scalars("dice/phantom liver")] == [0.25]
    assert json.loads((tmp_path / "log.jsonl").read_text())["dice"] == {"phantom liver": 0.25}


def test_patience_ends_a_run(corpus: Corpus, tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path, "budget.steps=50", "budget.check_steps=1", "budget.patience=2")
    state = run(recipe, corpus)
    assert (state.step, state.waited, state.best) == (3, 2, 0.5)


def test_several_draws_make_one_step(corpus: Corpus, tmp_path: Path) -> None:
    state = train_text_sam.set_up(recipe_in(tmp_path, "optimizer.accumulate=3"), corpus, Processes(), False)
    drawn: list[list[Batch]] = []
    source = state.batches
    state.batches = _Counting(source, drawn)
    train_text_sam.train_step(state, 1e-3)
    source.close()
    assert (len(drawn), state.step) == (3, 1)


class _Counting:
    def __init__(self, source: train_text_sam.Source, drawn: list[list[Batch]]) -> None:
        self.source, self.drawn = source, drawn

    def next(self) -> list[Batch]:
        self.drawn.append(self.source.next())
        return self.drawn[-1]

    def close(self) -> None:
        self.source.close()


def test_a_run_is_never_overwritten_and_a_resume_needs_one(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / STATE).write_bytes(b"x")
    with pytest.raises(InputRefused, match="holds a run already"):
        train_text_sam.set_up(recipe_in(tmp_path / "full"), corpus, Processes(), False)
    with pytest.raises(InputRefused, match="no run to resume"):
        train_text_sam.set_up(recipe_in(tmp_path / "none"), corpus, Processes(), True)
    with pytest.raises(InputRefused, match="not the state of a training"):
        train_text_sam.set_up(recipe_in(tmp_path / "full"), corpus, Processes(), True)


def test_losses_that_are_no_numbers_change_nothing_and_end_the_run(corpus: Corpus, tmp_path: Path) -> None:
    state = train_text_sam.set_up(recipe_in(tmp_path), corpus, Processes(), False)
    before = [value.clone() for value in state.model.state_dict().values()]
    batches = state.batches.next()
    state.batches.close()
    batches[0].images[:] = float("nan")
    state.batches = _Always(batches)
    train_text_sam.train_step(state, 1e-3)
    assert all(torch.equal(a, b) for a, b in zip(before, state.model.state_dict().values(), strict=True))
    state.bad_steps = train_text_sam.MOST_BAD_STEPS - 1
    with pytest.raises(train_text_sam.TrainingDiverged, match="no number"):
        train_text_sam.train_step(state, 1e-3)


class _Always:
    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def next(self) -> list[Batch]:
        return self.batches

    def close(self) -> None:
        return None


def test_a_full_disk_leaves_the_older_state(corpus: Corpus, tmp_path: Path) -> None:
    state = train_text_sam.set_up(recipe_in(tmp_path), corpus, Processes(), False)
    state.batches.close()
    (tmp_path / STATE).write_bytes(b"older")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(OutputNotWritten, match="was not written"):
            train_text_sam.save(state)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / STATE).read_bytes() == b"older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["recipe.yaml", "sources.json", STATE]


def test_the_rate_rises_stays_and_falls(corpus: Corpus, tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path, "budget.steps=100", "optimizer.warm_up=10", "optimizer.decay=0.5")
    state = train_text_sam.set_up(recipe, corpus, Processes(), False)
    state.batches.close()
    rates = []
    for step in range(101):
        state.step = step
        rates.append(train_text_sam.rate_at(state))
    assert rates[0] == pytest.approx(1e-4)
    assert rates[9:51] == pytest.approx([1e-3] * 42)
    assert np.all(np.diff(rates[51:]) < 0)
    assert rates[100] == pytest.approx(0.0, abs=1e-9)


def test_weights_inherit_what_those_they_begin_with_were_trained_on(corpus: Corpus, tmp_path: Path) -> None:
    first = replace(corpus, sources=Sources(("B",), ("ct/x: CC BY-NC 4.0; y",)))
    run(recipe_in(tmp_path / "first", "budget.steps=1"), first)
    second = recipe_in(tmp_path / "second", "budget.steps=1", f"run.start={tmp_path / 'first'}")
    state = run(second, corpus)
    assert state.begun == 1
    found = read_sources(tmp_path / "second")
    assert found is not None
    assert found.tiers == ("B",)
    assert set(found.lines) == {"ct/x: CC BY-NC 4.0; y", *corpus.sources.lines}


@pytest.mark.slow
def test_ctrl_c_saves_the_state_and_says_so(tmp_path: Path, repository: Path) -> None:
    folder = tmp_path / "run"
    changes = [part for change in (*QUICK, "budget.steps=100000", "run.log_steps=1") for part in ("--set", change)]
    command = [sys.executable, "-m", "training", "train", "smoke", "--run", str(folder), *changes]
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=repository, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any(line.startswith("step 2 ") for line in lines)
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        _, told = process.communicate(timeout=120)
    assert time.monotonic() - start < 100
    assert process.returncode == 130, told
    assert "the state is saved" in told
    assert "Traceback" not in told
    assert read_tensors(folder / STATE)["step"] >= 2


@pytest.mark.slow
def test_two_processes_see_different_pictures_and_keep_the_same_weights(tmp_path: Path, repository: Path) -> None:
    launch = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "--", "tests.training.two_processes"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(repository)}
    done = subprocess.run(
        [sys.executable, *launch, str(tmp_path / "run")], cwd=repository, env=environment, capture_output=True,
        text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "processes 2, weights differ by 0.0, losses differ: True" in done.stdout
