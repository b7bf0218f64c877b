"""The loop of a fine-tuning: the user's cases and rehearsal, averaged weights, the best state on held-out cases."""

from __future__ import annotations

import copy
import importlib.util
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medviewer.core.errors import Cancelled, WrongUsage
from medviewer.core.progress import Progress
from medviewer.models.preprocessing import input_side
from medviewer.models.text_sam import TextSam

from .data.batches import Batch, BatchMaker
from .data.samples import Sample
from .data.sets import structures
from .finetune_options import FinetuneOptions
from .interruption import Stop, stop_when_interrupted
from .lora import Tunable
from .objectives.steps import batch_loss
from .rehearsal import Rehearsal
from .reporting import Reporter
from .run_state import STATE, read_tensors, write_tensors
from .target_term import Target
from .transforms.wording import Wording
from .tuning_measures import slice_dice

WARM_UP = 20  # steps
FULL_RATE = 0.35  # share of the time before the rate falls
LAST_RATE = 0.02  # of the rate, at the end
AVERAGING = 0.98  # of the weights, per step
LEAST_GAIN = 0.002  # of Dice, that counts as better
SAVE_SECONDS = 60.0
REHEARSE_EVERY = 2  # steps
PIXELS, MOST_PICTURES = 200_000, 8  # of a step
Values = dict[str, Tensor]


