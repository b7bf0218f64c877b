"""Numbers and words of reports."""

from __future__ import annotations

import pytest
from report_kit import RESOURCES, measured, scan, segment, template_of, terms, words_of

from medviewer.core.errors import InputRefused
from medviewer.core.report.document import Language, Measurement
from medviewer.core.report.patterns import fill, placeholders, says_normal
from medviewer.core.report.wording import image_place, number, sentence_of, structure_name
from medviewer.core.report.words import read_words


@pytest.mark.parametrize(
    ("value", "unit", "english", "german"),
    [
        (1450.4, "ml", "1450", "1450"),
        (9.96, "ml", "10.0", "10,0"),
        (0.042, "ml", "0.042", "0,042"),
        (0.0, "ml", "0.0", "0,0"),
        (108.53, "mm", "109", "109"),
        (8.44, "mm", "8.4", "8,4"),
        (54.6, "HU", "55", "55"),
        (-12.4, "HU", "-12", "-12"),
        (-0.2, "HU", "0", "0"),
        (0.4567, "1", "0.46", "0,46"),
        (42.7, "%", "43", "43"),
        (3.21, "%", "3.2", "3,2"),
        (17.8, "px", "18", "18"),
    ],
)
def test_numbers_have_sensible_digits_and_the_mark_of_their_language(
    value: float, unit: str, english: str, german: str
) -> None:
    assert number(value, unit, words_of("en")) == english
    assert number(value, unit, words_of("de")) == german


def test_counts_are_whole() -> None:
    assert number(3.0, "1", words_of("en"), "parts") == "3"


@pytest.mark.parametrize(("language", "name"), [("en", "Left kidney"), ("de", "Niere links")])
def test_the_side_of_a_pair_is_part_of_the_name(language: Language, name: str) -> None:
    words, template = words_of(language), template_of("ct_abdomen")
    assert structure_name(terms().get("kidney"), "", "left", words, template) == name


def test_a_side_that_is_part_of_a_name_is_not_said_twice() -> None:
    name = structure_name(terms().get("left_ventricle"), "", "left", words_of("en"), template_of("ct_chest"))
    assert name == "Left ventricle"


def test_name_what_the_mask_is() -> None:
    """clinical.md 19: lungs on an X-ray are lung fields, a mask of a model is no tumour, a category is a person's."""
    words = words_of("en")
    assert structure_name(terms().get("lung"), "", "left", words, template_of("chest_xray")) == "Left lung field"
    assert "mask" in structure_name(terms().get("brain_tumor"), "", None, words, template_of("brain_mr"))
    for term in ("benign_breast_tumor", "malignant_breast_tumor"):
        name = structure_name(terms().get(term), "", None, words, template_of("breast_us"))
        assert name == "Breast mass (mask)"


def test_a_range_names_its_source_and_is_left_out_for_a_cut_mask() -> None:
    """clinical.md 3 and 17."""
    liver = segment("liver")
    high = measured(liver, "volume", 2000.0, "ml", range_text="825-1700 ml (Kim 2021)", flags=("above range",))
    words, template = words_of("en"), template_of("ct_abdomen")
    told = sentence_of(high, "Liver", words, template)
    assert "Reference range: 825-1700 ml (Kim 2021). Above the stated range." in told
    cut = sentence_of(high, "Liver", words, template, ("upper",))
    assert "Incomplete: cut at the upper edge of the scan" in cut
    assert "825" not in cut
    assert "Above" not in cut


def test_what_could_not_be_measured_is_said_with_its_reason() -> None:
    nothing = Measurement("volume", None, "ml", "", reason="cut_by_edge")
    told = sentence_of(nothing, "Liver", words_of("en"), template_of("ct_abdomen"))
    assert told.startswith("Liver: volume not measured (")
    not_a_number = Measurement("volume", float("nan"), "ml", "voxel_count")
    assert "nan" not in sentence_of(not_a_number, "Liver", words_of("en"), template_of("ct_abdomen")).lower()


def test_series_and_image_are_cited_as_the_pacs_has_them() -> None:
    """clinical.md 11."""
    assert image_place(scan(), 11, words_of("en")) == "Series 3, image 12."
    assert image_place(scan(), 11, words_of("de")) == "Serie 3, Bild 12."
    assert image_place(scan(), None, words_of("en")) == ""
    assert image_place(scan(), 99, words_of("en")) == ""


@pytest.mark.parametrize(
    "text",
    ["Liver is normal.", "Unremarkable", "no evidence of bleeding", "within normal limits", "o. B.", "regelrecht",
     "Leber unauffällig", "kein Anhalt für", "Kein Nachweis", "keine Zeichen", "ohne Befund"],
)  # fmt: skip
def test_words_that_only_a_person_writes_are_known(text: str) -> None:
    assert says_normal(text)


@pytest.mark.parametrize("text", ["abnormality including edema", "volume 20 ml", "Maske des Modells", "Kein Volumen"])
def test_other_words_are_not_taken_for_them(text: str) -> None:
    assert not says_normal(text)


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_report_never_says_normal(language: Language) -> None:
    """clinical.md 14: no word of the program's own files does."""
    words = words_of(language)
    for table in ("phrases", "states", "checks"):
        assert not [text for text in words.tables[table].values() if says_normal(text)]


def test_patterns_are_filled_once_and_never_looked_into() -> None:
    assert fill("{a} is {b}", {"a": "{b}", "b": "1"}) == "{b} is 1"
    assert fill("{value} {unit} ({method}).", {"value": "3", "unit": "", "method": ""}) == "3."
    assert placeholders("{a} {b} {a}") == {"a", "b"}
    with pytest.raises(ValueError, match="brace"):
        placeholders("{a.b}")


def test_words_need_both_languages() -> None:
    text = (RESOURCES / "report" / "words.toml").read_text("utf-8")
    with pytest.raises(InputRefused, match="phrases has research_use in one language only"):
        read_words(text.replace('research_use = "Nur', '# "Nur'))
    with pytest.raises(InputRefused, match="language en is missing"):
        read_words("")
