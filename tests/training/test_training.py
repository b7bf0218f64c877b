"""Drawing, augmenting, losses, and a few steps that learn."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from medviewer.core.errors import WrongUsage
from medviewer.models.mask_decoder import BOX_FIRST, BOX_LAST, NEGATIVE, POSITIVE
from medviewer.models.text_sam import Decoded, TextSam
from training import train_text_sam
from training.arguments import Recipe
from training.data import batches
from training.data.batches import Batch, BatchMaker, Prefetch, Share, StepMaker
from training.data.dataset import Drawer, plane_slice
from training.data.samples import Sample
from training.data.sets import load_sets, structures
from training.export import best_threshold
from training.objectives.losses import pair_loss, soft_dice_loss
from training.recipe import read_recipe
from training.recipe_limits import check_recipe
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
    assert batch.images.shape == (4, 4, 64, 64)
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


def brain_maps() -> Sample:
    """Slices of an elliptic brain: white matter (2) in cortex (3)."""
    y, x = np.mgrid[-1:1:96j, -1:1:80j]
    codes = np.where(np.hypot(y, x) < 0.6, 2, np.where(np.hypot(y, x) < 0.8, 3, 0)).astype(np.uint16)
    label = np.repeat(codes[None], 12, 0)
    config = load_sets()["mr3d/synthseg_label_maps"]
    table = np.arange(1024)
    tables = {name: np.isin(table, config.merge[name]) for name in ("white matter", "gray matter", "brain tumor")}
    return Sample("maps", config, label, label, tables, synthesise=True)


def test_tumours_are_planted_asked_for_and_drawn_where_they_are() -> None:
    drawer = Drawer([brain_maps()], seed=0)
    drawn = [drawer.draw() for _ in range(80)]
    planted = [d for d in drawn if (d.label >= 900).sum() >= 12]
    assert 0.1 < len(planted) / len(drawn) < 0.5
    asked = [dict(d.prompts).get("brain tumor") for d in planted]
    assert asked.count(True) > 0.3 * len(planted)
    assert False not in asked
    without = [dict(d.prompts).get("brain tumor") for d in drawn if not (d.label >= 900).any()]
    assert False in without
    assert True not in without


def test_hearts_are_recoloured_at_their_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    label = np.zeros((1, 96, 96), np.uint16)
    label[0, 20:70, 20:70] = 1
    image = np.where(label, 180, 60).astype(np.uint8)
    config = load_sets()["mr/cardiac_acdc"]
    assert config.recolour == load_sets()["mr/heart_hvsmr2"].recolour == 0.4
    sample = Sample("heart", config, image, label, {"left ventricle": np.array([False, True])})
    calls = []
    monkeypatch.setattr(batches, "recolour_labels", lambda p, c, r: calls.append(c.shape) or p)
    maker = BatchMaker([sample], list(structures()), 64, seed=0)
    maker.make(40)
    assert 6 <= len(calls) <= 28
    assert set(calls) == {(96, 96)}


def test_what_is_drawn_depends_on_the_seed_and_the_step_alone(samples: list[Sample]) -> None:
    shares = [Share("main", 1.0, ((64, 2),))]
    first, second = (StepMaker(samples, list(structures()), 3, shares) for _ in range(2))
    first.make(0)
    (one,), (other,) = first.make(7), second.make(7)
    assert torch.equal(one.images, other.images)
    assert one.texts == other.texts
    (beside,) = StepMaker(samples, list(structures()), 3, shares, rank=1).make(7)
    assert not torch.equal(one.images, beside.images)


def test_the_data_thread_tells_what_stopped_it(samples: list[Sample]) -> None:
    maker = StepMaker(samples, list(structures()), 3, [Share("main", 1.0, ((64, 2),))])
    maker.make = _broken  # type: ignore[method-assign]
    source = Prefetch(maker)
    with pytest.raises(ValueError, match="a defect"):
        source.next()
    source.close()


def _broken(step: int) -> list[Batch]:
    raise ValueError("a defect")


def test_loss_rewards_the_right_mask() -> None:
    target = torch.zeros(2, 16, 16)
    target[0, 4:12, 4:12] = 1
    visible, known = torch.tensor([True, False]), torch.tensor([True, True])
    right = Decoded(target * 16 - 8, torch.ones(2), torch.tensor([6.0, -6.0]))
    wrong = Decoded(8 - target * 16, torch.ones(2), torch.tensor([-6.0, 6.0]))
    good, bad = pair_loss(right, target, visible, known), pair_loss(wrong, target, visible, known)
    assert float(good["total"]) < 0.1 < float(bad["total"])
    assert float(soft_dice_loss(right.logits, target)[0]) < 0.01


def test_a_few_steps_learn_and_the_state_comes_back(samples: list[Sample], tmp_path: Path) -> None:
    recipe = read_recipe("smoke", [f"run.folder={tmp_path}"])
    state = setup_of(recipe, _Fixed(BatchMaker(samples, list(structures()), 64, seed=0).make(4)))
    losses = [train_text_sam.train_step(state, 1e-3)["total"] for _ in range(25)]
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])
    state.minutes, state.best, state.waited = 1.5, 0.25, 1
    train_text_sam.save(state)
    other = setup_of(recipe, state.batches)
    train_text_sam.restore(other, tmp_path)
    assert (other.step, other.minutes, other.best, other.waited) == (25, 1.5, 0.25, 1)
    assert same_weights(state, other)
    assert other.optimizer.state_dict()["state"].keys() == state.optimizer.state_dict()["state"].keys()


def setup_of(recipe: Recipe, batches: train_text_sam.Source) -> train_text_sam.Setup:
    torch.manual_seed(0)
    model = TextSam(recipe.network)
    optimizer = train_text_sam.make_optimizer(model, recipe.optimizer)
    return train_text_sam.Setup(recipe, model, copy.deepcopy(model).eval(), optimizer, batches, [])


def same_weights(one: train_text_sam.Setup, other: train_text_sam.Setup) -> bool:
    pairs = ((one.model, other.model), (one.average, other.average))
    return all(
        torch.equal(first, second)
        for a, b in pairs
        for first, second in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


class _Fixed:
    """The same batch again and again."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def next(self) -> list[Batch]:
        return [self.batch]

    def close(self) -> None:
        return None


