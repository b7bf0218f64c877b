"""How alike written reports and references are: BLEU, ROUGE-L, METEOR, CIDEr, labels, entities, sides; for researchers.

None of them says whether a report is right for the images. Texts are cut into lower-case words and numbers; figures of
other tokenisers differ. METEOR matches exact words, then word stems (`terminology_text.stem`: plural and case endings
of English and German; not Porter's), and knows no synonyms: WordNet is not used. CIDEr is that of 2015, not CIDEr-D.

    python -m training.evaluation.report_metrics --candidates A.csv --references B.csv [--phrases FOLDER] [--out M.json]

Both CSV files have the columns `id` and `report`; every id of the references must be in the candidates.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from medviewer.core.errors import InputRefused
from medviewer.core.terminology_text import stem
from medviewer.io.atomic import write_text_atomic

from .report_labels import LabelRules, entity_f1, label_f1, laterality_accuracy

Tokens = tuple[str, ...]
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
_MOST_GRAMS = 4
_ROUGE_BETA = 1.2  # of the COCO caption evaluation
_METEOR_RECALL, _METEOR_PENALTY = 9.0, 0.5  # Banerjee and Lavie 2005


def words_of(text: str) -> Tokens:
    """Lower-case words and numbers, without punctuation."""
    return tuple(_WORD.findall(text.lower()))


def grams(tokens: Tokens, n: int) -> Counter[Tokens]:
    """How often each row of `n` tokens occurs."""
    return Counter(tokens[i : i + n] for i in range(len(tokens) - n + 1))


def bleu(candidates: Sequence[str], references: Sequence[str], n: int = 4) -> float:
    """Corpus BLEU, 0 to 1, one reference each (Papineni et al., ACL 2002); 0 where an order has no match."""
    _check(candidates, references)
    pairs = [(words_of(c), words_of(r)) for c, r in zip(candidates, references, strict=True)]
    logs = []
    for order in range(1, n + 1):
        matched = sum(sum((grams(c, order) & grams(r, order)).values()) for c, r in pairs)
        written = sum(max(len(c) - order + 1, 0) for c, _ in pairs)
        if matched == 0:
            return 0.0
        logs.append(math.log(matched / written))
    length, wanted = (sum(len(pair[i]) for pair in pairs) for i in (0, 1))
    brevity = 1.0 if length >= wanted else math.exp(1 - wanted / length)
    return brevity * math.exp(sum(logs) / n)


def rouge_l(candidate: str, reference: str) -> float:
    """F of the longest common subsequence, 0 to 1, beta 1.2 (Lin, ACL workshop 2004)."""
    c, r = words_of(candidate), words_of(reference)
    common = _common_length(c, r)
    if common == 0:
        return 0.0
    precision, recall = common / len(c), common / len(r)
    squared = _ROUGE_BETA**2
    return (1 + squared) * precision * recall / (recall + squared * precision)


def _common_length(one: Tokens, other: Tokens) -> int:
    row = [0] * (len(other) + 1)
    for word in one:
        diagonal = 0
        for n, word_there in enumerate(other, 1):
            diagonal, row[n] = row[n], diagonal + 1 if word == word_there else max(row[n], row[n - 1])
    return row[-1]


def meteor(candidate: str, reference: str) -> float:
    """METEOR of 2005 with exact and stem matches, 0 to 1 (Banerjee and Lavie, ACL workshop 2005).

    Words are aligned from left to right, each with the free match that goes on with the chunk before, else with the
    first free one: chunks may be one more than the fewest possible.
    """
    c, r = words_of(candidate), words_of(reference)
    aligned = _aligned(c, r)
    if not aligned:
        return 0.0
    precision, recall = len(aligned) / len(c), len(aligned) / len(r)
    mean = (1 + _METEOR_RECALL) * precision * recall / (recall + _METEOR_RECALL * precision)
    places = sorted(aligned.items())
    chunks = 1 + sum(b != (a[0] + 1, a[1] + 1) for a, b in pairwise(places))
    return mean * (1 - _METEOR_PENALTY * (chunks / len(aligned)) ** 3)


def _aligned(candidate: Tokens, reference: Tokens) -> dict[int, int]:
    """Place in the candidate to place in the reference: exact words first, then stems."""
    found: dict[int, int] = {}
    for same in (lambda word: word, stem):
        free: dict[str, list[int]] = {}
        taken = set(found.values())
        for place, word in enumerate(reference):
            if place not in taken:
                free.setdefault(same(word), []).append(place)
        for place, word in enumerate(candidate):
            places = free.get(same(word))
            if place in found or not places:
                continue
            following = found.get(place - 1, -2) + 1
            found[place] = places.pop(places.index(following) if following in places else 0)
    return found


def cider(candidates: Sequence[str], references: Sequence[str]) -> float:
    """CIDEr, 0 to 10, one reference each (Vedantam et al., CVPR 2015).

    Weights are log(N / reports that hold the row of words): with one report, or where all are alike, it is 0.
    """
    _check(candidates, references)
    total = 0.0
    for n in range(1, _MOST_GRAMS + 1):
        told = [grams(tuple(map(stem, words_of(text))), n) for text in references]
        written = [grams(tuple(map(stem, words_of(text))), n) for text in candidates]
        in_reports = Counter(gram for report in told for gram in report)
        total += sum(_cosine(_weighted(c, in_reports, len(told)), _weighted(r, in_reports, len(told)))
                     for c, r in zip(written, told, strict=True))  # fmt: skip
    return 10 * total / _MOST_GRAMS / len(references)


def _weighted(report: Counter[Tokens], in_reports: Mapping[Tokens, int], count: int) -> dict[Tokens, float]:
    size = sum(report.values())
    return {gram: times / size * math.log(count / max(in_reports[gram], 1)) for gram, times in report.items()}


def _cosine(one: Mapping[Tokens, float], other: Mapping[Tokens, float]) -> float:
    lengths = math.hypot(*one.values()) * math.hypot(*other.values())
    return sum(value * other.get(gram, 0.0) for gram, value in one.items()) / lengths if lengths else 0.0


def measure_reports(
    candidates: Sequence[str], references: Sequence[str], rules: LabelRules | None = None
) -> dict[str, float | None]:
    """Every metric over pairs of reports; label F1 only where `rules` are given. None: nothing to measure it on.

    Raises ValueError for no reports or unequal counts.
    """
    _check(candidates, references)
    pairs = list(zip(candidates, references, strict=True))
    found: dict[str, float | None] = {f"BLEU-{n}": bleu(candidates, references, n) for n in range(1, _MOST_GRAMS + 1)}
    found["ROUGE-L"] = sum(rouge_l(c, r) for c, r in pairs) / len(pairs)
    found["METEOR (exact, stem)"] = sum(meteor(c, r) for c, r in pairs) / len(pairs)
    found["CIDEr"] = cider(candidates, references)
    if rules is not None:
        found |= label_f1(candidates, references, rules)
    found["entity F1"] = entity_f1(candidates, references)
    found["laterality accuracy"] = laterality_accuracy(candidates, references)
    return found


def _check(candidates: Sequence[str], references: Sequence[str]) -> None:
    if not references or len(candidates) != len(references):
        raise ValueError(f"{len(candidates)} reports for {len(references)} references")


def read_reports(path: Path) -> dict[str, str]:
    """Reports by their id. Raises InputRefused for a file without these columns or with an id twice."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputRefused(f"{path.name} cannot be read as CSV.", "Give a file with columns id,report.") from error
    if not rows or not {"id", "report"} <= set(rows[0]):
        raise InputRefused(f"{path.name} has no reports.", "Give a file with columns id,report.")
    found = {row["id"]: row["report"] or "" for row in rows}
    if len(found) != len(rows):
        raise InputRefused(f"{path.name} holds an id twice.", "Give each report its own id.")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the metrics as JSON, and write them where asked."""
    parser = argparse.ArgumentParser(description="Compare written reports with references.")
    for name in ("candidates", "references"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="CSV with columns id,report")
    parser.add_argument("--phrases", type=Path, help="folder of CheXpert's labeler, for label F1")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    given = parser.parse_args(arguments)
    candidates, references = read_reports(given.candidates), read_reports(given.references)
    missing = sorted(set(references) - set(candidates))
    if missing:
        raise InputRefused(f"{given.candidates.name} lacks the report {missing[0]}.", "Give every reference a report.")
    rules = LabelRules.from_folder(given.phrases) if given.phrases else None
    found = measure_reports([candidates[one] for one in references], list(references.values()), rules)
    text = json.dumps({"reports": len(references), **found}, indent=1)
    if given.out:
        write_text_atomic(given.out, text + "\n")
    print(text)


if __name__ == "__main__":
    main()
