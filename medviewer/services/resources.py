"""Finds the files the program ships: terminology, window presets, model catalogue, icons."""

from __future__ import annotations

import json
import tomllib
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medviewer.core.errors import UserError

if TYPE_CHECKING:
    from medviewer.core.measure import AllowedTable, ReferenceRange, Rules
    from medviewer.core.report.document import Language
    from medviewer.core.terminology import Terminology

_PACKAGE = Path(__file__).resolve().parent.parent


def in_checkout() -> bool:
    """Whether the program runs from its repository (and not from an installed wheel)."""
    return (_PACKAGE.parent / "pyproject.toml").is_file() and (_PACKAGE.parent / "resources").is_dir()


def shipped_folder(name: str) -> Path:
    """A folder that lies beside the package in the repository and inside the package in a wheel."""
    return (_PACKAGE.parent if in_checkout() else _PACKAGE) / name


def resource_path(name: str = "") -> Path:
    """Path of a shipped file, for instance "models.toml"; raises UserError where the installation lacks it."""
    path = shipped_folder("resources") / name
    if not path.exists():
        raise UserError(f"The installation lacks its file {name}.", "Install medviewer again.")
    return path


def read_data_file(path: Path) -> dict[str, Any]:
    """A shipped JSON or TOML file as a dictionary."""
    text = path.read_text(encoding="utf-8")
    data = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    return dict(data)


def terminology() -> Terminology:
    """The structures that prompts may name: the shipped ones and those of the user's own models. Read once, and again
    when a model came, went or was replaced, so that a new one needs no restart. Any thread."""
    from medviewer.services.user_terms import installed_state

    return _terminology(installed_state())


@lru_cache(maxsize=1)
def _terminology(state: object) -> Terminology:
    from medviewer.core.user_terms import with_user_terms
    from medviewer.services.user_terms import user_terms

    return with_user_terms(read_data_file(resource_path("terminology/structures.json")), user_terms())


@cache
def presets() -> dict[str, Any]:
    """The shipped window presets as data; see the file itself for its fields."""
    return read_data_file(resource_path("presets/windows.json"))


def measure_rules(language: Language = "en") -> Rules:
    """What measurements are held against: the shipped table of allowed quantities and the reference ranges, whose texts
    are in the language. Read once; any thread."""
    from medviewer.core.measure import Rules

    allowed, ranges = _measure_tables()
    return Rules(allowed, ranges, language)


@cache
def _measure_tables() -> tuple[AllowedTable, tuple[ReferenceRange, ...]]:
    from medviewer.core.measure import KNOWN, allowed_table, reference_ranges

    allowed = allowed_table(read_data_file(resource_path("terminology/allowed.json")), KNOWN)
    return allowed, reference_ranges(read_data_file(resource_path("terminology/ranges.json")))


@cache
def report_quantities() -> dict[str, Any]:
    """Names of quantities, methods, reasons and flags in the languages of reports, as `measure.wordings` and the words
    of reports take them."""
    return read_data_file(resource_path("report/quantities.toml"))
