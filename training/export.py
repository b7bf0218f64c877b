"""Write a training as a bundle: `python -m training export --run runs/default --out resources/models/default`.

Weights are the run's averaged ones in float16, of the best check where the recipe limits the patience. Thresholds are
chosen on train rows that were held out of training (`in_validation`), never on dev. The rule that tells kinds of
pictures apart is fitted on the train rows. `--results` takes the JSON of `training.evaluate`, `--failures` a folder of
`training.failure_pictures`. What the weights may be used for follows from the rows that the run recorded. Where a
bundle of the same weights is replaced, its calibration is kept unless `--calibrate` makes a new one.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medviewer.core.errors import InputRefused, WrongUsage
from medviewer.io.atomic import atomic_folder, write_text
from medviewer.models.bundle import CONFIG, LAYOUT, WEIGHTS, sha256_of
from medviewer.models.text_sam import NetworkConfig, TextSam

from .catalogue import write_catalogue
from .data.batches import BatchMaker
from .data.corpus import Corpus, Sources, load_corpus, read_sources
from .data.dataset import load_all
from .data.samples import Sample
from .data.sets import structures
from .data.terms import describe_terms, load_terminology, trained_modalities, user_terms
from .derived_bundle import licence_of, save_weights
from .evaluation.calibration import calibrate, description_of, keep_fitted, write_calibration
from .evaluation.picture_kind import fit_picture_kind
from .failure_pictures import copy_pictures
from .licences import OPEN, sources_of, terms_of
from .model_card import Extras, card, intended_use, read_extras
from .recipe import RECIPE, read_recipe
from .run_state import BEST, STATE, load_into, read_tensors

CATALOGUE = "models.toml"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and export."""
    parser = argparse.ArgumentParser("export", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of the training")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle, for example models/NAME")
    parser.add_argument("--data", type=Path, help="folder of the manifest; as in the run's recipe if not stated")
    parser.add_argument("--results", type=Path, help="results.json of an evaluation of these weights")
    parser.add_argument("--version", default="1")
    parser.add_argument("--tiers", default="", help="licence tiers of the run's rows, with commas; empty: all")
    parser.add_argument("--failures", type=Path, help="folder that training.failure_pictures wrote")
    parser.add_argument("--calibrate", action="store_true", help="fit presence on train rows that were held out")
    export(parser.parse_args(arguments))


def export(options: argparse.Namespace) -> Path:
    """Write the bundle and return its folder. Raises InputRefused for a run that cannot be read, WrongUsage for tiers
    that are not those of the run, OutputNotWritten."""
    torch.set_num_threads(1)
    best = options.run / BEST
    saved = read_tensors(best if best.is_file() else options.run / STATE)
    network = _network(saved, options.run)
    corpus = _corpus(saved, options)
    if options.calibrate and options.data is None:
        raise WrongUsage("Calibration needs the rows of a manifest.", "State their folder with --data.")
    results = _results(options.results)
    fitted = choose_thresholds(network.eval(), corpus.held, corpus.names) | _picture_kind(network, corpus.kept)
    before = description_of(options.out)
    write_bundle(options.out, network, corpus.kept, fitted, results, options, read_sources(options.run))
    if options.calibrate:
        write_calibration(options.out, calibrate(options.out, options.data))
    for line in [*keep_fitted(options.out, before), f"{options.out} was written."]:
        print(line, flush=True)
    return Path(options.out)


def _picture_kind(network: TextSam, samples: Sequence[Sample]) -> dict[str, Any]:
    """The rule of `medviewer.models.picture_kind`, told on standard output; empty where the samples cannot give one."""
    fitted = fit_picture_kind(network, samples)
    if not fitted:
        print("Kinds of pictures cannot be told apart: the samples do not show all of them.", flush=True)
        return {}
    print(f"Kinds of pictures that are told apart: {', '.join(fitted)}.", flush=True)
    return {"picture_kind": fitted}


def _network(saved: Mapping[str, Any], run: Path) -> TextSam:
    try:
        network = TextSam(NetworkConfig(**saved["config"]))
        load_into(network, saved["average"], run)
    except (KeyError, TypeError) as error:
        raise InputRefused(f"{run} is not the folder of a training.", "Name the folder that holds state.pt.") from error
    return network


def _corpus(saved: Mapping[str, Any], options: argparse.Namespace) -> Corpus:
    """The samples that the run was trained on and checked with, by its recipe; by `--data` and `--tiers` for a run that
    recorded none."""
    path = options.run / RECIPE
    if path.is_file():
        recipe = read_recipe(str(path))
        tiers = tuple(_parts(options.tiers)) or recipe.data.tiers
        if set(tiers) != set(recipe.data.tiers):
            given, used = ", ".join(tiers), ", ".join(recipe.data.tiers) or "all rows"
            raise WrongUsage(f"The run was trained on {used}, not on {given}.", "Leave --tiers out.")
        options.tiers = ",".join(tiers)
        options.data = options.data or (Path(recipe.data.folder) if recipe.data.folder else None)
        folder = str(options.data) if recipe.data.folder else ""
        data = replace(recipe.data, folder=folder, phantoms=min(1, recipe.data.phantoms))
        return load_corpus(data, recipe.run.seed)
    if options.data is None:
        raise WrongUsage(f"{options.run} has no {RECIPE}.", "State the folder of its data with --data.")
    kept, held = load_all(options.data, 1, trained_tiers(saved, options))
    return Corpus(kept, held, list(structures()), Sources())


