"""Teach a model one structure from a user's own cases: `python -m training finetune --data CASES --prompt NAME`.

The data are checked first; nothing is trained on data with a fault. The new model is a folder of its own; the model it
comes from stays as it is. It answers to the old prompts as before, as far as that was measured (see its card).
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from medviewer.core.errors import Cancelled, InputRefused, ModelMissing, WrongUsage
from medviewer.core.progress import Progress, silent
from medviewer.core.terminology import Term, Terminology
from medviewer.core.user_terms import user_entry, user_term, with_user_terms
from medviewer.models.bundle import CONFIG, BundleInfo, load_network, read_info
from medviewer.models.text_sam import TextSam

from .data.cases import CaseFile, split_cases
from .data.checks import check_cases
from .data.dataset import SEEN_PIXELS
from .data.folders import read_cases
from .data.samples import Sample
from .data.sets import load_sets
from .data.terms import TERMINOLOGY
from .derived_bundle import CARD, CaseResult, TuningReport, derived_config, licence_of, write_derived
from .finetune_options import FinetuneOptions
from .synthesis.phantoms import held_out_phantom
from .target_term import Target, pieces_of, target_of
from .tuning import Tuning
from .tuning_measures import agreement, case_dice, old_dice

RESOURCES = Path(__file__).parents[1] / "resources"
RUNS = "finetuning"  # beside the models: what `--resume` needs
STORED_SIDE = 384  # of pictures in memory
Say = Callable[[str], None]


@dataclass(frozen=True)
class Base:
    """The model to begin with. `config`: its description as written."""

    info: BundleInfo
    config: dict[str, Any]
    network: TextSam
    terminology: Terminology


@dataclass(frozen=True)
class Cases:
    """The checked cases. `name`: of the structure in the samples' tables."""

    name: str
    kept: Sequence[CaseFile]
    held_files: Sequence[CaseFile]
    samples: list[Sample]
    held: list[Sample]
    warnings: Sequence[str]


@dataclass(frozen=True)
class Tuned:
    """The new model's folder, and what was measured."""

    folder: Path
    target: Target
    report: TuningReport


def run(
    options: FinetuneOptions, progress: Progress | None = None, say: Say = lambda line: None,
    reserved: Sequence[str] = (),
) -> Tuned:
    """Do it all. `reserved`: names of the program's own models, which the new one may not have. One line per stage goes
    to `say`. Ctrl+C, and `progress` being cancelled, end the training and keep the best so far.

    Raises WrongUsage, ModelMissing (the base model), InputRefused and CasesRefused (the data, with the files' names),
    OutputNotWritten, Cancelled (before the first step).
    """
    progress = progress or silent()
    torch.set_num_threads(options.chosen_threads)
    base = _base(options)
    target = target_of(options.prompt, base.terminology, base.config["terms"], base.network)
    out = _place(options, base, target, reserved)
    cases = _cases(options, progress.part(0.0, 0.05))
    for line in (_what(base, target, cases, out), *(f"Warning: {text}" for text in cases.warnings)):
        say(line)
    parts = pieces_of([*cases.samples, *cases.held], cases.name)
    measure = _Measure(base.info, target, _term(target, base.terminology), parts, cases)
    torso = held_out_phantom(load_sets()["phantom"])
    texts = _old_texts(base, target)
    before, old = measure(base.network, progress.part(0.05, 0.1)), old_dice(base.network, torso, texts)
    tuning = _tuned(options, base, target, cases, out, texts, progress.part(0.1, 0.9), say)
    network = tuning.result()
    after, new = measure(network, progress.part(0.9, 0.98)), old_dice(network, torso, texts)
    report = _report(tuning, cases, network, (before, after), (old, new))
    licence = licence_of(base.info.licence, base.info.commercial_use, [case.licence for case in cases.kept])
    source = f"{cases.kept[0].dataset or cases.kept[0].folder.name}: {report.cases} cases of the user's own"
    config = derived_config(base.config, out.name, target, parts, licence, report, source)
    write_derived(out, network, config, _text(base.info.path / CARD))
    for line in _told(report, out):
        say(line)
    return Tuned(out, target, report)


