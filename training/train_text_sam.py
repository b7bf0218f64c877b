"""The training loop of the text-prompted segmentation model: `python -m training train RECIPE`.

Steps are drawn by `data.batches`. The state goes to the run's folder every few minutes and `--resume` continues it with
the very pictures, learning rate and averages that an unbroken run would have had. Pictures depend on the seed and the
number of the step alone; with a budget in steps (not minutes, which depend on the machine) the same seed and number of
threads give the same weights.

On several GPUs (`accelerate launch -m training train RECIPE`) every process draws its own pictures of the same pools
and the gradients are averaged once per step. The network is not wrapped in DistributedDataParallel: it is called by its
parts, not by `forward`, and which parts a step uses depends on its prompts.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from medviewer.core.errors import Cancelled, InputRefused, OutputNotWritten, UserError
from medviewer.models.bundle import CONFIG, load_network, read_info
from medviewer.models.text_sam import TextSam

from .arguments import OptimizerArguments, Recipe
from .data.batches import Batch, Prefetch, Share, StepMaker
from .data.corpus import Corpus, Sources, load_corpus, read_sources, write_sources
from .data.samples import Sample
from .interruption import Stop, stop_when_interrupted
from .objectives.steps import batch_loss, second_look_loss
from .processes import Processes
from .quick_check import quick_dice
from .recipe import RECIPE, changed_keys, read_recipe, write_recipe
from .reporting import Reporter
from .run_state import BEST, STATE, load_into, read_tensors, write_tensors

AVERAGE_EVERY = 4  # steps
LEAST_GAIN = 0.001  # of the mean Dice, for a check to count as better
SECOND_LOOK = ("text_refiner",)  # the part that may learn by a loss of its own
MOST_BAD_STEPS = 20  # losses in a row that are no numbers
Evaluate = Callable[[TextSam, list[Sample]], dict[str, float]]


class Source(Protocol):
    """Where batches come from."""

    def next(self) -> list[Batch]:
        """The batches of the next step."""

    def close(self) -> None:
        """No more are needed."""


class TrainingDiverged(UserError):
    """The losses are no numbers any more."""

    code = "training-diverged"


@dataclass
class Setup:
    """Everything that lives through a run. `minutes`: trained so far, also before a resume; `begun`: steps of the run
    that this one started from; `waited`: checks without a better mean Dice than `best`."""

    recipe: Recipe
    model: TextSam
    average: TextSam
    optimizer: torch.optim.AdamW
    batches: Source
    held: list[Sample]
    processes: Processes = field(default_factory=Processes)
    step: int = 0
    begun: int = 0
    minutes: float = 0.0
    best: float = -1.0
    waited: int = 0
    bad_steps: int = 0

    @property
    def folder(self) -> Path:
        return Path(self.recipe.run.folder)

    @property
    def share(self) -> float:
        """The done share of the budget."""
        budget = self.recipe.budget
        if budget.steps is not None:
            return self.step / budget.steps
        return self.minutes / budget.minutes if budget.minutes is not None else 1.0


def train(recipe: Recipe, resume: bool = False) -> Setup:
    """Train as the recipe says and return the final state, which is also on the disk.

    Raises InputRefused for bad data before any training, Cancelled after Ctrl+C (the state is saved), TrainingDiverged,
    OutputNotWritten.
    """
    processes = Processes.start(recipe.run.device)
    refuse_overwriting(Path(recipe.run.folder), resume)
    if processes.is_first:
        print("Reading the data", flush=True)
    corpus = load_corpus(recipe.data, recipe.run.seed)
    changed = _changed(recipe) if resume else []
    state = set_up(recipe, corpus, processes, resume)
    reporter = Reporter(state.folder, recipe.run.tensorboard, quiet=not processes.is_first)
    try:
        for warning in (*corpus.warnings, *changed):
            reporter.say(f"Warning: {warning}")
        millions = sum(p.numel() for p in state.model.parameters()) / 1e6
        reporter.say(f"{len(corpus.kept)} samples, {millions:.1f} M parameters, on {processes.words}")
        with stop_when_interrupted() as stop:
            fit(state, reporter, stop)
    finally:
        state.batches.close()
        reporter.close()
    return state


def set_up(recipe: Recipe, corpus: Corpus, processes: Processes, resume: bool) -> Setup:
    """Networks and optimizer on their device; the saved state with `resume`. Writes the run's folder."""
    torch.set_num_threads(recipe.run.threads)
    torch.manual_seed(recipe.run.seed)
    folder = Path(recipe.run.folder)
    refuse_overwriting(folder, resume)
    model = TextSam(recipe.network).to(processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = Setup(
        recipe, model, copy.deepcopy(model).eval(), make_optimizer(model, recipe.optimizer), _Nothing(), corpus.held,
        processes,
    )
    sources = corpus.sources
    if resume:
        restore(state, folder)
        sources = sources.joined(read_sources(folder) or sources)
    elif recipe.run.start:
        sources = sources.joined(begin_with(state, Path(recipe.run.start)))
    if processes.is_first:
        folder.mkdir(parents=True, exist_ok=True)
        write_recipe(folder / RECIPE, recipe)
        write_sources(folder, sources)
    pools = {"main": recipe.pools.main, "x-ray": recipe.pools.x_ray, "small": recipe.pools.small}
    shares = [Share(pool, wanted.chance, wanted.sizes) for pool, wanted in pools.items()]
    maker = StepMaker(corpus.kept, corpus.names, recipe.run.seed, shares, processes.rank)
    state.batches = Prefetch(maker, state.step * recipe.optimizer.accumulate)
    return state


class _Nothing:
    """Before the data is there."""

    def next(self) -> list[Batch]:
        return []

    def close(self) -> None:
        return None


def _changed(recipe: Recipe) -> list[str]:
    """What a resumed run does otherwise than before, in words."""
    path = Path(recipe.run.folder) / RECIPE
    keys = changed_keys(read_recipe(str(path)), recipe) if path.is_file() else []
    return [f"{key} is not what this run began with; see its {RECIPE}." for key in keys]


def refuse_overwriting(folder: Path, resume: bool) -> None:
    """Raises InputRefused where a new run would replace another, or where there is none to resume."""
    if not resume and (folder / STATE).exists():
        raise InputRefused(f"{folder} holds a run already.", "Continue it with --resume, or name another with --run.")
    if resume and not (folder / STATE).exists():
        raise InputRefused(f"{folder} holds no run to resume.", "Start it without --resume.")


def make_optimizer(model: nn.Module, arguments: OptimizerArguments) -> torch.optim.AdamW:
    """AdamW; no weight decay on biases and norms. Parts that do not learn lose their gradients."""
    if arguments.parts:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.split(".")[0] in arguments.parts)
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": arguments.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    # fused: one pass over the parameters; on the CPU the default takes as long as half of a step
    return torch.optim.AdamW(groups, arguments.rate, betas=(0.9, 0.99), fused=True)


