"""What the program writes itself passes its guards: patterns and methods of the shipped templates, both languages."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from medviewer.core.guards import GuardContext, GuardWords, KnownSegment, Structures, check_sentence
from medviewer.core.report.document import Evidence, Finding, Measurement

# template: modality, unit of its intensities, structure in English and German, term id, another structure
SCENES = {
    "ct_abdomen": ("CT", "HU", "liver", "Leber", "liver", ("spine", "Wirbelsäule")),
    "ct_chest": ("CT", "HU", "lung", "Lunge", "lung", ("spine", "Wirbelsäule")),
    "chest_xray": ("DX", "1", "heart", "Herz", "heart", ("lung", "Lunge")),
    "brain_mr": ("MR", "1", "brain tumor", "Hirntumor", "brain_tumor", ("brain", "Gehirn")),
    "spine_mr": ("MR", "1", "L3 vertebra", "LWK 3", "vertebra_l3", ("spine", "Wirbelsäule")),
    "cardiac_mr": ("MR", "1", "left ventricle", "linker Ventrikel", "left_ventricle", ("heart", "Herz")),
    "breast_us": ("US", "1", "breast tumor", "Mammatumor", "breast_tumor", ("breast", "Brust")),
    "general": ("CT", "HU", "spleen", "Milz", "spleen", ("liver", "Leber")),
}
LANGUAGES = ("en", "de")
COMPARED = ("_before", "_change", "_change_percent", "_change_error")
GERMAN_SIDE = {"left": "links", "right": "rechts"}
RESOURCES = Path(__file__).resolve().parents[3] / "resources" / "report"


class _Words(dict):  # type: ignore[type-arg]
    def __missing__(self, key: str) -> str:
        return "x"


def marks_of(
    text: str, unit: str, side: str | None, language: str, template: str, tools: Any, *, has_prior: bool = False
) -> list[str]:
    structures, words = tools
    modality, _, _, _, term, _ = SCENES[template]
    held = Measurement("x", 0.52 if unit == "1" else 12.3, unit, "m", segment_ids=("s",), term_id=term, side=side)
    evidence = (Evidence("measurement", measurement_id=held.id, segment_id="s"),)
    context = GuardContext(structures, language, modality, template, "M", segments={"s": KnownSegment("s", term, side)},
                           measurements={held.id: held}, has_prior=has_prior)  # type: ignore[arg-type]  # fmt: skip
    found = check_sentence(Finding(text, "liver", evidence=evidence), context, words)
    return [f"{mark.guard}: {text[slice(*mark.span)]} | {text}" for mark in found]


@pytest.fixture(scope="module")
def tools(structures: Structures, words: GuardWords) -> tuple[Structures, GuardWords]:
    return structures, words


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("template", SCENES)
def test_the_patterns_of_the_templates_are_clean(template: str, language: str, tools: Any) -> None:
    path = RESOURCES / "templates" / f"{template}.toml"
    if not path.is_file():
        pytest.skip("this template is not shipped")
    patterns = tomllib.loads(path.read_text(encoding="utf-8"))["patterns"][language]
    _, intensity, english, german, _, others = SCENES[template]
    for quantity, pattern in patterns.items():
        unit = (
            intensity
            if set(quantity.split("_")) & {"mean", "median", "minus"}
            else "1"
            if "ratio" in quantity
            else "mm"
        )
        for side in ("left", "right"):
            given = _Words(value="0.52" if unit == "1" else "12.3", unit="" if unit == "1" else unit, method="m",
                           structure=(english, german)[language == "de"], other=others[language == "de"],
                           side=side if language == "en" else GERMAN_SIDE[side])  # fmt: skip
            if language == "de":
                given["value"] = given["value"].replace(".", ",")
            assert not marks_of(pattern.format_map(given), unit, side, language, template, tools)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_methods_are_clean(language: str, tools: Any) -> None:
    path = RESOURCES / "quantities.toml"
    if not path.is_file():
        pytest.skip("no names of quantities are shipped")
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    value = {"en": "12.3", "de": "12,3"}[language]
    texts = [f"Milz: {value} mm ({told[language]})." for told in data["methods"].values()]
    for key, told in data["quantities"].items():
        text = f"Milz: {told[language]} {value} mm."
        compares = key.startswith("recist_") or key.endswith(COMPARED)  # measured only where there is an earlier study
        assert marks_of(text, "mm", "left", language, "general", tools, has_prior=compares) == []
    assert [mark for text in texts for mark in marks_of(text, "mm", "left", language, "general", tools)] == []
