"""Reading recipes: YAML and `--set key=value` into the dataclasses of `arguments.py`, every mistake in one sentence."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import yaml

from medviewer.core.errors import InputRefused, WrongUsage
from medviewer.io.atomic import write_text_atomic

from .arguments import Recipe

RECIPE = "recipe.yaml"  # in the folder of a run
RECIPES = Path(__file__).parent / "recipes"
_MOST_BYTES = 1_000_000
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
Arguments = TypeVar("Arguments")


def shipped_recipes() -> list[str]:
    """Names that can be given instead of a file."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def read_recipe(config: str, changes: Sequence[str] = ()) -> Recipe:
    """The recipe of a YAML file or of a shipped one; see `read_arguments`."""
    return read_arguments(Recipe, config, changes)


def read_arguments(kind: type[Arguments], config: str, changes: Sequence[str] = ()) -> Arguments:
    """The arguments in a YAML file, or in a shipped one by its name ("smoke"), with changes "data.share=0.25".

    Raises InputRefused for a file that is no recipe, WrongUsage for a change that is not understood; both name the key,
    where it stands and what is expected.
    """
    path = find_recipe(config)
    values = _mapping(path)
    arguments: Arguments = _build(kind, values, "", path.name, InputRefused)
    for change in changes:
        _apply(values, change)
        arguments = _build(kind, values, "", f'{path.name} with --set "{change}"', WrongUsage)
    return arguments


def find_recipe(config: str) -> Path:
    """The file of a recipe: a path, or the name of a shipped one. Raises InputRefused."""
    path = Path(config)
    if not path.is_file() and config in shipped_recipes():
        path = RECIPES / f"{config}.yaml"
    if not path.is_file():
        names = ", ".join(shipped_recipes())
        raise InputRefused(f'There is no recipe "{config}".', f"Give a YAML file or one of: {names}.")
    return path


def write_recipe(path: Path, recipe: object) -> None:
    """All values as YAML, so that a run can be repeated. Raises OutputNotWritten."""
    assert is_dataclass(recipe)
    assert not isinstance(recipe, type)
    write_text_atomic(path, yaml.safe_dump(_plain(asdict(recipe)), sort_keys=False, allow_unicode=True))


def changed_keys(old: Recipe, new: Recipe) -> list[str]:
    """Keys by which a resumed run would differ from the one it continues; the budget, and where and how fast it runs,
    may change."""
    one, other = asdict(old), asdict(new)
    keys = [(section, key) for section in ("data", "network", "pools", "optimizer") for key in one[section]]
    keys += [("run", "seed"), ("run", "precision")]
    return [f"{section}.{key}" for section, key in keys if one[section][key] != other[section][key]]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _mapping(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputRefused(f"{path.name} is too large for a recipe.", "Expected a short YAML file.")
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputRefused(f"{path.name} is not YAML: {_where(error)}.", "Expected lines such as `seed: 0`.") from error
    except OSError as error:
        raise InputRefused(f"{path.name} cannot be read: {error.strerror}.") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputRefused(f"{path.name} is no recipe.", "Expected sections such as `data:` with keys below them.")
    return values


def _where(error: BaseException) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "it cannot be parsed"
    return f"line {mark.line + 1}: {problem}" if mark is not None else str(problem)


def _apply(values: dict[str, Any], change: str) -> None:
    """One "section.key=value"; the value is read as YAML is."""
    key, sign, text = change.partition("=")
    *sections, last = key.strip().split(".")
    if not sign or not all([*sections, last]):
        raise WrongUsage(f'--set "{change}" is not understood.', "Expected key=value, such as data.share=0.25.")
    place = values
    for section in sections:
        inner = place.get(section)
        if inner is None:
            inner = place[section] = {}
        if not isinstance(inner, dict):
            raise WrongUsage(f'--set "{change}": {section} has no keys below it.', "See the recipe for its keys.")
        place = inner
    try:
        place[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise WrongUsage(f'--set "{change}": the value is not YAML.', "Put texts with signs in quotes.") from error


def _build(kind: type[Any], values: Any, key: str, where: str, error: type[InputRefused] | type[WrongUsage]) -> Any:
    """An instance of a dataclass from a mapping; `key` is the way to it."""
    prefix = f"{key}." if key else ""
    if not isinstance(values, Mapping):
        raise error(f"{where}: {key} must have keys below it.", f"Known keys: {_keys(kind)}.")
    unknown = [name for name in values if name not in {f.name for f in fields(kind)}]
    if unknown:
        raise error(f'{where}: there is no key "{prefix}{unknown[0]}".', f"Known keys here: {_keys(kind)}.")
    hints = typing.get_type_hints(kind)
    missing = [f.name for f in fields(kind) if f.name not in values and not _has_default(f)]
    if missing:
        raise error(f'{where}: the key "{prefix}{missing[0]}" is missing.', f"Keys here: {_keys(kind)}.")
    built = {}
    for name, value in values.items():
        hint = hints[name]
        if is_dataclass(hint):
            assert isinstance(hint, type)
            built[name] = _build(hint, {} if value is None else value, prefix + name, where, error)
            continue
        try:
            built[name] = _value(hint, value)
        except TypeError:
            message = f"{where}: {prefix}{name} must be {_expected(hint)}, not {value!r}."
            raise error(message) from None
    return kind(**built)


def _has_default(entry: Any) -> bool:
    return entry.default is not MISSING or entry.default_factory is not MISSING


def _keys(kind: type[Any]) -> str:
    return ", ".join(f.name for f in fields(kind))


def _value(hint: Any, value: Any) -> Any:
    """The value as the type; TypeError where it is none. Whole numbers are numbers; true and false are not."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is types.UnionType:
        return None if value is None else _value(next(k for k in inside if k is not type(None)), value)
    if origin is Literal:
        return _one_of(inside, value)
    if origin is tuple:
        return _items(inside, value)
    if hint is float and type(value) in (int, float, str):
        return _number(value)
    if type(value) is not hint:
        raise TypeError
    return value


def _one_of(choices: tuple[Any, ...], value: Any) -> Any:
    if value not in choices or isinstance(value, bool):
        raise TypeError
    return value


def _items(inside: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise TypeError
    if inside[-1] is Ellipsis:
        return tuple(_value(inside[0], item) for item in value)
    if len(value) != len(inside):
        raise TypeError
    return tuple(_value(kind, item) for kind, item in zip(inside, value, strict=True))


def _number(value: int | float | str) -> float:
    """A finite number; YAML 1.1 takes "8e-4" for a text."""
    try:
        number = float(value)
    except ValueError as error:
        raise TypeError from error
    if not math.isfinite(number):
        raise TypeError
    return number


def _expected(hint: Any) -> str:
    origin, inside = get_origin(hint), get_args(hint)
    if origin is types.UnionType:
        return f"{_expected(next(k for k in inside if k is not type(None)))} or empty"
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in inside)
    if origin is tuple and inside[-1] is Ellipsis:
        return f"a list, each entry {_expected(inside[0])}"
    if origin is tuple:
        return "a list of " + " and ".join(_expected(kind) for kind in inside)
    return _WORDS.get(hint, str(hint))
