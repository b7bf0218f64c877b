"""Write a trained state as a bundle: `python -m training.export --run runs/text_sam --data ../shared/data`.

Weights are the run's averaged ones in float16. Thresholds are chosen on train rows that were held out of training
(`in_validation`), never on dev. `--results` takes the JSON of `training.evaluate`.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from medviewer.core.errors import OutputNotWritten
from medviewer.io.atomic import atomic_folder, write_text, write_text_atomic
from medviewer.models.bundle import CONFIG, WEIGHTS, sha256_of
from medviewer.models.text_sam import NetworkConfig, TextSam

from .data.batches import BatchMaker
from .data.dataset import load_all
from .data.samples import Sample, read_rows
from .data.sets import load_sets, structures
from .data.terms import describe_terms, load_terminology, trained_modalities

LICENCE = "non-commercial research use only"
RESOURCES = Path(__file__).parents[1] / "resources"


def main() -> None:
    """Parse the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=RESOURCES / "models" / "default")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--version", default="1")
    options = parser.parse_args()
    saved = torch.load(options.run / "state.pt", weights_only=True)
    network = TextSam(NetworkConfig(**saved["config"]))
    network.load_state_dict(saved["average"])
    kept, held = load_all(options.data, phantoms=1)
    thresholds = choose_thresholds(network.eval(), held)
    results = json.loads(options.results.read_text(encoding="utf-8")) if options.results else {}
    write_bundle(options.out, network, kept, thresholds, results, options)


def write_bundle(
    out: Path, network: TextSam, samples: Sequence[Sample], thresholds: dict[str, float],
    results: dict[str, Any], options: argparse.Namespace,
) -> None:
    """Weights, config, card and the catalogue entry; the bundle's folder is replaced as a whole."""
    out.parent.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    sources = list_sources(options.data)
    terms = describe_terms(trained_modalities(samples), results.get("terms", {}), load_terminology())
    with atomic_folder(out) as folder:
        save_file(tensors, folder / WEIGHTS)
        (folder / WEIGHTS).chmod(0o644)
        read = load_file(folder / WEIGHTS)
        if read.keys() != tensors.keys() or not all(torch.equal(read[name], tensors[name]) for name in read):
            raise OutputNotWritten(f"{out} was not written: reading the weights back gave others than were saved.")
        config = {
            "id": out.name, "version": options.version, "weights_sha256": sha256_of(folder / WEIGHTS),
            "network": network.config.as_dict(), **thresholds, "licence": LICENCE, "sources": sources,
            "created": datetime.now(UTC).isoformat(timespec="seconds"), "terms": terms,
        }
        write_text(folder / CONFIG, json.dumps(config, indent=1, ensure_ascii=False) + "\n")
        write_text(folder / "card.md", card(config, results))
    write_catalogue(out, config)


def list_sources(data: Path) -> list[str]:
    """Every source of the train rows used, with its licence."""
    used = set(load_sets())
    found = {(row["set"], row["licence"], row["source"]) for row in read_rows(data, "train") if row["set"] in used}
    generated = "generated torso phantoms (code of this repository)"
    return [*sorted(f"{name}: {licence}; {source}" for name, licence, source in found), generated]


@torch.inference_mode()
def choose_thresholds(network: TextSam, held: Sequence[Sample], batches: int = 60) -> dict[str, float]:
    """Presence from which a structure counts as found, from held-out train rows; a little lower for single slices of a
    volume in which it was found."""
    maker = BatchMaker(held, list(structures()), network.config.size, seed=12345)
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


def card(config: dict[str, Any], results: dict[str, Any]) -> str:
    """The model card, for people."""
    lines = [
        f"# Model `{config['id']}`, version {config['version']}", "",
        "Text-promptable segmentation of 2D slices: a small U-Net encoder, a text encoder of hashed character n-grams,",
        "and segment-anything's prompt encoder and mask decoder. Trained from nothing by `training/`.", "",
        "**Non-commercial research weights.** Some sets are licensed for non-commercial or research use only; weights",
        "trained on them must not be used commercially. **Not a medical device**: no clinical use.", "",
        "A structure that is not found is not proven absent. Labels are partial and few; many structures were",
        "trained on a handful of patients or on one. What was measured stands below; anything else is untested.", "",
        "## Measured on development cases", "", "| set | structure | Dice | n |", "|---|---|---|---|",
    ]
    for row in results.get("rows", []):
        lines.append(f"| {row['set']} | {row['structure']} | {row['dice']:.3f} | {row['n']} |")
    lines += ["", "## Trained structures", "", ", ".join(sorted(config["terms"])), "", "## Sources", ""]
    lines += [f"- {source}" for source in config["sources"]]
    return "\n".join(lines) + "\n"


def write_catalogue(out: Path, config: dict[str, Any]) -> None:
    """The entry in `models.toml` beside the models folder (one shipped model)."""
    text = (
        "# Models shipped with the program. Weights are data: safetensors only, checked by SHA-256 before loading.\n"
        f'default = "{config["id"]}"\n\n'
        f'[models."{config["id"]}"]\nname = "Default text segmentation"\ntask = "text-segmentation"\n'
        f'version = "{config["version"]}"\nfolder = "models/{config["id"]}"\n'
        f'weights_sha256 = "{config["weights_sha256"]}"\nlicence = "{config["licence"]}"\ncommercial_use = false\n'
        f"size_bytes = {(out / WEIGHTS).stat().st_size}\nsources = [\n"
        + "".join(f"  {json.dumps(source)},\n" for source in config["sources"]) + "]\n"
    )
    write_text_atomic(out.parent.parent / "models.toml", text)


if __name__ == "__main__":
    main()
