"""What unseen wordings and unknown terms are read as, and the rows made of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from medviewer.core.phantom import Phantom, torso_phantom
from medviewer.core.prediction import Answer, PointPrompt, Prediction
from medviewer.core.prompts import ParsedPrompt
from medviewer.core.terminology import Terminology
from medviewer.core.volume import Volume
from training.data.dev_cases import Case, Mask
from training.data.sets import structures
from training.data.terms import load_terminology
from training.evaluation.scores import Score
from training.evaluation.wordings import (
    LANGUAGES,
    read_text,
    resolving_table,
    trained_rows,
    unknown_rows,
    unknown_terms,
    unseen_rows,
    unseen_rows_of,
    unseen_wordings,
)


@pytest.fixture(scope="module")
def terminology() -> Terminology:
    return load_terminology()


@cache
def phantom() -> Phantom:
    return torso_phantom(0)


class Fake:
    """Answers with the phantom's own masks for the liver and the kidney, "not trained" for everything else."""

    def __init__(self) -> None:
        self.phantom = phantom()
        self.asked: list[str] = []

    def segment(
        self, volume: Volume, prompt: ParsedPrompt, *, points: Sequence[PointPrompt] = (), previous: Mask | None = None
    ) -> Prediction:
        self.asked.append(prompt.text)
        if prompt.term is not None and prompt.term.id in ("liver", "kidney") and not prompt.negated:
            return Prediction(prompt.text, Answer.FOUND, self.phantom.mask(prompt.term.id, prompt.side))
        return Prediction(prompt.text, Answer.NOT_TRAINED, np.zeros(volume.shape, bool))

    def case(self) -> Case:
        truths = {name: self.phantom.mask(name) for name in ("liver", "kidney", "spleen")}
        return Case("phantom", "CT", self.phantom.volume, truths)


def test_the_lists_are_large_enough_and_name_trained_structures_only() -> None:
    lists, unknown = unseen_wordings(), [text for texts in unknown_terms().values() for text in texts]
    assert set(lists) <= set(structures())
    assert len(lists) >= 30
    assert all(len(each["en"]) >= 5 and set(each) == set(LANGUAGES) for each in lists.values())
    assert len(unknown) == len(set(unknown)) >= 150
    assert not set(unknown) & set(structures())


def test_wordings_and_unknown_terms_are_read_as_well_as_measured(terminology: Terminology) -> None:
    rows = {row["list"]: row for row in resolving_table(terminology)}
    assert rows["seen synonyms"]["right"] == rows["seen synonyms"]["n"]
    assert rows["unseen wordings, en"]["rate"] >= 0.95
    assert rows["unseen wordings, de"]["rate"] >= 0.98
    assert rows["unseen wordings, fr"]["rate"] >= 0.92
    assert rows["unknown terms"]["rate"] >= 0.99
    assert rows["unseen wordings, en"]["other"] <= 1  # "tumor without enhancement" is read as a negation


def test_no_unseen_wording_gets_another_structure_or_a_side(terminology: Terminology) -> None:
    wrong = []
    for name, lists in unseen_wordings().items():
        for text in (text for language in LANGUAGES for text in lists[language]):
            reading = read_text(text, terminology)
            negated = reading.prompt is not None and reading.prompt.negated
            if reading.trained is not None and not negated and not reading.is_plainly(name):
                wrong.append((text, name, reading.trained))
    assert not wrong


SIDED = {
    "en": (("left {}", "left"), ("{}, right", "right")),
    "de": (("{} links", "left"), ("{} rechts", "right")),
    "fr": (("{} gauche", "left"), ("{} droit", "right")),
}
BOTH_NAMED = {"both", "beide", "deux", "bilateral"}


