"""Left and right against the evidence and the structure named."""

from __future__ import annotations

from typing import Any

import pytest

KIDNEY = ("kidney", "left")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Cyst in the right kidney.", "en"),
        ("Bilateral renal cysts.", "en"),
        ("Rt. kidney with a cyst.", "en"),
        ("R kidney with a cyst.", "en"),
        ("Right-sided renal cyst.", "en"),
        ("Zyste der rechten Niere.", "de"),
        ("Zyste der Niere re.", "de"),
        ("Rechtsseitige Nierenzyste.", "de"),
        ("Nierenzysten bds.", "de"),
        ("Beide Nieren mit Zysten.", "de"),
        ("Niere links ohne, Niere rechts mit Zyste, rechte Niere plump.", "de"),
    ],
)
def test_another_side_than_the_evidence_is_marked(guards: Any, text: str, language: str) -> None:
    assert "laterality" in guards(text, segment=KIDNEY, language=language)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Cyst in the left kidney.", "en"),
        ("Left renal cyst; the right kidney has no cyst.", "en"),
        ("The left kidney is shorter than the right.", "en"),
        ("Left kidney, right ventricle and right hepatic lobe are outlined.", "en"),
        ("Left renal cyst displaced to the right.", "en"),
        ("A right-handed patient with a left renal cyst.", "en"),
        ("Zyste der linken Niere, rechts keine Zyste.", "de"),
        ("Niere li. mit Zyste; rechter Vorhof plump.", "de"),
        ("Linke Niere kürzer als die rechte.", "de"),
        ("Zyste der linken Niere, nach rechts verlagert.", "de"),
        ("Zyste der linken Niere, im rechten Winkel getroffen.", "de"),
    ],
)
def test_a_side_in_a_name_a_direction_or_a_reference_is_no_claim(guards: Any, text: str, language: str) -> None:
    assert "laterality" not in guards(text, segment=KIDNEY, language=language)


def test_sided_synonyms_are_sides(guards: Any) -> None:
    assert "laterality" in guards("Nodule in the RUL.", segment=("lung_upper_lobe", "left"))
    assert "laterality" not in guards("Nodule in the LUL.", segment=("lung_upper_lobe", "left"))
    assert "laterality" in guards("Nodule in the left RUL.")


def test_the_side_of_an_unpaired_organ_is_known_without_evidence(guards: Any) -> None:
    assert "laterality" in guards("The right spleen is enlarged.")
    assert "laterality" in guards("Die linke Gallenblase ist gefüllt.", language="de")
    assert "laterality" not in guards("The left spleen tip is enlarged.")


def test_the_structure_named_decides_among_several_segments(marks: Any, structures: Any) -> None:
    from medviewer.core.guards import KnownSegment
    from medviewer.core.report.document import Evidence

    segments = {"k": KnownSegment("k", "kidney", "left"), "a": KnownSegment("a", "adrenal_gland", "right")}
    evidence = tuple(Evidence("segment", segment_id=one) for one in segments)
    given = {"segments": segments, "finding": {"evidence": evidence}}
    assert not marks("Left kidney and right adrenal gland.", **given)
    assert [m.guard for m in marks("Right kidney and right adrenal gland.", **given)] == ["laterality"]


def test_an_abnormal_structure_outlined_on_one_side_decides_without_a_link(marks: Any) -> None:
    from medviewer.core.guards import KnownSegment

    segments = {"c": KnownSegment("c", "kidney_cyst", "right")}
    assert [m.guard for m in marks("Left kidney cyst.", segments=segments)] == ["laterality"]
    assert not marks("Right kidney cyst.", segments=segments)


def test_sided_sentences_are_marked_until_the_sides_are_confirmed(guards: Any) -> None:
    assert "laterality" in guards("Cyst in the left kidney.", segment=KIDNEY, sides_confirmed=False)
    assert "laterality" not in guards("Cyst in the kidney.", segment=KIDNEY, sides_confirmed=False)
    assert "laterality" not in guards("Cyst in the left kidney.", segment=KIDNEY, sides_confirmed=False, origin="human")


def test_the_mark_shows_the_words_and_tells_the_reason_in_the_reports_language(marks: Any) -> None:
    text = "Zyste der rechten Niere."
    (mark,) = marks(text, segment=KIDNEY, language="de")
    assert text[slice(*mark.span)] == "rechten"
    assert "Beleg: left" in mark.reason
    assert mark.reason.startswith("Der Satz nennt")
