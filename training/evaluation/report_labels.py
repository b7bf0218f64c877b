"""What two reports say, compared: chest X-ray labels by rules, structures present or denied, sides.

The labels are those of CheXpert's labeler (Irvin et al., AAAI 2019), whose phrases are read from a folder at run
time. Its parser is replaced by rules on words in a sentence, so labels differ from CheXpert's and CheXbert's in places;
the F1 compares both reports by the same rules.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from medviewer.core.errors import InputRefused
from medviewer.core.guards import FILES, GuardContext, GuardWords, Structures
from medviewer.core.guards.sentence import Reading, read_sentence
from medviewer.core.terminology import Terminology

Label = Literal["positive", "negative", "uncertain"]
_RESOURCES = Path(__file__).parents[2] / "resources"
_NO_FINDING, _DEVICES = "no_finding", "support_devices"
_SENTENCE = re.compile(r"[.;!?]\s+|\n+|\s\d+\.\s")
_CLAUSE = re.compile(r"\bbut\b|\bhowever\b|\balthough\b|\bwith(?!out)\b")
_DENIED = re.compile(
    r"\b(no|not|without|none|neither|nor|absence of|free of|negative for|rule out|resolved|clear of|removed|denies)\b"
)
_DENIED_AFTER = re.compile(r"\b(absent|not (?:seen|identified|present|visualized|demonstrated)|resolved|removed)\b")
_HEALTHY = re.compile(r"\b(normal|unremarkable|clear|within normal limits|not enlarged|top[- ]normal)\b")
_DOUBTED = re.compile(
    r"\b(may|might|could|possibl[ey]|probabl[ey]|questionable|cannot (?:be )?exclude\w*|not exclude\w*|suspicio\w+|"
    r"suspect\w*|suggest\w*|concern\w*|versus|vs|or|if|equivocal|borderline|perhaps|potential\w*)\b"
)
_ORDER: dict[Label, int] = {"positive": 3, "uncertain": 2, "negative": 1}


@dataclass(frozen=True)
class LabelRules:
    """Phrases of each label (file names of the labeler), and phrases that are none though they hold one."""

    mentions: Mapping[str, re.Pattern[str]]
    others: Mapping[str, re.Pattern[str]] = field(default_factory=dict)

    @classmethod
    def from_folder(cls, folder: Path) -> LabelRules:
        """From the labeler's folder (`phrases/mention`, `phrases/unmention`). Raises InputRefused where it has none."""
        read = {name: {path.stem: _pattern(path) for path in sorted((folder / "phrases" / name).glob("*.txt"))}
                for name in ("mention", "unmention")}  # fmt: skip
        if not read["mention"]:
            raise InputRefused(f"{folder.name} holds no phrases.", "Give the folder of CheXpert's labeler.")
        return cls(read["mention"], read["unmention"])

    def labels(self, report: str) -> dict[str, Label]:
        """The labels that a report mentions; the strongest counts: positive, uncertain, negative."""
        found: dict[str, Label] = {}
        any_finding = False
        for sentence in _SENTENCE.split(f" {report.lower()} "):
            for name, label in self._of_sentence(sentence):
                if name == _NO_FINDING:
                    any_finding |= label != "negative"
                elif _ORDER[label] > _ORDER.get(found.get(name, "negative"), 0) or name not in found:
                    found[name] = label
        said = {name for name, label in found.items() if label != "negative" and name != _DEVICES}
        if not said and not any_finding:
            found[_NO_FINDING] = "positive"
        return found

    def _of_sentence(self, sentence: str) -> Iterator[tuple[str, Label]]:
        for name, pattern in self.mentions.items():
            other = self.others.get(name)
            text = other.sub(lambda match: "#" * len(match[0]), sentence) if other else sentence
            for match in pattern.finditer(text):
                yield name, _judged(text, match.start(), match.end())