# -- before training --------------------------------------------------------------------------------------------------
def _base(options: FinetuneOptions) -> Base:
    folder = find_base(options.bundle, Path(options.models))
    info = read_info(folder)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    terms = with_user_terms(json.loads(TERMINOLOGY.read_text(encoding="utf-8")), config.get("user_terms", []))
    return Base(info, config, load_network(info), terms)


def find_base(bundle: str, models: Path) -> Path:
    """Folder of a model: a path, or the name of a shipped one or of one in `models`. Raises ModelMissing."""
    places = [Path(bundle), RESOURCES / "models" / bundle, models / bundle]
    found = next((place for place in places if (place / CONFIG).is_file()), None)
    if found is None:
        raise ModelMissing(f'There is no model "{bundle}".', "See `medviewer models list`, or give a model's folder.")
    return found


def _place(options: FinetuneOptions, base: Base, target: Target, reserved: Sequence[str]) -> Path:
    name = options.name_for(base.info.id, target.name)
    out = Path(options.models) / name
    if name in reserved:
        raise WrongUsage(f'"{name}" is the name of a model of the program.', "Choose another name with --out.")
    if out.resolve() == base.info.path.resolve():
        raise WrongUsage("The new model would replace the one it comes from.", "Choose another name with --out.")
    if out.exists() and not (options.replace or options.resume):
        raise WrongUsage(f'There is a model "{name}" already.', "Choose another name with --out, or use --replace.")
    return out


def _cases(options: FinetuneOptions, progress: Progress) -> Cases:
    cases = read_cases(Path(options.data), options.prompt, modality=options.modality)
    kept, held = split_cases(cases, options.held, options.seed)
    checked = check_cases(kept, held, side=STORED_SIDE, progress=progress)
    name = cases[0].names[0]
    large = [s for s in checked.samples if (s.tables[name][s.label].sum((1, 2)) >= SEEN_PIXELS).any()]
    if not large:
        raise InputRefused(
            f'"{name}" is too small to be seen in {kept[0].folder}: no slice shows it on {SEEN_PIXELS} pixels or more '
            f"(pictures are reduced to {STORED_SIDE}).",
            "Crop the pictures to the region, or give cases where it is larger.",
        )
    return Cases(name, kept, held, list(checked.samples), list(checked.held), checked.warnings)


def _term(target: Target, terminology: Terminology) -> Term:
    if not target.is_new:
        return terminology.get(target.id)
    term = user_term(user_entry(target.name))
    assert term is not None
    return term


# -- training and measuring -------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Measure:
    """Dice on the held-out cases by the pipeline."""

    info: BundleInfo
    target: Target
    term: Term
    parts: int
    cases: Cases

    def __call__(self, network: TextSam, progress: Progress) -> list[float]:
        def told(fraction: float, text: str) -> None:
            with suppress(Cancelled):  # what was trained is measured and kept
                progress.report(fraction, text)

        files = self.cases.held_files
        return case_dice(self.info, network, self.target, self.term, self.parts, files, Progress(told))


def _old_texts(base: Base, target: Target) -> list[str]:
    """What the base model was trained for, but for the target."""
    texts = dict.fromkeys(str(entry["text"]) for entry in base.config["terms"].values())
    return [text for text in texts if text != target.text]


def _tuned(
    options: FinetuneOptions, base: Base, target: Target, cases: Cases, out: Path, texts: Sequence[str],
    progress: Progress, say: Say,
) -> Tuning:
    """The tuning after its end. Raises Cancelled where it ended before its first step."""
    tuning = Tuning(options, base.network, target, cases.name, cases.samples, cases.held, texts)
    place, mark = out.parent.parent / RUNS / out.name, _fingerprint(options, base, cases)
    if options.resume:
        tuning.restore(place, mark)
        say(f"Resumed after step {tuning.reached.step}, {tuning.reached.seconds / 60:.1f} minutes.")
    tuning.fit(place, progress, mark)
    if tuning.reached.step == 0:
        raise Cancelled()
    return tuning


