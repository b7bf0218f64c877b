"""Everything a recipe trains on, and where it comes from: the manifest's rows, phantoms, cases of one's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from medviewer.core.errors import InputRefused
from medviewer.core.progress import Progress, silent
from medviewer.io.atomic import write_text_atomic

from ..arguments import DataArguments
from ..licences import GENERATED, sets_used
from ..synthesis.phantoms import held_out_phantom, phantom_samples
from .cases import split_cases
from .checks import check_cases
from .dataset import choose_rows, load_all
from .folders import read_cases
from .pseudo import read_pseudo, with_pseudo
from .samples import Sample
from .sets import load_sets, structures

SOURCES = "sources.json"


@dataclass(frozen=True)
class Sources:
    """Where weights come from. `tiers`: licence tiers of the manifest's rows really used, sorted; `lines`: one per set
    and source; `own`: the licences of one's own cases, "" where nobody stated it."""

    tiers: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    own: tuple[str, ...] = ()

    def joined(self, other: Sources) -> Sources:
        """Of weights that continue others: what both were trained on."""
        return Sources(
            tuple(sorted({*self.tiers, *other.tiers})),
            tuple(dict.fromkeys((*self.lines, *other.lines))),
            tuple(sorted({*self.own, *other.own})),
        )


@dataclass(frozen=True)
class Corpus:
    """Samples to train on, samples that are only measured, every name that may be asked for, and the sources."""

    kept: list[Sample]
    held: list[Sample]
    names: list[str]
    sources: Sources
    warnings: list[str] = field(default_factory=list)


def load_corpus(data: DataArguments, seed: int = 0, progress: Progress | None = None) -> Corpus:
    """Read and check everything; the demonstration's phantom is held out. Raises InputRefused, CasesRefused."""
    progress = progress or silent()
    progress.report(0.0, "Reading the data")
    kept, held = load_all(Path(data.folder), 0, data.tiers, data.sets, data.share) if data.folder else ([], [])
    sources = manifest_sources(data) if data.folder else Sources()
    if data.pseudo:
        kept = with_pseudo(kept, read_pseudo(Path(data.pseudo)))
    if data.phantoms:
        phantoms = load_all_phantoms(data.phantoms)
        kept, held = kept + phantoms[:-1], held + phantoms[-1:]
        sources = sources.joined(Sources(lines=(GENERATED,)))
    warnings: list[str] = []
    for folder in data.cases:
        more, own = _own_cases(Path(folder), data, seed, progress)
        kept, held, warnings = kept + more.kept, held + more.held, warnings + more.warnings
        sources = sources.joined(own)
    if not kept:
        raise InputRefused("The recipe names no case to train on.", _describe(data))
    names = [*structures(), *sorted({name for s in kept for name in s.tables} - set(structures()))]
    return Corpus(kept, held, names, sources, warnings)


def load_all_phantoms(count: int) -> list[Sample]:
    """The phantoms of seeds 1 to `count`, and last the held-out one."""
    config = load_sets()["phantom"]
    return [*phantom_samples(config, range(1, count + 1)), held_out_phantom(config)]


def _describe(data: DataArguments) -> str:
    limits = [f"{key} {', '.join(values)}" for key, values in (("tiers", data.tiers), ("sets", data.sets)) if values]
    return f"Look at data.folder ({data.folder or 'empty'}){''.join(f' and {limit}' for limit in limits)}."


def _own_cases(folder: Path, data: DataArguments, seed: int, progress: Progress) -> tuple[Corpus, Sources]:
    cases = read_cases(folder, data.prompt or None)
    training, held = split_cases(cases, data.held, seed)
    checked = check_cases(training, held, progress=progress)
    licences = tuple(sorted({case.licence.strip() for case in cases}))
    words = "; ".join(text or "licence not stated" for text in licences)
    line = f"{cases[0].dataset or folder.name}: {words}; {len(cases)} cases of one's own"
    sources = Sources(lines=(line,), own=licences)
    return Corpus(list(checked.samples), list(checked.held), [], sources, list(checked.warnings)), sources


def manifest_sources(data: DataArguments) -> Sources:
    """Of the rows that the recipe trains on; held-out rows choose thresholds, so they count as well."""
    kept, held = choose_rows(Path(data.folder), data.tiers, data.sets, data.share)
    return sources_of([*kept, *held])


def sources_of(rows: Sequence[Mapping[str, str]]) -> Sources:
    """Every tier and source of manifest rows."""
    uses = sets_used(rows)
    lines = tuple(f"{use.name}: {use.licence}; {use.source}" for use in uses)
    return Sources(tuple(sorted({use.tier for use in uses})), lines)


def write_sources(folder: Path, sources: Sources) -> None:
    """Into the run's folder, for the export."""
    write_text_atomic(folder / SOURCES, json.dumps(asdict(sources), indent=1, ensure_ascii=False) + "\n")


def read_sources(folder: Path) -> Sources | None:
    """Of a run's folder; None where an older trainer did not write them. Raises InputRefused."""
    path = folder / SOURCES
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Sources(*(tuple(map(str, values[name])) for name in ("tiers", "lines", "own")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputRefused(f"{path} is not readable.", "It tells what the run was trained on.") from error
