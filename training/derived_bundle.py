"""A bundle made from another one by fine-tuning: its description, its licence, its card, its files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from medviewer.core.errors import OutputNotWritten
from medviewer.core.plain_text import one_line
from medviewer.core.user_terms import user_entry
from medviewer.io.atomic import atomic_folder, write_text
from medviewer.models.bundle import CONFIG, LAYOUT, WEIGHTS, sha256_of
from medviewer.models.text_sam import TextSam

from .target_term import Target

CARD = "card.md"
NO_DERIVATIVES, NON_COMMERCIAL, SHARE_ALIKE, NOT_STATED, OTHER = 4, 3, 2, 1, 0
_KINDS = (
    (NO_DERIVATIVES, re.compile(r"\bND\b|no.?deriv", re.IGNORECASE)),
    (NON_COMMERCIAL, re.compile(r"\bNC\b|non.?commercial|research|evaluation only", re.IGNORECASE)),
    (SHARE_ALIKE, re.compile(r"\bSA\b|share.?alike", re.IGNORECASE)),
)


@dataclass(frozen=True)
class CaseResult:
    """One held-out case: Dice of the base model and of the new one."""

    key: str
    patient: str
    before: float
    after: float


@dataclass(frozen=True)
class TuningReport:
    """What was done and what came of it. `old`: name to Dice before and after, on a generated torso; `agreement`: mean
    Dice between old and new answers to old prompts on the user's held-out scans."""

    method: str
    minutes: float
    steps: int
    best_step: int
    seed: int
    stopped: str
    cases: int
    patients: int
    modalities: Mapping[str, int]
    held: Sequence[CaseResult] = ()
    old: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    agreement: float | None = None
    agreement_on: Sequence[str] = ()
    warnings: Sequence[str] = ()

    @property
    def before(self) -> float | None:
        return _mean([case.before for case in self.held])

    @property
    def after(self) -> float | None:
        return _mean([case.after for case in self.held])

    def old_means(self) -> tuple[float, float] | None:
        """Mean Dice of the old structures on the generated torso, before and after."""
        before, after = (_mean([pair[n] for pair in self.old.values()]) for n in (0, 1))
        return None if before is None or after is None else (before, after)


@dataclass(frozen=True)
class Licence:
    """One line for people; `commercial_use` None: not stated."""

    text: str
    commercial_use: bool | None


def licence_of(base: str, base_commercial: bool | None, data: Sequence[str]) -> Licence:
    """The stricter one of the base model's licence and of the cases' (empty: not stated).

    Commercial use is allowed only where both allow it; where the cases' licence is not stated, nothing is said of it.
    """
    stated = {one_line(text, 200) for text in data if text.strip()}
    texts = sorted({base, *stated}, key=lambda text: (-_kind(text), text != base, text))
    strictest = [text for text in texts if _kind(text) == _kind(texts[0])]
    parts = [*strictest[:3], *(["of the cases: not stated"] if len(stated) == 0 else [])]
    forbidden = base_commercial is False or any(_kind(text) >= NON_COMMERCIAL for text in texts)
    commercial = False if forbidden else None if base_commercial is None or not stated else True
    return Licence("; ".join(parts), commercial)


def _kind(text: str) -> int:
    return next((kind for kind, pattern in _KINDS if pattern.search(text)), OTHER)


def derived_config(
    base: Mapping[str, Any], name: str, target: Target, parts: int, licence: Licence, report: TuningReport,
    source: str,
) -> dict[str, Any]:
    """The new bundle's description, but for its weights' checksum: the base's with the new term.

    The figures of the other terms belong to the base model's weights, so these are "untested" here. So does the rule
    that tells kinds of pictures by its embedding: it is left out.
    """
    terms = {term_id: _untested(entry) for term_id, entry in base["terms"].items()}
    old = terms.get(target.id, {"regions": []})
    measured = {m: {"dice": None if report.after is None else round(report.after, 4), "n": len(report.held)}
                for m in report.modalities}
    terms[target.id] = {
        "text": target.text, "results": {**old.get("results", {}), **measured}, "parts": parts,
        "regions": old["regions"], "note": "",
    }
    kept = {key: value for key, value in base.items() if key != "picture_kind"}
    return {
        **kept, "id": name, "version": "1", "layout": LAYOUT, "terms": terms, "licence": licence.text,
        "commercial_use": licence.commercial_use, "sources": [*base["sources"], source],
        "intended_use": f"{base['id']} fine-tuned for {target.name}; draft masks that a person checks.",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "user_terms": _user_terms(base, target, parts, sorted(report.modalities)),
        "derived_from": {key: base[key] for key in ("id", "version", "weights_sha256")},
        "fine_tuning": {"structure": target.name, "term": target.id, **_plain(report)},
    }


def _untested(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**entry, "results": {modality: {"dice": None, "n": 0} for modality in entry["results"]}}


