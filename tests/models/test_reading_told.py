"""What a prompt was read as is told with every answer, and the German and French names of organs reach the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medviewer.core.prediction import Answer, Prediction
from medviewer.core.prompts import parse_prompt
from medviewer.core.terminology import Terminology
from medviewer.core.volume import Volume
from medviewer.models.pipeline import TextSegmenter


def ask(folder: Path, text: str, terminology: Terminology, level: int = 1) -> Prediction:
    ramp = np.add.outer(np.arange(64), np.arange(64)).astype(np.int16)[:, :, None] * level
    volume = Volume(ramp, None, kind="image", modality="CT")
    return TextSegmenter.load(folder, "cpu").segment(volume, parse_prompt(text, terminology))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("livver", '"livver" was read as liver.'),
        ("montre le foie", '"montre le foie" was read as liver.'),
        ("renal organ of the abdomen", '"renal organ of the abdomen" was read as kidney.'),
    ],
)
def test_a_reading_that_is_not_literal_is_told(
    untrained: Path, terminology: Terminology, text: str, told: str
) -> None:
    assert told in ask(untrained, text, terminology).warnings
    assert told in ask(untrained, text, terminology, level=0).warnings  # not assessable: told all the same


@pytest.mark.parametrize("text", ["liver", "zeige die Leber", "Show me the liver, please", "beide Nieren"])
def test_a_literal_reading_is_not_commented(untrained: Path, terminology: Terminology, text: str) -> None:
    answer = ask(untrained, text, terminology)
    assert answer.answer in (Answer.FOUND, Answer.NOT_FOUND)
    assert not any("read as" in warning for warning in answer.warnings)


def test_a_term_that_is_only_like_a_trained_one_is_refused(untrained: Path, terminology: Terminology) -> None:
    for text in ("hepatitis", "livermore", "Lebervene", "rein artificiel"):
        assert ask(untrained, text, terminology).answer is Answer.NOT_TRAINED
    assert ask(untrained, "sans foie", terminology).answer is Answer.NEGATION
