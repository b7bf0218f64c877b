"""Wordings beyond the terminology's own: adjectives, compounds, French, slips; and what stays unknown."""

from __future__ import annotations

import time

import pytest

from medviewer.core.prompts import parse_prompt
from medviewer.core.terminology import Terminology
from medviewer.core.terminology_text import is_typo, stem


@pytest.mark.parametrize(
    ("text", "term_id", "side", "told"),
    [
        ("scapular bone", "scapula", None, "scapula"),
        ("left humeral bone", "humerus", "left", "left humerus"),
        ("vein of the spleen", "splenic_vein", None, "splenic vein"),
        ("cartilages of the right costae", "costal_cartilages", "right", "right costal cartilages"),
        ("chamber of the RV", "right_ventricle", None, "right ventricle"),
        ("amygdala of the brain", "amygdala", None, "amygdala"),
        ("right kidney in the abdomen", "kidney", "right", "right kidney"),
        ("region of the liver", "liver", None, "liver"),
        ("intrarenal cyst", "kidney_cyst", None, "kidney cyst"),
        ("LA chamber", "left_atrium", None, "left atrium"),
        ("Tumor der Niere links", "kidney_tumor", "left", "left kidney tumor"),
        ("Linksniere", "kidney", "left", "left kidney"),
        ("Rechtsventrikel", "right_ventricle", None, "right ventricle"),
        ("montre le poumon droit", "lung", "right", "right lung"),
        ("l'aorte", "aorta", None, "aorta"),
        ("l’estomac", "stomach", None, "stomach"),
        ("tumeur du foie", "liver_tumor", None, "liver tumor"),
        ("les deux poumons", "lung", None, "lung"),
        ("rein gauche et droit", "kidney", None, "kidney"),
    ],
)
def test_equal_words_are_read_and_told(
    terminology: Terminology, text: str, term_id: str, side: str | None, told: str
) -> None:
    parsed = parse_prompt(text, terminology)
    assert parsed.term is not None
    assert (parsed.term.id, parsed.side, parsed.corrected) == (term_id, side, told)


@pytest.mark.parametrize(
    ("text", "term_id"),
    [
        ("renal vien", "renal_vein"),
        ("kidneey", "kidney"),
        ("left atruim", "left_atrium"),
        ("lnug", "lung"),
        ("spleesn", "spleen"),
        ("mandibel", "mandible"),
    ],
)
def test_more_slips_are_mended_and_told(terminology: Terminology, text: str, term_id: str) -> None:
    parsed = parse_prompt(text, terminology)
    assert parsed.term is not None
    assert parsed.term.id == term_id
    assert parsed.corrected


@pytest.mark.parametrize(
    "text",
    [
        "femoral nerve",  # an adjective is not its noun
        "femoral head",
        "bone of the liver",  # a kind that the structure is not of
        "hepatic gland duct",
        "heat",
        "pancreatitis",
        "aortitis",
        "live",  # words of their own, not slips
        "cost",
        "supine",
        "spike",
        "distal",
        "paper",
        "thoracic aorta",  # a part is not the whole
        "vertebra of the neck",
        "heart of the liver",
        "heart and lung",  # two structures
        "Leberwurst",
        "Lungenherz",
        "vésicule",
        "same",
        "fast",
        "IVC filter",
        "intracranial",  # what is inside is not the thing
        "intracranial tissue",
        "cerebellar lobule",
    ],
)
def test_near_misses_stay_unknown(terminology: Terminology, text: str) -> None:
    assert parse_prompt(text, terminology).term is None


@pytest.mark.parametrize(
    "wording",
    ["kidney", "renal parenchyma", "kidny", "organ of the kidney", "Niere", "Nierengewebe", "rein", "kidneey", "ren"],
)
def test_a_side_survives_every_kind_of_reading(terminology: Terminology, wording: str) -> None:
    for text, side in (
        (f"left {wording}", "left"), (f"{wording}, right", "right"), (f"{wording} links", "left"),
        (f"{wording} droit", "right"), (f"both {wording}", None), (wording, None),
    ):
        parsed = parse_prompt(text, terminology)
        assert parsed.term is not None, text
        assert (parsed.term.id, parsed.side) == ("kidney", side), text


def test_irregular_plurals_share_a_stem() -> None:
    for one, other in (("thalamus", "thalami"), ("femur", "femora"), ("nucleus", "nuclei"), ("atrium", "atria")):
        assert stem(one) == stem(other)


def test_short_words_are_only_mended_where_letters_are_swapped() -> None:
    assert is_typo("vien", "vein")
    assert not is_typo("vean", "vein")
    assert not is_typo("lone", "bone")
    assert is_typo("intevertebral", "intervertebral")
    assert not is_typo("interventricular", "intraventricular")


def test_an_unknown_sentence_is_answered_fast(terminology: Terminology) -> None:
    texts = [f"some wording number {n} about structures that nobody knowss yet" for n in range(20)]
    start = time.process_time()
    for text in texts:
        parse_prompt(text, terminology)
    assert (time.process_time() - start) / len(texts) < 0.1
