"""The folder of a model: `model.safetensors`, `config.json`, `card.md`. Nothing in it is ever executed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from medviewer.core.errors import ModelMissing
from medviewer.models.text_sam import NetworkConfig, TextSam

WEIGHTS, CONFIG = "model.safetensors", "config.json"
_REINSTALL = "Install the model again (see `medviewer models list`)."


@dataclass(frozen=True)
class TestResult:
    """Measured performance of a term in one modality: mean dev Dice over n pictures or volumes; None if n is 0."""

    __test__ = False  # not a pytest class
    dice: float | None = None
    n: int = 0

    def text(self) -> str:
        """For instance "dev Dice 0.91, n = 24", or "untested"."""
        return "untested" if self.dice is None else f"dev Dice {self.dice:.2f}, n = {self.n}"


@dataclass(frozen=True)
class TrainedTerm:
    """What the model can be asked: `text` is given to the text encoder, `parts` is how many separate pieces the
    structure has in a whole body (0: any number), `regions` are the parts of the body it lies in."""

    text: str
    results: Mapping[str, TestResult]  # by modality: CT MR XR US
    parts: int = 0
    regions: tuple[str, ...] = ()
    note: str = ""  # what the user is told with every mask


@dataclass(frozen=True)
class BundleInfo:
    """A model's description. `terms` by terminology id."""

    id: str
    version: str
    weights_sha256: str
    network: NetworkConfig
    terms: Mapping[str, TrainedTerm]
    threshold: float = 0.5  # presence from which a structure counts as found
    slice_threshold: float = 0.5  # presence from which a slice of a volume is given a mask
    licence: str = ""
    sources: tuple[str, ...] = ()
    path: Path = field(default_factory=Path)

    @property
    def term_ids(self) -> tuple[str, ...]:
        return tuple(self.terms)

    def result(self, term_id: str | None, modality: str) -> TestResult:
        """Measured performance; of the best-measured modality where the scan's is unknown."""
        if term_id is None or term_id not in self.terms:
            return TestResult()
        results = self.terms[term_id].results
        if modality in results:
            return results[modality]
        return max(results.values(), key=lambda r: r.n, default=TestResult()) if modality == "unknown" else TestResult()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file as lower-case hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_info(folder: Path) -> BundleInfo:
    """Parse `config.json`. Raises ModelMissing when it is absent or not a model description."""
    try:
        data = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return _info(data, folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelMissing(f"There is no readable model in {folder.name}.", _REINSTALL) from error


def _info(data: Mapping[str, Any], folder: Path) -> BundleInfo:
    terms = {term_id: _term(entry) for term_id, entry in data["terms"].items()}
    return BundleInfo(
        id=data["id"], version=data["version"], weights_sha256=data["weights_sha256"],
        network=NetworkConfig(**data["network"]), terms=terms, threshold=float(data["threshold"]),
        slice_threshold=float(data["slice_threshold"]), licence=data["licence"],
        sources=tuple(data["sources"]), path=folder,
    )


def _term(entry: Mapping[str, Any]) -> TrainedTerm:
    results = {modality: TestResult(r["dice"], int(r["n"])) for modality, r in entry["results"].items()}
    return TrainedTerm(entry["text"], results, int(entry["parts"]), tuple(entry["regions"]), entry["note"])


def load_network(info: BundleInfo) -> TextSam:
    """The network with its weights in float32, ready for inference on the CPU.

    Raises ModelMissing when the weights are absent, altered (other SHA-256) or do not fit the network.
    """
    path = info.path / WEIGHTS
    if not path.is_file():
        raise ModelMissing(f"The weights of model {info.id} are missing.", _REINSTALL)
    if sha256_of(path) != info.weights_sha256:
        raise ModelMissing(f"The weights of model {info.id} are damaged or altered (checksum differs).", _REINSTALL)
    network = TextSam(info.network)
    try:
        network.load_state_dict({name: value.float() if value.is_floating_point() else value
                                 for name, value in load_file(path).items()})
    except (RuntimeError, ValueError) as error:
        raise ModelMissing(f"The weights of model {info.id} do not fit its network.", _REINSTALL) from error
    return network.eval().requires_grad_(False)
