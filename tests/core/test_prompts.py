"""What users type, in English, German and some French, and what is understood."""

from __future__ import annotations

import pytest

from medviewer.core.errors import WrongUsage
from medviewer.core.prompts import parse_prompt, split_prompts, title_of
from medviewer.core.terminology import Terminology


@pytest.mark.parametrize(
    ("text", "term_id", "side"),
    [
        ("liver", "liver", None),
        ("LIVER", "liver", None),
        ("hepatic parenchyma", "liver", None),
        ("parenchyma hepatic", "liver", None),
        ("Leberparenchym", "liver", None),
        ("zeige mir bitte die Leber", "liver", None),
        ("left kidney", "kidney", "left"),
        ("kidney, left", "kidney", "left"),
        ("Kidney left", "kidney", "left"),
        ("right kidney", "kidney", "right"),
        ("kidney, right", "kidney", "right"),
        ("rechte Niere", "kidney", "right"),
        ("Niere re.", "kidney", "right"),
        ("re. Niere", "kidney", "right"),
        ("Niere, rechts", "kidney", "right"),
        ("linke Niere", "kidney", "left"),
        ("Niere li.", "kidney", "left"),
        ("Nierenparenchym links", "kidney", "left"),
        ("both kidneys", "kidney", None),
        ("beide Nieren", "kidney", None),
        ("Nieren bds.", "kidney", None),
        ("left and right kidney", "kidney", None),
        ("linke und rechte Niere", "kidney", None),
        ("bilateral kidneys", "kidney", None),
        ("left-sided pleural effusion", "pleural_effusion", "left"),
        ("rechtsseitiger Pleuraerguss", "pleural_effusion", "right"),
        ("where is the spleen?", "spleen", None),
        ("Please segment the right lung.", "lung", "right"),
        ("kannst du mir die Milz zeigen?", "spleen", None),
        ("wo ist die linke Lunge", "lung", "left"),
        ("Lungenflügel rechts", "lung", "right"),
        ("Lungenfluegel rechts", "lung", "right"),
        ("Lungenflugel rechts", "lung", "right"),
        ("L3", "vertebra_l3", None),
        ("LWK 3", "vertebra_l3", None),
        ("LWK3", "vertebra_l3", None),
        ("L 3", "vertebra_l3", None),
        ("3. Lendenwirbel", "vertebra_l3", None),
        ("third lumbar vertebra", "vertebra_l3", None),
        ("T12", "vertebra_t12", None),
        ("Th12", "vertebra_t12", None),
        ("Th 12", "vertebra_t12", None),
        ("BWK 12", "vertebra_t12", None),
        ("HWK 5", "vertebra_c5", None),
        ("vertebrae L1", "vertebra_l1", None),
        ("L4/5", "disc_l4_l5", None),
        ("L4/L5", "disc_l4_l5", None),
        ("Bandscheibe LWK 4/5", "disc_l4_l5", None),
        ("L5/S1", "disc_l5_s1", None),
        ("L5/1", "disc_l5_s1", None),
        ("T12/L1", "disc_t12_l1", None),
        ("intervertebral disc L4-L5", "disc_l4_l5", None),
        ("left ventricle", "left_ventricle", None),
        ("linker Ventrikel", "left_ventricle", None),
        ("LV", "left_ventricle", None),
        ("right atrium", "right_atrium", None),
        ("left lateral ventricle", "lateral_ventricle", "left"),
        ("right middle lobe", "lung_middle_lobe", None),
        ("left upper lobe", "lung_upper_lobe", "left"),
        ("lung upper lobe left", "lung_upper_lobe", "left"),
        ("rib left 10", "rib_10", "left"),
        ("linke 10. Rippe", "rib_10", "left"),
        ("breast tumour", "breast_tumor", None),
        ("Mammakarzinom", "malignant_breast_tumor", None),
        ("grey matter", "gray_matter", None),
        ("Ödem um den Tumor", "peritumoral_edema", None),
        ("oesophagus", "esophagus", None),
        ("Speiseröhre", "esophagus", None),
        ("NIEREN", "kidney", None),
        ("nicht anreichernder Tumor", "non_enhancing_tumor", None),
        ("non-enhancing tumor", "non_enhancing_tumor", None),
        ("Amygdala L", "amygdala", "left"),
        ("Hippocampus R", "hippocampus", "right"),
        ("SDH", "subdural_hemorrhage", None),
        ("could you delineate the liver", "liver", None),
        ("annotate every rib", "rib", None),
        ("measure the size of the spleen, thanks", "spleen", None),
        ("only the left kidney", "kidney", "left"),
        ("bitte alle Rippen einzeichnen", "rib", None),
        ("nur die rechte Niere anzeigen", "kidney", "right"),
        ("two kidneys", "kidney", None),
        ("heart on the X-ray", "heart", None),
        ("cerebellar lobule X", "cerebellum_lobule_10", None),
        ("nuclei caudati", "caudate_nucleus", None),
    ],
)
def test_understood(terminology: Terminology, text: str, term_id: str, side: str | None) -> None:
    parsed = parse_prompt(text, terminology)
    assert parsed.term is not None
    assert (parsed.term.id, parsed.side) == (term_id, side)
    assert not parsed.negated
    assert not parsed.corrected
    assert not parsed.unknown_text


