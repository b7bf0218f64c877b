"""One sentence for the sizes of a mask, one for its heights, and a median with its percentiles."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report_kit import NOW, draft, measured, scan, section, segment, source_of, template_of, texts, words_of

from medviewer.core.report.audit import Reviewed
from medviewer.core.report.document import Language, Measurement
from medviewer.core.report.drafting import draft_report
from medviewer.core.report.updating import updated
from medviewer.core.report.wording import sentences_of

TUMOR = segment("liver_tumor")
SIZES = (
    measured(TUMOR, "volume", 12.34, "ml"),
    measured(TUMOR, "long_axis", 34.2, "mm", method="recist_axial", slice_index=6),
    measured(TUMOR, "short_axis", 21.7, "mm", method="recist_axial_short", slice_index=6),
    measured(TUMOR, "longest_diameter", 40.0, "mm", method="longest_distance"),
    measured(TUMOR, "parts", 2.0, "1", method="touching_voxels"),
)
LIVER = segment("liver")
VALUES = tuple(
    measured(LIVER, quantity, value, "HU", method="all_voxels")
    for quantity, value in (("intensity_median", 61.6), ("intensity_p5", 34.9), ("intensity_p95", 88.2))
)


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", "Liver tumor (mask of the model): long axis 34 mm, short axis 22 mm, volume 12 ml, number of separate "
               "parts 2 and longest 3D diameter 40 mm. Series 3, image 7."),
        ("de", "Lebertumor (Maske des Modells): lange Achse 34 mm, kurze Achse 22 mm, Volumen 12 ml, Anzahl getrennter "
               "Teile 2 und längster 3D-Durchmesser 40 mm. Serie 3, Bild 7."),
    ],
)  # fmt: skip
def test_a_structure_has_one_sentence_about_its_size(language: Language, told: str) -> None:
    report = draft(language, segments=(TUMOR,), measurements=SIZES)
    (finding,) = section(report, "liver")
    assert finding.text == told
    assert {e.measurement_id for e in finding.evidence} == {m.id for m in SIZES}, "every number is evidence"


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", "Liver: median attenuation 62 HU (35 HU at the 5th and 88 HU at the 95th percentile)."),
        ("de", "Leber: mediane Dichte 62 HU (35 HU am 5. und 88 HU am 95. Perzentil)."),
    ],
)
def test_hounsfield_units_are_told_as_median_with_5th_and_95th_percentile(language: Language, told: str) -> None:
    """clinical.md 26."""
    report = draft(language, segments=(LIVER,), measurements=VALUES)
    (finding,) = section(report, "liver")
    assert finding.text == told
    assert {e.measurement_id for e in finding.evidence} == {m.id for m in VALUES}


def test_a_median_without_percentiles_stands_alone() -> None:
    assert texts(draft(segments=(LIVER,), measurements=VALUES[:1])) == ["Liver: median attenuation 62 HU."]


def test_a_pattern_of_the_users_own_that_begins_otherwise_keeps_its_words_and_the_percentiles() -> None:
    shipped = template_of("ct_abdomen")
    own = {**shipped.patterns["en"], "intensity_median": "{value} {unit} is the median of the {structure}."}
    template = replace(shipped, patterns={**shipped.patterns, "en": own})
    told = sentences_of(VALUES, "liver", words_of("en"), template)
    assert told == "62 HU is the median of the liver. 35 HU at the 5th and 88 HU at the 95th percentile."


@pytest.mark.parametrize(("language", "level"), [("en", "height in front 26 mm"), ("de", "Höhe vorn 26 mm")])
def test_the_heights_of_a_vertebra_stand_in_one_sentence(language: Language, level: str) -> None:
    body = segment("vertebra_l3")
    numbers = [
        measured(body, name, value, "mm", method="across_bisector", slice_index=3)
        for name, value in (("height_front", 26.0), ("height_middle", 24.0), ("height_back", 27.0))
    ]
    report = draft(
        language, template="spine_mr", volume=scan(modality="MR", units=None), segments=(body,), measurements=numbers
    )
    (text,) = texts(report)
    assert level in text
    assert text.count(" mm") == 3


def test_a_range_in_a_sentence_of_several_numbers_names_its_quantity() -> None:
    """clinical.md 17: the range of the length is not that of the volume."""
    kidney = segment("kidney", "left")
    long = measured(kidney, "length", 140.0, "mm", range_text="86 to 137 mm (source)", flags=("above range",))
    report = draft(segments=(kidney,), measurements=(long, measured(kidney, "volume", 200.0, "ml")))
    (finding,) = section(report, "kidneys")
    assert finding.text == (
        "Left kidney: length 140 mm pole to pole and volume 200 ml. Reference range of the length: 86 to 137 mm "
        "(source). Above the stated range."
    )


def test_what_has_no_number_for_one_reason_is_told_once() -> None:
    lacking = [replace(m, value=None, reason="no_spacing", method="", slice_index=None) for m in SIZES[:2]]
    (text,) = texts(draft(segments=(TUMOR,), measurements=lacking))
    reason = "the size of the voxels is not recorded"
    assert text == f"Liver tumor (mask of the model): long axis and volume not measured ({reason})."


def test_numbers_of_two_sides_of_one_mask_do_not_mix() -> None:
    both = segment("kidney")
    ml = {"left": 100.0, "right": 101.0}
    numbers = [measured(both, "volume", value, "ml", side=side, id=side) for side, value in ml.items()]
    assert texts(draft(segments=(both,), measurements=numbers)) == [
        "Right kidney: volume 101 ml.", "Left kidney: volume 100 ml."
    ]  # fmt: skip


@pytest.mark.parametrize("agent", ["enhanced", "unknown"])
def test_the_mean_for_the_rule_of_unenhanced_scans_is_not_told_after_contrast_medium(agent: str) -> None:
    """clinical.md 17 and 26: liver attenuation is a median, but for that rule."""
    from medviewer.core.volume import Fact

    facts = {**scan().facts, "contrast_agent": Fact("Ultravist") if agent == "enhanced" else Fact(None, "unknown")}
    mean = measured(LIVER, "parenchyma_mean", 60.0, "HU", method="mean_without_rim")
    told = texts(draft(volume=scan(facts=facts), segments=(LIVER,), measurements=(mean, *VALUES)))
    assert any("without the rim" in text for text in told) is (agent == "unknown")


def test_a_mask_that_becomes_cut_loses_its_old_sizes() -> None:
    """clinical.md 3: no volume of the whole stays behind."""
    source = source_of(segments=(TUMOR,), measurements=SIZES)
    before = Reviewed(draft_report(source))
    numbers = tuple(
        replace(m, value=None, reason="cut_by_edge", flags=("incomplete",))
        if m.quantity in ("volume", "longest_diameter")
        else replace(m, flags=("incomplete",))
        for m in SIZES
    )
    cut = TUMOR.changed(cut_edges=("upper",))
    after = updated(before, replace(source, segments=(cut,), measurements=numbers, places={}), NOW)
    told = texts(after.report)
    assert len(told) == 2
    assert not [text for text in told if "12 ml" in text]
    back = updated(after, source, NOW)
    assert [text for text in texts(back.report) if "12 ml" in text]


def test_a_mask_with_nothing_but_a_volume_says_after_the_cut_that_there_is_none() -> None:
    source = source_of(segments=(LIVER,), measurements=(measured(LIVER, "volume", 1450.4, "ml"),))
    gone: Measurement = measured(LIVER, "volume", None, "ml", reason="cut_by_edge", method="", flags=("incomplete",))
    cut = replace(source, segments=(LIVER.changed(cut_edges=("upper",)),), measurements=(gone,), places={})
    after = updated(Reviewed(draft_report(source)), cut, NOW)
    assert texts(after.report) == ["Liver: incomplete, cut at the upper edge of the scan; volume not measured."]
    assert after.report.findings[0].changed


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", ["Distance between Liver tumor (mask of the model) and Spleen: 24 mm.",
                "Liver tumor (mask of the model): centre 16 mm to the left of Spleen.",
                "Liver tumor (mask of the model): centre 40 mm above Spleen."]),
        ("de", ["Abstand zwischen Lebertumor (Maske des Modells) und Milz: 24 mm.",
                "Lebertumor (Maske des Modells): Mitte 16 mm links von Milz.",
                "Lebertumor (Maske des Modells): Mitte 40 mm oberhalb von Milz."]),
    ],
)  # fmt: skip
def test_how_one_mask_lies_to_another_is_told_where_it_is_asked_for(language: Language, told: list[str]) -> None:
    """Left or right, above or below: of the patient, with the distance between the surfaces."""
    from medviewer.services.report_drafting import DraftCase
    from medviewer.services.report_drafting import draft as drafted

    tumor, spleen = segment("liver_tumor", at=12), segment("spleen", at=4)
    case = DraftCase(template_of("ct_abdomen"), language, (tumor, spleen), relate=((tumor.id, spleen.id),))
    report = drafted(scan(), case).report
    assert [f.text for f in report.findings if "Milz" in f.text[5:] or "Spleen" in f.text[5:]] == told
    assert not [mark for f in report.findings for mark in f.marks if "Spleen" in f.text[5:] or "Milz" in f.text[5:]]
