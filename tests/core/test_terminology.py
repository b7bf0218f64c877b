"""Every wording of the terminology finds its own term, and no other."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import pytest

from medviewer.core.prompts import parse_prompt
from medviewer.core.terminology import Term, Terminology
from medviewer.core.terminology_text import CARRIERS, distance, fold, key_of, stem, tokens


@pytest.fixture(scope="module")
def data(repository: Path) -> dict[str, Any]:
    path = repository / "resources" / "terminology" / "structures.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def terminology(data: dict[str, Any]) -> Terminology:
    return Terminology.from_dict(data)


def every_wording(terminology: Terminology) -> list[tuple[Term, str]]:
    return [(term, wording) for term in terminology for wording in term.wordings]


def test_every_wording_finds_its_own_term(terminology: Terminology) -> None:
    wrong = []
    for term, wording in every_wording(terminology):
        match = terminology.find(wording)
        if match is None or match.term.id != term.id or match.side or match.corrected:
            wrong.append((wording, term.id, match and (match.term.id, match.side, match.corrected)))
    assert not wrong


def test_every_wording_survives_case_order_umlauts_and_carriers(terminology: Terminology) -> None:
    wrong = []
    for term, wording in every_wording(terminology):
        variants = [wording.upper(), fold(wording), fold(wording, False)]
        if set(tokens(fold(wording))) - CARRIERS:  # "ICH" alone is a bleeding, within a sentence a German "I"
            variants.append(f"show me the {wording}, please")
        for variant in variants:
            match = terminology.find(variant)
            if match is None or match.term.id != term.id:
                wrong.append((variant, term.id, match and match.term.id))
    assert not wrong


def test_every_paired_wording_takes_a_side(terminology: Terminology) -> None:
    wrong = []
    for term, wording in every_wording(terminology):
        if term.laterality != "paired":
            continue
        for text, side in ((f"left {wording}", "left"), (f"{wording}, right", "right"), (f"{wording} bds.", None)):
            match = terminology.find(text)
            if match is None or match.term.id != term.id or match.side != side or match.side_not_applicable:
                wrong.append((text, match and (match.term.id, match.side)))
    assert not wrong


def test_sided_synonyms_carry_their_side(terminology: Terminology) -> None:
    match = terminology.find("RUL")
    assert match is not None
    assert (match.term.id, match.side) == ("lung_upper_lobe", "right")
    assert terminology.find("left RUL") is None


def test_a_wording_claimed_twice_is_refused(data: dict[str, Any]) -> None:
    first, second = ({**entry, "parts": []} for entry in data["structures"][:2])
    second["synonyms"] = [*second["synonyms"], first["name"]]
    with pytest.raises(ValueError, match="claimed"):
        Terminology.from_dict({"structures": [first, second]})


def test_an_id_used_twice_is_refused(data: dict[str, Any]) -> None:
    entry = data["structures"][0]
    with pytest.raises(ValueError, match="twice"):
        Terminology.from_dict({"structures": [entry, entry]})


def test_no_single_typing_error_reaches_another_term(terminology: Terminology) -> None:
    """Dropping or swapping letters of a one-word name finds that term, an equal wording of another, or nothing."""
    known = {key_of(tokens(fold(w))): t.id for t, w in every_wording(terminology)}
    wrong = []
    for term in terminology:
        word = fold(term.name)
        if not word.isalpha() or len(word) < 6:
            continue
        for n in range(1, len(word)):
            for typo in (word[:n] + word[n + 1 :], word[: n - 1] + word[n] + word[n - 1] + word[n + 1 :]):
                match = terminology.find(typo)
                legitimate = known.get(key_of(tokens(typo)))
                if match and match.term.id not in (term.id, legitimate):
                    wrong.append((typo, term.id, match.term.id))
    assert not wrong


@pytest.mark.parametrize(
    ("typo", "term_id"),
    [
        ("kideny", "kidney"),
        ("speen", "spleen"),
        ("livr", "liver"),
        ("pancraes", "pancreas"),
        ("Gallenblsae", "gallbladder"),
        ("hipocampus", "hippocampus"),
        ("left kidny", "kidney"),
        ("gal bladder", "gallbladder"),
        ("stomac", "stomach"),
        ("Bauchspeicheldrusse", "pancreas"),
        ("subarachnod hemorrage", "subarachnoid_hemorrhage"),
    ],
)
def test_small_typing_errors_are_mended_and_told(terminology: Terminology, typo: str, term_id: str) -> None:
    match = terminology.find(typo)
    assert match is not None
    assert match.term.id == term_id
    assert match.corrected


@pytest.mark.parametrize(
    "text",
    [
        "unicorn",
        "interventricular hemorrhage",
        "hypothalamus",
        "rib 13",
        "ventricle",
        "L9",
        "large liver",
        "humoral",
        "liver of a dog",
        "kidney transplant",
        "adrenaline",
        "vertebra L7",
        "perineum",
        "renal and hepatic",
        "Femurkopf",
    ],
)
def test_other_wordings_are_not_known(terminology: Terminology, text: str) -> None:
    assert terminology.find(text) is None


def test_neighbours_stay_apart(terminology: Terminology) -> None:
    pairs = {
        "ileum": "ileum",
        "ilium": "ilium",
        "ureter": "ureter",
        "urethra": "urethra",
        "L2": "vertebra_l2",
        "rib 1": "rib_1",
        "rib 11": "rib_11",
        "left ventricle": "left_ventricle",
        "lateral ventricle": "lateral_ventricle",
        "gluteus medius": "gluteus_medius",
        "gluteus minimus": "gluteus_minimus",
        "T1": "vertebra_t1",
        "subdural hemorrhage": "subdural_hemorrhage",
        "epidural hemorrhage": "epidural_hemorrhage",
    }
    found = {text: match.term.id if (match := terminology.find(text)) else None for text in pairs}
    assert found == pairs


def test_every_label_of_the_data_is_a_term(terminology: Terminology, shared_data: Path) -> None:
    csv.field_size_limit(10**8)
    unknown, unsided = set(), set()
    with (shared_data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            labels = json.loads(row["labels"] or "{}")
            for name in labels.values() if isinstance(labels, dict) else ():
                parsed = parse_prompt(str(name), terminology)
                if parsed.term is None or parsed.corrected:
                    unknown.add(name)
                elif parsed.term.laterality == "paired" and set(str(name).lower().split()) & {
                    "left",
                    "right",
                    "l",
                    "r",
                }:
                    unsided |= {name} if parsed.side is None else set()
    assert not unknown
    assert not unsided


def test_codes_are_codes(terminology: Terminology) -> None:
    from pydicom.sr._concepts_dict import concepts  # type: ignore[attr-defined, unused-ignore]

    known = {(scheme, code) for scheme, names in concepts.items() for values in names.values() for code in values}
    for term in terminology:
        assert (term.category.scheme, term.category.value) in known
        if term.snomed is not None and term.snomed.scheme != "SCT":
            assert (term.snomed.scheme, term.snomed.value) in known
    coded = [term for term in terminology if term.snomed is not None]
    in_dicom = [t for t in coded if t.snomed and (t.snomed.scheme, t.snomed.value) in known]
    assert len(in_dicom) > 0.85 * len(coded)  # the rest are in TotalSegmentator's table
    assert all(t.snomed and t.snomed.value.lstrip("C").isdigit() and t.snomed.meaning for t in coded)


def test_left_and_right_are_never_part_of_a_paired_name(terminology: Terminology) -> None:
    for term in terminology:
        words = set(tokens(fold(term.name)))
        assert (term.laterality == "name") or not words & {"left", "right"} or term.id == "lung_middle_lobe"


def test_colours_are_distinct(terminology: Terminology) -> None:
    colours = [term.color for term in terminology]
    assert len(set(colours)) == len(colours)
    assert terminology.get("kidney").color == (76, 194, 255)


def test_completion_prefers_whole_names_and_keeps_the_side(terminology: Terminology) -> None:
    assert terminology.complete("liv")[0] == "liver"
    assert terminology.complete("rechte Nie")[0] == "rechte Niere"
    assert terminology.complete("left ki")[0] == "left kidney"
    assert all(text.startswith("left ") for text in terminology.complete("left ", 5))
    assert "inferior vena cava" in terminology.complete("vena", 20)
    assert terminology.complete("") == []
    assert terminology.complete("qqq") == []


def test_what_is_offered_is_understood(terminology: Terminology) -> None:
    for prefix in ("l", "k", "left k", "re. N", "bre", "Mi", "3", "th"):
        for text in terminology.complete(prefix, 30):
            assert terminology.find(text) is not None, text


def test_completion_is_fast(terminology: Terminology) -> None:
    start = time.perf_counter()
    for prefix in ("l", "k", "a", "left k", "vert", "s") * 20:
        terminology.complete(prefix)
    assert (time.perf_counter() - start) / 120 < 0.005


def test_suggestions_are_near(terminology: Terminology) -> None:
    assert terminology.suggest("aneurysm")[0] == "aortic aneurysm"
    assert "intraventricular hemorrhage" in terminology.suggest("interventricular hemorrhage")
    assert terminology.suggest("zzzzzz") == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("kidney", "kidneys"),
        ("Niere", "Nieren"),
        ("artery", "arteries"),
        ("lobe", "lobes"),
        ("Lunge", "Lungen"),
        ("disc", "discs"),
        ("Leber", "Lebern"),
        ("Blutung", "Blutungen"),
        ("vertebra", "vertebrae"),
        ("Rippe", "Rippen"),
        ("mass", "masses"),
    ],
)
def test_plurals_share_a_stem(one: str, other: str) -> None:
    assert stem(one.lower()) == stem(other.lower())


def test_edit_distance() -> None:
    assert distance("kidney", "kideny", 2) == 1
    assert distance("kidney", "kidney", 2) == 0
    assert distance("kidney", "sidney", 1) == 1
    assert distance("liver", "kidney", 2) == 3