class Verbatim(Wording):
    """The names themselves: the pipeline always gives the network the term's own text."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def draw(self, name: str) -> str:
        """The text of a name."""
        return self._texts.get(name, name)


class OwnPictures:
    """Draws batches from the user's cases, at the input size at which the program will look at such scans. (Smaller
    sizes in between were tried: more pictures for the same work, but thin structures got worse.)"""

    def __init__(self, samples: Sequence[Sample], target: Target, seed: int) -> None:
        groups: dict[int, list[Sample]] = defaultdict(list)
        for sample in samples:
            groups[input_side(sample.config.modality, *sample.label.shape[1:])].append(sample)
        self._rng = np.random.default_rng(seed + 21)
        self._sides = sorted(groups)
        self._chances = np.array([len(groups[side]) for side in self._sides]) / len(samples)
        self._makers = [BatchMaker(groups[side], list(structures()), side, seed + side) for side in self._sides]
        for maker in self._makers:
            maker.wording = Verbatim({name: target.text for sample in samples for name in sample.tables})

    def make(self, pictures: int = 0, size: int | None = None) -> Batch:
        """One batch, of as many pictures as its size allows unless given."""
        number = int(self._rng.choice(len(self._sides), p=self._chances))
        side = size or self._sides[number]
        return self._makers[number].make(pictures or pictures_at(side), side)


def pictures_at(side: int) -> int:
    """How many pictures of that input side one step takes."""
    return min(MOST_PICTURES, max(2, round(PIXELS / side**2)))


@dataclass
class Reached:
    """How far a tuning has come; all that must outlive the process beside the weights."""

    step: int = 0
    seconds: float = 0.0
    best_dice: float = -1.0
    best_step: int = 0
    stopped: str = ""  # why it ended before its time
    history: list[dict[str, float]] = field(default_factory=list)


class Tuning:
    """One fine-tuning in memory. `base` is changed; `teacher` is a copy of what it was."""

    def __init__(
        self, options: FinetuneOptions, base: TextSam, target: Target, name: str, samples: Sequence[Sample],
        held: Sequence[Sample], texts: Sequence[str],
    ) -> None:
        """`name`: of the structure in the samples' tables. `texts`: what the base was trained for but the target."""
        torch.set_num_threads(options.chosen_threads)
        torch.manual_seed(options.seed)
        self.options, self.target, self.held, self._name = options, target, held, name
        self.teacher = copy.deepcopy(base).eval().requires_grad_(False)
        self.tunable = Tunable(base.requires_grad_(True), options.method, options.rank, target.text)
        self.reached = Reached()
        self._rng = np.random.default_rng(options.seed + 31)
        self._own = OwnPictures(samples, target, options.seed)
        self._rehearsal = Rehearsal(self.teacher, texts, self._own, options.phantoms, options.seed) if texts else None
        self.known_here = self._rehearsal.known_here() if self._rehearsal else []
        self._parameters = self.tunable.parameters()
        self._average = self._values()
        self._best: Values | None = None
        self._optimizer = torch.optim.AdamW(
            [{"params": [p for p in self._parameters.values() if p.ndim >= 2 and len(p) < 8192], "weight_decay": 0.01},
             {"params": [p for p in self._parameters.values() if p.ndim < 2 or len(p) >= 8192], "weight_decay": 0.0}],
            options.chosen_rate, betas=(0.9, 0.99),
        )  # fmt: skip

    # -- the loop --------------------------------------------------------------------------------------------------
    def fit(self, run: Path, progress: Progress, fingerprint: dict[str, Any]) -> None:
        """Train until the time is over, nothing is gained any more or somebody asks to stop. The state goes to `run`,
        where it is saved now and then."""
        run.mkdir(parents=True, exist_ok=True)
        reporter = Reporter(run, importlib.util.find_spec("tensorboard") is not None)
        begin = saved = time.monotonic()
        before, checked = self.reached.seconds, self.share
        try:
            with stop_when_interrupted() as stop:
                while self.share < 1 and not self._must_stop(stop, progress):
                    losses = self._step()
                    self.reached.seconds = before + time.monotonic() - begin
                    self._tell(losses, reporter, progress)
                    if self.share - checked >= 1 / self.options.checks - 1e-9 and self.share < 1:
                        checked = self.share
                        self._check(reporter)
                    if time.monotonic() - saved > SAVE_SECONDS:
                        saved = time.monotonic()
                        self.save(run, fingerprint)
                if self.reached.step and not self._just_checked():
                    self._check(reporter)
                self.save(run, fingerprint)
        finally:
            reporter.close()

    @property
    def share(self) -> float:
        """The part of the time or of the steps that is over."""
        steps = self.options.steps
        return self.reached.step / steps if steps else self.reached.seconds / (60 * self.options.minutes)

    def _must_stop(self, stop: Stop, progress: Progress) -> bool:
        if stop.is_set() or progress.is_cancelled():
            self.reached.stopped = "stopped by the user"
        elif self._without_gain():
            self.reached.stopped = "nothing was gained any more on the held-out cases"
        return bool(self.reached.stopped)

    def _without_gain(self) -> bool:
        later = [entry for entry in self.reached.history if entry["step"] > self.reached.best_step]
        return bool(self.held) and bool(self.options.patience) and len(later) >= self.options.patience

    def _just_checked(self) -> bool:
        return bool(self.reached.history) and self.reached.history[-1]["step"] == self.reached.step

    def _step(self) -> dict[str, float]:
        rate = self.options.chosen_rate * _rate(self.reached.step, self.share)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        network = self.tunable.network.train()
        self._optimizer.zero_grad(set_to_none=True)
        losses = batch_loss(network, self._own.make(), self._rng)
        losses["total"].backward()
        told = {"total": float(losses["total"].detach()), "mask": float(losses["dice"].detach())}
        if self._rehearsal is not None and self._rehearses():
            kept = self._rehearsal.loss(network, self.known_here)
            (self.options.rehearsal * kept).backward()
            told["rehearsal"] = float(kept.detach())
        nn.utils.clip_grad_norm_(self._parameters.values(), 1.0)
        self._optimizer.step()
        self.reached.step += 1
        self._follow()
        return told

    def _rehearses(self) -> bool:
        return self.options.rehearsal > 0 and self.reached.step % REHEARSE_EVERY == 0

    @torch.no_grad()
    def _follow(self) -> None:
        keep = min(AVERAGING, self.reached.step / (self.reached.step + 10))
        for name, value in self._average.items():
            value.lerp_(self._parameters[name], 1 - keep)

    # -- measuring --------------------------------------------------------------------------------------------------
    def _check(self, reporter: Reporter) -> None:
        """Measure the averaged weights on the held-out cases and remember the best; without such cases the last."""
        value = self._held_dice() if self.held else 0.0
        minutes = self.reached.seconds / 60
        self.reached.history.append({"step": self.reached.step, "minutes": round(minutes, 2), "dice": round(value, 4)})
        if self._best is None or not self.held or value > self.reached.best_dice + LEAST_GAIN:
            self.reached.best_dice, self.reached.best_step = value, self.reached.step
            self._best = {name: tensor.clone() for name, tensor in self._average.items()}
        reporter.means(self.reached.step, minutes, self._optimizer.param_groups[0]["lr"])
        if self.held:
            reporter.check(self.reached.step, minutes, {self.target.name: round(value, 4)})

    def _held_dice(self) -> float:
        current = self._values()
        self.tunable.load(self._average)
        network = self.tunable.network.eval()
        scores = [slice_dice(network, sample, self._name, self.target.text) for sample in self.held]
        self.tunable.load(current)
        return float(np.mean(scores))

    def _tell(self, losses: dict[str, float], reporter: Reporter, progress: Progress) -> None:
        reporter.step(self.share, self.reached.step, losses)
        best = f", Dice {self.reached.best_dice:.3f} on held-out cases" if self.reached.best_dice > 0 else ""
        with suppress(Cancelled):  # the loop asks by itself, and keeps what it has
            progress.report(self.share, f"Step {self.reached.step}{best}")

    # -- what is kept -------------------------------------------------------------------------------------------------
    def result(self) -> TextSam:
        """The best network, merged. This object cannot train on after it."""
        self.tunable.load(self._best or self._average)
        return self.tunable.merged().eval().requires_grad_(False)

    def _values(self) -> Values:
        return {name: parameter.detach().clone() for name, parameter in self._parameters.items()}

    def save(self, run: Path, fingerprint: dict[str, Any]) -> None:
        """Write the whole state atomically, so that `restore` can continue it."""
        content = {
            "fingerprint": fingerprint, "reached": vars(self.reached), "values": self._values(),
            "average": self._average, "best": self._best or {}, "optimizer": self._optimizer.state_dict(),
        }  # fmt: skip
        write_tensors(run / STATE, content)

    def restore(self, run: Path, fingerprint: dict[str, Any]) -> None:
        """Continue the state in `run`. Raises WrongUsage where there is none or it was begun with other settings."""
        if not (run / STATE).is_file():
            raise WrongUsage("There is no earlier run to resume.", "Start without --resume.")
        saved = read_tensors(run / STATE)
        changed = [key for key, value in fingerprint.items() if saved["fingerprint"].get(key) != value]
        if changed:
            raise WrongUsage(f"The earlier run was begun with another {changed[0]}.", "Start without --resume.")
        self.tunable.load(saved["values"])
        self._average, self._best = saved["average"], saved["best"] or None
        self._optimizer.load_state_dict(saved["optimizer"])
        self.reached = Reached(**(saved["reached"] | {"stopped": ""}))
        if self.share >= 1:
            raise WrongUsage("The earlier run has used its time.", "Give it more with --minutes (or --steps).")
        torch.manual_seed(self.options.seed + self.reached.step)


def _rate(step: int, share: float) -> float:
    """Share of the learning rate: warm-up, full, then falling as a cosine."""
    late = max(0.0, (share - FULL_RATE) / (1 - FULL_RATE))
    falling = 0.5 + 0.5 * math.cos(math.pi * min(late, 1.0))
    return min(1.0, (step + 1) / WARM_UP) * (LAST_RATE + (1 - LAST_RATE) * falling)
