"""How a typed text reaches a trained structure: what the parser understands, and what that means for the masks.

Three lists are compared: synonyms that the terminology holds ("seen"), wordings written before anyone looked at it
(`configs/unseen_wordings.toml`; German and French apart) and terms that name no trained structure
(`configs/unknown_terms.toml`). A text is read as the program reads it: splitting, negation, side, typing errors.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from medviewer.core.errors import UserError
from medviewer.core.prediction import Answer
from medviewer.core.prompts import ParsedPrompt, parse_prompt, split_prompts
from medviewer.core.terminology import Terminology
from medviewer.core.volume import Volume

from ..data.dev_cases import Case, Mask
from ..data.sets import CONFIG, structures
from ..data.terms import load_terminology, term_id
from ..transforms.wording import load_wordings
from .asking import Segmenter, prompt_of
from .overlap import dice
from .scores import Score

UNSEEN = CONFIG.with_name("unseen_wordings.toml")
UNKNOWN = CONFIG.with_name("unknown_terms.toml")
LANGUAGES = ("en", "de", "fr")
Row = dict[str, Any]


@dataclass(frozen=True)
class Reading:
    """What became of a text: the trained name it was read as, or None; `prompt` is None where it was refused."""

    trained: str | None
    prompt: ParsedPrompt | None

    def is_plainly(self, name: str) -> bool:
        """Read as this structure, with no side and no negation that the text did not have."""
        right = self.trained == name and self.prompt is not None
        return right and self.prompt is not None and self.prompt.side is None and not self.prompt.negated


def unseen_wordings(path: Path = UNSEEN) -> dict[str, dict[str, list[str]]]:
    """Trained name to language to wordings."""
    with path.open("rb") as file:
        return tomllib.load(file)


def unknown_terms(path: Path = UNKNOWN) -> dict[str, list[str]]:
    """Group to terms that are no trained structure."""
    with path.open("rb") as file:
        return tomllib.load(file)


def read_text(text: str, terminology: Terminology) -> Reading:
    """A text as the program takes it: more than one prompt, or a refused one, is not understood."""
    try:
        parts = split_prompts(text, terminology)
        prompt = parse_prompt(text, terminology) if len(parts) == 1 else None
    except UserError:
        prompt = None
    if prompt is None or prompt.term is None:
        return Reading(None, prompt)
    return Reading(_trained_ids(terminology).get(prompt.term.id), prompt)


@cache
def _trained_ids(terminology: Terminology) -> Mapping[str, str]:
    """Term id to the trained name that answers it."""
    with CONFIG.open("rb") as file:
        answered = tomllib.load(file)["answered_by"]
    ids = {term_id(name, terminology): name for name in structures()}
    return ids | {other: answer["name"] for other, answer in answered.items()}


def resolving_table(terminology: Terminology | None = None) -> list[Row]:
    """One row per list: `n` texts, `right` (read as what they mean; for unknown terms: as no trained structure),
    `other` (read as another trained structure, or with a side or a negation that is not there), `rate` = right / n,
    and `missed`, the texts that were not right."""
    words = terminology or load_terminology()
    seen = load_wordings(list(structures()))
    unseen = unseen_wordings()
    rows = [_named_row("seen synonyms", [(name, text) for name, texts in seen.items() for text in texts], words)]
    for language in LANGUAGES:
        pairs = [(name, text) for name, lists in unseen.items() for text in lists.get(language, ())]
        rows.append(_named_row(f"unseen wordings, {language}", pairs, words))
    return [*rows, _unknown_row([text for texts in unknown_terms().values() for text in texts], words)]


def _named_row(title: str, pairs: Sequence[tuple[str, str]], words: Terminology) -> Row:
    readings = [(name, text, read_text(text, words)) for name, text in pairs]
    missed = [text for name, text, reading in readings if not reading.is_plainly(name)]
    other = sum(r.trained is not None and not r.is_plainly(name) for name, _, r in readings)
    return _row(title, len(pairs), other, missed)


def _unknown_row(texts: Sequence[str], words: Terminology) -> Row:
    taken = [text for text in texts if read_text(text, words).trained is not None]
    return _row("unknown terms", len(texts), len(taken), taken)


def _row(title: str, n: int, other: int, missed: list[str]) -> Row:
    right = n - len(missed)
    return {"list": title, "n": n, "right": right, "other": other, "rate": round(right / n, 4),
            "missed": "; ".join(missed)}


def unseen_rows(
    segmenter: Segmenter, cases: Iterable[Case], terminology: Terminology | None = None, language: str = "en"
) -> list[Row]:
    """Dice of each structure under its plain name and under every unseen wording, on scans that show it.

    One row per structure and wording: `read_as` (trained name or ""), `n` scans, mean `dice` under the name, mean
    `dice_unseen` under the wording, `drop`. A wording that is not understood counts 0, as no mask is made.
    """
    words = terminology or load_terminology()
    lists = unseen_wordings()
    found: dict[str, list[tuple[float, dict[str, float]]]] = defaultdict(list)
    for case in cases:
        for name, truth in case.truths.items():
            if lists.get(name, {}).get(language):
                found[name].append(_dice_by_wording(segmenter, case.volume, name, truth, lists[name][language], words))
    return [
        _wording_row(name, text, [plain for plain, _ in got], [each for _, each in got], words)
        for name, got in sorted(found.items()) for text in lists[name][language]
    ]


def _dice_by_wording(
    segmenter: Segmenter, volume: Volume, name: str, truth: Mask, texts: Sequence[str], words: Terminology
) -> tuple[float, dict[str, float]]:
    """Dice under the name and under each text; prompts that mean the same are asked once."""
    asked: dict[tuple[str, str | None, bool], float] = {}

    def measured(prompt: ParsedPrompt | None) -> float:
        if prompt is None or prompt.term is None:
            return 0.0
        key = prompt.term.id, prompt.side, prompt.negated
        if key not in asked:
            asked[key] = dice(segmenter.segment(volume, prompt).mask, truth)
        return asked[key]

    return measured(prompt_of(name, words)), {text: measured(read_text(text, words).prompt) for text in texts}


def unseen_rows_of(
    scores: Iterable[Score], terminology: Terminology | None = None, language: str = "en"
) -> list[Row]:
    """The same rows from scores that were measured already under the plain names, without asking the model again.

    A wording read as its structure is the same question and has the same mask; every other one counts 0.
    """
    words = terminology or load_terminology()
    lists = unseen_wordings()
    found: dict[str, list[float]] = defaultdict(list)
    for score in scores:
        if score.dice is not None and lists.get(score.structure, {}).get(language):
            found[score.structure].append(score.dice)
    rows: list[Row] = []
    for name, values in sorted(found.items()):
        right = {text: read_text(text, words).is_plainly(name) for text in lists[name][language]}
        each = [{text: value if good else 0.0 for text, good in right.items()} for value in values]
        rows += [_wording_row(name, text, values, each, words) for text in right]
    return rows


def _wording_row(
    name: str, text: str, plain: Sequence[float], each: Sequence[Mapping[str, float]], words: Terminology
) -> Row:
    canonical, unseen = float(np.mean(plain)), float(np.mean([one[text] for one in each]))
    reading = read_text(text, words)
    return {
        "structure": name, "wording": text, "read_as": reading.trained or "", "n": len(plain),
        "dice": round(canonical, 4), "dice_unseen": round(unseen, 4), "drop": round(canonical - unseen, 4),
    }


def unknown_rows(segmenter: Segmenter, volume: Volume, terminology: Terminology | None = None) -> list[Row]:
    """Every unknown term asked of a scan: `term`, `group`, `trained` (False), `refused`, `answer`, `read_as`.

    `refused`: answered "not trained for this term". The scan should state no modality or a trained one, else every
    term is refused for that reason.
    """
    words = terminology or load_terminology()
    asked: dict[str, str] = {}
    return [
        _answer_row(segmenter, volume, text, group, False, words, asked)
        for group, texts in unknown_terms().items() for text in texts
    ]


def trained_rows(segmenter: Segmenter, cases: Iterable[Case], terminology: Terminology | None = None) -> list[Row]:
    """The names and listed synonyms of the structures that scans show, in the form of `unknown_rows` with `trained`
    True; each structure is asked of the first scan that shows it. What is not listed is in `unseen_rows`."""
    words, seen = terminology or load_terminology(), load_wordings(list(structures()))
    rows: list[Row] = []
    done: set[str] = set()
    for case in cases:
        for name in (name for name in case.truths if name in seen and name not in done):
            done.add(name)
            asked: dict[str, str] = {}
            rows += [_answer_row(segmenter, case.volume, text, name, True, words, asked) for text in seen[name]]
    return rows


def _answer_row(
    segmenter: Segmenter, volume: Volume, text: str, group: str, trained: bool, words: Terminology,
    asked: dict[str, str],
) -> Row:
    """`asked`: prompts that were asked of this scan already, and their answers."""
    reading = read_text(text, words)
    answer = str(Answer.NOT_TRAINED)
    if reading.prompt is not None:
        term = reading.prompt.term
        key = f"{term.id} {reading.prompt.side} {reading.prompt.negated}" if term else reading.prompt.text
        if key not in asked:
            asked[key] = str(segmenter.segment(volume, reading.prompt).answer)
        answer = asked[key]
    return {
        "term": text, "group": group, "trained": trained, "refused": answer == Answer.NOT_TRAINED, "answer": answer,
        "read_as": reading.trained or "",
    }