def _fingerprint(options: FinetuneOptions, base: Base, cases: Cases) -> dict[str, Any]:
    """What must be the same for a run to be continued."""
    return {
        "model": base.info.weights_sha256, "prompt": options.prompt, "method": options.method, "rank": options.rank,
        "set of cases": [case.key for case in cases.kept], "seed": options.seed,
    }  # fmt: skip


def _report(
    tuning: Tuning, cases: Cases, network: TextSam, dice: tuple[list[float], list[float]],
    torso: tuple[dict[str, float], dict[str, float]],
) -> TuningReport:
    results = [CaseResult(case.key, case.patient, one, two)
               for case, one, two in zip(cases.held_files, *dice, strict=True)]
    patients = {case.patient or case.key for case in cases.kept}
    reached = tuning.reached
    return TuningReport(
        method=tuning.options.method, minutes=round(reached.seconds / 60, 2), steps=reached.step,
        best_step=reached.best_step, seed=tuning.options.seed, stopped=reached.stopped, cases=len(cases.kept),
        patients=len(patients), modalities=dict(Counter(s.config.modality for s in cases.samples)), held=results,
        old={name: (torso[0][name], torso[1][name]) for name in torso[0]},
        agreement=agreement(tuning.teacher, network, cases.held, tuning.known_here),
        agreement_on=tuning.known_here, warnings=list(cases.warnings),
    )


def _what(base: Base, target: Target, cases: Cases, out: Path) -> str:
    known = "improves" if target.was_trained else "learns"
    return (f'{out.name}: {base.info.id} {known} "{target.name}" from {len(cases.kept)} cases; '
            f"{len(cases.held_files)} are held out.")


def _told(report: TuningReport, out: Path) -> list[str]:
    lines = [f"Trained {report.steps} steps in {report.minutes:.1f} minutes"
             + (f" ({report.stopped})." if report.stopped else ".")]
    if report.before is not None and report.after is not None:
        dice = f"Dice {report.before:.3f} before, {report.after:.3f} after"
        lines.append(f"Held-out cases (n = {len(report.held)}): {dice}.")
    means = report.old_means()
    if means is not None:
        lines.append(f"Old structures on a generated torso: Dice {means[0]:.3f} before, {means[1]:.3f} after.")
    if report.agreement is not None:
        lines.append(f"Old answers on your held-out scans: {report.agreement:.3f} alike (Dice).")
    return [*lines, f"The new model is in {out}. Ask it with --model {out.name}."]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


# -- command line -----------------------------------------------------------------------------------------------------
def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One option per field of FinetuneOptions: `--held 0.2`, `--resume`."""
    for entry in fields(FinetuneOptions):
        flag = f"--{entry.name.replace('_', '-')}"
        if entry.default is False:
            parser.add_argument(flag, action="store_true")
        elif entry.default is MISSING:
            parser.add_argument(flag, required=True)
        elif entry.name == "method":
            parser.add_argument(flag, choices=("lora", "full"), default=entry.default)
        else:
            kind = str if entry.default is None else type(entry.default)
            parser.add_argument(flag, type=kind, default=entry.default, help=f"default {entry.default!r}")
    parser.add_argument("--user-models", default="runs/models", help=argparse.SUPPRESS)  # given by `medviewer finetune`
    parser.add_argument("--reserved", default="", help=argparse.SUPPRESS)


def main(arguments: Sequence[str] | None = None) -> Tuned:
    """Parse the command line and fine-tune; lines go to standard output. Raises UserError."""
    parser = argparse.ArgumentParser(prog="finetune", description=__doc__)
    add_arguments(parser)
    given = vars(parser.parse_args(arguments))
    own, reserved = given.pop("user_models"), given.pop("reserved")
    given["models"] = given["models"] or own
    given["bundle"] = _own_or(given["bundle"], Path(own))
    return run(FinetuneOptions(**given), None, lambda line: print(line, flush=True), reserved.split(","))


def _own_or(bundle: str, own: Path) -> str:
    """The folder of the user's own model of that name, else the name as it is."""
    return str(own / bundle) if (own / bundle / CONFIG).is_file() else bundle


if __name__ == "__main__":
    main()
