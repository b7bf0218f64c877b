"""A report template: what an examination's report says in which order, in English and German; and the choice of one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from medviewer.core.report.document import Language
from medviewer.core.terminology import Terminology
from medviewer.core.volume import Volume

OTHER = "other"  # the heading of whatever the template does not list
RELATIONS = ("distance", "offset_left_right")  # measured when asked for, so always written
UNLISTED = ("volume", "area", "long_axis", "short_axis")  # what is written of a structure that is not listed
GENERAL = "general"  # the template for whatever no other template is for
Sex = Literal["", "F", "M"]
_X_RAY = frozenset({"CR", "DX", "RG", "XR"})
_BODY_FACTS = ("study_description", "series_description", "protocol")


@dataclass(frozen=True)
class Heading:
    """One heading of the findings. `sex`: only in reports of that sex ("F", "M"); empty for all."""

    key: str
    titles: Mapping[Language, str]
    sex: Sex = ""


@dataclass(frozen=True)
class TermRule:
    """Where a structure of the terminology is written, what is written of it, and how the report names its mask.

    `flair`: the structure that its mask is on a FLAIR scan, where that is another one. `contrast`: it is only asked for
    where contrast medium is a stated fact, for it shows through that alone.
    """

    id: str
    heading: str
    quantities: tuple[str, ...] = ()  # in the order of the sentences
    names: Mapping[Language, str] = field(default_factory=dict)  # instead of the terminology's ("cardiac silhouette")
    sex: Sex = ""
    flair: str = ""
    contrast: bool = False


@dataclass(frozen=True)
class Choice:
    """When a template fits: modalities (empty: any), words of body part and descriptions, structures found."""

    modalities: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Template:
    """One examination. `technique` and `stated` name acquisition facts: the first are written where they are known, the
    second always, if only as unknown. `prompts` are term ids; whether a model knows them is asked at run time."""

    key: str
    titles: Mapping[Language, str]
    headings: tuple[Heading, ...]
    terms: Mapping[str, TermRule]
    prompts: tuple[str, ...] = ()
    patterns: Mapping[Language, Mapping[str, str]] = field(default_factory=dict)
    limitations: Mapping[Language, tuple[str, ...]] = field(default_factory=dict)
    technique: tuple[str, ...] = ()
    stated: tuple[str, ...] = ()
    choice: Choice = Choice()

    def heading_of(self, term_id: str | None) -> str:
        """The heading a structure is written under; "other" for one that the template does not list."""
        rule = self.terms.get(term_id or "")
        return rule.heading if rule else OTHER

    def headings_for(self, sex: str) -> tuple[Heading, ...]:
        """The headings of a report on a patient of this sex ("F", "M"; anything else: all headings)."""
        return tuple(h for h in self.headings if fits_sex(h.sex, sex))

    def prompts_for(self, sex: str, *, contrast: bool = True) -> tuple[str, ...]:
        """The term ids to ask for in a scan of such a patient. `contrast`: contrast medium is a stated fact."""
        rules = {id_: self.terms.get(id_, TermRule(id_, OTHER)) for id_ in self.prompts}
        return tuple(i for i, rule in rules.items() if fits_sex(rule.sex, sex) and (contrast or not rule.contrast))

    def term_on(self, weighting: str, term_id: str | None) -> str | None:
        """What a mask of a structure is on a scan of this weighting ("FLAIR", "T1" ...): mostly that structure."""
        rule = self.terms.get(term_id or "")
        return rule.flair if rule is not None and rule.flair and weighting.upper() == "FLAIR" else term_id


def prompt_wordings(
    template: Template, terminology: Terminology, sex: str = "", *, contrast: bool = True
) -> tuple[str, ...]:
    """What to ask a model: "liver", "right kidney", "left kidney"; both sides of what comes in pairs. What may reach
    across the middle is asked for as a whole: the template measures its side ("side_share")."""
    asked: list[str] = []
    for id_ in template.prompts_for(sex, contrast=contrast):
        term, rule = terminology.get(id_), template.terms.get(id_)
        both = term.laterality == "paired" and not (rule and "side_share" in rule.quantities)
        asked += [f"{side} {term.name}" for side in ("right", "left")] if both else [term.name]
    return tuple(asked)


def fits_sex(wanted: Sex, sex: str) -> bool:
    """Whether what is for one sex belongs into a report; a sex that is not recorded rules out nothing."""
    return not wanted or sex not in ("F", "M") or sex == wanted


def choose_template(templates: Iterable[Template], volume: Volume, found: Collection[str] = ()) -> Template:
    """The template for a scan from its modality, its body part words and the structures found (term ids).

    A template of another modality never fits. The body part as DICOM states it counts more than descriptions, these
    more than what was found. Where nothing speaks for one, it is "general". Raises KeyError where that is missing.
    """
    known = {template.key: template for template in templates}
    scored = [(_score(template, volume, found), template) for template in known.values() if template.key != GENERAL]
    best = max(scored, key=lambda pair: pair[0], default=None)
    return best[1] if best is not None and best[0] > 0 else known[GENERAL]


def _score(template: Template, volume: Volume, found: Collection[str]) -> float:
    choice = template.choice
    if choice.modalities and not modality_names(volume.modality) & set(choice.modalities):
        return 0.0
    stated = _words(_text(volume, "body_part"))
    described = _words(" ".join([volume.title, *(_text(volume, name) for name in _BODY_FACTS)]))
    score = 4.0 * _names(choice.body_parts, stated) + 2.0 * _names(choice.body_parts, described)
    share = sum(term in found for term in choice.terms)
    return score + min(share, 4) * 0.4 + (0.1 if share and share == len(set(found)) else 0.0)


def fits_modality(template: Template, volume: Volume) -> bool:
    """Whether the scan may be of the template's modality; where it records none, it may be of any."""
    wanted = set(template.choice.modalities)
    return not wanted or not volume.modality or bool(modality_names(volume.modality) & wanted)


def modality_names(modality: str | None) -> frozenset[str]:
    """The modality and its other names: CR, DX and XR are X-ray images alike."""
    name = (modality or "").upper()
    return _X_RAY if name in _X_RAY else frozenset({name} - {""})


def _text(volume: Volume, fact: str) -> str:
    known = volume.facts.get(fact)
    return str(known.value) if known is not None and known.value is not None else ""


def _words(text: str) -> str:
    """The text as words between single spaces, so that whole words can be looked up."""
    return " ".join(["", *re.findall(r"[^\W_]+", text.casefold()), ""])


def _names(parts: Iterable[str], text: str) -> bool:
    return any(_words(part) in text for part in parts)
