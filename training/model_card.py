"""The model card, in Markdown: data and licences, figures, failures, what the model is for and what not."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .card_tables import figures_table, interval_text, refusals_table, robustness_table, table, wordings_table
from .evaluation.looks import LOOKS
from .failure_pictures import FOLDER, Failure, read_failures
from .licences import OPEN_TIERS, SetUse, sets_used, train_rows, uses_as_table

CONFIGS = Path(__file__).parent / "configs"
_NAMES = {"CT": "CT", "MR": "MR", "XR": "X-ray", "US": "ultrasound"}
_OUT_OF_SCOPE = (
    "Diagnosis, treatment decisions and any other clinical use: this is no medical device.",
    "Saying that something is absent: a structure that is not found is not proven absent.",
    "Structures, kinds of scans and body parts not listed below; the program answers \"not trained for this term\".",
    "Children, implants, anatomy after operations and rare variants: nothing was measured on them.",
    "Measurements without a person who has checked the outline.",
)
_TITLES = {
    "wordings": "Unseen wordings", "sides": "Left and right", "unknown": "Terms that were never trained",
    "reading": "How texts are read, before the model is asked",
}
_SUMMARIES = {"wordings": wordings_table, "unknown": refusals_table}
_MOST_ROWS = 60  # of a table that has no summary; what is longer is in the results, not on the card
_LONG = ("missed",)  # columns that list texts
_TOLD_ELSEWHERE = ("rows", "absent_rows", "presence", "clicks", "robustness", "bars")
_NOT_TOLD = ("questions", "reliability", "bins")  # one row per question; points of a plot


@dataclass(frozen=True)
class Look:
    """An entry of the record of looks at the development rows; `count` of them were made."""

    date: str
    purpose: str
    tables: tuple[str, ...] = ()
    count: int = 1


@dataclass(frozen=True)
class Extras:
    """What a card says beside the description and the figures. `people` by set: who it shows, on which scanner."""

    sets: Sequence[SetUse] = ()
    looks: Sequence[Look] = ()
    failures: Sequence[Failure] = ()
    people: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def read_extras(data: Path, tiers: Sequence[str] = (), failures: Path | None = None) -> Extras:
    """From the manifest in `data`, the counter of looks, and a folder that `failure_pictures` wrote."""
    people = tomllib.loads((CONFIGS / "people.toml").read_text(encoding="utf-8"))["sets"]
    pictures = read_failures(failures) if failures is not None else []
    return Extras(sets_used(train_rows(data, tiers)), read_looks(), pictures, people)


def read_looks(path: Path = LOOKS) -> list[Look]:
    """The record that the evaluation keeps. Raises KeyError where an entry lacks its date or purpose."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("look", [])
    return [_look(entry) for entry in entries]


def _look(entry: Mapping[str, Any]) -> Look:
    tables = tuple(str(name) for name in entry.get("tables", ()))
    return Look(str(entry["date"]), str(entry["purpose"]), tables, int(entry.get("looks", 1)))


