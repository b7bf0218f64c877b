"""Measure a bundle: `python -m training.evaluate --data ../shared/data --bundle resources/models/default --out DIR`.

Every scan goes through the readers, the prompt parser and `medviewer.models.pipeline`, as a user's scan would; pictures
that record no modality are asked without one. `--split held` takes train rows that training left out, for choosing and
for debugging; the default, `dev`, needs a `--purpose`, which is kept on record. Another folder of `--data` is read as
a user's cases. Figures go to the screen and to DIR: results.json, report.md, a CSV per table, and plots.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medviewer.models.bundle import BundleInfo, read_info

from .data.samples import read_rows, row_labels
from .data.sets import load_sets
from .evaluation.bars import bar_table
from .evaluation.clicks import click_table
from .evaluation.jobs import Measured, measure
from .evaluation.looks import count_looks, record_look
from .evaluation.more_tables import more_tables
from .evaluation.options import SHIPPED, TABLES, Options
from .evaluation.overlap import dice
from .evaluation.presence import presence_table, reliability
from .evaluation.scores import overall, summarise
from .evaluation.sides import side_table
from .evaluation.writing import screen_text, write_report

__all__ = ["Options", "dice", "main", "run"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, print, write."""
    run(parse(arguments))


def parse(arguments: Sequence[str] | None = None) -> Options:
    """The command line as options."""
    parser = argparse.ArgumentParser(prog="training.evaluate", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the manifest, or of your own cases")
    parser.add_argument("--bundle", type=Path, default=SHIPPED, help="folder or name of a model")
    parser.add_argument("--out", type=Path, help="folder for the figures")
    parser.add_argument("--tables", default=",".join(TABLES), help="with commas, of: " + ", ".join(TABLES))
    parser.add_argument("--split", choices=("dev", "held"), default="dev")
    parser.add_argument("--purpose", default="", help="why the development rows are looked at; kept on record")
    parser.add_argument("--sets", default="", help="only these sets, with commas")
    parser.add_argument("--tiers", default="", help="only rows of these licence tiers, with commas")
    parser.add_argument("--most", type=int, default=10_000, help="scans per set")
    parser.add_argument("--parts", type=int, default=1, help="processes")
    parser.add_argument("--threads", type=int, default=1, help="threads of each process")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--state-modality", action="store_true", help="tell the modality of pictures, as a user can")
    parser.add_argument("--prompt", help="your own cases: the structure, where masks do not name it")
    parser.add_argument("--modality", help="your own cases: CT, MR, DX, US")
    parser.add_argument("--use", default="train", help="your own manifest: rows of this use")
    parser.add_argument("--user-models", type=Path, help="folder with models that --bundle may name")
    given = vars(parser.parse_args(arguments))
    for name in ("tables", "sets", "tiers"):
        given[name] = tuple(part.strip() for part in given[name].split(",") if part.strip())
    return Options(**given)


def run(options: Options) -> dict[str, Any]:
    """Measure, print through `options.say`, write to `options.out`; returns the report (the content of results.json).

    Raises WrongUsage (unknown table, no purpose), ModelMissing, InputRefused (data), OutputNotWritten.
    """
    options = options.checked()
    info = read_info(options.bundle)
    if not options.is_own and options.split == "dev":
        record_look(info.weights_sha256, options.tables, options.purpose)
    start = time.monotonic()
    measured = measure(options)
    extra = more_tables(options, info, measured)
    report = assemble(options, info, measured, extra)
    bars = [] if options.is_own else bar_table(measured, extra)
    report |= {"bars": [asdict(bar) for bar in bars], "seconds": round(time.monotonic() - start, 1)}
    options.say(screen_text(report, bars))
    if options.out is not None:
        from .evaluation.plots import write_plots

        write_report(options.out, report, bars)
        write_plots(options.out, report)
    return report


def assemble(
    options: Options, info: BundleInfo, measured: Measured, extra: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    """All tables as plain data."""
    real = [s for s in measured.scores if s.set != "phantom"]
    report: dict[str, Any] = summarise(measured.scores)
    report["overall"] = overall(report, {} if options.is_own else train_counts(options.data))
    report["about"] = about(options, info)
    if options.asks("absent", "calibration"):
        report |= {"presence": presence_table(real), "reliability": [asdict(b) for b in reliability(real)]}
    report |= {"clicks": click_table(measured.clicks), "sides": side_table(measured.sides), **extra}
    report["questions"] = [asdict(score) for score in measured.scores]
    return report


def about(options: Options, info: BundleInfo) -> dict[str, Any]:
    """What was measured on what."""
    data = "your own cases" if options.is_own else f"{options.split} rows of the manifest"
    looks = count_looks()
    return {
        "model": info.id, "version": info.version, "weights_sha256": info.weights_sha256, "data": data,
        "threshold": info.threshold, "slice_threshold": info.slice_threshold, "tables": list(options.tables),
        "state_modality": options.state_modality, "dev_looks": looks,
        "looks": "" if options.is_own else f"The development rows were looked at {looks} times on record.",
    }


def train_counts(data: Path) -> dict[str, int]:
    """Trained name to the number of train rows (pictures, volumes) labelled with it."""
    sets = load_sets()
    counts: dict[str, int] = defaultdict(int)
    for row in read_rows(data, "train"):
        if row["set"] in sets and isinstance(json.loads(row["labels"] or "{}"), dict):
            for name in sets[row["set"]].values(row_labels(row)):
                counts[name] += 1
    return counts


if __name__ == "__main__":
    main()
