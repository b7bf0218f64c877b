"""Whole reports, the other guards, and text that nobody should write."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from medviewer.core.guards import GuardContext, GuardWords, Memory, check, check_report, check_sentence
from medviewer.core.guards.phrases import Span, longest
from medviewer.core.guards.reading import fold_with_places, read_tokens
from medviewer.core.report.document import Evidence, Finding, Identity, Mark, Report, Section

SLICE = (Evidence("slice", slice_index=1),)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Unchanged.", "en"), ("Stable nodule.", "en"), ("No new lesion.", "en"), ("No interval change.", "en"),
        ("Compared with 2019 the cyst is larger.", "en"), ("The cyst has grown.", "en"), ("Progressive disease.", "en"),
        ("Im Verlauf größer.", "de"), ("Stationär.", "de"), ("Progredient.", "de"), ("Größenkonstant.", "de"),
        ("Keine wesentliche Änderung.", "de"), ("Neue Läsion.", "de"), ("Zur VU gleich groß.", "de"),
    ],
)  # fmt: skip
def test_without_a_prior_nothing_mentions_one_in_english_or_german(guards: Any, text: str, language: str) -> None:
    for spoken in ("en", "de"):  # a model may answer in the other language than the report's
        assert "prior" in guards(text, language=spoken)
    assert "prior" not in guards(text, language=language, has_prior=True)


@pytest.mark.parametrize(
    "text",
    [
        "The patient is stable.", "No prior study is available.", "Follow-up in 6 months is recommended.",
        "Degenerative changes, no fracture.", "Comparison: none.", "Vergleich: keine Voruntersuchung.",
        "No pleural effusion was seen.", "Temporal lobe lesion.",
        "Im Verlauf der Vena cava.", "Eine Voruntersuchung liegt nicht vor.", "Verlaufskontrolle empfohlen.",
        "Keine degenerativen Veränderungen.", "Der Patient ist kreislaufstabil.", "Im Seitenvergleich plumper.",
    ],
)  # fmt: skip
def test_stable_patients_anatomical_courses_and_recommendations_are_no_comparison(guards: Any, text: str) -> None:
    assert "prior" not in guards(text)


def test_a_person_may_not_compare_without_a_prior_either(guards: Any) -> None:
    assert guards("Unchanged.", origin="human") == ["prior"]


@pytest.mark.parametrize(
    ("text", "modality", "contrast"),
    [
        ("Mean 40 HU.", "MR", "no"), ("Echogenic focus.", "CT", "no"), ("High T2 signal.", "CT", "no"),
        ("Enhancing lesion.", "CT", "unknown"), ("Portal venous phase.", "CT", "unknown"),
        ("Hypodense mass.", "US", "no"),
        ("Echoarmer Herd.", "MR", "no"), ("Signalreicher Herd.", "CT", "no"), ("Kontrastmittelaufnahme.", "MR", "no"),
    ],
)  # fmt: skip
def test_the_words_of_another_examination_are_marked(guards: Any, text: str, modality: str, contrast: str) -> None:
    assert "modality" in guards(text, modality=modality, contrast=contrast, measured=[(40, "HU")])


@pytest.mark.parametrize(
    ("text", "modality", "contrast"),
    [
        ("Mean 40 HU.", "CT", "no"), ("Fluid attenuated inversion recovery.", "MR", "no"),
        ("Enhancing lesion.", "CT", "yes"),
        ("No contrast was given.", "CT", "unknown"), ("Posterior acoustic enhancement.", "US", "no"),
        ("Fracture of T2.", "CT", "no"), ("T2 hyperintense.", "MR", "no"), ("Ultrasound is recommended.", "CT", "no"),
        ("Anything with 40 HU and echoes.", "", "yes"),
    ],
)  # fmt: skip
def test_its_own_words_are_not(guards: Any, text: str, modality: str, contrast: str) -> None:
    assert "modality" not in guards(text, modality=modality, contrast=contrast, measured=[(40, "HU")])


def test_a_structure_outside_the_template_is_marked(guards: Any) -> None:
    assert guards("Lesion in the hippocampus.", template="ct_abdomen") == ["modality"]
    assert guards("Hippocampusläsion.", template="ct_abdomen", language="de") == ["modality"]
    assert not guards("Lesion in the hippocampus.", template="brain_mr")
    assert not guards("Lesion in the hippocampus.", template="general")
    assert not guards("Nodule with known prostate cancer.", template="ct_chest", sex="M")


def test_a_name_of_an_outlined_segment_is_no_claim_of_contrast(guards: Any) -> None:
    assert not guards("Enhancing tumor is outlined.", modality="MR", segment=("enhancing_tumor", None))
    assert guards("Enhancing tumor is outlined.", modality="MR") == ["modality"]


def test_organs_of_the_other_sex_are_marked(guards: Any) -> None:
    assert guards("The prostate is large.", sex="F") == ["sex"]
    assert guards("Prostatavolumen vermehrt.", sex="F", language="de") == ["sex"]
    assert guards("Uterus with a fibroid.", sex="M") == ["sex"]
    assert not guards("The prostate is large.", sex="M")
    for unknown in ("", "O"):
        assert not guards("The prostate is large. The uterus is small.", sex=unknown)
    assert not guards("Cervical spine, ocular adnexa, breast.", sex="M")


@pytest.mark.parametrize("text", ["Normal liver.", "Unremarkable.", "Within normal limits.", "No evidence of a mass.",
                                  "Unauffällig.", "Regelrecht.", "Milz o.B.",
                                  "Kein Anhalt für eine Läsion."])  # fmt: skip
def test_normal_needs_human_origin(guards: Any, text: str) -> None:
    assert guards(text) == ["normal"]
    assert guards(text, origin="measured") == ["normal"]
    assert guards(text, origin="human") == []


def test_a_map_is_not_evidence(guards: Any, marks: Any) -> None:
    alone = {"evidence": (Evidence("map", volume_id="m"),)}
    assert guards("Nodule.", finding=alone) == ["no evidence"]
    assert "map" in marks("Nodule.", finding=alone)[0].reason
    assert guards("Nodule.", finding={"evidence": ()}) == ["no evidence"]
    assert guards("Nodule.", finding={"evidence": ()}, origin="human") == []
    assert guards("Nodule.", finding={"evidence": (*alone["evidence"], *SLICE)}) == []


def report_of(*texts: str, impression: tuple[str, ...] = (), **fields: Any) -> Report:
    made = [Finding(text, "liver", evidence=SLICE, **fields) for text in texts]
    told = tuple(Finding(text, "impression", evidence=SLICE, **fields) for text in impression)
    return Report("general", "en", Identity(), sections=(Section("liver", "Liver", tuple(made)),), impression=told)


def checked(report: Report, structures: Any, words: GuardWords) -> list[list[str]]:
    done = check_report(report, GuardContext(structures), words)
    return [[mark.guard for mark in finding.marks] for finding in done.findings]


@pytest.mark.parametrize(
    "texts",
    [
        ("Pleural effusion.", "No pleural effusion."), ("The spleen is enlarged.", "The spleen is normal in size."),
        ("Hepatomegaly.", "The liver is not enlarged."), ("Status post cholecystectomy.", "Stone in the gallbladder."),
        ("Effusion of the right pleura.", "There is no pleural effusion or pneumothorax."),
    ],
)  # fmt: skip
def test_contradictions_mark_both_sentences(texts: tuple[str, str], structures: Any, words: GuardWords) -> None:
    assert checked(report_of(*texts, origin="human"), structures, words) == [["contradiction"], ["contradiction"]]


@pytest.mark.parametrize(
    "texts",
    [
        ("Left pleural effusion.", "No right pleural effusion."),
        ("The spleen is enlarged.", "The liver is not enlarged."),
        ("Cyst of the liver without septation.", "No cyst in the kidney."),
        ("Possible pleural effusion.", "No pleural effusion."),
        ("Left pleural effusion.", "Right pleural effusion."), ("No effusion or consolidation.", "Nodule in the lung."),
    ],
)  # fmt: skip
def test_what_can_both_hold_is_no_contradiction(texts: tuple[str, str], structures: Any, words: GuardWords) -> None:
    assert checked(report_of(*texts), structures, words) == [[], []]


def test_of_two_wordings_that_share_words_the_longer_counts(structures: Any, words: GuardWords) -> None:
    assert checked(report_of("Milz normal groß.", origin="human"), structures, words) == [[]]


def test_the_impression_may_not_change_the_side(structures: Any, words: GuardWords) -> None:
    swapped = report_of("Cyst in the left kidney.", impression=("Right kidney cyst.",))
    assert checked(swapped, structures, words) == [["contradiction"], ["contradiction"]]
    both = report_of("Cyst in the left kidney.", "Cyst in the right kidney.", impression=("Right kidney cyst.",))
    assert checked(both, structures, words) == [[], [], []]


def test_two_values_of_one_quantity_contradict(structures: Any, words: GuardWords) -> None:
    values = report_of("Spleen volume 210 ml.", "The spleen has a volume of 310 ml.", origin="human")
    assert checked(values, structures, words) == [["contradiction"], ["contradiction"]]
    rounded = report_of("Spleen volume 210 ml.", "The spleen has a volume of 210.4 ml.", origin="human")
    assert checked(rounded, structures, words) == [[], []]


def test_checking_again_replaces_marks_and_a_rejected_sentence_has_none(structures: Any, words: GuardWords) -> None:
    old = Finding("Cyst.", "liver", evidence=SLICE, marks=(Mark("prior", "old"),))
    gone = Finding("The cyst is unchanged and normal.", "liver", state="rejected", marks=(Mark("prior", "old"),))
    report = Report("general", "en", Identity(), sections=(Section("liver", "Liver", (old, gone)),))
    done = check_report(report, GuardContext(structures), words)
    assert [f.marks for f in done.findings] == [(), ()]
    assert done.id == report.id
    assert report.findings[0].marks


def test_every_reason_is_told_in_both_languages(words: GuardWords) -> None:
    given = dict.fromkeys(("side", "evidence", "words", "measured", "modality", "template", "other"), "{x}")
    for key in words.reasons:
        english, german = (words.mark("g", key, language, (0, 1), **given).reason for language in ("en", "de"))
        assert english != german
        assert english.endswith((".", '"'))


def test_a_missing_or_malformed_word_list_is_refused(words: GuardWords) -> None:
    with pytest.raises(ValueError, match="lack"):
        GuardWords.from_dict({"prior": {}})
    from medviewer.core.guards.phrases import Phrases

    for bad in ("", ".. late", "ab*"):
        with pytest.raises(ValueError, match=r"phrase|letters"):
            Phrases([bad])


DISGUISED = {
    "zero width": "un\u200bchanged", "soft hyphen": "un\u00adchanged", "full width": "ｕｎｃｈａｎｇｅｄ",
    "no-break space": "no\u00a0change", "control": "no\x07change", "direction marks": "\u202eun\u202cchanged",
    "combining": "unvera\u0308ndert", "line separator": "no\u2028change",
}  # fmt: skip


@pytest.mark.parametrize("text", DISGUISED.values(), ids=DISGUISED)
def test_odd_characters_hide_nothing(marks: Any, text: str) -> None:
    (mark,) = marks(text)
    assert mark.guard == "prior"
    assert 0 <= mark.span[0] < mark.span[1] <= len(text)
    assert mark.reason.isprintable()


def test_digits_of_every_script_are_numbers(guards: Any) -> None:
    assert not guards("١٢ mm", measured=[(12.0, "mm")])
    assert guards("١٣٫٥ mm", measured=[(12.0, "mm")]) == ["measurement"]


def test_right_to_left_text_is_read_and_spans_fit_it(marks: Any) -> None:
    text = "الكبد unchanged والطحال 12 mm"
    found = marks(text)
    assert [(m.guard, text[slice(*m.span)]) for m in found] == [("prior", "unchanged"), ("measurement", "12 mm")]
    assert marks("كيسة في الكبد") == ()


def test_places_point_into_the_original_text() -> None:
    text = "A\u0308rzte sahen: „Größe“ 12\u00a0㎜ ﬁne"
    folded, places = fold_with_places(text)
    assert len(folded) == len(places)
    assert all(text[token.start : token.end] == token.raw for token in read_tokens(text))


SENTENCES = ("The left kidney is unchanged with 12 mm and 3 x 4 cm, no effusion or stone right, normal. ",
             "Leber re. größenkonstant, kein Erguss links, 12,5 ml im Verlauf der Vena cava ",
             "left " * 15, "12 x " * 15,
             "multiple lesions solitary cyst " * 4, "no " * 20, "-" * 60, "a\u0308" * 30, "liver " * 10)  # fmt: skip


def steps(text: str, structures: Any, words: GuardWords) -> int:
    """Lines that the guards execute for a report of one sentence: the cost, without a clock."""
    count = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    report = report_of(text)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        check_report(report, GuardContext(structures, modality="CT", template="ct_abdomen", sex="M"), words)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("piece", SENTENCES)
def test_the_cost_grows_linearly_with_the_text(piece: str, structures: Any, words: GuardWords) -> None:
    steps(piece * 4, structures, words)  # fills the caches
    small, large = (steps(piece * times, structures, words) for times in (15, 60))
    assert large <= 4.6 * small + 5000


def test_a_text_of_100000_characters_is_checked(structures: Any, words: GuardWords) -> None:
    text = (SENTENCES[0] + SENTENCES[1]) * 600
    assert len(text) > 100_000
    found = check_sentence(Finding(text, "x"), GuardContext(structures, modality="CT"), words)
    assert {"prior", "measurement", "normal", "no evidence"} <= {mark.guard for mark in found}
    assert len(found) < 100


def test_any_text_is_checked_without_an_error(structures: Any, words: GuardWords) -> None:
    chance = random.Random(7)
    pieces = [
        *"\x00\ud800\u202e\u0308²½٣-–.,;:()x<≥ \n",
        "left",
        "12",
        "mm",
        "Niere",
        "no",
        "unchanged",
        "cm",
        "ﬁ",
        "ß",
        "İ",
        "x",
    ]
    for _ in range(400):
        text = "".join(chance.choices(pieces, k=chance.randint(0, 30)))
        done = check_report(report_of(text), GuardContext(structures, sex="F", modality="MR"), words)
        for mark in done.findings[0].marks:
            assert 0 <= mark.span[0] <= mark.span[1] <= len(text)
            assert mark.reason.isprintable()


def test_marks_of_one_guard_that_share_words_are_one_mark(marks: Any) -> None:
    """The longest is kept, so that nobody has to dismiss one wording twice."""
    found = [m for m in marks("The nodule is unchanged in size since the prior study of 2019.") if m.guard == "prior"]
    spans = sorted(m.span for m in found)
    assert spans
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    (mark,) = [m for m in marks("No significant change.") if m.guard == "prior"]
    assert mark.span == (0, 21)


def test_of_overlapping_spans_the_longest_is_kept() -> None:
    assert longest([Span(0, 1), Span(1, 4), Span(4, 5), Span(6, 6)]) == [Span(1, 4), Span(6, 6)]
    assert longest([Span(2, 3), Span(3, 4)]) == [Span(2, 3)]
    assert longest([]) == []


def _report_of(*texts: str) -> Report:
    findings = tuple(Finding(text, "body", SLICE, "model", id=str(n)) for n, text in enumerate(texts))
    return Report("general", "en", Identity(), sections=(Section("body", "Body", findings),))


def test_a_sentence_that_did_not_change_is_read_once(structures: Any, words: GuardWords, monkeypatch: Any) -> None:
    read: list[str] = []
    real = check.read_sentence
    monkeypatch.setattr(check, "read_sentence", lambda text, *rest: (read.append(text), real(text, *rest))[1])
    memory, context = Memory(), GuardContext(structures)
    first = check_report(_report_of("Unchanged.", "A cyst."), context, words, memory)
    assert check_report(first, context, words, memory) == first
    accepted = first.with_changes(
        sections=(replace(first.sections[0], findings=tuple(f.with_changes(state="accepted", seen=True)
                                                            for f in first.findings)),))  # fmt: skip
    assert [f.marks for f in check_report(accepted, context, words, memory).findings] == [
        f.marks for f in first.findings
    ]
    assert read == ["Unchanged.", "A cyst."]
    edited = check_report(_report_of("Unchanged.", "A larger cyst than before."), context, words, memory)
    assert read[2:] == ["A larger cyst than before."]
    assert edited.findings[1].marks


def test_what_is_known_of_the_scan_decides_not_what_was_found_before(structures: Any, words: GuardWords) -> None:
    memory, report = Memory(), _report_of("Unchanged.", "The uterus is large.")
    marked = check_report(report, GuardContext(structures, sex="M"), words, memory)
    assert [bool(f.marks) for f in marked.findings] == [True, True]
    free = check_report(report, GuardContext(structures, sex="F", has_prior=True), words, memory)
    assert [bool(f.marks) for f in free.findings] == [False, False]


def test_a_remembered_sentence_still_contradicts_a_new_one(structures: Any, words: GuardWords) -> None:
    memory, context = Memory(), GuardContext(structures)
    check_report(_report_of("There is a pleural effusion."), context, words, memory)
    both = check_report(_report_of("There is a pleural effusion.", "No pleural effusion."), context, words, memory)
    assert [[m.guard for m in f.marks] for f in both.findings] == [["contradiction"], ["contradiction"]]
