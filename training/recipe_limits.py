"""Values of a recipe that have the right type and still make no sense; each is told in one sentence."""

from __future__ import annotations

from collections.abc import Iterator

from medviewer.core.errors import WrongUsage

from .arguments import PoolsArguments, Recipe


def check_recipe(recipe: Recipe) -> None:
    """Raises WrongUsage for the first value that cannot be used."""
    for is_good, key, value, expected in (*_data(recipe), *_numbers(recipe), *_pools(recipe.pools)):
        if not is_good:
            raise WrongUsage(f"{key} must be {expected}, not {value!r}.", "Mend it in the recipe, or with --set.")
    _check_budget(recipe)


PARTS = (
    "image_encoder", "text_encoder", "prompt_encoder", "mask_decoder", "text_to_tokens", "modality", "click_refiner",
    "text_refiner",
)  # of TextSam
Limit = tuple[bool, str, object, str]


def _data(recipe: Recipe) -> Iterator[Limit]:
    data = recipe.data
    tiers = all(tier in ("A", "A-", "B") for tier in data.tiers)
    yield 0 < data.share <= 1, "data.share", data.share, "above 0 and at most 1"
    yield 0 <= data.held < 1, "data.held", data.held, "at least 0 and below 1"
    yield data.phantoms >= 0, "data.phantoms", data.phantoms, "0 or more"
    yield tiers, "data.tiers", list(data.tiers), "a list of A, A- and B"


def _numbers(recipe: Recipe) -> Iterator[Limit]:
    optimizer, budget, run = recipe.optimizer, recipe.budget, recipe.run
    yield 0 < optimizer.rate < 1, "optimizer.rate", optimizer.rate, "above 0 and below 1"
    yield optimizer.warm_up >= 0, "optimizer.warm_up", optimizer.warm_up, "0 or more"
    yield 0 <= optimizer.decay <= 1, "optimizer.decay", optimizer.decay, "from 0 to 1"
    yield optimizer.weight_decay >= 0, "optimizer.weight_decay", optimizer.weight_decay, "0 or more"
    yield optimizer.clip > 0, "optimizer.clip", optimizer.clip, "above 0"
    yield optimizer.accumulate >= 1, "optimizer.accumulate", optimizer.accumulate, "1 or more"
    yield 0 <= optimizer.average < 1, "optimizer.average", optimizer.average, "at least 0 and below 1"
    parts = set(optimizer.parts) <= set(PARTS)
    yield parts, "optimizer.parts", list(optimizer.parts), f"a list of {', '.join(PARTS)}"
    yield budget.patience >= 0, "budget.patience", budget.patience, "0 or more"
    yield budget.check_minutes > 0, "budget.check_minutes", budget.check_minutes, "above 0"
    yield budget.check_steps is None or budget.check_steps > 0, "budget.check_steps", budget.check_steps, "above 0"
    yield run.threads >= 1, "run.threads", run.threads, "1 or more"
    yield run.seed >= 0, "run.seed", run.seed, "0 or more"
    yield run.save_minutes >= 0, "run.save_minutes", run.save_minutes, "0 or more"
    yield run.log_steps >= 1, "run.log_steps", run.log_steps, "1 or more"
    yield bool(run.folder), "run.folder", run.folder, "the name of a folder"


def _pools(pools: PoolsArguments) -> Iterator[Limit]:
    for name in ("main", "x_ray", "small"):
        pool = getattr(pools, name)
        good = bool(pool.sizes) and all(side >= 32 and side % 32 == 0 and n >= 1 for side, n in pool.sizes)
        expected = "a list of [side, pictures], each side a multiple of 32"
        yield good, f"pools.{name}.sizes", [list(size) for size in pool.sizes], expected
        yield 0 <= pool.chance <= 1, f"pools.{name}.chance", pool.chance, "from 0 to 1"


def _check_budget(recipe: Recipe) -> None:
    budget = recipe.budget
    if (budget.steps is None) == (budget.minutes is None):
        raise WrongUsage("Exactly one of budget.steps and budget.minutes must be stated.", "Leave the other one empty.")
    amount = budget.steps if budget.steps is not None else budget.minutes
    if amount is not None and amount <= 0:
        raise WrongUsage(f"The budget must be above 0, not {amount}.", "See budget.steps and budget.minutes.")
