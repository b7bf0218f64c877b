"""What is found in the folder of a vision-language model, and what is refused, without loading it. The files are made
by hand here: a description, a processor, and weights whose headers say the sizes."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from medviewer.core.errors import Cancelled, InputRefused
from medviewer.core.progress import Progress
from medviewer.models.vision_language.folder import read_model_folder

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def weights(tensors: Mapping[str, tuple[str, list[int], int]]) -> bytes:
    """A safetensors file of zeros: name to (type, shape, bytes)."""
    header, end = {}, 0
    for name, (kind, shape, size) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(end)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "medgemma-small"
    path.mkdir()
    save(path, "config.json", {"model_type": "gemma3", "vision_config": {}, "text_config": {}})
    for name in ("processor_config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"):
        save(path, name, {})
    (path / SHARDS[0]).write_bytes(weights({"a": ("BF16", [10, 3], 60), "b": ("F32", [2], 8)}))
    (path / SHARDS[1]).write_bytes(weights({"c": ("BF16", [5], 10)}))
    save(path, "model.safetensors.index.json", {"weight_map": {"a": SHARDS[0], "b": SHARDS[0], "c": SHARDS[1]}})
    return path


def save(path: Path, name: str, data: Any) -> None:
    (path / name).write_text(json.dumps(data), encoding="utf-8")


def refusal(path: Path) -> str:
    with pytest.raises(InputRefused) as refused:
        read_model_folder(path)
    assert refused.value.hint
    assert "Traceback" not in str(refused.value)
    return refused.value.message


def test_a_complete_folder_tells_its_layout_and_the_size_of_its_weights(folder: Path) -> None:
    found = read_model_folder(folder)
    assert (found.id, found.name, found.layout, found.tested) == ("medgemma-small", "medgemma-small", "gemma3", True)
    assert [shard.name for shard in found.shards] == list(SHARDS)
    assert (found.weights_bytes, found.sizes.numbers, found.sizes.main_type) == (78, 37, "BF16")


def test_the_checksum_is_that_of_every_weight_file(folder: Path) -> None:
    lines = "".join(f"{name} {hashlib.sha256((folder / name).read_bytes()).hexdigest()}\n" for name in SHARDS)
    found = read_model_folder(folder)
    assert found.weights_sha256() == hashlib.sha256(lines.encode()).hexdigest()
    (folder / SHARDS[0]).write_bytes(weights({"a": ("BF16", [30], 60), "b": ("F32", [2], 8)}))
    with pytest.raises(Cancelled):
        found.weights_sha256(Progress(is_cancelled=lambda: True))
    assert found.weights_sha256() != hashlib.sha256(lines.encode()).hexdigest()  # another file, though of one name


@pytest.mark.parametrize(
    "name",
    ["config.json", "tokenizer.json", "tokenizer_config.json", "model-00002-of-00002.safetensors"],
)
def test_the_message_names_the_file_that_is_missing(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert f"{name} is missing" in refusal(folder)


def test_a_processor_may_be_described_in_either_file_but_must_be(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    assert read_model_folder(folder).layout == "gemma3"
    (folder / "processor_config.json").unlink()
    assert "processor_config.json or preprocessor_config.json is missing" in refusal(folder)


def test_weights_that_are_cut_off_or_damaged_are_refused(folder: Path) -> None:
    shard = folder / SHARDS[1]
    data = shard.read_bytes()
    shard.write_bytes(data[:-4])
    assert f"{SHARDS[1]} of medgemma-small are cut off: 6 of 10 bytes" in refusal(folder)
    shard.write_bytes(data[:20])
    assert "cut off" in refusal(folder)
    shard.write_bytes(data.replace(b"[5]", b"[9]"))
    assert "damaged header" in refusal(folder)
    shard.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
    assert "no safetensors file" in refusal(folder)


class _Runs:
    """A pickle of this runs a program when it is opened."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (str(self.canary), "w")


