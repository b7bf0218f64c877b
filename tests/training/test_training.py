"""Drawing, augmenting, losses, and a few steps that learn."""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from medviewer.models.mask_decoder import BOX_FIRST, BOX_LAST, NEGATIVE, POSITIVE
from medviewer.models.text_sam import Decoded, NetworkConfig, TextSam
from training import train_text_sam
from training.data.batches import Batch, BatchMaker
from training.data.dataset import Drawer, plane_slice
from training.data.samples import Sample
from training.data.sets import load_sets, structures
from training.export import best_threshold
from training.objectives.losses import pair_loss, soft_dice_loss
from training.synthesis.label_maps import synthetic_picture
from training.synthesis.phantoms import phantom_samples
from training.transforms.clicks import draw_prompt
from training.transforms.wording import Wording


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    torch.set_num_threads(1)
    return phantom_samples(load_sets()["phantom"], [3])


def test_slices_are_in_display_orientation(samples: list[Sample]) -> None:
    sample = samples[0]
    liver, spleen = (sample.tables[name][sample.label] for name in ("liver", "spleen"))
    z = int(np.argmax((liver.sum((1, 2)) > 0) * spleen.sum((1, 2))))
    columns = [np.argwhere(plane_slice(m, "axial", z))[:, 1].mean() for m in (liver, spleen)]
    assert columns[0] < columns[1], "the patient's right (liver) is at the left"
    lungs, kidneys = (sample.tables[name][sample.label] for name in ("lung", "kidney"))
    rows = [np.argwhere(plane_slice(m, "coronal", m.shape[1] // 2 + 10))[:, 0].mean() for m in (lungs, kidneys)]
    assert rows[0] < rows[1], "the head is at the top"


def test_drawn_prompts_are_true(samples: list[Sample]) -> None:
    drawer = Drawer(samples, seed=1)
    kinds = set()
    for _ in range(60):
        drawn = drawer.draw()
        for name, visible in (*drawn.prompts, *drawn.dense):
            inside = name in drawn.sample.tables and bool(drawn.sample.tables[name][drawn.label].any())
            assert inside or not visible
            if not visible:
                assert not inside
            kinds.add(visible)
    assert kinds == {True, False}


def test_batches_fit_together(samples: list[Sample]) -> None:
    batch = BatchMaker(samples, list(structures()), 64, seed=2).make(4)
    pairs = len(batch.index)
    assert batch.images.shape == (4, 2, 64, 64)
    assert batch.target.shape == (pairs, 32, 32)
    assert len(batch.texts) == len(batch.names) == pairs
    assert batch.dense_target.shape[0] == len(batch.dense_names) == len(batch.dense_index)
    assert float(batch.target.min()) >= 0
    assert float(batch.target.max()) <= 1
    assert bool((batch.target.sum((1, 2))[batch.visible] > 0).all())
    assert float(batch.target.sum((1, 2))[~batch.visible].sum()) == 0


def test_simulated_clicks_lie_where_they_claim() -> None:
    truth = torch.zeros(64, 64)
    truth[20:40, 10:30] = 1
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        prompt = draw_prompt(truth, True, rng)
        for (x, y), label in zip(prompt.points, prompt.labels, strict=True):
            if label == POSITIVE:
                assert truth[int(y), int(x)] == 1
            if label == NEGATIVE:
                assert truth[int(y), int(x)] == 0
            seen.add(int(label))
        if prompt.mask is not None:
            assert prompt.mask.shape == (32, 32)
    assert {POSITIVE, NEGATIVE, BOX_FIRST, BOX_LAST} <= seen
    assert (draw_prompt(truth, False, rng).labels < 0).all()


def test_wordings_keep_the_name_most_of_the_time() -> None:
    wording = Wording(list(structures()), np.random.default_rng(0))
    texts = [wording.draw("liver") for _ in range(300)]
    assert 0.4 < np.mean([text == "liver" for text in texts]) < 0.95
    assert len(set(texts)) > 5


def test_synthetic_pictures_follow_their_labels() -> None:
    label = np.zeros((40, 40), np.uint16)
    label[10:30, 10:30] = 2
    pictures = [synthetic_picture(label, np.random.default_rng(n)) for n in range(8)]
    assert all(p.dtype == np.uint8 and p.shape == label.shape for p in pictures)
    contrasts = [abs(float(p[12:28, 12:28].mean()) - float(p[:8].mean())) for p in pictures]
    assert np.median(contrasts) > 20


def test_loss_rewards_the_right_mask() -> None:
    target = torch.zeros(2, 16, 16)
    target[0, 4:12, 4:12] = 1
    visible, known = torch.tensor([True, False]), torch.tensor([True, True])
    right = Decoded(target * 16 - 8, torch.ones(2), torch.tensor([6.0, -6.0]))
    wrong = Decoded(8 - target * 16, torch.ones(2), torch.tensor([-6.0, 6.0]))
    good, bad = pair_loss(right, target, visible, known), pair_loss(wrong, target, visible, known)
    assert float(good["total"]) < 0.1 < float(bad["total"])
    assert float(soft_dice_loss(right.logits, target)[0]) < 0.01


def test_a_few_steps_learn_and_resume(samples: list[Sample], tmp_path: Path) -> None:
    options = argparse.Namespace(rate=1e-3, run=tmp_path, minutes=1, size=64, pictures=4)
    torch.manual_seed(0)
    model = TextSam(NetworkConfig(size=64))
    maker = BatchMaker(samples, list(structures()), 64, seed=0)
    state = train_text_sam.Setup(
        options, model, copy.deepcopy(model).eval(), train_text_sam._optimizer(model, 1e-3), _Fixed(maker.make(4)), []  # type: ignore[arg-type]
    )
    losses = [train_text_sam.train_step(state, 1e-3)["total"] for _ in range(25)]
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])
    train_text_sam.save(state)
    saved = {key: value.clone() for key, value in state.average.state_dict().items()}
    state.average.load_state_dict(TextSam(NetworkConfig(size=64)).state_dict())
    train_text_sam._restore(state)
    assert state.step == 25
    assert all(torch.equal(saved[key], value) for key, value in state.average.state_dict().items())


class _Fixed:
    """The same batch again and again."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def next(self) -> Batch:
        return self.batch


def test_threshold_finds_nearly_all_that_is_visible() -> None:
    rng = np.random.default_rng(0)
    visible, absent = rng.uniform(0.35, 1.0, 500), rng.uniform(0.0, 0.4, 500)
    assert 0.3 <= best_threshold(visible, absent) <= 0.36
    assert best_threshold(visible + 0.4, absent) == 0.5
