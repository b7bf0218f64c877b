"""Two steps of the recipe `smoke` in the processes that torchrun started; the first one prints how they differ:
python -m torch.distributed.run --nproc_per_node 2 -m -- tests.training.two_processes DIR"""

from __future__ import annotations

import sys

import torch

from training import train_text_sam
from training.data.corpus import load_corpus
from training.processes import Processes
from training.recipe import read_recipe


def main(folder: str) -> None:
    """Train, then compare."""
    recipe = read_recipe("smoke", [f"run.folder={folder}", "run.tensorboard=false"])
    processes = Processes.start("cpu")
    state = train_text_sam.set_up(recipe, load_corpus(recipe.data), processes, False)
    losses = [train_text_sam.train_step(state, 1e-3)["total"] for _ in range(2)]
    state.batches.close()
    weights = torch.cat([value.detach().reshape(-1) for value in state.model.parameters()])
    mean = processes.accelerator.reduce(weights.clone(), "mean")
    apart = processes.from_all(float((weights - mean).abs().max()))
    sums = processes.from_all(losses[-1])
    if processes.is_first:
        other = abs(sums - 2 * losses[-1]) > 0
        print(f"processes {processes.count}, weights differ by {apart}, losses differ: {other}")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