@pytest.mark.parametrize(
    ("text", "term_id"),
    [
        ("no liver", "liver"),
        ("without spleen", "spleen"),
        ("not the left kidney", "kidney"),
        ("keine Milz", "spleen"),
        ("kein Pleuraerguss", "pleural_effusion"),
        ("ohne Leber", "liver"),
        ("liver w/o lesions", "liver_tumor"),
        ("there isn't a tumor", None),
        ("Niere nicht", "kidney"),
        ("NO LIVER", "liver"),
        ("sans rate", None),
        ("pas de foie", "liver"),
        ("sans le rein gauche", "kidney"),
        ("weder Leber", "liver"),
        ("absence of the spleen", "spleen"),
        ("liver is lacking", "liver"),
        ("kein Tumor der Lunge", "lung_tumor"),
        ("without scapular bone", "scapula"),
        ("no livver", "liver"),
    ],
)
def test_negation_is_told(terminology: Terminology, text: str, term_id: str | None) -> None:
    parsed = parse_prompt(text, terminology)
    assert parsed.negated
    assert (parsed.term.id if parsed.term else None) == term_id


def test_a_side_without_meaning_is_kept_and_flagged(terminology: Terminology) -> None:
    parsed = parse_prompt("left liver", terminology)
    assert parsed.term is not None
    assert (parsed.term.id, parsed.side, parsed.side_not_applicable) == ("liver", "left", True)
    assert not parse_prompt("left ventricle", terminology).side_not_applicable


@pytest.mark.parametrize("text", ["left right kidney", "left kidney, right", "rechte Niere links", "rein gauche droit"])
def test_contradicting_sides_are_refused(terminology: Terminology, text: str) -> None:
    with pytest.raises(WrongUsage, match="left and right"):
        parse_prompt(text, terminology)


def test_unknown_wording_has_suggestions_and_no_term(terminology: Terminology) -> None:
    parsed = parse_prompt("aneurysm", terminology)
    assert parsed.term is None
    assert parsed.unknown_text == "aneurysm"
    assert "aortic aneurysm" in parsed.suggestions
    assert parsed.side is None


@pytest.mark.parametrize("text", ["", "   ", "\n", "?!", "..."])
def test_empty_prompts_are_refused(terminology: Terminology, text: str) -> None:
    with pytest.raises(WrongUsage, match="empty"):
        parse_prompt(text, terminology)
    if text.strip(" .\n") == "":
        with pytest.raises(WrongUsage, match="empty"):
            split_prompts(text, terminology)


def test_a_prompt_of_ten_thousand_characters_is_refused_in_a_clear_sentence(terminology: Terminology) -> None:
    for text in ("kidney " * 1429)[:10_000], "x" * 10_000:
        for ask in parse_prompt, split_prompts:
            with pytest.raises(WrongUsage, match=r"10,000 characters; at most 2,000") as error:
                ask(text, terminology)
            assert error.value.exit_status == 2
            assert error.value.hint


@pytest.mark.parametrize(
    ("text", "prompts"),
    [
        ("liver", ["liver"]),
        ("liver\nspleen", ["liver", "spleen"]),
        ("liver; spleen", ["liver", "spleen"]),
        ("liver, spleen", ["liver", "spleen"]),
        ("kidney, right", ["kidney, right"]),
        ("right, kidney", ["right, kidney"]),
        ("kidney, right, liver", ["kidney, right", "liver"]),
        ("Leber, Milz, Niere re.", ["Leber", "Milz", "Niere re"]),
        ("liver, unicorn", ["liver, unicorn"]),
        ("liver, , spleen,", ["liver", "spleen"]),
        ("; liver ;\n\n", ["liver"]),
        ("Niere, rechts; Milz, Leber", ["Niere, rechts", "Milz", "Leber"]),
        ("kidney, please", ["kidney, please"]),
        ("liver, spleen and kidney", ["liver, spleen and kidney"]),
        ("left kidney, right kidney", ["left kidney", "right kidney"]),
        ("both, kidneys", ["both, kidneys"]),
        ("no liver, spleen", ["no liver", "spleen"]),
        ("\tliver\r\nspleen", ["liver", "spleen"]),
    ],
)
def test_splitting(terminology: Terminology, text: str, prompts: list[str]) -> None:
    assert split_prompts(text, terminology) == prompts


def test_titles(terminology: Terminology) -> None:
    assert parse_prompt("niere re.", terminology).title == "Right kidney"
    assert parse_prompt("lwk 3", terminology).title == "L3 vertebra"
    assert parse_prompt("linker Ventrikel", terminology).title == "Left ventricle"
    assert parse_prompt("unicorn", terminology).title == "unicorn"
    assert title_of(terminology.get("kidney"), "left", "de") == "Niere links"


def test_punctuation_and_odd_characters_never_crash(terminology: Terminology) -> None:
    for text in (
        "liver'); DROP",
        "🫀 heart",
        "ﬁbula",
        "левая почка",
        "左腎",
        "a" * 2000,
        "-" * 50 + "x",
        "%s %d",
        "\u202eliver",
    ):
        parsed = parse_prompt(text, terminology)
        assert parsed.title
