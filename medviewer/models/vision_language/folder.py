"""The folder of a vision-language model in the layout that transformers publishes: what is in it, what is missing, what
may be done with it. Loads no torch, and executes nothing.

Read are `config.json`, the headers of the safetensors files and the licence. Pickled weights (.bin, .pt, .pth, .ckpt)
are never opened, because opening them runs code; Python files in the folder are ignored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medviewer.core.errors import InputRefused
from medviewer.core.plain_text import one_line
from medviewer.core.progress import Progress, silent
from medviewer.models.vision_language.licence import Licence, read_licence
from medviewer.models.vision_language.shards import TensorSizes, read_sizes, within
from medviewer.models.weights import Unsafe, no_constant, read_confined, unique_keys

CONFIG, INDEX, WEIGHTS = "config.json", "model.safetensors.index.json", "model.safetensors"
LAYOUTS = {"gemma3": "Gemma3ForConditionalGeneration", "llava": "LlavaForConditionalGeneration"}  # tested ones
_MOST_JSON = 32_000_000  # bytes; the index of a large model has 200 kB
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack", ".gguf")
_HINT = "Copy the whole folder of the model again, as it was published."
_PROCESSOR = ("processor_config.json", "preprocessor_config.json")
_TOKENIZER = ("tokenizer.json",)
_CHUNK = 1 << 24
_KNOWN_HASHES: dict[tuple[str, int, int, int], str] = {}


@dataclass(frozen=True)
class ModelFolder:
    """A complete folder. `layout` is config.json's model_type ("gemma3", "llava"); `shards` the weight files in order;
    `sizes` how many numbers of which type they hold."""

    path: Path
    layout: str
    config: Mapping[str, Any] = field(repr=False)
    shards: tuple[Path, ...]
    sizes: TensorSizes
    licence: Licence

    @property
    def id(self) -> str:
        """The folder's name, as reports state it."""
        return one_line(self.path.name) or "model"

    @property
    def version(self) -> str:
        """The revision, where the folder is a snapshot of a hub's cache; else empty."""
        return self.path.name[:12] if self.path.parent.name == "snapshots" else ""

    @property
    def name(self) -> str:
        """The id that a person knows: of a snapshot the name of the repository ("medgemma-4b-it")."""
        repository = self.path.parent.parent.name
        if self.path.parent.name == "snapshots" and repository.startswith("models--"):
            return one_line(repository.split("--")[-1])
        return self.id

    @property
    def tested(self) -> bool:
        """Whether models of this layout are part of the program's tests."""
        return self.layout in LAYOUTS

    @property
    def weights_bytes(self) -> int:
        """Bytes of the tensors as they are stored."""
        return self.sizes.stored_bytes

    def weights_sha256(self, progress: Progress | None = None) -> str:
        """SHA-256 of the weights: of the file, or of the lines "name hash" of several. Reads all. Raises Cancelled."""
        progress = progress or silent()
        hashes = []
        for number, shard in enumerate(self.shards):
            hashes.append(_sha256(shard, progress.part(number / len(self.shards), (number + 1) / len(self.shards))))
        if len(hashes) == 1:
            return hashes[0]
        lines = "".join(f"{shard.name} {one}\n" for shard, one in zip(self.shards, hashes, strict=True))
        return hashlib.sha256(lines.encode()).hexdigest()


def read_model_folder(path: Path) -> ModelFolder:
    """Look at a folder. Raises InputRefused naming the file that is missing, pickled, cut off or damaged."""
    path = Path(path)
    if not path.is_dir():
        raise _refused(f"{one_line(str(path))} is no folder on this computer",
                       "Choose the folder that holds config.json. Models are never downloaded.")  # fmt: skip
    _check_adapter(path)
    config = _json(path, CONFIG)
    layout = str(config.get("model_type", ""))
    _check_kind(path, config)
    shards = tuple(path / name for name in _shard_names(path))
    _check_processor(path)
    return ModelFolder(path, layout, config, shards, _sizes(path, shards), read_licence(path))


def _refused(message: str, hint: str = _HINT, code: str = "model-folder-refused") -> InputRefused:
    return InputRefused(f"{message}.", hint, code=code)


def _missing(path: Path, name: str, what: str) -> InputRefused:
    return _refused(f"The model in {one_line(str(path))} is incomplete: {name} is missing ({what})")


