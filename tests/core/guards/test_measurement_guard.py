"""Numbers in sentences against the measurements of their evidence."""

from __future__ import annotations

from typing import Any

import pytest

from medviewer.core.guards.numbers import read_number
from medviewer.core.report.document import Measurement


@pytest.mark.parametrize(
    ("text", "measured", "language"),
    [
        ("Length 118.4 mm.", [(118.42, "mm")], "en"),
        ("Length 118 mm.", [(118.42, "mm")], "en"),
        ("Length 11.8 cm.", [(118.42, "mm")], "en"),
        ("Length 118mm.", [(118.42, "mm")], "en"),
        ("A 12-mm nodule.", [(12.3, "mm")], "en"),
        ("Volume 1,234.5 ml.", [(1234.5, "ml")], "en"),
        ("Volume 1.23 liters.", [(1234.5, "ml")], "en"),
        ("Volume 23 cm³.", [(23.2, "ml")], "en"),
        ("23 x 17 x 12 mm", [(23.0, "mm"), (17.0, "mm"), (12.0, "mm")], "en"),
        ("2.3 by 1.7 cm", [(23.0, "mm"), (17.0, "mm")], "en"),
        ("nodules of 4–9 mm", [(4.0, "mm"), (9.0, "mm")], "en"),
        ("Mean -45 HU, range -100 to -20 HU.", [(-45.1, "HU"), (-100, "HU"), (-20, "HU")], "en"),
        ("Ejection fraction 58 %.", [(0.58, "1")], "en"),
        ("Cardiothoracic ratio 0.52.", [(0.521, "1")], "en"),
        ("23 mm (image 60 of 120) and 17 mm", [(23.0, "mm"), (17.0, "mm")], "en"),
        ("less than 10 mm", [(7.0, "mm")], "en"),
        ("> 30 mm", [(34.0, "mm")], "en"),
        ("approximately 1200 ml", [(1203.0, "ml")], "en"),
        ("twelve millimeters", [(12.0, "mm")], "en"),
        ("Länge 118,4 mm.", [(118.42, "mm")], "de"),
        ("Volumen 1.234,5 ml.", [(1234.5, "ml")], "de"),
        ("Volumen 1.234 ml.", [(1234.2, "ml")], "de"),
        ("zwischen 4 und 9 mm", [(4.0, "mm"), (9.0, "mm")], "de"),
        ("mittlere Dichte -45 HE", [(-45.0, "HU")], "de"),
        ("Größe 2,3 × 1,7 cm", [(23.0, "mm"), (17.0, "mm")], "de"),
    ],
)
def test_a_number_that_rounds_to_its_measurement_passes(
    guards: Any, text: str, measured: list[tuple[float, str]], language: str
) -> None:
    assert "measurement" not in guards(text, measured=measured, language=language)


@pytest.mark.parametrize(
    ("text", "measured", "language"),
    [
        ("Length 119 mm.", [(118.42, "mm")], "en"),
        ("Length 118.4 cm.", [(118.42, "mm")], "en"),
        ("Length 118.42 HU.", [(118.42, "mm")], "en"),
        ("Length 118 mm.", [], "en"),
        ("Mean 45 HU.", [(-45.0, "HU")], "en"),
        ("23 x 19 mm", [(23.0, "mm"), (17.0, "mm")], "en"),
        ("2.3 x 17 cm", [(23.0, "mm"), (17.0, "mm")], "en"),
        ("nodules of 4-11 mm", [(4.0, "mm"), (9.0, "mm")], "en"),
        ("less than 10 mm", [(12.0, "mm")], "en"),
        ("thirteen millimeters", [(12.0, "mm")], "en"),
        ("Volume 1200 ml.", [(1203.0, "ml")], "en"),
        ("50 % stenosis", [], "en"),
        ("Volumen 1,234 ml.", [(1234.2, "ml")], "de"),
        ("Länge 11,84 mm.", [(118.42, "mm")], "de"),
        ("Herz-Thorax-Quotient 0,61.", [(0.521, "1")], "de"),
    ],
)
def test_another_number_is_marked(guards: Any, text: str, measured: list[tuple[float, str]], language: str) -> None:
    assert "measurement" in guards(text, measured=measured, language=language)


@pytest.mark.parametrize(
    "text",
    [
        "Outlined on 12.03.2024 and 2024-03-12.",
        "Lesion in segment VI at L3 and T12, series 4, image 112, section 2.1.",
        "Slice thickness 5 mm.",
        "Vertebrae L4/L5, images 12-18, 3 lesions.",
        "Kontrolle in 6 Monaten, Schichtdicke 1,5 mm.",
    ],
)
def test_dates_levels_images_and_technique_are_no_measurements(guards: Any, text: str) -> None:
    assert "measurement" not in guards(text)


def test_swapped_sides_axes_and_organs_are_marked(guards: Any) -> None:
    lengths = [
        Measurement("length", v, "mm", "m", term_id="kidney", side=s) for v, s in ((118.0, "left"), (97.0, "right"))
    ]
    assert not guards("Left kidney 118 mm, right kidney 97 mm.", measured=lengths)
    assert guards("Left kidney 97 mm, right kidney 118 mm.", measured=lengths) == ["measurement"]
    axes = [Measurement("long_axis", 23.0, "mm", "m"), Measurement("short_axis", 17.0, "mm", "m")]
    assert not guards("Long axis 23 mm, short axis 17 mm.", measured=axes)
    assert guards("Long axis 17 mm, short axis 23 mm.", measured=axes) == ["measurement"]
    volumes = [
        Measurement("volume", 1500.0, "ml", "m", term_id="liver"),
        Measurement("volume", 210.0, "ml", "m", term_id="spleen"),
    ]
    assert not guards("Liver 1500 ml, spleen 210 ml.", measured=volumes)
    assert guards("Liver 210 ml, spleen 1500 ml.", measured=volumes) == ["measurement"]


def test_numbers_of_the_reference_range_may_be_cited(guards: Any) -> None:
    spleen = Measurement("volume", 410.0, "ml", "m", range_text="81.1-322 ml, Kim 2021")
    assert not guards("Spleen volume 410 ml (reference 81.1-322 ml, Kim 2021).", measured=[spleen])
    assert guards("Spleen volume 410 ml (reference 81.1-500 ml).", measured=[spleen]) == ["measurement"]


def test_a_person_may_write_a_number_of_their_own_but_not_against_the_linked_measurement(guards: Any) -> None:
    assert not guards("Nodule of 12 mm.", origin="human")
    assert guards("Nodule of 12 mm.", origin="human", measured=[(9.0, "mm")]) == ["measurement"]


def test_a_measurement_without_value_supports_no_number(guards: Any) -> None:
    cut = Measurement("volume", None, "ml", "m", reason="no spacing")
    assert guards("Volume 410 ml.", measured=[cut]) == ["measurement"]


def test_decimal_marks_follow_the_language() -> None:
    assert read_number("1,234.5", "en") == (1234.5, 0.1)
    assert read_number("1.234,5", "de") == (1234.5, 0.1)
    assert read_number("1.234", "de") == (1234.0, 1.0)
    assert read_number("0.125", "de") == (0.125, 0.001)
    assert read_number("11.3", "de") == (11.3, 0.1)
    assert read_number("12.03.2024", "de") is None
    assert read_number("1" * 400, "en") is None
