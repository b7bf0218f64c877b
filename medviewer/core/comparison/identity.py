"""Whether a study may be compared with: another one of the same person, the earlier of the two (clinical.md 10)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medviewer.core.comparison.rules import ComparisonRules
from medviewer.core.comparison.study import StudyFacts, facts_of
from medviewer.core.report.document import Language
from medviewer.core.volume import Volume


@dataclass(frozen=True)
class PriorCheck:
    """What speaks against a prior. `refused`: a sentence where the two are one study; nothing goes on then.

    `differing` and `unknown`: of "id", "birth_date" and "sex", those that differ, and those that one of the two does
    not record. `later`: the prior has the later date. `undated`: one of them has no date. `later`, `undated` and
    `unknown` are told; `differing` needs a person's reason.
    """

    refused: str = ""
    differing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    later: bool = False
    undated: bool = False
    rules: ComparisonRules | None = None

    @property
    def needs_reason(self) -> bool:
        return bool(self.differing)

    def lines(self, language: Language = "en") -> tuple[str, ...]:
        """All of it as sentences."""
        assert self.rules is not None
        text, names = self.rules.text, self.rules.listed
        told = [self.refused]
        if self.differing:
            told.append(text(language, "identity_differs", list=names(language, self.differing)))
        if self.unknown:
            told.append(text(language, "identity_unknown", list=names(language, self.unknown)))
        told += [text(language, key) for key, is_so in (("later", self.later), ("undated", self.undated)) if is_so]
        return tuple(line for line in told if line)


def check_prior(current: Volume, prior: Volume, rules: ComparisonRules, language: Language = "en") -> PriorCheck:
    """Compares what the two scans record; voxels only where no DICOM study is named and the grids are equal (some ten
    milliseconds). Any thread. Raises nothing."""
    one, other = facts_of(current), facts_of(prior)
    same = is_same_study(current, prior, one, other)
    pairs = {name: (read(one), read(other)) for name, read in _FIELDS.items()}
    return PriorCheck(
        rules.text(language, "same_study") if same else "",
        tuple(name for name, (a, b) in pairs.items() if a and b and a != b),
        tuple(name for name, (a, b) in pairs.items() if not (a and b)),
        later=bool(one.date and other.date) and other.date > one.date,
        undated=not (one.date and other.date), rules=rules,
    )  # fmt: skip


def is_same_study(current: Volume, prior: Volume, one: StudyFacts, other: StudyFacts) -> bool:
    """Whether both are one study: the same DICOM study, else the same file or the same voxels at the same place."""
    if current.array is prior.array:
        return True
    uids = one.identity.study_uid, other.identity.study_uid
    if all(uids):
        return uids[0] == uids[1]
    from_file = current.source.format == prior.source.format != "generated"
    if from_file and current.source.path.absolute() == prior.source.path.absolute() and current.id == prior.id:
        return True
    return _same_grid(current, prior) and np.array_equal(current.array, prior.array)


def _same_grid(current: Volume, prior: Volume) -> bool:
    if current.shape != prior.shape or current.array.dtype != prior.array.dtype:
        return False
    if current.affine is None or prior.affine is None:
        return current.affine is prior.affine
    return bool(np.allclose(current.affine, prior.affine, atol=1e-4))


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


_FIELDS: dict[str, Callable[[StudyFacts], str]] = {
    "id": lambda facts: facts.identity.patient_id.strip().casefold(),
    "birth_date": lambda facts: _digits(facts.identity.birth_date),
    "sex": lambda facts: facts.identity.sex.strip().upper()[:1],
}
