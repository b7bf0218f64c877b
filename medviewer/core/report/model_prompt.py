"""What a vision-language model is asked, built from data. What is absent is stated as absent, never left out: a model
that is told nothing about earlier examinations invents them.

Inputs follow SEI (MICCAI 2024: indication, similar cases) and MLRG (CVPR 2025: prior report), with their tokens for
"absent" written out as words.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from medviewer.core.errors import InputRefused
from medviewer.core.plain_text import one_line
from medviewer.core.report.document import Language
from medviewer.core.report.drafting import DraftSource, draft_report
from medviewer.core.report.patterns import fill, placeholders
from medviewer.core.report.template import OTHER
from medviewer.core.report.words import LANGUAGES

LONGEST = {"technique": 1_000, "indication": 2_000, "prior": 6_000, "similar": 2_000, "measured": 6_000}  # characters
MOST_SIMILAR = 3
NOT_FOR_MODELS = ("category", OTHER)  # headings that no model is asked for; a category is given by a person only
PLACES: Mapping[str, frozenset[str]] = {
    "role": frozenset(), "task": frozenset({"examination"}),
    "picture": frozenset({"number", "count", "plane", "slice", "slices", "window"}),
    "picture_alone": frozenset({"number", "count", "window"}), "window": frozenset({"name"}),
    "orientation": frozenset(), "orientation_unknown": frozenset(),
    "technique": frozenset({"text"}), "technique_absent": frozenset(),
    "indication": frozenset({"text"}), "indication_absent": frozenset(),
    "prior": frozenset({"text"}), "prior_absent": frozenset(), "prior_rule": frozenset(),
    "prior_absent_rule": frozenset(), "similar": frozenset({"text", "number"}), "similar_absent": frozenset(),
    "similar_rule": frozenset(), "measured": frozenset({"text"}), "measured_absent": frozenset(),
    "measured_rule": frozenset(), "headings": frozenset({"text"}), "closing": frozenset(),
}  # fmt: skip
NOTICES = (
    "experimental", "cut_off", "repeats", "too_long", "too_many", "repeated", "left_out", "empty", "thought_only",
    "fewer_pictures", "no_template", "shortened", "on_cpu",
)  # fmt: skip
PLANES = ("axial", "coronal", "sagittal", "native")


@dataclass(frozen=True)
class ModelInputs:
    """What the model is told beside the pictures; empty is absent, and stated so. `prior_report`: the findings of an
    earlier examination of this patient. `similar_cases`: reports of other patients. `measured`: sentences of numbers
    measured on this scan."""

    indication: str = ""
    prior_report: str = ""
    similar_cases: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()

    def completed(self, source: DraftSource) -> ModelInputs:
        """With the indication and the measured sentences of the draft where the caller gave none."""
        measured = self.measured or tuple(f.text for f in draft_report(source).findings if f.origin == "measured")
        return replace(self, indication=self.indication or source.indication, measured=measured)


@dataclass(frozen=True)
class ModelPrompts:
    """The wordings of both languages. `pictures`: most pictures by layout of the model; `windows`: window presets by
    template. Immutable; any thread."""

    texts: Mapping[Language, Mapping[str, str]]
    planes: Mapping[Language, Mapping[str, str]]
    notices: Mapping[Language, Mapping[str, str]]
    pictures: Mapping[str, int] = field(default_factory=dict)
    windows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def most_pictures(self, layout: str) -> int:
        """How many pictures a model of this layout is shown."""
        return self.pictures.get(layout, self.pictures["default"])

    def windows_of(self, template: str) -> tuple[str, ...]:
        """The presets that CT is shown in, for a template's key."""
        return self.windows.get(template, self.windows["default"])

    def notice(self, language: Language, key: str, **values: str) -> str:
        """A sentence for the user."""
        return fill(self.notices[language][key], values)

    def plane(self, language: Language, plane: str) -> str:
        """The name of a plane ("axial", "coronal", "sagittal", "native": as stored)."""
        return self.planes[language].get(plane, plane)


@dataclass(frozen=True)
class Prompt:
    """`before`: what stands in front of the pictures, `after`: behind them. `notices`: inputs that were shortened."""

    before: str
    after: str
    notices: tuple[str, ...] = ()


