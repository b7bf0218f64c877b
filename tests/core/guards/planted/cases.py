"""Sentences with planted errors and without, made from the templates by a fixed seed."""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from medviewer.core.guards import KnownSegment
from medviewer.core.guards.context import terms_of
from medviewer.core.report.document import Evidence, Finding, Identity, Measurement, Report, Section
from medviewer.services.report_templates import report_templates

from . import slots

SEED = 20240
PER_GROUP = 110  # cases per guard, half, language and kind
RICH = {"study": 210, "final": 210}  # halves whose templates draw wordings: their cases per group
FOLDERS = ("fresh", "last", *RICH)
GUARDS = ("laterality", "prior", "measurement", "modality", "sex", "contradiction", "normal", "no evidence")
_FOLDER = Path(__file__).parent / "templates"
_SLICE = Evidence("slice", slice_index=3)
_IDENTITY = Identity()
_CHOICE = re.compile(r"<([^<>]*\|[^<>]*)>")


@dataclass(frozen=True)
class Case:
    """A report with one planted error or none. `facts`: fields of the GuardContext beside structures and language."""

    guard: str
    half: str
    language: str
    planted: bool
    report: Report
    template: str
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return " | ".join(finding.text for finding in self.report.findings)


@dataclass
class Group:
    """What one generator works with."""

    guard: str
    half: str
    language: str
    planted: bool
    templates: dict[str, list[Any]]
    random: random.Random

    def case(self, wording: str, findings: list[Finding], impression: tuple[Finding, ...] = (), **facts: Any) -> Case:
        report = Report("general", self.language, _IDENTITY, sections=(Section("body", "Body", tuple(findings)),),
                        impression=impression)  # type: ignore[arg-type]  # fmt: skip
        return Case(self.guard, self.half, self.language, self.planted, report, wording, facts)

    def pick(self, *names: str, at: int) -> Any:
        """The template of the turn, so that each is used equally often."""
        every = [template for name in names for template in self.templates[name]]
        return every[at % len(every)]

    def drawn(self, template: str) -> str:
        """The template with one wording of each <a|b>."""
        while _CHOICE.search(template):
            template = _CHOICE.sub(lambda found: self.random.choice(found[1].split("|")), template, count=1)
        return template

    @property
    def is_rich(self) -> bool:
        return self.half in RICH


def cases(guard: str, half: str) -> Iterator[Case]:
    """`PER_GROUP` planted and as many clean ones in English and in German; the same at each call."""
    name = "normal" if guard == "no evidence" else guard
    folder = _FOLDER.with_name(half) if half in FOLDERS else _FOLDER
    data = tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))
    for language in ("en", "de"):
        for planted in (True, False):
            seed = f"{SEED} {guard} {half} {language} {planted}"
            group = Group(guard, half, language, planted, data[half][language], random.Random(seed))
            for n in range(RICH.get(half, PER_GROUP)):
                yield _MAKERS[guard](group, n)


def template_count(guard: str, half: str) -> int:
    """How many different templates a guard's cases of one half come from."""
    return len({(case.language, case.template) for case in cases(guard, half)})


def _finding(text: str, **fields: Any) -> Finding:
    return Finding(text, "body", **{"evidence": (_SLICE,), "origin": "model", **fields})


def _laterality(group: Group, n: int) -> Case:
    true = group.random.choice(slots.SIDES)
    names = ("sided", "both") if group.planted else ("sided", "clean")
    template = group.pick(*names, at=n)
    said = slots.OTHER[true] if group.planted and template not in group.templates["both"] else true
    term, text = _sided_text(group.drawn(template), said, group)
    segments = {"s": KnownSegment("s", term, true)}
    return group.case(template, [_finding(text, evidence=(Evidence("segment", segment_id="s"),))], segments=segments)


def _sided_text(template: str, side: str, group: Group) -> tuple[str, str]:
    opposite = slots.OTHER[side]
    if group.language == "en":
        term, organ = group.random.choice((*slots.ENGLISH_ORGANS, *slots.FURTHER_ENGLISH.get(group.half, ())))
        words = {
            "side": side,
            "Side": side.title(),
            "opp": opposite,
            "organ": organ,
            "abbr": slots.ENGLISH_ABBREVIATION[side],
            "L": side[0].upper(),
        }
        return term, template.format(**words)
    feminine = group.random.choice((*slots.FEMININE, *slots.FURTHER_FEMININE.get(group.half, ())))
    masculine = group.random.choice((*slots.MASCULINE, *slots.FURTHER_MASCULINE.get(group.half, ())))
    (se, adj, ab), (opp_se, opp_adj, _) = slots.GERMAN[side], slots.GERMAN[opposite]
    words = {"se": se, "Se": se.title(), "adj": adj, "Adj": adj.title(), "ab": ab, "seitig": f"{se}seitig",
             "opp_se": opp_se, "opp_Se": opp_se.title(), "opp_adj": opp_adj, "f": feminine[1], "fpl": feminine[2],
             "m": masculine[1]}  # fmt: skip
    return (masculine if "{m}" in template else feminine)[0], template.format(**words)