@dataclass
class _Clock:
    """Minutes of the run; when something was last done."""

    begin: float = field(default_factory=time.monotonic)
    last: dict[str, float] = field(default_factory=dict)

    def is_due(self, what: str, minutes: float) -> bool:
        """Whether it is so long since `what` was done; then it counts as done now."""
        now = time.monotonic()
        if now - self.last.setdefault(what, self.begin) < 60 * minutes:
            return False
        self.last[what] = now
        return True


def fit(state: Setup, reporter: Reporter, stop: Stop, evaluate: Evaluate = quick_dice) -> None:
    """Train until the budget is spent or nothing gets better; save and check on the way. Raises Cancelled when `stop`
    is set, TrainingDiverged, OutputNotWritten."""
    recipe, clock, before = state.recipe, _Clock(), state.minutes
    while state.share < 1 and not _is_patience_spent(state):
        if state.processes.any_of(stop.is_set()):
            save(state)
            raise Cancelled(f"Stopped after step {state.step}; the state is saved.", "Continue it with --resume.")
        rate = rate_at(state)
        parts = train_step(state, rate)
        state.minutes = state.processes.from_first(before + (time.monotonic() - clock.begin) / 60)
        reporter.step(state.share, state.step, parts)
        if state.step % recipe.run.log_steps == 0:
            reporter.means(state.step, state.minutes, rate)
            _follow_threads(state)
        if state.processes.any_of(clock.is_due("check", recipe.budget.check_minutes) or _is_check_step(state)):
            check(state, reporter, evaluate)
        if clock.is_due("save", recipe.run.save_minutes):
            _save_or_go_on(state, reporter)
    if not _is_check_step(state):
        check(state, reporter, evaluate)
    save(state)