def read_model_prompts(text: str, source: str = "model_prompts.toml") -> ModelPrompts:
    """The prompts of a TOML text. Raises InputRefused where an entry is missing, is no text, or has an unknown name in
    braces."""
    try:
        data = tomllib.loads(text)
        return ModelPrompts(
            {one: _texts(data[one], PLACES) for one in LANGUAGES},
            {one: _texts(data[one]["planes"], dict.fromkeys(PLANES, frozenset())) for one in LANGUAGES},
            {one: _texts(data[one]["notices"], dict.fromkeys(NOTICES)) for one in LANGUAGES},
            _counts(data["pictures"]),
            {str(key): tuple(str(one) for one in names) for key, names in _table(data, "windows").items()},
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise InputRefused(f"{source} cannot be used: {reason}.", "Install medviewer again.",
                           code="prompts-refused") from error  # fmt: skip


def _texts(table: Mapping[str, Any], allowed: Mapping[str, frozenset[str] | None]) -> dict[str, str]:
    found = {}
    for key, places in allowed.items():
        text = table[key]
        if not isinstance(text, str) or not text:
            raise ValueError(f"{key} is no text")
        unknown = placeholders(text) - places if places is not None else frozenset()
        if unknown:
            raise ValueError(f"{key} has {', '.join(sorted(unknown))} in braces")
        found[key] = text
    return found


def _counts(table: Mapping[str, Any]) -> dict[str, int]:
    counts = {str(key): int(value) for key, value in table.items()}
    if "default" not in counts or min(counts.values()) < 1:
        raise ValueError("pictures need a default, and each at least 1")
    return counts


def _table(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = data[name]
    if not isinstance(table.get("default"), list):
        raise ValueError(f"{name} needs a default")
    return dict(table)


def build_prompt(source: DraftSource, technique: str, inputs: ModelInputs, prompts: ModelPrompts) -> Prompt:
    """The prompt for a scan, in the language of `source.words`. `technique`: one paragraph, may be empty."""
    return _Building(source, inputs, prompts).prompt(technique)


@dataclass(frozen=True)
class _Building:
    source: DraftSource
    inputs: ModelInputs
    prompts: ModelPrompts
    notices: list[str] = field(default_factory=list)

    @property
    def language(self) -> Language:
        return self.source.words.language

    def prompt(self, technique: str) -> Prompt:
        prior = bool(self.inputs.prior_report.strip())
        examination = self.source.template.titles[self.language]
        lines = [
            self.given("technique", technique),
            self.given("indication", self.inputs.indication),
            self.given("prior", self.inputs.prior_report),
            self.text("prior_rule" if prior else "prior_absent_rule"),
            *self.similar(),
            self.given("measured", " ".join(self.inputs.measured)),
            self.text("measured_rule"),
            self.text("orientation" if self.sides_known() else "orientation_unknown"),
            self.text("task", examination=examination),
            self.text("headings", text=", ".join(self.headings())),
            self.text("closing"),
        ]
        return Prompt(self.text("role"), "\n".join(lines), tuple(self.notices))

    def text(self, key: str, **values: str) -> str:
        return fill(self.prompts.texts[self.language][key], values)

    def given(self, key: str, text: str, **values: str) -> str:
        """An input on one line, or that it is absent."""
        shown = self.shortened(key, text)
        return self.text(key, text=shown, **values) if shown else self.text(f"{key}_absent")

    def shortened(self, key: str, text: str) -> str:
        longest = LONGEST[key]
        if len(text) > longest:
            label = one_line(self.text(key, text="", number="")).rstrip(" :()")
            told = self.prompts.notice(self.language, "shortened", characters=f"{longest}", what=label)
            self.notices.append(told)
        return one_line(text, longest)

    def similar(self) -> list[str]:
        cases = [case for case in self.inputs.similar_cases if case.strip()][:MOST_SIMILAR]
        told = [self.given("similar", case, number=str(n)) for n, case in enumerate(cases, 1)]
        return [*told, self.text("similar_rule")] if told else [self.text("similar_absent")]

    def sides_known(self) -> bool:
        volume = self.source.volume
        return volume.orientation_recorded or volume.patient_orientation is not None

    def headings(self) -> list[str]:
        """Titles, each once; without the one of a category, which is for a person to give, and the rest's."""
        headings = self.source.template.headings_for(self.source.volume.patient.sex)
        return list(dict.fromkeys(h.titles[self.language] for h in headings if h.key not in NOT_FOR_MODELS))


def picture_line(
    prompts: ModelPrompts, language: Language, number: int, count: int, *, plane: str = "", slice_number: int = 0,
    slices: int = 1, window: str = "",
) -> str:
    """What is written in front of a picture: its number, where it lies (1-based slice, from the feet upwards on axial
    slices), and the name of its window."""
    texts = prompts.texts[language]
    values = {
        "number": str(number), "count": str(count), "plane": prompts.plane(language, plane) if plane else "",
        "slice": str(slice_number), "slices": str(slices),
        "window": _window(texts["window"], window),
    }  # fmt: skip
    return fill(texts["picture" if plane and slices > 1 else "picture_alone"], values)


def _window(pattern: str, name: str) -> str:
    """With its leading separator, which `fill` would strip."""
    return pattern.replace("{name}", name) if name else ""
