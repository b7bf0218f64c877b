"""What a fine-tuning is asked to do: the keys of `recipes/finetune.yaml` and the options of the command line."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal

from medviewer.core.errors import WrongUsage

RATES: dict[str, float] = {"lora": 1e-3, "full": 3e-4}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_BOUNDS: dict[str, tuple[float, float]] = {
    "minutes": (0.01, 100_000), "steps": (0, 10**7), "rank": (1, 256), "rate": (0, 1), "rehearsal": (0, 100),
    "phantoms": (0, 50), "held": (0, 0.9), "checks": (1, 1000), "patience": (0, 1000), "threads": (0, 1024),
}  # fmt: skip


@dataclass(frozen=True)
class FinetuneOptions:
    """`data`: folder of the cases. `prompt`: the structure's name. `bundle`: folder or name of the model to begin with.
    `models`: folder that gets the new model (empty: the user's models, of a checkout alone `runs/models`); `out`: its
    name (default: made of the base model's and the structure's).

    `steps`: end after so many steps instead of `minutes`. `held`: share of the cases (whole patients) that is never
    trained on. `checks`: how often, in the whole time, these are measured; `patience`: end after so many checks
    without a gain (0: never). `rehearsal`: weight of keeping old answers; `phantoms`: generated torsos it uses.
    `threads` 0: one per core. `rate` 0: the method's own. `rank`: of the adapters. `replace`: an older model of the
    same name may go.
    """

    data: str
    prompt: str
    bundle: str = "default"
    models: str = ""
    out: str = ""
    method: Literal["lora", "full"] = "full"
    minutes: float = 10.0
    steps: int = 0
    rank: int = 16
    rate: float = 0.0
    rehearsal: float = 3.0
    phantoms: int = 3
    held: float = 0.2
    checks: int = 12
    patience: int = 6
    modality: str | None = None
    seed: int = 0
    threads: int = 0
    resume: bool = False
    replace: bool = False

    def __post_init__(self) -> None:
        """Raises WrongUsage for what cannot be."""
        for name, (low, high) in _BOUNDS.items():
            if not low <= getattr(self, name) <= high:
                message = f"{name} is {getattr(self, name)}, expected {low:g} to {high:g}."
                raise WrongUsage(message, "Correct it and start again.")
        if self.method not in RATES:
            raise WrongUsage(f'There is no method "{self.method}".', f"Choose one of {', '.join(RATES)}.")

    @property
    def chosen_rate(self) -> float:
        return self.rate or RATES[self.method]

    @property
    def chosen_threads(self) -> int:
        """As asked, else one per core that this process may use."""
        mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.threads or mine

    def name_for(self, base: str, structure: str) -> str:
        """Name of the new model: `out`, else made of the base model's and the structure's. Raises WrongUsage."""
        slug = re.sub(r"[^a-z0-9]+", "-", structure.casefold()).strip("-")[:40] or "structure"
        name = self.out or f"{base}-{slug}"
        if not _NAME.match(name) or name.endswith("."):
            raise WrongUsage(f'"{name}" cannot be the name of a model.', "Use letters, digits, dots and dashes.")
        return name