def test_pickled_weights_are_refused_with_the_reason_and_never_opened(folder: Path, tmp_path: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Runs(tmp_path / "it-ran")))
    assert read_model_folder(folder).weights_bytes == 78  # beside safetensors it is ignored
    for name in (*SHARDS, "model.safetensors.index.json"):
        (folder / name).unlink()
    with pytest.raises(InputRefused, match="can run any program hidden in it") as refused:
        read_model_folder(folder)
    assert refused.value.code == "pickle-refused"
    assert "pytorch_model.bin" in refused.value.message
    assert not (tmp_path / "it-ran").exists()


def test_an_index_may_only_name_weight_files_beside_it(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.safetensors").write_bytes(weights({"a": ("F32", [1], 4)}))
    for name in ("../outside.safetensors", "pytorch_model.bin", str(tmp_path / "outside.safetensors")):
        save(folder, "model.safetensors.index.json", {"weight_map": {"a": name}})
        assert "no safetensors file beside it" in refusal(folder)
    save(folder, "model.safetensors.index.json", {"weight_map": {}})
    assert "damaged" in refusal(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_lead_only_into_the_folder_or_the_store_of_its_snapshot(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.safetensors"
    (folder / SHARDS[1]).rename(outside)
    (folder / SHARDS[1]).symlink_to(outside)
    assert "outside the model's folder" in refusal(folder)
    store = tmp_path / "models--someone--medgemma-4b-it"
    snapshot = store / "snapshots" / "0123456789abcdef"
    (store / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (folder / SHARDS[1]).unlink()
    outside.rename(folder / SHARDS[1])
    for number, file in enumerate(sorted(folder.iterdir())):
        file.rename(store / "blobs" / str(number))
        (snapshot / file.name).symlink_to(store / "blobs" / str(number))
    found = read_model_folder(snapshot)
    assert (found.name, found.version, found.weights_bytes) == ("medgemma-4b-it", "0123456789ab", 78)


def test_an_adapter_a_quantised_or_a_text_only_model_is_refused(folder: Path) -> None:
    save(folder, "adapter_config.json", {"base_model_name_or_path": "someone/else"})
    assert "adapter beside the model" in refusal(folder)
    (folder / "model.safetensors.index.json").unlink()
    assert "adapter only" in refusal(folder)
    (folder / "adapter_config.json").unlink()
    save(folder, "config.json", {"model_type": "gemma3", "vision_config": {}, "quantization_config": {"bits": 4}})
    assert "quantised" in refusal(folder)
    save(folder, "config.json", {"model_type": "llama"})
    assert "no vision-language model" in refusal(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": NaN}', "[" * 100_000, "\x00\xff"])
def test_a_damaged_description_is_one_sentence(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text, encoding="latin-1")
    assert "config.json" in refusal(folder)


def test_what_is_no_folder_is_never_looked_for_elsewhere(tmp_path: Path) -> None:
    assert "is no folder on this computer" in refusal(tmp_path / "google" / "medgemma-4b-it")


# -- licence -----------------------------------------------------------------------------
def test_the_licence_is_what_the_card_and_the_licence_files_say(folder: Path) -> None:
    (folder / "README.md").write_text(
        "---\nlicense: other\nlicense_name: 'health-ai-terms'\nlicense_link: https://example.org/terms\ntags:\n- x\n"
        "---\nlicense: not-this-one\n", encoding="utf-8",
    )  # fmt: skip
    (folder / "LICENSE").write_text("You must not\x1b[31m use it for diagnosis.\n", encoding="utf-8")
    licence = read_model_folder(folder).licence
    assert licence.name == "health-ai-terms"
    assert "https://example.org/terms" in licence.text
    assert "use it for diagnosis." in licence.text
    assert "not-this-one" not in licence.text
    assert "\x1b" not in licence.text


def test_terms_that_changed_must_be_accepted_again(folder: Path) -> None:
    first = read_model_folder(folder).licence
    assert first.name == "licence not stated"
    assert "says nothing about its licence" in first.text
    (folder / "LICENSE.txt").write_text("Apache License\nVersion 2.0\n", encoding="utf-8")
    second = read_model_folder(folder).licence
    assert second.name == "Apache License"
    assert first.key != second.key == read_model_folder(folder).licence.key


def test_looking_at_a_folder_loads_no_torch(folder: Path, repository: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from medviewer.models.vision_language.folder import read_model_folder\n"
        f"read_model_folder(Path({str(folder)!r}))\n"
        "print({'torch', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr
