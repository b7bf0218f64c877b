"""Two training steps on a generated torso and a saved state: python -m tests.safety.training_journey"""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

import torch

from medviewer.models.text_sam import TextSam
from training import train_text_sam
from training.data.batches import Batch, BatchMaker
from training.data.sets import load_sets, structures
from training.recipe import read_recipe
from training.synthesis.phantoms import phantom_samples


class OneByOne:
    """Batches made when they are asked for, without the threads of a long run."""

    def __init__(self, maker: BatchMaker) -> None:
        self.maker = maker

    def next(self) -> list[Batch]:
        return [self.maker.make(2)]

    def close(self) -> None:
        return None


def main(run: Path) -> None:
    """Train and save."""
    torch.set_num_threads(1)
    recipe = read_recipe("smoke", [f"run.folder={run}"])
    model = TextSam(recipe.network)
    maker = BatchMaker(phantom_samples(load_sets()["phantom"], [3]), list(structures()), 64, seed=0)
    state = train_text_sam.Setup(
        recipe,
        model,
        copy.deepcopy(model).eval(),
        torch.optim.AdamW(model.parameters(), 1e-3),
        OneByOne(maker),
        [],
    )
    for _ in range(2):
        print(train_text_sam.train_step(state, 1e-3)["total"])
    train_text_sam.save(state)
    print("training done")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
