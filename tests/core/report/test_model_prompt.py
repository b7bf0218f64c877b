"""What a model is asked: absent inputs are stated as absent, patients are not named, nothing is filled in twice."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from report_kit import RESOURCES, source_of

from medviewer.core.errors import InputRefused
from medviewer.core.report.document import Language
from medviewer.core.report.model_prompt import (
    LONGEST,
    MOST_SIMILAR,
    ModelInputs,
    Prompt,
    build_prompt,
    picture_line,
    read_model_prompts,
)
from medviewer.core.report.words import LANGUAGES

TEXT = (RESOURCES / "report" / "model_prompts.toml").read_text("utf-8")
PROMPTS = read_model_prompts(TEXT)


def prompt(inputs: ModelInputs | None = None, language: Language = "en", **changes: Any) -> Prompt:
    source = source_of(language, **changes)
    return build_prompt(source, "Modality: CT (DICOM).", (inputs or ModelInputs()).completed(source), PROMPTS)


def test_what_is_absent_is_stated_as_absent() -> None:
    lines = prompt().after.splitlines()
    for line in ("Indication: not given.", "Prior report: none.", "Similar cases: none."):
        assert line in lines
    assert any("no earlier examination" in line for line in lines)
    german = prompt(language="de").after.splitlines()
    for line in ("Indikation: nicht angegeben.", "Vorbefund: keiner.", "Ähnliche Fälle: keine."):
        assert line in german
    nothing = prompt(measurements=(), segments=(), answers=()).after
    assert "Measured on this scan by a program: nothing." in nothing


def test_what_is_given_is_given_on_one_line_each() -> None:
    inputs = ModelInputs("Pain,\n\x00 left", "Liver:\n15 cm", ("Cyst.", "", "Stone."), ("Liver: volume 1450 ml.",))
    lines = prompt(inputs).after.splitlines()
    assert "Indication: Pain, left" in lines
    assert "Prior report: Liver: 15 cm" in lines
    assert [line for line in lines if line.startswith("Report of a similar case")] == [
        "Report of a similar case of another patient (1): Cyst.",
        "Report of a similar case of another patient (2): Stone.",
    ]
    assert "Measured on this scan by a program: Liver: volume 1450 ml." in lines
    assert not any("no earlier examination" in line for line in lines)


def test_the_indication_and_the_measured_sentences_of_the_draft_are_used() -> None:
    text = prompt(indication="Pain").after
    assert "Indication: Pain" in text
    assert "Left kidney: length 109 mm" in text


def test_no_patient_is_named() -> None:
    text = prompt().after + prompt().before
    for secret in ("Doe", "4711", "1950"):
        assert secret not in text


def test_names_in_braces_inside_an_input_are_left_as_they_are() -> None:
    assert "Indication: {examination} {text}" in prompt(ModelInputs("{examination} {text}")).after


def test_long_inputs_are_shortened_and_told() -> None:
    shortened = prompt(ModelInputs("x" * 100_000, "y" * 100_000, ("z" * 100_000,) * 9))
    assert len(shortened.after) < sum(LONGEST.values()) + MOST_SIMILAR * LONGEST["similar"]
    assert len(shortened.notices) == 2 + MOST_SIMILAR
    told = f"Text given to the model was shortened to {LONGEST['indication']} characters: Indication."
    assert shortened.notices[0] == told


def test_sides_are_asked_for_only_where_the_file_records_them() -> None:
    assert "right side is on the left" in prompt().after
    volume = source_of().volume.with_changes(affine=None)
    assert "name no side" in prompt(volume=volume).after


def test_the_headings_are_those_of_the_template_for_the_patients_sex() -> None:
    told = next(line for line in prompt().after.splitlines() if line.startswith("Headings"))
    assert "Liver, Gallbladder and bile ducts, Pancreas" in told


def test_a_picture_is_told_with_its_place_and_window() -> None:
    line = picture_line(PROMPTS, "en", 1, 3, plane="axial", slice_number=4, slices=20, window="Soft tissue")
    assert line == "Picture 1 of 3: axial slice 4 of 20, window Soft tissue."
    assert picture_line(PROMPTS, "de", 1, 1, plane="native", slices=1) == "Bild 1 von 1."


def test_the_shipped_prompts_say_the_same_in_both_languages() -> None:
    data = tomllib.loads(TEXT)
    assert data["en"].keys() == data["de"].keys()
    for table in ("planes", "notices"):
        assert data["en"][table].keys() == data["de"][table].keys()
    for language in LANGUAGES:
        assert PROMPTS.most_pictures("gemma3") > PROMPTS.most_pictures("llava") == 1
        assert PROMPTS.windows_of("ct_chest") == ("lung", "mediastinum")
        assert PROMPTS.notice(language, "repeats")


def test_the_shipped_windows_are_presets(repository: Any) -> None:
    presets = (repository / "resources" / "presets" / "windows.json").read_text("utf-8")
    assert all(f'"id": "{name}"' in presets for names in PROMPTS.windows.values() for name in names)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('role = "You', 'rolle = "You', "role is missing"),
        ("{examination}", "{patient}", "patient in braces"),
        ("gemma3 = 8", "gemma3 = 0", "at least 1"),
        ('repeats = "The', 'repeat = "The', "repeats is missing"),
        ("[pictures]", "[pictures", "cannot be used"),
    ],
)
def test_a_damaged_file_is_told(old: str, new: str, reason: str) -> None:
    with pytest.raises(InputRefused, match=reason):
        read_model_prompts(TEXT.replace(old, new, 1))