def _is_check_step(state: Setup) -> bool:
    every = state.recipe.budget.check_steps
    return bool(every and state.step and state.step % every == 0)


def _is_patience_spent(state: Setup) -> bool:
    patience = state.recipe.budget.patience
    return bool(patience) and state.waited >= patience


def _follow_threads(state: Setup) -> None:
    """The file `threads` in the run's folder changes the number of threads while training goes on."""
    wish = state.folder / "threads"
    if wish.is_file() and (text := wish.read_text().strip()).isdecimal():
        torch.set_num_threads(max(1, int(text)))


def rate_at(state: Setup) -> float:
    """The learning rate of the next step: a linear start, and a cosine to zero over the last part of the budget."""
    arguments = state.recipe.optimizer
    warm = min(1.0, (state.begun + state.step + 1) / max(1, arguments.warm_up))
    decay = arguments.decay
    late = max(0.0, (state.share - (1 - decay)) / decay) if decay else 0.0
    return float(arguments.rate * warm * (0.5 + 0.5 * math.cos(math.pi * min(late, 1.0))))


def train_step(state: Setup, rate: float) -> dict[str, float]:
    """One step of the optimizer on the batches of `accumulate` steps of pictures; returns the loss parts."""
    arguments = state.recipe.optimizer
    batches = [batch for _ in range(arguments.accumulate) for batch in state.batches.next()]
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.model.train()
    state.optimizer.zero_grad(set_to_none=True)
    pictures = sum(len(batch.images) for batch in batches)
    rng = np.random.default_rng([state.recipe.run.seed, state.step, state.processes.rank])
    sums: dict[str, float] = {}
    for batch in batches:
        batch = batch.to(state.processes.device)
        losses = _losses(state, batch, rng)
        share = len(batch.images) / pictures
        (losses["total"] * share).backward()
        for name, value in zip(losses, torch.stack(list(losses.values())).tolist(), strict=True):
            sums[name] = sums.get(name, 0.0) + share * value
    _update(state, arguments)
    return sums


def _losses(state: Setup, batch: Batch, rng: np.random.Generator) -> dict[str, torch.Tensor]:
    half = state.recipe.run.precision == "bf16"
    if state.recipe.optimizer.parts == SECOND_LOOK:
        return second_look_loss(state.model, batch, half)
    return batch_loss(state.model, batch, rng, half)


def _update(state: Setup, arguments: OptimizerArguments) -> None:
    """Clip, step, average. A step whose gradient is no number is left out; many in a row end the training."""
    state.processes.average_gradients(state.model)
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), arguments.clip)
    state.step += 1
    if not math.isfinite(float(norm)):
        state.bad_steps += 1
        if state.bad_steps >= MOST_BAD_STEPS:
            message = f"The loss has been no number for {MOST_BAD_STEPS} steps, the last is step {state.step}."
            raise TrainingDiverged(message, "Begin again from the saved state with a lower optimizer.rate.")
        return
    state.bad_steps = 0
    state.optimizer.step()
    if state.step % AVERAGE_EVERY == 0:
        _average(state, arguments.average)