def _results(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(results, dict):
            raise ValueError("no table")
        return results
    except (OSError, ValueError) as error:
        raise InputRefused(f"{path} cannot be read as results.", "Give the results.json of an evaluation.") from error


def write_bundle(
    out: Path, network: TextSam, samples: Sequence[Sample], fitted: Mapping[str, Any],
    results: dict[str, Any], options: argparse.Namespace, sources: Sources | None = None,
) -> None:
    """Weights, config, card and the catalogue entry; the bundle's folder is replaced as a whole. `fitted`: thresholds
    and other fields of the config. `sources`: what the run recorded; without it, the manifest's rows of the tiers count
    as used."""
    out.parent.mkdir(parents=True, exist_ok=True)
    extras = Extras() if options.data is None else read_extras(options.data, _parts(options.tiers), options.failures)
    origin = _origin(extras, sources)
    counts, terminology = trained_modalities(samples), load_terminology()
    terms = describe_terms(counts, results.get("terms", {}), terminology)
    with atomic_folder(out) as folder:
        save_weights(folder, network)
        config = {
            "id": out.name, "version": options.version, "weights_sha256": sha256_of(folder / WEIGHTS),
            "weights_bytes": (folder / WEIGHTS).stat().st_size, "layout": LAYOUT,
            "network": network.config.as_dict(), **fitted, **origin,
            "intended_use": intended_use(terms, bool(origin["commercial_use"])),
            "created": datetime.now(UTC).isoformat(timespec="seconds"), "terms": terms,
            "user_terms": user_terms(counts, terminology),
        }
        write_text(folder / CONFIG, json.dumps(config, indent=1, ensure_ascii=False) + "\n")
        write_text(folder / "card.md", card(config, results, extras))
        copy_pictures(extras.failures, options.failures, folder)
    if (out.parent.parent / CATALOGUE).is_file() or out.parent.name == "models":
        write_catalogue(out, config)


def _origin(extras: Extras, sources: Sources | None) -> dict[str, Any]:
    """`licence`, `commercial_use`, `trained_tiers`, `sources`: the strictest of everything that was trained on."""
    recorded = sources is not None
    if sources is None:
        sources = Sources(tuple(sorted({one.tier for one in extras.sets})), tuple(sources_of(extras.sets)))
    allowed = OPEN if recorded and not sources.tiers else terms_of(sources.tiers)  # generated pictures bind nobody
    licence, commercial = allowed.licence, allowed.commercial_use
    if sources.own:
        stated = () if "" in sources.own else sources.own
        licence, commercial = astuple(licence_of(allowed.licence, allowed.commercial_use, stated))
    return {
        "licence": licence, "commercial_use": commercial, "trained_tiers": list(sources.tiers),
        "sources": list(sources.lines),
    }


def trained_tiers(saved: Mapping[str, Any], options: argparse.Namespace) -> list[str]:
    """The licence tiers of the run. Raises WrongUsage where the state was trained on others than `--tiers` says: the
    weights would get a licence that is not theirs."""
    asked = _parts(options.tiers)
    if "tiers" in saved and set(_parts(saved["tiers"])) != set(asked):
        used, given = saved["tiers"] or "all rows", options.tiers or "all rows"
        raise WrongUsage(f"The run was trained on {used}, not on {given}.", f'Give --tiers "{saved["tiers"]}".')
    return asked


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


@torch.inference_mode()
def choose_thresholds(
    network: TextSam, held: Sequence[Sample], names: Sequence[str], batches: int = 60
) -> dict[str, Any]:
    """Presence from which a structure counts as found, from held-out train rows; a little lower for single slices of a
    volume in which it was found."""
    if not held:
        return {"threshold": 0.5, "slice_threshold": 0.4}
    maker = BatchMaker(held, names, network.config.size, seed=12345)
    scores: dict[bool, list[float]] = defaultdict(list)
    for _ in range(batches):
        batch = maker.make(8)
        embedding, features = network.encode_images(batch.images)
        text = network.encode_texts(batch.names)
        seen, _ = network.decode_visible(embedding[batch.index], features[batch.index], text, batch.modality, 1.1)
        for value, visible, known in zip(seen.sigmoid(), batch.visible, batch.presence_known, strict=True):
            if known:
                scores[bool(visible)].append(float(value))
    threshold = best_threshold(np.array(scores[True]), np.array(scores[False]))
    return {"threshold": threshold, "slice_threshold": round(0.8 * threshold, 3)}


def best_threshold(visible: np.ndarray[Any, Any], absent: np.ndarray[Any, Any]) -> float:
    """The highest of 0.1..0.5 that still finds 99.5 % of the visible structures, if better than chance. Not above
    0.5: the held-out rows come from the largest sets, and structures trained on few pictures score lower."""
    grid = np.linspace(0.5, 0.1, 41)
    keeps = [float(t) for t in grid if (visible >= t).mean() >= 0.995 and (absent < t).mean() > 0.5]
    return round(keeps[0], 3) if keeps else 0.3


if __name__ == "__main__":
    main()