def _pattern(path: Path) -> re.Pattern[str]:
    """The phrases of a file as one pattern; "_" stands for the edge of a word."""
    lines = [line.strip().lower() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return re.compile("|".join(re.escape(line).replace("_", r"\b") for line in sorted(lines, key=len, reverse=True)))


def _judged(sentence: str, start: int, end: int) -> Label:
    """A mention is denied by a word before it in its clause or right after it, and by "normal" of its sentence."""
    breaks = [match.end() for match in _CLAUSE.finditer(sentence, 0, start)]
    before = sentence[breaks[-1] if breaks else 0 : start]
    after = sentence[end : end + 40]
    if _DENIED.search(before) or _DENIED_AFTER.search(after) or _HEALTHY.search(before[-40:] + " " + after):
        return "negative"
    return "uncertain" if _DOUBTED.search(before) or _DOUBTED.search(after.partition(",")[0]) else "positive"


def label_f1(candidates: Sequence[str], references: Sequence[str], rules: LabelRules) -> dict[str, float | None]:
    """F1 of positive labels: over all reports and labels (micro), and the mean over labels that occur (macro)."""
    pairs = [(_positive(rules, c), _positive(rules, r)) for c, r in zip(candidates, references, strict=True)]
    each = [_f1([(c & {name}, r & {name}) for c, r in pairs]) for name in sorted(rules.mentions)]
    occurring = [value for value in each if value is not None]
    return {"label F1 (micro)": _f1(pairs), "label F1 (macro)": sum(occurring) / len(occurring) if occurring else None}


def _positive(rules: LabelRules, report: str) -> frozenset[str]:
    return frozenset(name for name, label in rules.labels(report).items() if label == "positive")


def _f1(pairs: Sequence[tuple[frozenset[Any], frozenset[Any]]]) -> float | None:
    matched = sum(len(c & r) for c, r in pairs)
    size = sum(len(c) + len(r) for c, r in pairs)
    return 2 * matched / size if size else None


def entity_f1(candidates: Sequence[str], references: Sequence[str]) -> float | None:
    """Micro F1 of the structures and findings named, each with whether its clause denies it; None where none is named.

    Entities are the terminology's names in English and German; relations are not compared (this is not RadGraph).
    """
    return _f1([(entities(c), entities(r)) for c, r in zip(candidates, references, strict=True)])


def entities(report: str) -> frozenset[tuple[str, bool]]:
    """Term ids with True where a negation stands before them in their clause."""
    reading = _read(report)
    firsts: dict[int, int] = {}
    for span in reading.negations:
        firsts.setdefault(reading.tokens[span.first].clause, span.first)
    return frozenset(
        (m.term.id, firsts.get(reading.tokens[m.first].clause, m.first) < m.first) for m in reading.mentions
    )


def laterality_accuracy(candidates: Sequence[str], references: Sequence[str]) -> float | None:
    """Of the paired structures that both reports name with a side, the share named with the same sides; None where
    there are none."""
    right = total = 0
    for candidate, reference in zip(candidates, references, strict=True):
        one, other = sides(candidate), sides(reference)
        both = one.keys() & other.keys()
        total += len(both)
        right += sum(one[term] == other[term] for term in both)
    return right / total if total else None


def sides(report: str) -> dict[str, frozenset[str]]:
    """Term id to the sides it is named with; a side belongs to the structure after it in its clause, else before it."""
    reading = _read(report)
    found: dict[str, set[str]] = {}
    for span, side in reading.sides:
        mention = reading.mention_from(span.first) or reading.mention_before(span.first)
        if mention:
            found.setdefault(mention.term.id, set()).update(("left", "right") if side == "both" else (side,))
    return {term: frozenset(named) for term, named in found.items()}


def _read(report: str) -> Reading:
    context, words = _tools()
    return read_sentence(report, context, words)


@cache
def _tools() -> tuple[GuardContext, GuardWords]:
    folder = _RESOURCES / "report" / "guards"
    words = GuardWords.from_dict({name: tomllib.loads((folder / f"{name}.toml").read_text("utf-8")) for name in FILES})
    data = json.loads((_RESOURCES / "terminology" / "structures.json").read_text("utf-8"))
    ignored, no_rests = words.settings["reading.ignored"], words.settings["reading.no_compounds"]
    structures = Structures.from_terminology(Terminology.from_dict(data), ignored, no_rests)
    return GuardContext(structures.with_names(words.settings["reading.names"])), words
