"""Short ways to check one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from medviewer.core.guards import GuardContext, GuardWords, KnownSegment, Structures, check_sentence
from medviewer.core.report.document import Evidence, Finding, Mark, Measurement
from medviewer.services.guard_words import guard_structures, guard_words

Marks = Callable[..., list[str]]
SLICE = Evidence("slice", slice_index=1)


@pytest.fixture(scope="session")
def words() -> GuardWords:
    return guard_words()


@pytest.fixture(scope="session")
def structures() -> Structures:
    return guard_structures()


@pytest.fixture(scope="session")
def marks(structures: Structures, words: GuardWords) -> Callable[..., tuple[Mark, ...]]:
    """The marks of a sentence. `measured`: (value, unit) or Measurement; `segment`: (term id, side)."""

    def check(text: str, **given: Any) -> tuple[Mark, ...]:
        held = [
            m if isinstance(m, Measurement) else Measurement("x", m[0], m[1], "by hand")
            for m in given.pop("measured", ())
        ]
        evidence = [Evidence("measurement", measurement_id=m.id) for m in held] or [SLICE]
        segments = {}
        if "segment" in given:
            segments["s"] = KnownSegment("s", *given.pop("segment"))
            evidence.append(Evidence("segment", segment_id="s"))
        origin = given.pop("origin", "model")
        finding = Finding(text, "body", **{"evidence": tuple(evidence), **given.pop("finding", {})}, origin=origin)
        context = GuardContext(structures, **{"segments": segments, "measurements": {m.id: m for m in held}, **given})
        return check_sentence(finding, context, words)

    return check


@pytest.fixture(scope="session")
def guards(marks: Callable[..., tuple[Mark, ...]]) -> Marks:
    """The names of the guards that mark a sentence, each once, in order."""
    return lambda text, **given: list(dict.fromkeys(mark.guard for mark in marks(text, **given)))