def test_threshold_finds_nearly_all_that_is_visible() -> None:
    rng = np.random.default_rng(0)
    visible, absent = rng.uniform(0.35, 1.0, 500), rng.uniform(0.0, 0.4, 500)
    assert 0.3 <= best_threshold(visible, absent) <= 0.36
    assert best_threshold(visible + 0.4, absent) == 0.5


def test_the_second_look_learns_alone_and_nothing_else_moves(samples: list[Sample], tmp_path: Path) -> None:
    recipe = read_recipe("smoke", [f"run.folder={tmp_path}", "optimizer.parts=[text_refiner]"])
    check_recipe(recipe)
    state = setup_of(recipe, _Fixed(BatchMaker(samples, list(structures()), 64, seed=0).make(4)))
    before = copy.deepcopy(state.model.state_dict())
    losses = [train_text_sam.train_step(state, 2e-3)["total"] for _ in range(25)]
    moved = {name.split(".")[0] for name, now in state.model.state_dict().items() if not torch.equal(now, before[name])}
    assert moved == {"text_refiner"}
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])
    with pytest.raises(WrongUsage, match=r"optimizer\.parts"):
        check_recipe(read_recipe("smoke", ["optimizer.parts=[text]"]))


def test_a_batch_without_a_visible_text_teaches_the_second_look_nothing(samples: list[Sample]) -> None:
    recipe = read_recipe("smoke", ["optimizer.parts=[text_refiner]"])
    batch = BatchMaker(samples, list(structures()), 64, seed=0).make(2)
    batch.texts = [None] * len(batch.texts)
    state = setup_of(recipe, _Fixed(batch))
    losses = train_text_sam.train_step(state, 1e-3)
    assert losses == {"dice": 0.0, "bce": 0.0, "total": 0.0}