def _prior(group: Group, n: int) -> Case:
    with_prior = not group.planted and n % 3 == 0
    template = group.pick("planted" if group.planted or with_prior else "clean", at=n)
    english, german = group.random.choice(slots.ENGLISH_FINDINGS), group.random.choice(slots.GERMAN_FINDINGS)
    held = [Measurement("long_axis", mm, "mm", "by hand", id=str(mm)) for mm in (23.0, 47.0)]
    wording = group.drawn(template)
    day = f"{group.random.randint(1, 28):02}" if "{d}" in wording else ""
    words = {"n": 23, "k": 47, "d": f"{day}.03.2021" if group.language == "de" else f"{day} March 2021"}
    text = wording.format(thing=english, Thing=english[0].upper() + english[1:], Ding=german, **words)
    evidence = (_SLICE, *(Evidence("measurement", measurement_id=m.id) for m in held))
    return group.case(
        template, [_finding(text, evidence=evidence)], has_prior=with_prior, measurements={m.id: m for m in held}
    )


def _measurement(group: Group, n: int) -> Case:
    every = 2 if group.is_rich else 4
    template = group.pick("any", at=n) if group.planted or n % every else group.pick("clean", at=n // every)
    true = _values(group.random)
    missing = group.planted and group.random.random() < 0.2
    written = _wrong(true, template, group.random) if group.planted and not missing else true
    text = group.drawn(template).format(**_as_written(written, group))
    method, told = slots.METHOD[group.language], slots.RANGE[group.language]
    held = [
        Measurement(q, v, u, method if q == "mean" else "by hand", range_text=told if q == "volume" else "", id=str(i))
        for i, (q, v, u) in enumerate(() if missing else _measured(true))
    ]
    evidence = tuple(Evidence("measurement", measurement_id=m.id) for m in held) or (_SLICE,)
    return group.case(template, [_finding(text, evidence=evidence)], measurements={m.id: m for m in held})


def _values(chance: random.Random) -> dict[str, float]:
    a = chance.uniform(25, 95)
    b, c = a * chance.uniform(0.6, 0.8), a * chance.uniform(0.3, 0.5)
    return {"a": a, "b": b, "c": c, "v": chance.uniform(110, 1900), "h": float(chance.randint(-40, 90) or 5),
            "p": float(chance.randint(4, 96)), "r": chance.uniform(0.35, 0.65)}  # fmt: skip


def _wrong(true: dict[str, float], template: str, chance: random.Random) -> dict[str, float]:
    """One value of those the template uses is off: by a fifth and more, a factor of ten, or its sign; and is not by
    chance another of the measured values."""
    used = [name for name in true if any(f"{{{slot}}}" in template for slot in (name, f"{name}cm", f"{name}l"))]
    name = chance.choice(used)
    while True:
        wrong = true[name] * chance.choice((0.1, 0.8, 1.17, 1.3, 10, -1 if name == "h" else 0.7))
        if all(abs(wrong - value) > 1.2 for value in (*true.values(), true["r"] * 100)) or (
            name == "r" and abs(wrong - true["r"]) > 0.03
        ):
            return {**true, name: wrong}
        true = {**true, name: true[name] + 3}


def _measured(true: dict[str, float]) -> list[tuple[str, float, str]]:
    return [("long_axis", true["a"], "mm"), ("short_axis", true["b"], "mm"), ("depth", true["c"], "mm"),
            ("volume", true["v"], "ml"), ("mean", true["h"], "HU"), ("share", true["p"], "%"),
            ("cardiothoracic_ratio", true["r"], "1")]  # fmt: skip


def _as_written(values: dict[str, float], group: Group) -> dict[str, str]:
    places = {"a": 1, "b": 1, "c": 1, "v": 0 if group.random.random() < 0.5 else 1, "h": 0, "p": 0, "r": 2}
    words = {name: f"{values[name]:.{places[name]}f}" for name in places}
    words |= {f"{name}cm": f"{values[name] / 10:.1f}" for name in "abc"} | {"vl": f"{values['v'] / 1000:.2f}"}
    if group.is_rich:
        words["h"] = words["h"].replace("-", group.random.choice("-\u2212\u2013"))
    if group.language == "de":
        words = {name: word.replace(".", ",") for name, word in words.items()}
    day, month = group.random.randint(1, 28), group.random.randint(1, 12)
    words["d"] = f"{day:02}.{month:02}.2024" if group.language == "de" else f"2024-{month:02}-{day:02}"
    words |= {"method": slots.METHOD[group.language], "range": slots.RANGE[group.language]}
    return words


def _modality(group: Group, n: int) -> Case:
    modality, template, contrast, text = group.pick("planted" if group.planted else "clean", at=n)
    h = group.random.randint(20, 80)
    facts = {"modality": modality, "template": template, "contrast": contrast, "listed": listed_terms(template)}
    measured = Measurement("mean", float(h), "HU", "by hand", id="h")
    evidence = (_SLICE, Evidence("measurement", measurement_id="h"))
    return group.case(text, [_finding(group.drawn(text).format(h=h), evidence=evidence)],
                      measurements={"h": measured}, **facts)  # fmt: skip


@cache
def listed_terms(template: str) -> frozenset[str]:
    """What the shipped template names."""
    return terms_of(report_templates().get(template))


def _sex(group: Group, n: int) -> Case:
    own = {text: sex for name, sex in (("male", "M"), ("female", "F")) for text in group.templates[name]}
    text = group.pick("male", "female", at=n) if group.planted or n % 2 else group.pick("either", at=n // 2)
    sex = own.get(text) or group.random.choice("MF")
    if group.planted:
        sex = {"M": "F", "F": "M"}[sex]
    return group.case(text, [_finding(group.drawn(text))], sex=sex)


def _contradiction(group: Group, n: int) -> Case:
    pair = group.pick("planted" if group.planted else "clean", at=n)
    side = group.random.choice(slots.SIDES)
    number = group.random.randint(40, 300)
    words = {"s": side, "t": slots.OTHER[side], "sd": slots.GERMAN[side][0], "td": slots.GERMAN[slots.OTHER[side]][0],
             "Td": slots.GERMAN[slots.OTHER[side]][0].title(), "n": number,
             "k": number + group.random.randint(12, 60)}  # fmt: skip
    texts = [group.drawn(text).format(**words) for text in pair]
    if group.random.random() < 0.5 and not any(text.startswith("!") for text in texts):
        texts.reverse()
    origin = "human" if "{n}" in "".join(pair) else "model"  # people may write numbers of their own
    findings = [_finding(text, origin=origin) for text in texts if not text.startswith("!")]
    impression = tuple(_finding(text[1].upper() + text[2:]) for text in texts if text.startswith("!"))
    return group.case(" / ".join(pair), findings, impression)


def _normal(group: Group, n: int) -> Case:
    human = not group.planted and n % 3 == 0
    template = group.pick("planted" if group.planted or human else "clean", at=n)
    text = _organ_text(template, group)
    return group.case(template, [_finding(text, origin="human" if human else "model")])


def _organ_text(template: str, group: Group) -> str:
    _, english, german = group.random.choice(slots.UNPAIRED)
    return group.drawn(template).format(o=english, O=english.capitalize(), Od=german)


def _no_evidence(group: Group, n: int) -> Case:
    template = group.pick("clean", at=n)
    text = _organ_text(template, group)
    if group.planted:
        evidence = (Evidence("map", volume_id="m"),) if n % 2 else ()
        return group.case(template, [_finding(text, evidence=evidence, origin=("model", "measured")[n % 3 == 0])])
    kinds = ("segment", "box", "slice", "measurement")
    evidence = (Evidence(kinds[n % 4]), Evidence("map"))[: 1 + n % 2]  # type: ignore[arg-type]
    return group.case(
        template, [_finding(text, evidence=() if n % 5 == 0 else evidence, origin="human" if n % 5 == 0 else "model")]
    )


_MAKERS: dict[str, Callable[[Group, int], Case]] = {
    "laterality": _laterality, "prior": _prior, "measurement": _measurement, "modality": _modality, "sex": _sex,
    "contradiction": _contradiction, "normal": _normal, "no evidence": _no_evidence,
}  # fmt: skip
