"""Frozen dataclasses as plain JSON values, and back with every field checked against its type. Bytes become base64."""

from __future__ import annotations

import base64
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np


def to_plain(value: Any) -> Any:
    """JSON types only. Raises TypeError for what has no place in JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def from_plain(kind: Any, value: Any) -> Any:
    """The value of a type: a dataclass, tuple, mapping, "X or None", literal or plain type. Raises ValueError or
    TypeError for another type, a missing field and a field that is not known."""
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _instance(kind, value)
    origin = get_origin(kind)
    if origin is Literal:
        return _checked(value in get_args(kind) and isinstance(value, type(get_args(kind)[0])), value)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(kind), value)
    if origin is tuple:
        return _tuple(get_args(kind), value)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(get_args(kind), value)
    return _plain(kind, value)


def _instance(kind: Any, value: Any) -> Any:
    _checked(isinstance(value, dict), value)
    hints = _hints(kind)
    known = {f.name: f for f in fields(kind)}
    if value.keys() - known.keys():
        raise ValueError(f"unknown fields of {kind.__name__}")
    missing = [n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING and n not in value]
    if missing:
        raise ValueError(f"{kind.__name__} lacks {missing[0]}")
    return kind(**{name: from_plain(hints[name], item) for name, item in value.items()})


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _one_of(kinds: tuple[Any, ...], value: Any) -> Any:
    if value is None and type(None) in kinds:
        return None
    (kind,) = (one for one in kinds if one is not type(None))  # only "X or None" is used
    return from_plain(kind, value)


def _tuple(kinds: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    _checked(isinstance(value, list), value)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(from_plain(kinds[0], item) for item in value)
    return tuple(from_plain(kind, item) for kind, item in zip(kinds, value, strict=True))


def _mapping(kinds: tuple[Any, ...], value: Any) -> dict[Any, Any]:
    _checked(isinstance(value, dict), value)
    return {key: from_plain(kinds[1], item) for key, item in value.items()}


def _plain(kind: Any, value: Any) -> Any:
    if kind is bytes:
        return base64.b64decode(_checked(isinstance(value, str), value), validate=True)
    if kind is float:
        number = _checked(isinstance(value, (int, float)) and not isinstance(value, bool), value)
        return float(number)
    exact = type(value) is kind  # True is no int here
    return _checked(exact, value)


def _checked(fits: bool, value: Any) -> Any:
    if not fits:
        raise ValueError(f"{type(value).__name__} where another type belongs")
    return value
