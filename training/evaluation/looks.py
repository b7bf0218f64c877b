"""How often anyone looked at the development rows: `configs/dev_looks.toml`, one entry per run on them.

Figures on rows that were looked at many times are flattering; the count stands in every model card.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from medviewer.core.errors import WrongUsage
from medviewer.io.atomic import write_text_atomic

LOOKS = Path(__file__).parents[1] / "configs" / "dev_looks.toml"


def count_looks(path: Path = LOOKS) -> int:
    """How many looks are on record (an entry may stand for several)."""
    with path.open("rb") as file:
        return sum(int(entry.get("looks", 1)) for entry in tomllib.load(file)["look"])


def record_look(sha256: str, tables: Sequence[str], purpose: str, path: Path = LOOKS) -> None:
    """Append an entry. Raises WrongUsage without a purpose, OutputNotWritten."""
    if not purpose.strip():
        raise WrongUsage(
            "A run on the development rows needs a purpose.",
            'Say it with --purpose "..."; it is kept on record. Use --split held to choose or to debug.',
        )
    entry = (
        f'\n[[look]]\ndate = "{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"\nbundle = "{sha256[:16]}"\n'
        f"tables = {json.dumps(list(tables))}\npurpose = {json.dumps(purpose.strip(), ensure_ascii=False)}\n"
    )
    write_text_atomic(path, path.read_text(encoding="utf-8").rstrip("\n") + "\n" + entry)