def card(config: Mapping[str, Any], results: Mapping[str, Any], extras: Extras | None = None) -> str:
    """The card of a bundle. `config` is its description, `results` the JSON of the evaluation ({} if not measured)."""
    extras = extras or Extras()
    parts = [
        _head(config), _uses(config), _data(config, extras), _figures(results, extras), _bars(results),
        _presence(results), _clicks(results), *_other_tables(results), _robustness(results),
        _failures(results, extras), _bias(extras), _structures(config),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def intended_use(terms: Mapping[str, Mapping[str, Any]], commercial: bool) -> str:
    """One sentence for the catalogue: draft masks on which kinds of scans, under which condition."""
    kinds = _kinds(terms.values())
    joined = " and ".join([", ".join(kinds[:-1])] * (len(kinds) > 1) + kinds[-1:]) or "scans"
    ending = "" if commercial else "; non-commercial research only"
    return f"Draft masks on {joined} that a person checks{ending}."


def _head(config: Mapping[str, Any]) -> list[str]:
    licence = str(config["licence"])
    lines = [
        f"# Model {config['id']}, version {config['version']}", "",
        "Masks from words, clicks and boxes on single slices, fused to volumes: a light image encoder, a text encoder",
        "of hashed character n-grams, and segment-anything's prompt encoder and mask decoder. Trained from nothing by",
        "the package `training`.", "", f"**Licence: {licence}.** " + _licence_text(config),
        "**Research use only: not a medical device.**",
    ]
    return lines


def _licence_text(config: Mapping[str, Any]) -> str:
    if config.get("commercial_use"):
        return (
            "Only rows under permissive licences and generated data were used, so the weights may be used commercially "
            "when the sources below are named and changes are shared alike. Tier A- rows are believed, not known, to "
            "be permissive: look at them before you rely on it."
        )
    return (
        "Some of the data below are licensed for non-commercial or research use only. That makes these "
        "**non-commercial research weights**: neither they nor products made of them may be used commercially."
    )


def _uses(config: Mapping[str, Any]) -> list[str]:
    use = config.get("intended_use") or intended_use(config["terms"], bool(config.get("commercial_use")))
    return ["## Intended use", "", str(use), "", "## Out of scope", "", *(f"- {line}" for line in _OUT_OF_SCOPE)]


def _data(config: Mapping[str, Any], extras: Extras) -> list[str]:
    lines = ["## Data and licences", ""]
    if not extras.sets:
        return lines + [f"- {source}" for source in config["sources"]]
    closed = sorted({one.name for one in extras.sets if one.tier not in OPEN_TIERS})
    if closed:
        lines += [f"Non-commercial or research only, and so the reason for the licence: {', '.join(closed)}.", ""]
    lines += ["Tier A is permissive, A- believed permissive, B non-commercial or research only.", ""]
    known = {f"{one.name}: {one.licence}; {one.source}" for one in extras.sets}
    others = [f"- {source}" for source in config["sources"] if source not in known]
    return lines + table(uses_as_table(extras.sets)) + [""] * bool(others) + others


def _figures(results: Mapping[str, Any], extras: Extras) -> list[str]:
    rows = results.get("rows", [])
    lines = ["## Figures on development cases", ""]
    if not rows:
        return [*lines, "Not measured."]
    return [
        *lines, *_looks(extras.looks),
        "Mean Dice with a 95 % interval (patients are resampled where they are known, else images); fewer than 5 are",
        "given without one and prove nothing. A structure that was not found counts 0.", "", *figures_table(rows),
    ]


def _looks(looks: Sequence[Look]) -> list[str]:
    """How often the development rows were looked at, and why."""
    if not looks:
        return ["How often the development rows were looked at was not counted.", ""]
    count = sum(look.count for look in looks)
    lines = [f"The development rows were looked at {count} times on record; nothing was trained on them:", ""]
    for look in looks:
        tables = f" ({', '.join(look.tables)})" if look.tables else ""
        lines.append(f"- {look.date}{tables}: {look.purpose}")
    return [*lines, ""]


def _bars(results: Mapping[str, Any]) -> list[str]:
    bars = results.get("bars")
    if not isinstance(bars, list) or not bars:
        return []
    shown = [
        {
            "what": bar["what"], "target": f"{'>=' if bar.get('at_least', True) else '<='} {bar['target']:g}",
            "result": interval_text(bar["result"], bar.get("low"), bar.get("high")), "n": bar["n"],
            "verdict": bar["verdict"], "note": bar.get("note", ""),
        }
        for bar in bars
    ]
    return ["## Targets", "", *table(shown)]


def _clicks(results: Mapping[str, Any]) -> list[str]:
    """Simulated corrections: what the first click takes away of the error, and Dice after none, one and all."""
    rows = results.get("clicks")
    if not isinstance(rows, list) or not rows:
        return []
    last = max((int(name[5:]) for row in rows for name in row if name.startswith("dice_")), default=0)
    shown = [
        {
            "set": row["set"], "n": row["n"],
            "error less after one click": interval_text(row.get("fall"), row.get("fall_low"), row.get("fall_high")),
            **{f"Dice, {n} clicks": row.get(f"dice_{n}") for n in dict.fromkeys((0, 1, last))},
        }
        for row in rows
    ]
    text = "Simulated: each click goes into the middle of the largest error."
    return ["## Corrections by clicks", "", text, "", *table(shown)]


def _presence(results: Mapping[str, Any]) -> list[str]:
    rows = results.get("presence")
    if not isinstance(rows, list) or not rows:
        absent = results.get("absent") or {}
        if not absent.get("n"):
            return []
        text = f"Wrongly found where it is known to be absent: {absent['found']} of {absent['n']}."
        return ["## Presence", "", text]
    shown = [
        {
            "questions": row["group"], "present": row["present"], "absent": row["absent"],
            "false masks": interval_text(row.get("false_mask_rate"), row.get("false_low"), row.get("false_high")),
            "AUC": interval_text(row.get("auc"), row.get("auc_low"), row.get("auc_high")),
            "calibration error": interval_text(row.get("ece"), row.get("ece_low"), row.get("ece_high")),
        }
        for row in rows
    ]
    return ["## Presence: false masks, ranking, calibration", "", *table(shown)]


def _other_tables(results: Mapping[str, Any]) -> list[list[str]]:
    """Tables of the evaluation whose layout is their own, under their own names."""
    sections = []
    for name, rows in results.items():
        is_table = isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows)
        if is_table and name not in (*_TOLD_ELSEWHERE, *_NOT_TOLD):
            title = _TITLES.get(name, name.replace("_", " ").capitalize())
            short = [{key: value for key, value in row.items() if key not in _LONG} for row in rows]
            lines = _SUMMARIES[name](rows) if name in _SUMMARIES else table(short)
            sections += [[f"## {title}", "", *lines]] if len(lines) <= _MOST_ROWS else []
    return sections