@torch.no_grad()
def _average(state: Setup, kept: float) -> None:
    age = state.begun + state.step
    keep = min(kept, (age + 1) / (age + 20)) ** AVERAGE_EVERY
    for slow, fast in zip(state.average.state_dict().values(), state.model.state_dict().values(), strict=True):
        if slow.dtype.is_floating_point:
            slow.lerp_(fast, 1 - keep)
        else:
            slow.copy_(fast)


def check(state: Setup, reporter: Reporter, evaluate: Evaluate = quick_dice) -> None:
    """Dice of the averaged weights on held-out cases; the best weights go to `best.pt` where patience is limited."""
    dice = evaluate(state.average, state.held) if state.processes.is_first else {}
    reporter.check(state.step, state.minutes, dice)
    mean = state.processes.from_first(float(np.mean(list(dice.values()))) if dice else -1.0)
    better = mean > state.best + LEAST_GAIN
    state.waited = 0 if better else state.waited + 1
    if better:
        state.best = mean
        if state.recipe.budget.patience and state.processes.is_first:
            config = state.model.config.as_dict()
            content = {"average": state.average.state_dict(), "step": state.step, "config": config}
            write_tensors(state.folder / BEST, content)


def save(state: Setup) -> None:
    """Write the whole state atomically. Raises OutputNotWritten."""
    if not state.processes.is_first:
        return
    content: dict[str, Any] = {
        "model": state.model.state_dict(), "average": state.average.state_dict(),
        "optimizer": state.optimizer.state_dict(), "step": state.step, "config": state.model.config.as_dict(),
        "begun": state.begun, "minutes": state.minutes, "best": state.best, "waited": state.waited,
        "torch_rng": torch.get_rng_state(),
    }
    write_tensors(state.folder / STATE, content)


def _save_or_go_on(state: Setup, reporter: Reporter) -> None:
    """Between times a full disk is a warning: the state of before is intact, and space may be there next time."""
    try:
        save(state)
    except OutputNotWritten as error:
        reporter.say(f"Warning: {error} Training goes on.")


def restore(state: Setup, run: Path) -> None:
    """Continue the state in a run's folder. Raises InputRefused."""
    saved = _read_run(state, run)
    state.step, state.begun = int(saved["step"]), int(saved.get("begun", 0))
    state.minutes = float(saved.get("minutes", 0.0))
    state.best, state.waited = float(saved.get("best", -1.0)), int(saved.get("waited", 0))
    if "torch_rng" in saved:
        torch.set_rng_state(saved["torch_rng"].cpu())


def begin_with(state: Setup, start: Path) -> Sources:
    """Begin with the weights of a bundle, or with weights and optimizer of another run; returns what those were trained
    on. Raises InputRefused, ModelMissing."""
    if (start / CONFIG).is_file():
        info = read_info(start)
        weights = load_network(info).state_dict()
        for network in (state.model, state.average):
            load_into(network, weights, start)
        return Sources(info.trained_tiers, info.sources, () if info.trained_tiers else (info.licence,))
    saved = _read_run(state, start)
    state.begun = int(saved["step"]) + int(saved.get("begun", 0))
    sources = read_sources(start)
    if sources is None:
        raise InputRefused(f"{start} does not tell what it was trained on.", "Begin with a run that has sources.json.")
    return sources


def _read_run(state: Setup, run: Path) -> dict[str, Any]:
    path = run / STATE
    saved = read_tensors(path, state.processes.device)
    try:
        load_into(state.model, saved["model"], path)
        load_into(state.average, saved["average"], path)
        state.optimizer.load_state_dict(saved["optimizer"])
        int(saved["step"])
    except (KeyError, ValueError, TypeError) as error:
        raise InputRefused(f"{path} is not the state of a training.", "Name the folder of another run.") from error
    return saved
