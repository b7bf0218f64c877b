"""The shipped default bundle on the demonstration's phantom, which it was never trained on, by the ordinary path."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from medviewer.core.phantom import Phantom, torso_phantom
from medviewer.core.prediction import Answer, PointPrompt
from medviewer.core.prompts import parse_prompt
from medviewer.core.terminology import Terminology
from medviewer.core.volume import Fact
from medviewer.models.pipeline import TextSegmenter

from .storage import STORAGES, Storage


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return torso_phantom(0)


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    return 2.0 * float((mask & truth).sum()) / float(mask.sum() + truth.sum())


@pytest.mark.parametrize(
    "text", ["liver", "spleen", "lungs", "left lung", "kidneys", "right kidney", "kidney, right", "rechte Niere"]
)
def test_phantom_organs(shipped: TextSegmenter, phantom: Phantom, terminology: Terminology, text: str) -> None:
    prompt = parse_prompt(text, terminology)
    assert prompt.term is not None
    prediction = shipped.segment(phantom.volume, prompt)
    assert prediction.answer is Answer.FOUND
    assert dice(prediction.mask, phantom.mask(prompt.term.id, prompt.side)) >= 0.85


@pytest.mark.parametrize("storage", STORAGES, ids=str)
def test_storage_orientation_does_not_matter(
    shipped: TextSegmenter, terminology: Terminology, storage: Storage
) -> None:
    volume = torso_phantom(0, shape=(80, 64, 48), spacing=(5.0, 5.0, 8.0)).volume
    prompt = parse_prompt("left lung", terminology)
    reference = shipped.segment(volume, prompt).mask
    assert reference.any()
    mask = shipped.segment(storage.of_volume(volume), prompt).mask
    np.testing.assert_array_equal(mask, storage.of(reference))


def test_sides_hold_in_an_oblique_scan(shipped: TextSegmenter, phantom: Phantom, terminology: Terminology) -> None:
    angle = np.deg2rad(25)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    oblique = phantom.volume.with_changes(affine=turn @ phantom.volume.affine)
    for side in ("left", "right"):
        prediction = shipped.segment(oblique, parse_prompt(f"{side} kidney", terminology))
        assert dice(prediction.mask, phantom.mask("kidney", side)) >= 0.85


def test_structures_of_other_parts_of_the_body_are_not_found(
    shipped: TextSegmenter, phantom: Phantom, terminology: Terminology
) -> None:
    stated = phantom.volume.with_changes(facts={"body_part": Fact("ABDOMEN", "DICOM")})
    prediction = shipped.segment(stated, parse_prompt("intracranial hemorrhage", terminology))
    assert prediction.answer is Answer.OUTSIDE
    assert not prediction.mask.any()
    assert shipped.segment(phantom.volume, parse_prompt("multiple sclerosis lesion", terminology)).answer is (
        Answer.NOT_TRAINED
    )


def test_a_click_adds_what_the_text_missed(shipped: TextSegmenter, phantom: Phantom, terminology: Terminology) -> None:
    """A previous mask that lacks half of the liver comes closer to the liver by a click into the missing half."""
    truth = phantom.mask("liver")
    previous = truth.copy()
    middle = int(np.median(np.nonzero(truth)[0]))
    previous[:middle] = False
    half = truth & ~previous
    k = int(np.argmax(half.sum(axis=(0, 1))))
    i, j = (round(float(v)) for v in np.argwhere(half[:, :, k]).mean(axis=0))
    affine = phantom.volume.affine
    assert affine is not None
    click = PointPrompt(tuple(float(x) for x in (affine @ [i, j, k, 1])[:3]))  # type: ignore[arg-type]
    prompt = parse_prompt("liver", terminology)
    prediction = shipped.segment(phantom.volume, prompt, points=[click], previous=previous)
    assert prediction.mask[i, j, k]
    assert dice(prediction.mask, truth) > dice(previous, truth)


def test_the_second_prompt_is_quick(shipped: TextSegmenter, phantom: Phantom, terminology: Terminology) -> None:
    shipped.encode(phantom.volume)
    start = time.process_time()
    shipped.segment(phantom.volume, parse_prompt("spleen", terminology))
    assert time.process_time() - start < 4.0  # processor seconds on one thread; 1 s of wall time on two free cores


def test_the_card_and_the_catalogue_state_the_licence(shipped: TextSegmenter, repository: Path) -> None:
    card = (shipped.info.path / "card.md").read_text(encoding="utf-8")
    assert "non-commercial" in card.lower()
    for source in shipped.info.sources:
        name, _, rest = source.partition(": ")
        for part in (name, *rest.split("; ")):
            assert part.replace("|", "\\|") in card, "the card names every set, its licence and its source"
    catalogue = (repository / "resources" / "models.toml").read_text(encoding="utf-8")
    assert shipped.info.weights_sha256 in catalogue
    assert "commercial_use = false" in catalogue


def test_every_trained_term_is_in_the_terminology(shipped: TextSegmenter, terminology: Terminology) -> None:
    assert [term for term in shipped.info.term_ids if term not in terminology] == []
