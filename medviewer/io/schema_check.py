"""What files of this program with a format, a schema number and JSON inside have in common when they are read."""

from __future__ import annotations

from typing import Any

from medviewer.core.errors import InputRefused


def check_schema(document: Any, name: str, kind: str, schema: int) -> None:
    """`document` is of the format "medviewer `kind`" and no newer than `schema`. Raises ValueError for another document
    and InputRefused (code "`kind`-newer") for a newer schema, naming the file `name`."""
    if not isinstance(document, dict) or document.get("format") != f"medviewer {kind}":
        raise ValueError("another document")
    found = document.get("schema")
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise ValueError("no schema")
    if found > schema:
        raise InputRefused(
            f"{name} was made by a newer medviewer (schema {found}); this one reads schema {schema}.",
            "Open it with the newer medviewer. The file is unchanged.",
            code=f"{kind}-newer",
        )


def no_number(text: str) -> float:
    """For `json.loads(parse_constant=...)`: NaN and infinity are damage. Raises ValueError."""
    raise ValueError(f"{text} is no number")