def _robustness(results: Mapping[str, Any]) -> list[str]:
    value = results.get("robustness")
    rows = value.get("rows") if isinstance(value, dict) else value
    if not isinstance(rows, list) or not rows:
        return []
    text = "Relative loss of Dice on corrupted pictures (`training.transforms.corruptions`), mean over severities."
    return ["## Robustness", "", text, "", *robustness_table(rows)]


def _failures(results: Mapping[str, Any], extras: Extras) -> list[str]:
    worst = worst_rows(results.get("rows", []), {failure.set for failure in extras.failures})
    if not extras.failures and not worst:
        return []
    lines = ["## Failure cases", ""]
    if extras.failures:
        lines += [
            "The worst cases, as outlines in the slice with the largest error: truth green, model magenta, both white,",
            "enlarged to what they need. No part of a scan is shown. Shares are of the structure's size in the whole",
            "scan.", "",
        ]
    for one in extras.failures:
        lines += [f"![{one.structure}, Dice {one.dice:.2f}]({FOLDER}/{one.file})", "", f"*{one.caption}*", ""]
    if worst:
        which = "of the sets that are not drawn" if extras.failures else "of every set"
        lines += [f"The worst structures {which}, in words:", ""]
        lines += [f"- {text}" for text in worst]
    return lines


def worst_rows(rows: Iterable[Mapping[str, Any]], pictured: set[str]) -> list[str]:
    """The structure with the lowest Dice of every set that is not pictured, as a sentence."""
    lowest: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        if row["set"] not in pictured and row["dice"] < lowest.get(row["set"], {"dice": 2.0})["dice"]:
            lowest[row["set"]] = row
    return [
        f"{row['set']}: {row['structure']}, mean Dice {row['dice']:.2f}, found in {row.get('found', '?')} of {row['n']}"
        for row in lowest.values()
    ]


def _bias(extras: Extras) -> list[str]:
    lines = [
        "## Who the data show", "",
        "The manifest records no age, sex, origin or scanner, so nothing could be measured per group: whether the",
        "model is worse for some people or devices is unknown. What publications say of the sets:", "",
    ]
    names = sorted({one.name for one in extras.sets})
    rows = [{"set": name, **{key: extras.people.get(name, {}).get(key, "unknown") for key in
                             ("people", "scanner", "published")}} for name in names]
    return lines + (table(rows) if rows else ["unknown"])


def _structures(config: Mapping[str, Any]) -> list[str]:
    terms = config["terms"]
    lines = [f"- {name} ({', '.join(_kinds([terms[name]])) or 'any kind of scan'})" for name in sorted(terms)]
    return ["## Trained structures", "", *lines]


def _kinds(terms: Iterable[Mapping[str, Any]]) -> list[str]:
    """The kinds of scans of terms, in words."""
    return [_NAMES.get(name, name) for name in sorted({name for term in terms for name in term.get("results", {})})]


def read_results(path: Path | None) -> dict[str, Any]:
    """The JSON of the evaluation; empty without one."""
    return json.loads(path.read_text(encoding="utf-8")) if path is not None else {}