def _user_terms(base: Mapping[str, Any], target: Target, parts: int, modalities: Sequence[str]) -> list[Any]:
    entries = [entry for entry in base.get("user_terms", []) if entry.get("id") != target.id]
    return [*entries, user_entry(target.name, modalities, paired=parts == 2)] if target.is_new else entries


def _plain(report: TuningReport) -> dict[str, Any]:
    fields = asdict(report)
    fields["held"] = [
        case | {key: round(case[key], 4) for key in ("before", "after")} for case in fields["held"]
    ]
    fields["old"] = {name: [round(value, 4) for value in pair] for name, pair in report.old.items()}
    return fields


def save_weights(folder: Path, network: TextSam) -> None:
    """The network's weights in float16 into a bundle's folder that is being written, read back and compared.

    Raises OutputNotWritten.
    """
    tensors = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    save_file(tensors, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)
    read = load_file(folder / WEIGHTS)
    if read.keys() != tensors.keys() or not all(torch.equal(read[name], tensors[name]) for name in read):
        raise OutputNotWritten("The model was not written: reading the weights back gave others than were saved.")


def write_derived(out: Path, network: TextSam, config: dict[str, Any], base_card: str) -> Path:
    """Write the bundle's folder as a whole; what was there before stays until all is on the disk and reads back equal.

    Raises OutputNotWritten.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(out) as folder:
        save_weights(folder, network)
        size = (folder / WEIGHTS).stat().st_size
        stated = {**config, "weights_sha256": sha256_of(folder / WEIGHTS), "weights_bytes": size}
        write_text(folder / CONFIG, json.dumps(stated, indent=1, ensure_ascii=False) + "\n")
        write_text(folder / CARD, card(stated, base_card))
    return out


# -- the card ---------------------------------------------------------------------------------------------------------
def card(config: Mapping[str, Any], base_card: str) -> str:
    """The model card: what was taught, on what, with which result; then the base model's card."""
    done, base = config["fine_tuning"], config["derived_from"]
    commercial = {True: "allowed", False: "not allowed", None: "not stated"}[config["commercial_use"]]
    lines = [
        f"# Model {config['id']}, version {config['version']}", "",
        f"The model {base['id']} (version {base['version']}, weights {base['weights_sha256'][:12]}) fine-tuned for "
        f'**{done["structure"]}** (term `{done["term"]}`) on {_count(done["cases"], "case")} of '
        f"{_count(done['patients'], 'patient')} ({', '.join(done['modalities'])}).", "",
        f"**Licence: {config['licence']}.** Commercial use: {commercial}. **Research use only: not a medical device.**",
        "", f"Method {done['method']}, {done['minutes']:.1f} minutes, {done['steps']} steps (the weights are those "
        f"after step {done['best_step']}), seed {done['seed']}.",
        *([f"It ended early: {done['stopped']}."] if done["stopped"] else []),
        *[f"Warning: {text}" for text in done["warnings"]], "", *_held_lines(done), "", *_old_lines(done), "",
        "## Card of the model it was made from", "",
        "Its figures were measured with its own weights, not with these.", "",
    ]
    return "\n".join(lines) + "\n" + re.sub(r"^(#+ )", r"##\1", base_card, flags=re.MULTILINE)


def _held_lines(done: Mapping[str, Any]) -> list[str]:
    if not done["held"]:
        return ["## Result", "", "No case was held out, so nothing was measured. Measure it before you rely on it."]
    before, after = (_mean([case[key] for case in done["held"]]) or 0.0 for key in ("before", "after"))
    few = " So few cases say little." if len(done["held"]) < 5 else ""
    rows = [f"| {_cell(c['key'])} | {_cell(c['patient']) or '-'} | {c['before']:.3f} | {c['after']:.3f} |"
            for c in done["held"]]
    return [
        "## Result on the held-out cases", "",
        f"Mean Dice {before:.3f} before, {after:.3f} after (n = {len(done['held'])}), by the program's whole pipeline. "
        f"These cases were not trained on, but the best moment was chosen by them.{few}", "",
        "| case | patient | before | after |", "|---|---|---|---|", *rows,
    ]


def _old_lines(done: Mapping[str, Any]) -> list[str]:
    lines = ["## What the base model knew", ""]
    if done["old"]:
        lines += ["On a generated torso, slice by slice (Dice):", "", "| structure | before | after |", "|---|---|---|"]
        lines += [f"| {_cell(name)} | {pair[0]:.3f} | {pair[1]:.3f} |" for name, pair in done["old"].items()]
        lines.append("")
    if done["agreement"] is not None:
        lines.append(
            f"On the held-out scans, answers to {', '.join(done['agreement_on'])} agree with those of the base model: "
            f"mean Dice {done['agreement']:.3f}."
        )
    return [*lines, "Other structures were not measured with the new weights."]


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _cell(text: str) -> str:
    return one_line(text, 80).replace("|", "/")


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
