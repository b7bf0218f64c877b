"""A language model's text as plain sentences: what ends one, what only looks like an end, and what is taken out."""

from __future__ import annotations

import time

import pytest

from medviewer.core.report.model_sentences import (
    LONGEST_SENTENCE,
    LabelKind,
    clean_text,
    sentences_of,
    split_sentences,
    without_thinking,
)


@pytest.mark.parametrize(
    "sentences",
    [
        ["The liver is enlarged.", "No free fluid."],
        ["Die Milz misst ca. 13,5 cm.", "Kein Aszites."],
        ["A lesion of 1.5 x 2.25 cm (approx. 2 ml).", "Nothing else."],
        ["Fraktur der 3. Rippe links.", "Das Herz ist groß."],
        ["Degeneration des 4. und 5. Lendenwirbels.", "Sonst nichts."],
        ["Läsion im Segment 4.", "Die Leber ist groß."],
        ["Fracture of vertebra L1.", "The cord is intact."],
        ["Aufnahme vom 3. Januar 2020.", "Keine Änderung."],
        ["z. B. eine Zyste, d. h. harmlos.", "Niere re.", "Die Milz o. B."],
        ["Seen e.g. in Fig. 2.", "No. 3 is larger.", "No effusion."],
        ["Dr. Smith was told.", "Is it new?", "Yes!"],
        ["the heart is large.", "no effusion.", "the lungs, e.g. on the left, are clear."],
        ["Hepatitis C.", "The liver is small."],
        ["Cysts, stones etc.", "No mass."],
        ["The aorta measures 31.", "The spleen measures 12."],
        ["Mean value -5. 5 HU.", "End."],
        ["there is a 1 . 5 cm cyst in segment 6 .", "no effusion ."],
        ["Bandscheibe LWK 4/5 li. betont.", "Ende."],
    ],
    ids=lambda sentences: sentences[0][:24],
)
def test_sentences_end_where_a_reader_ends_them(sentences: list[str]) -> None:
    assert split_sentences(" ".join(sentences)) == sentences


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("**Liver:** *large*, __dense__ `x`", "Liver: large, dense x"),
        ("### The liver ##\ntext", "The liver:\ntext"),
        ("**Kidneys**\n- cyst", "Kidneys:\n- cyst"),
        ("a 5*3*4 cm lesion, 2 * 3, < 5 mm and > 3 mm, snake_case_word", None),
        ("[cyst](http://example.org/x) ![picture](y)", "cyst picture"),
        ("<b>large</b> <0.5 cm", "large  <0.5 cm"),
        ("| organ | size |\n|---|:--|\n| liver | 15 cm |", "organ ,  size\n\nliver ,  15 cm"),
        ("```\ncode\n```", "code"),
        ("above\n---\nbelow", "above\n\nbelow"),
        ("bell\x07 null\x00 turn\u202eed\u2066 line\u2028next\r\nlast", "bell  null  turn ed  line\nnext\nlast"),
    ],
)
def test_markdown_and_hidden_characters_go_and_numbers_stay(text: str, cleaned: str | None) -> None:
    assert " ".join(clean_text(text).split()) == " ".join((cleaned or text).split())


def test_what_a_model_thinks_aloud_is_no_part_of_its_text() -> None:
    assert without_thinking("<unused94>thought\nIs it big?<unused95>The liver is big.") == ("The liver is big.", False)
    assert without_thinking("<think>hm</think>Yes.") == ("Yes.", False)
    assert without_thinking("<unused94>thought\nfor ever") == ("", True)
    assert without_thinking("No thought.") == ("No thought.", False)


def kind(label: str) -> LabelKind:
    return "section" if label == "Findings" else "label" if label in ("Liver", "Left kidney") else ""


def told(text: str) -> list[tuple[str, str]]:
    return [(s.label, s.text) for s in sentences_of(clean_text(text), kind)]


def test_a_label_holds_for_its_line_or_until_the_next_where_it_stands_alone() -> None:
    text = "Findings:\nLiver: Large. Dense.\nThe spleen is small.\n\n**Left kidney**\n- cyst\n- stone\n\nLiver: ok"
    assert told(text) == [
        ("Liver", "Large."), ("Liver", "Dense."), ("", "The spleen is small."), ("Left kidney", "cyst"),
        ("Left kidney", "stone"), ("Liver", "ok"),
    ]  # fmt: skip
    assert {s.section for s in sentences_of(clean_text(text), kind)} == {"Findings"}
    assert [s.is_first for s in sentences_of(clean_text(text), kind)] == [True, False, False, False, False, True]


def test_labels_may_follow_each_other_on_one_line() -> None:
    assert told("Findings: Liver: Large. Dense. Left kidney: Cyst. Findings : End.") == [
        ("Liver", "Large."), ("Liver", "Dense."), ("Left kidney", "Cyst."), ("", "End."),
    ]  # fmt: skip


def test_other_words_before_a_colon_stay_in_their_sentence() -> None:
    assert told("Largest lesion: 12 mm. Segment: 4") == [("", "Largest lesion: 12 mm."), ("", "Segment: 4")]


def test_lists_lose_their_numbers_and_ordinals_keep_theirs() -> None:
    text = "1. The liver is large.\n2) No cyst.\n(3) No stone.\n3. Rippe links gebrochen.\n• Zyste"
    assert [text for _, text in told(text)] == [
        "The liver is large.", "No cyst.", "No stone.", "3. Rippe links gebrochen.", "Zyste",
    ]  # fmt: skip


def test_lines_that_were_broken_for_their_length_are_joined() -> None:
    text = (
        "Es zeigt sich in der rechten Leber am oberen Rand des Segments eine\nRaumforderung von 3 cm\nund eine Zyste.\n"
        "Milz klein\nKein Aszites"
    )
    assert [text for _, text in told(text)] == [
        "Es zeigt sich in der rechten Leber am oberen Rand des Segments eine Raumforderung von 3 cm und eine Zyste.",
        "Milz klein", "Kein Aszites",
    ]  # fmt: skip


def test_a_sentence_is_one_line_of_limited_length() -> None:
    (sentence,) = sentences_of(clean_text("word " * 1000), kind)
    assert len(sentence.text) == LONGEST_SENTENCE
    assert "\n" not in sentence.text
    assert [text for _, text in told("... --- !\n***")] == []


@pytest.mark.parametrize(
    "unit", ["a. ", "**a", "_a_", "[", "<a", "# ", "a:", "\n", "1. ", "| a ", "x", "\u202e", "Dr. ", "A: b. "]
)
def test_a_text_of_100_000_characters_is_read_in_a_moment(unit: str) -> None:
    text = (unit * 100_000)[:100_000]
    begun = time.perf_counter()
    list(sentences_of(clean_text(text), lambda label: "label"))
    assert time.perf_counter() - begun < 5.0
