"""What a recipe can state, with its types and defaults. `recipe.py` reads these from YAML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from medviewer.models.text_sam import NetworkConfig


@dataclass(frozen=True)
class DataArguments:
    """Which cases are trained on.

    `folder` holds a `manifest.csv` (rows with use "train"; sets described in `configs/sets.toml`); empty: none.
    `cases` are folders of your own (see `data/folders.py`); `prompt` names their structure where they do not.
    `tiers`: licence tiers of the manifest's rows; empty: all. `share`: a fixed part of each set's cases, for learning
    curves. `pseudo`: a file of `python -m training.pseudo_labels` with more structures of the manifest's pictures.
    `held`: share of your own cases, by patient, that is only measured.
    """

    folder: str = ""
    tiers: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    share: float = 1.0
    phantoms: int = 10
    pseudo: str = ""
    cases: tuple[str, ...] = ()
    prompt: str = ""
    held: float = 0.2


@dataclass(frozen=True)
class PoolArguments:
    """How samples of one pool enter a step: with what chance, and [input side, pictures] of which one is drawn."""

    chance: float
    sizes: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class PoolsArguments:
    """`x_ray`: X-ray images; `small`: volumes of at most 80 voxels along each axis; `main`: the rest."""

    main: PoolArguments = field(default_factory=lambda: PoolArguments(1.0, ((256, 5), (192, 8), (192, 8))))
    x_ray: PoolArguments = field(default_factory=lambda: PoolArguments(0.3, ((320, 2),)))
    small: PoolArguments = field(default_factory=lambda: PoolArguments(0.25, ((128, 6),)))


@dataclass(frozen=True)
class OptimizerArguments:
    """AdamW. `decay`: share of the budget, at its end, over which the rate falls to zero along a cosine.

    `accumulate`: steps of pictures whose gradients make one step of the optimizer. `average`: how much of the averaged
    weights is kept per step (exponential moving average; the exported weights are the averaged ones). `parts`: only
    these parts of the network learn, the others stay as they are; empty: all. With `[text_refiner]` alone nothing but
    the second look at single pictures changes, and a step costs a fraction.
    """

    rate: float = 8e-4
    warm_up: int = 300
    decay: float = 0.6
    weight_decay: float = 0.03
    clip: float = 1.0
    accumulate: int = 1
    average: float = 0.998
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class BudgetArguments:
    """Train for `steps` or for `minutes`, whichever is stated. `patience`: stop after this many checks on held-out
    cases without a better mean Dice (0: never); the best weights are then the ones that are exported."""

    minutes: float | None = None
    steps: int | None = None
    check_minutes: float = 10.0
    check_steps: int | None = None
    patience: int = 0


@dataclass(frozen=True)
class RunArguments:
    """Where and how. `start`: folder of another run, or of a bundle, whose weights to begin with."""

    folder: str = "runs/default"
    start: str = ""
    seed: int = 0
    threads: int = 2
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["bf16", "fp32"] = "bf16"
    save_minutes: float = 2.0
    log_steps: int = 50
    tensorboard: bool = True


@dataclass(frozen=True)
class Recipe:
    """Everything that a training needs to know."""

    data: DataArguments = field(default_factory=DataArguments)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    pools: PoolsArguments = field(default_factory=PoolsArguments)
    optimizer: OptimizerArguments = field(default_factory=OptimizerArguments)
    budget: BudgetArguments = field(default_factory=BudgetArguments)
    run: RunArguments = field(default_factory=RunArguments)