def _json(path: Path, name: str) -> Mapping[str, Any]:
    """A JSON object of the folder."""
    what = "the description of the network" if name == CONFIG else "the list of weight files"
    try:
        data = json.loads(_bytes(path, name), object_pairs_hook=unique_keys, parse_constant=no_constant)
    except FileNotFoundError as error:
        raise _missing(path, name, what) from error
    except (OSError, Unsafe, ValueError, RecursionError) as error:
        raise _refused(f"{name} of the model in {one_line(str(path))} is damaged") from error
    if not isinstance(data, dict):
        raise _refused(f"{name} of the model in {one_line(str(path))} is damaged")
    return data


def _bytes(path: Path, name: str) -> bytes:
    target = path / name
    return read_confined(target, within(target, path), _MOST_JSON)


def _check_adapter(path: Path) -> None:
    """An adapter would be loaded on top of the weights, or on top of a model from somewhere else."""
    if not (path / "adapter_config.json").exists():
        return
    if (path / WEIGHTS).exists() or (path / INDEX).exists():
        raise _refused(f"{path.name} holds an adapter beside the model; it is not clear which is meant",
                       "Move adapter_config.json out of the folder, or merge the adapter into the model.")  # fmt: skip
    raise _refused(f"{path.name} holds an adapter only, not a whole model",
                   "Merge the adapter into its model, save that as safetensors, and choose that folder.")  # fmt: skip


def _check_kind(path: Path, config: Mapping[str, Any]) -> None:
    if config.get("quantization_config"):
        raise _refused(f"The weights of {path.name} are quantised, which is not supported",
                       "Choose the folder with the weights in bfloat16, float16 or float32.")  # fmt: skip
    if "vision_config" not in config:
        raise _refused(f"{path.name} is no vision-language model: config.json describes no part that sees pictures",
                       "Choose a model that takes pictures and text, for instance MedGemma 4B or LLaVA.")  # fmt: skip


def _shard_names(path: Path) -> list[str]:
    if (path / INDEX).exists():
        mapping = _json(path, INDEX).get("weight_map")
        if not isinstance(mapping, dict) or not mapping:
            raise _refused(f"{INDEX} of {path.name} is damaged")
        names = sorted({str(name) for name in mapping.values()})
    elif (path / WEIGHTS).exists():
        return [WEIGHTS]
    else:
        raise _no_weights(path)
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise _refused(f"{INDEX} of {path.name} names {one_line(name, 80)}, which is no safetensors file beside it")
        if not (path / name).exists():
            raise _missing(path, name, f"{INDEX} names it")
    return names


def _no_weights(path: Path) -> InputRefused:
    pickled = sorted(one.name for one in path.iterdir() if one.suffix in _PICKLED)
    if pickled:
        return _refused(
            f"The weights of {path.name} are in {one_line(pickled[0])}, which is not read: opening such a file can run "
            "any program hidden in it",
            "Choose a release of the model in safetensors, or convert it on a computer that you can afford to lose.",
            "pickle-refused",
        )  # fmt: skip
    return _missing(path, WEIGHTS, "the weights")


def _check_processor(path: Path) -> None:
    for names, what in ((_PROCESSOR, "how pictures are prepared"), (_TOKENIZER, "how words become numbers"),
                        (("tokenizer_config.json",), "the settings of the tokenizer")):  # fmt: skip
        if not any((path / name).is_file() for name in names):
            raise _missing(path, " or ".join(names), what)


def _sizes(path: Path, shards: Iterable[Path]) -> TensorSizes:
    total = TensorSizes()
    for shard in shards:
        try:
            total = total + read_sizes(shard, path)
        except Unsafe as error:
            raise _refused(f"The weights {shard.name} of {path.name} {error}") from error
        except OSError as error:
            raise _refused(f"The weights {shard.name} of {path.name} cannot be read") from error
    return total


def _sha256(path: Path, progress: Progress) -> str:
    """Of a file; known again as long as its size and time stay the same, because reading some gigabytes takes long."""
    status = path.stat()
    key = (str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino)
    if key not in _KNOWN_HASHES:
        done, digest = 0, hashlib.sha256()
        for block in _blocks(path):
            digest.update(block)
            done += len(block)
            progress.report(done / max(1, status.st_size), "Checking the weights")
        _KNOWN_HASHES[key] = digest.hexdigest()
    return _KNOWN_HASHES[key]


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            yield block
