"""One process or several: which device this one computes on, and how the processes agree. Uses `accelerate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from medviewer.core.errors import ModelMissing


@dataclass
class Processes:
    """This process among all that train together; alone on the CPU by default."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    rank: int = 0
    count: int = 1
    accelerator: Any = None

    @staticmethod
    def start(device: str = "auto") -> Processes:
        """Join the processes that `accelerate launch` started, or be the only one. `device`: auto, cpu or cuda.

        Raises ModelMissing where a device or the package is not there.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise ModelMissing("The recipe asks for CUDA, but there is no CUDA device.", "Use --set run.device=auto.")
        try:
            from accelerate import Accelerator
        except ImportError as error:
            raise ModelMissing(
                "Training needs the package accelerate, which is not installed.",
                'Install it with `pip install "medviewer[train]"`.',
            ) from error
        accelerator = Accelerator(cpu=device == "cpu")
        return Processes(accelerator.device, accelerator.process_index, accelerator.num_processes, accelerator)

    @property
    def is_first(self) -> bool:
        """The process that writes files and tells what happens."""
        return self.rank == 0

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.count} processes, {self.device.type}" if self.count > 1 else str(self.device)

    def average_gradients(self, model: nn.Module) -> None:
        """The mean gradient of all processes, in one exchange; 0 for a parameter that no prompt of a process used."""
        if self.count == 1:
            return
        trained = [p for p in model.parameters() if p.requires_grad]
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        grads = [p.grad for p in trained if p.grad is not None]
        mean = self.accelerator.reduce(torch.cat([grad.reshape(-1) for grad in grads]), "mean")
        for grad, part in zip(grads, mean.split([grad.numel() for grad in grads]), strict=True):
            grad.copy_(part.view_as(grad))

    def any_of(self, value: bool) -> bool:
        """Whether it is so in any process; all get the same answer."""
        return value if self.count == 1 else self.from_all(float(value)) > 0

    def from_all(self, value: float) -> float:
        """The sum of one number per process."""
        return float(self.accelerator.reduce(torch.tensor(value, device=self.device), "sum"))

    def from_first(self, value: float) -> float:
        """The number of the first process."""
        return value if self.count == 1 else self.from_all(value if self.is_first else 0.0)
