"""The folder of a model: `model.safetensors`, `config.json`, `card.md`. Nothing in it is ever executed."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from medviewer.core.errors import ModelMissing
from medviewer.models.picture_kind import PictureKind, length_of
from medviewer.models.text_sam import MODALITIES, NetworkConfig, TextSam
from medviewer.models.weights import Unsafe, no_constant, read_confined, read_weights, unique_keys

WEIGHTS, CONFIG = "model.safetensors", "config.json"
_REINSTALL = "Install the model again (see `medviewer models list`)."
_MOST_CONFIG = 8_000_000  # bytes; the shipped one has 23 kB
_MOST_TERMS = 20_000
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
LAYOUT = 4  # of the network and the description; weights of another layout do not fit
_LARGEST = {"size": 2048, "dim": 1024, "high_res": 256, "text_buckets": 1 << 20, "text_tokens": 16}


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
class Calibration:
    """Platt's map from the network's presence to a probability: sigmoid(slope * logit(raw) + shift)."""

    slope: float = 1.0
    shift: float = 0.0

    def __call__(self, raw: float) -> float:
        """0..1 to 0..1, rising; the raw value itself for slope 1 and shift 0."""
        if (self.slope, self.shift) == (1.0, 0.0):
            return raw
        inside = min(max(raw, 1e-6), 1.0 - 1e-6)
        return 1.0 / (1.0 + math.exp(-self.slope * math.log(inside / (1.0 - inside)) - self.shift))


@dataclass(frozen=True)
class BundleInfo:
    """A model's description. `terms` by terminology id. `calibration` by "picture" (one slice) and "volume"."""

    id: str
    version: str
    weights_sha256: str
    network: NetworkConfig
    terms: Mapping[str, TrainedTerm]
    threshold: float = 0.5  # calibrated presence from which a structure counts as found
    slice_threshold: float = 0.5  # raw presence from which a slice of a volume is given a mask
    licence: str = ""
    sources: tuple[str, ...] = ()
    path: Path = field(default_factory=Path)
    weights_bytes: int | None = None  # size of the weights file, where the description states it
    calibration: Mapping[str, Calibration] = field(default_factory=dict)
    commercial_use: bool | None = None  # None: not stated
    intended_use: str = ""
    trained_tiers: tuple[str, ...] = ()  # licence tiers of the training data
    picture_kind: PictureKind = field(default_factory=PictureKind)

    @property
    def term_ids(self) -> tuple[str, ...]:
        return tuple(self.terms)

    def probability(self, raw: float, slices: int) -> float:
        """Calibrated presence of a scan of that many slices from the network's."""
        return self.calibration.get("picture" if slices == 1 else "volume", Calibration())(raw)

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
        text = read_confined(folder / CONFIG, folder, _MOST_CONFIG).decode("utf-8")
        return _info(json.loads(text, object_pairs_hook=unique_keys, parse_constant=no_constant), folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelMissing(f"There is no readable model in {folder.name}.", _REINSTALL) from error


def _info(data: Mapping[str, Any], folder: Path) -> BundleInfo:
    _refuse_other_layouts(data.get("layout", 1), _text(data["id"]))
    if len(data["terms"]) > _MOST_TERMS or not _SHA256.match(data["weights_sha256"]):
        raise ValueError("no description of a model")
    terms = {term_id: _term(entry) for term_id, entry in data["terms"].items()}
    size = data.get("weights_bytes")
    return BundleInfo(
        id=_text(data["id"]), version=_text(data["version"]), weights_sha256=data["weights_sha256"],
        network=_network(data["network"]), terms=terms, threshold=_share(data["threshold"]),
        slice_threshold=_share(data["slice_threshold"]), licence=_text(data["licence"]),
        sources=tuple(_text(source) for source in data["sources"]), path=folder,
        weights_bytes=None if size is None else _count(size, 1 << 50), calibration=_calibration(data),
        commercial_use=_yes_or_no(data.get("commercial_use")), intended_use=_text(data.get("intended_use", "")),
        trained_tiers=tuple(_text(tier) for tier in data.get("trained_tiers", ())),
        picture_kind=_picture_kind(data),
    )


def _refuse_other_layouts(layout: Any, model_id: str) -> None:
    if _count(layout, 1 << 31) != LAYOUT:
        message = f"The model {model_id} has layout {layout}; this version of the program reads layout {LAYOUT}."
        raise ModelMissing(message, _REINSTALL)


def _calibration(data: Mapping[str, Any]) -> dict[str, Calibration]:
    stated = data.get("calibration", {})
    if set(stated) - {"picture", "volume"}:
        raise ValueError("unknown calibration")
    return {kind: Calibration(_bounded(slope, 1e-3, 1e3), _bounded(shift, -1e3, 1e3))
            for kind, (slope, shift) in stated.items()}


def _picture_kind(data: Mapping[str, Any]) -> PictureKind:
    stated, length = data.get("picture_kind", {}), length_of(_network(data["network"]).dim)
    if set(stated) - set(MODALITIES) or any(len(row) != length for row in stated.values()):
        raise ValueError("unknown kinds of pictures")
    return PictureKind({name: tuple(_bounded(w, -1e6, 1e6) for w in row) for name, row in stated.items()})


def _yes_or_no(value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise ValueError("neither yes nor no")
    return value


def _bounded(value: Any, least: float, most: float) -> float:
    if type(value) not in (int, float) or not least <= value <= most:
        raise ValueError("not a number within bounds")
    return float(value)


def _network(sizes: Mapping[str, Any]) -> NetworkConfig:
    """Sizes within bounds: a description may not ask for more memory than any real network."""
    if set(sizes) - set(_LARGEST):
        raise ValueError("unknown sizes")
    config = NetworkConfig(**{name: _count(number, _LARGEST[name]) for name, number in sizes.items()})
    if config.size % 32 or config.dim % 16 or config.high_res % 8 or min(config.as_dict().values()) < 1:
        raise ValueError("impossible sizes")
    return config


def _term(entry: Mapping[str, Any]) -> TrainedTerm:
    results = {_text(modality): _result(result) for modality, result in entry["results"].items()}
    regions = tuple(_text(region) for region in entry["regions"])
    return TrainedTerm(_text(entry["text"]), results, _count(entry["parts"], 1000), regions, _text(entry["note"]))


def _result(result: Mapping[str, Any]) -> TestResult:
    dice = result["dice"]
    return TestResult(None if dice is None else _share(dice), _count(result["n"], 1 << 31))


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 4000:
        raise ValueError("not a text")
    return value


def _count(value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError("not a whole number within bounds")
    return value


def _share(value: Any) -> float:
    return _bounded(value, 0.0, 1.0)


def load_network(info: BundleInfo) -> TextSam:
    """The network with its weights in float32, ready for inference on the CPU.

    Raises ModelMissing when the weights are absent, altered (size, SHA-256), no safetensors, or do not fit the network.
    Nothing in the file is executed, and files of other kinds are never opened.
    """
    try:
        tensors = read_weights(info.path / WEIGHTS, info.path, info.weights_sha256, info.weights_bytes)
    except FileNotFoundError as error:
        raise ModelMissing(f"The weights of model {info.id} are missing ({WEIGHTS}).", _REINSTALL) from error
    except Unsafe as error:
        raise ModelMissing(f"The weights of model {info.id} {error}.", _REINSTALL) from error
    except OSError as error:
        raise ModelMissing(f"The weights of model {info.id} cannot be read: {error.strerror}.", _REINSTALL) from error
    network = TextSam(info.network)
    _refuse_misfits(info, network.state_dict(), tensors)
    network.load_state_dict({name: value.float() if value.is_floating_point() else value
                             for name, value in tensors.items()})
    return network.eval().requires_grad_(False)


def _refuse_misfits(info: BundleInfo, wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Every tensor of the network, of its shape and kind, without NaN, and no other."""
    wrong = list(wanted.keys() ^ given.keys())
    for name in wanted.keys() & given.keys():
        same = wanted[name].shape == given[name].shape
        if not same or wanted[name].is_floating_point() != given[name].is_floating_point():
            wrong.append(name)
        elif not bool(given[name].isfinite().all()):
            raise ModelMissing(f"The weights of model {info.id} hold values that are no numbers.", _REINSTALL)
    if wrong:
        message = f"The weights of model {info.id} do not fit its network ({len(wrong)} tensors differ)."
        raise ModelMissing(message, _REINSTALL)
