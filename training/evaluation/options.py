"""What is measured, on what, and where the figures go."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from medviewer.core.errors import ModelMissing, WrongUsage
from medviewer.models.bundle import CONFIG

from ..data.dev_cases import Split
from ..data.sets import load_sets

TABLES = ("bars", "absent", "clicks", "wordings", "robustness", "sides", "calibration")
OWN_TABLES = ("bars", "absent", "clicks", "calibration")  # of a user's cases
SHIPPED = Path(__file__).parents[2] / "resources" / "models" / "default"


@dataclass(frozen=True)
class Options:
    """Arguments of `training.evaluate.run`.

    `data`: the folder of the shared manifest (`split` "dev" or "held", "dev" with a `purpose` that is recorded), or a
    user's folder of cases (`prompt`, `modality` and `use` as `training.data.folders.read_cases` takes them). `most`:
    scans per set. `state_modality`: tell the model the modality of pictures that do not record it, as a user can.
    """

    data: Path
    bundle: Path = SHIPPED
    out: Path | None = None
    tables: tuple[str, ...] = TABLES
    split: Split = "dev"
    purpose: str = ""
    sets: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    most: int = 10_000
    parts: int = 1
    threads: int = 1
    device: str = "cpu"
    state_modality: bool = False
    prompt: str | None = None
    modality: str | None = None
    use: str = "train"
    user_models: Path | None = None
    say: Callable[[str], None] = print

    def asks(self, *tables: str) -> bool:
        """Whether any of these tables is wanted."""
        return any(table in self.tables for table in tables)

    @property
    def is_own(self) -> bool:
        """Whether the data are a user's own cases."""
        return not is_shared(self.data)

    def checked(self) -> Options:
        """With the model's folder, and the tables that the data allow. Raises WrongUsage for an unknown table or split,
        ModelMissing."""
        unknown = [table for table in self.tables if table not in TABLES]
        if unknown or self.split not in ("dev", "held"):
            name = unknown[0] if unknown else self.split
            raise WrongUsage(f'"{name}" cannot be measured.', f"Tables: {', '.join(TABLES)}. Splits: dev, held.")
        found = replace(self, bundle=find_bundle(self.bundle, self.user_models))
        if not self.is_own:
            return found
        return replace(found, tables=tuple(table for table in self.tables if table in OWN_TABLES))


def find_bundle(bundle: Path, models: Path | None = None) -> Path:
    """The folder of a model: a path, or the name of a shipped one or of one in `models`. Raises ModelMissing."""
    for place in (bundle, SHIPPED.parent / bundle, *([models / bundle] if models else [])):
        if (place / CONFIG).is_file():
            return place
    raise ModelMissing(f'There is no model "{bundle}".', "See `medviewer models list`, or give a model's folder.")


def is_shared(data: Path) -> bool:
    """Whether a folder holds the manifest whose sets `configs/sets.toml` knows."""
    path = data / "manifest.csv"
    if not path.is_file():
        return False
    known = set(load_sets())
    with path.open(newline="", encoding="utf-8") as file:
        return any(row.get("set") in known for row in csv.DictReader(file))
