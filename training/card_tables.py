"""Tables of model cards, in Markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

LEAST_UNITS = 5  # with fewer, no interval is told
_CLEAN = "clean"


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines of a Markdown table; the columns are the names of all rows, in the order in which they come."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [_line(columns), "|" + "---|" * len(columns)]
    return lines + [_line([cell_text(row.get(name)) for name in columns]) for row in rows]


def cell_text(value: Any) -> str:
    """One cell: numbers with three decimals, a dash for what is not known, no character that ends the cell."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list | dict):
        return cell_text(", ".join(str(item) for item in value))
    return " ".join(str(value).replace("|", "/").split())


def interval_text(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """For instance "0.954 (0.941 to 0.963)"; the interval is left out where it is not known."""
    if value is None:
        return "–"
    return f"{value:.3f}" + (f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else "")


def figures_table(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Dice per set and structure with interval and n; surface figures where they were measured."""
    rows = list(rows)
    surface = any(row.get("nsd") is not None or row.get("hd95") is not None for row in rows)
    shown = []
    for row in rows:
        units = int(row.get("units") or row["n"])
        told = units >= LEAST_UNITS
        interval = (row.get("low"), row.get("high")) if told else (None, None)
        cells = {"set": row["set"], "structure": row["structure"], "Dice": interval_text(row["dice"], *interval)}
        if surface:
            far = row.get("hd95")
            distance = None if far is None else f"{far:.1f} {row.get('length', '')}".strip()
            cells |= {"NSD": row.get("nsd"), "HD95": distance}
        shown.append(cells | {"n": row["n"], "patients or images": units})
    return table(shown)


def robustness_table(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Per modality: clean Dice, mean relative loss over all corruptions, and the three that cost most.

    `rows`: modality, corruption ("clean" without one), severity, dice, drop (relative), n.
    """
    drops: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    clean: dict[str, tuple[float, int]] = {}
    for row in rows:
        if row["corruption"] == _CLEAN:
            clean[row["modality"]] = float(row["dice"]), int(row["n"])
        else:
            drops[row["modality"]][row["corruption"]].append(float(row["drop"]))
    shown = []
    for modality in sorted(drops):
        means = {name: float(np.mean(values)) for name, values in drops[modality].items()}
        worst = sorted(means, key=lambda name: -means[name])[:3]
        dice, count = clean.get(modality, (None, None))
        loss = float(np.mean(list(means.values())))
        shown.append({
            "modality": modality, "Dice, clean": dice, "prompts": count, "mean loss": _percent(loss),
            "worst corruptions": "; ".join(f"{name} {_percent(means[name])}" for name in worst),
        })
    return table(shown)


def wordings_table(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Per structure: Dice under its own name and, as a mean, under wordings that training never saw."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[str(row["structure"])].append(row)
    shown = [_wordings_row(name, group) for name, group in sorted(groups.items())]
    means = {key: float(np.mean([row[key] for row in shown])) for key in ("Dice", "Dice, unseen", "drop")}
    whole = {"structure": "mean of the structures", "wordings": sum(row["wordings"] for row in shown), **means}
    return table([whole, *shown])


def _wordings_row(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    def mean(key: str) -> float:
        return float(np.mean([row[key] for row in rows]))

    return {"structure": name, "wordings": len(rows), "Dice": mean("dice"), "Dice, unseen": mean("dice_unseen"),
            "drop": mean("drop")}


def refusals_table(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """How many terms, never trained and trained, were answered "not trained for this term"."""
    counts = {False: [0, 0], True: [0, 0]}
    for row in rows:
        refused = counts[bool(row["trained"])]
        refused[0] += 1
        refused[1] += bool(row["refused"])
    names = {False: "never trained", True: "trained"}
    return table([
        {"terms": names[kind], "asked": asked, "answered “not trained”": refused, "share": _percent(refused / asked)}
        for kind, (asked, refused) in counts.items() if asked
    ])


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