def test_a_side_is_neither_lost_nor_invented_under_any_wording(terminology: Terminology) -> None:
    wrong, checked = [], 0
    for name, lists in unseen_wordings().items():
        for language, forms in SIDED.items():
            for text in lists[language]:
                plain = read_text(text, terminology)
                usable = plain.is_plainly(name) and not BOTH_NAMED & set(text.split()) and not _names_a_side(name)
                for form, side in forms if usable else ():
                    sided = read_text(form.format(text), terminology)
                    checked += 1
                    if sided.trained != name or sided.prompt is None or sided.prompt.side != side:
                        wrong.append((form.format(text), name, sided.trained))
    assert not wrong
    assert checked > 700


def _names_a_side(name: str) -> bool:
    return bool({"left", "right"} & set(name.split()))


NEGATED = {"en": ("no {}", "without the {}"), "de": ("kein {}", "ohne {}"), "fr": ("pas de {}", "sans {}")}


def test_a_negation_is_never_lost_under_any_wording(terminology: Terminology) -> None:
    lost, checked = [], 0
    for name, lists in unseen_wordings().items():
        for language, forms in NEGATED.items():
            for text in (form.format(text) for text in lists[language] for form in forms):
                reading = read_text(text, terminology)
                checked += 1
                if reading.trained is not None and reading.prompt is not None and not reading.prompt.negated:
                    lost.append((text, name, reading.trained))
    assert not lost
    assert checked > 1000


def test_every_reading_that_is_not_literal_is_told(terminology: Terminology) -> None:
    """A wording that shares no listed key with its structure carries what it was read as."""
    for text in ("livver", "organ of the liver", "montre le foie", "canal of the spine", "Tumor im Gehirn"):
        prompt = read_text(text, terminology).prompt
        assert prompt is not None
        assert prompt.corrected


def test_dice_per_wording_asks_each_meaning_once(terminology: Terminology) -> None:
    fake = Fake()
    rows = unseen_rows(fake, [fake.case(), fake.case()], terminology)
    assert {row["structure"] for row in rows} == {"liver", "kidney", "spleen"}
    liver = [row for row in rows if row["structure"] == "liver"]
    assert len(liver) == len(unseen_wordings()["liver"]["en"])
    assert all(row["n"] == 2 and row["dice"] == 1.0 and row["drop"] == 0.0 for row in liver)
    assert all(row["dice"] == 0.0 for row in rows if row["structure"] == "spleen")
    assert len(fake.asked) == 6  # three structures on two scans


def test_a_wording_that_is_not_understood_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = {"liver": {"en": ["the liver", "wibble", "no liver"]}}
    monkeypatch.setattr("training.evaluation.wordings.unseen_wordings", lambda: lists)
    fake = Fake()
    expected = {"the liver": 0.0, "wibble": 1.0, "no liver": 1.0}
    assert {row["wording"]: row["drop"] for row in unseen_rows(fake, [fake.case()])} == expected
    measured = [Score("phantom", "CT", "liver", 1.0, 0.9, True, "found")]
    assert {row["wording"]: row["drop"] for row in unseen_rows_of(measured)} == expected


def test_rows_from_scores_equal_rows_from_asking(terminology: Terminology) -> None:
    fake = Fake()
    scores = [Score("p", "CT", name, value, 1.0, True, "") for name, value in
              (("liver", 1.0), ("kidney", 1.0), ("spleen", 0.0))]
    assert unseen_rows_of(scores, terminology) == unseen_rows(fake, [fake.case()], terminology)


def test_rows_of_unknown_and_trained_terms(terminology: Terminology) -> None:
    fake = Fake()
    unknown = unknown_rows(fake, fake.phantom.volume, terminology)
    assert len(unknown) == sum(len(texts) for texts in unknown_terms().values())
    assert all(row["refused"] and not row["trained"] for row in unknown if not row["read_as"])
    trained = trained_rows(fake, [fake.case()], terminology)
    assert all(row["trained"] and row["refused"] == (row["group"] == "spleen") for row in trained)
    assert {row["group"] for row in trained} == {"liver", "kidney", "spleen"}
