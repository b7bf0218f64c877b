"""Recipes: the shipped ones are good, and every mistake in one is told by its key, its file and what is expected."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

import pytest

from medviewer.core.errors import InputRefused, UserError, WrongUsage
from training.arguments import Recipe
from training.finetune_options import FinetuneOptions
from training.recipe import RECIPES, changed_keys, read_arguments, read_recipe, shipped_recipes, write_recipe
from training.recipe_limits import check_recipe


def test_every_shipped_recipe_is_read_and_good() -> None:
    assert shipped_recipes() == ["default", "default-open", "finetune", "smoke"]
    for name in ("default", "default-open", "smoke"):
        check_recipe(read_recipe(name))


def test_the_open_recipe_is_the_default_but_for_the_tiers() -> None:
    default, opened = asdict(read_recipe("default")), asdict(read_recipe("default-open"))
    assert opened["data"].pop("tiers") == ("A", "A-")
    assert default["data"].pop("tiers") == ()
    assert (default["run"].pop("folder"), opened["run"].pop("folder")) == ("runs/default", "runs/open")
    assert default == opened


def test_the_default_recipe_states_every_key() -> None:
    text = (RECIPES / "default.yaml").read_text()
    for section in fields(Recipe):
        for entry in fields(type(getattr(Recipe(), section.name))):
            assert f"  {entry.name}:" in text, entry.name


def test_every_key_of_the_fine_tuning_recipe_is_an_option() -> None:
    pytest.importorskip("yaml")
    text = (RECIPES / "finetune.yaml").read_text()
    stated = {line.split(":")[0] for line in text.splitlines() if line and line[0].isalpha()}
    assert stated <= {entry.name for entry in fields(FinetuneOptions)}
    changes = ["data=cases", "prompt=my thing"]
    assert read_arguments(FinetuneOptions, "finetune", changes) == FinetuneOptions("cases", "my thing")


def test_a_recipe_that_is_written_reads_back_equal(tmp_path: Path) -> None:
    recipe = read_recipe("smoke", ["data.share=0.25", "optimizer.rate=8e-4", "run.device=cpu", "data.tiers=[A, A-]"])
    assert (recipe.data.share, recipe.optimizer.rate, recipe.data.tiers) == (0.25, 8e-4, ("A", "A-"))
    write_recipe(tmp_path / "recipe.yaml", recipe)
    assert read_recipe(str(tmp_path / "recipe.yaml")) == recipe


@pytest.mark.parametrize(
    ("text", "named", "expected"),
    [
        ("data: {shar: 1}", 'data.shar"', "share"),
        ("dat: {}", '"dat"', "data, network"),
        ("data: 3", "data must have keys", "folder"),
        ("data: {share: much}", "data.share must be a number", "'much'"),
        ("data: {share: true}", "data.share must be a number", "True"),
        ("data: {share: .nan}", "data.share must be a number", "nan"),
        ("run: {seed: 1.5}", "run.seed must be a whole number", "1.5"),
        ("run: {device: tpu}", "run.device must be one of auto, cpu, cuda", "'tpu'"),
        ("run: {tensorboard: 1}", "run.tensorboard must be true or false", "1"),
        ("data: {tiers: A}", "data.tiers must be a list", "'A'"),
        ("pools: {main: {chance: 1}}", '"pools.main.sizes" is missing', "chance, sizes"),
        ("pools: {main: {chance: 1, sizes: [[64]]}}", "pools.main.sizes must be a list", "[[64]]"),
        ("budget: {steps: many}", "budget.steps must be a whole number or empty", "'many'"),
        ("a: [", "line 1", "Expected lines"),
        ("- a", "is no recipe", "sections"),
        ("!!python/object/apply:os.system ['true']", "is not YAML", "Expected lines"),
    ],
)
def test_mistakes_in_a_file(tmp_path: Path, text: str, named: str, expected: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputRefused) as caught:
        read_recipe(str(path))
    assert "mine.yaml" in caught.value.message
    assert named in caught.value.message
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change", ["data.share", "=1", "data..share=1", "data.share=[", "data.folder.x=1", "data.shar=1", "data.share=x"]
)
def test_mistakes_in_a_change(change: str) -> None:
    with pytest.raises(WrongUsage) as caught:
        read_recipe("smoke", [change])
    assert "--set" in caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        "data.share=0", "data.share=1.5", "data.tiers=[C]", "optimizer.rate=0", "optimizer.decay=2", "run.threads=0",
        "optimizer.accumulate=0", "optimizer.average=1", "budget.steps=0", "budget.steps=", "budget.minutes=3",
        "pools.main.sizes=[]", "pools.main.sizes=[[50, 2]]", "pools.main.sizes=[[64, 0]]", "pools.x_ray.chance=2",
        "budget.patience=-1", "run.folder=''",
    ],
)  # fmt: skip
def test_values_that_make_no_sense(change: str) -> None:
    with pytest.raises(WrongUsage) as caught:
        check_recipe(read_recipe("smoke", [change]))
    assert change.split("=")[0].split(".")[1] in str(caught.value)


def test_what_a_resumed_run_does_otherwise_is_found() -> None:
    old = read_recipe("smoke")
    changes = ["data.share=0.5", "budget.steps=9", "run.threads=2", "run.seed=3", "optimizer.rate=1e-4"]
    assert changed_keys(old, read_recipe("smoke", changes)) == ["data.share", "optimizer.rate", "run.seed"]
    assert changed_keys(old, old) == []


def test_what_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="no recipe") as caught:
        read_recipe("nothing")
    assert "smoke" in caught.value.hint
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UserError):
        read_recipe(str(binary))
    large = tmp_path / "large.yaml"
    large.write_text("# " + "x" * 1_100_000)
    with pytest.raises(InputRefused, match="too large"):
        read_recipe(str(large))
    deep = tmp_path / "deep.yaml"
    deep.write_text("[" * 20_000)
    with pytest.raises(InputRefused):
        read_recipe(str(deep))
