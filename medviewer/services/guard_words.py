"""The shipped word lists of the report's guards. Read once; any thread."""

from __future__ import annotations

from functools import cache, lru_cache

from medviewer.core.guards import FILES, GuardWords, Structures
from medviewer.core.terminology import Terminology
from medviewer.services.resources import read_data_file, resource_path, terminology


@cache
def guard_words() -> GuardWords:
    """The word lists of `resources/report/guards`."""
    return GuardWords.from_dict({name: read_data_file(resource_path(f"report/guards/{name}.toml")) for name in FILES})


def guard_structures() -> Structures:
    """The terminology's names as the guards look them up; made again (a tenth of a second) only where the terminology
    changed. Any thread."""
    return _structures(terminology())


@lru_cache(maxsize=1)
def _structures(terms: Terminology) -> Structures:
    settings = guard_words().settings
    ignored, no_rests = settings["reading.ignored"], settings["reading.no_compounds"]
    return Structures.from_terminology(terms, ignored, no_rests).with_names(settings["reading.names"])
