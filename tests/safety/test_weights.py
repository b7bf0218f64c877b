"""Weights and descriptions of models that were made to do harm: refused in one sentence, nothing executed (R40)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import re
import shutil
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from medviewer.core.errors import ModelMissing
from medviewer.models.bundle import LAYOUT, load_network, read_info
from medviewer.models.pipeline import TextSegmenter
from medviewer.models.text_sam import NetworkConfig, TextSam
from medviewer.models.weights import read_confined

SMALL = NetworkConfig(size=64, dim=32, high_res=8, text_buckets=64)
WEIGHTS, CONFIG = "model.safetensors", "config.json"


def describe(folder: Path, **changes: Any) -> None:
    """A valid description of the weights in a folder, with some fields replaced."""
    weights = folder / WEIGHTS
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else "0" * 64
    term = {"text": "liver", "results": {"CT": {"dice": 0.9, "n": 3}}, "parts": 1, "regions": [], "note": ""}
    config = {
        "id": "own", "version": "1", "layout": LAYOUT, "weights_sha256": sha256, "network": SMALL.as_dict(),
        "threshold": 0.5, "slice_threshold": 0.5, "licence": "none", "sources": [], "terms": {"liver": term},
    }  # fmt: skip
    (folder / CONFIG).write_text(json.dumps(config | changes), encoding="utf-8")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good model folder, made once."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("good") / "own"
    folder.mkdir()
    save_file({k: v.contiguous() for k, v in TextSam(SMALL).state_dict().items()}, folder / WEIGHTS)
    describe(folder)
    TextSegmenter.load(folder, "cpu")
    return folder


@pytest.fixture
def bundle(good: Path, tmp_path: Path) -> Path:
    """A copy of it to be spoilt."""
    return Path(shutil.copytree(good, tmp_path / "own"))


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that exists only if something was executed."""
    return tmp_path / "executed"


def refused(folder: Path, words: str) -> None:
    """Refused as a missing model, in one sentence and a hint, without the words of a library."""
    with pytest.raises(ModelMissing, match=words) as caught:
        TextSegmenter.load(folder, "cpu")
    message = caught.value.message
    assert message.endswith(".")
    assert len(message) < 200
    assert "\n" not in message
    assert "Traceback" not in message
    assert caught.value.hint


def rewrite(folder: Path, data: bytes) -> None:
    """Other weights with a description that vouches for them: whoever makes them can compute a checksum too."""
    (folder / WEIGHTS).write_bytes(data)
    describe(folder)


# -- pickles under every name ---------------------------------------------------------
class Bomb:
    """Creates the canary when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self.canary}",)


def saved_bomb(canary: Path) -> bytes:
    """What `torch.save` writes (a zip with a pickle in it)."""
    import io

    file = io.BytesIO()
    torch.save({"no_text": Bomb(canary)}, file)
    return file.getvalue()


def test_the_bombs_are_live(canary: Path) -> None:
    """Else the tests below could not fail."""
    pickle.loads(pickle.dumps(Bomb(canary)))
    assert canary.exists()


@pytest.mark.parametrize("kind", ["pickle", "torch", "torch with a safetensors start"])
def test_a_pickle_called_safetensors(bundle: Path, canary: Path, kind: str) -> None:
    data = pickle.dumps(Bomb(canary)) if kind == "pickle" else saved_bomb(canary)
    if "start" in kind:
        data = struct.pack("<Q", 2) + b"{}" + data
    rewrite(bundle, data)
    refused(bundle, "safetensors|does not match")
    assert not canary.exists()


@pytest.mark.parametrize("name", ["model.pth", "model.pt", "pytorch_model.bin", "model.ckpt", "model.pkl"])
def test_pickles_beside_are_never_read(bundle: Path, canary: Path, name: str) -> None:
    (bundle / WEIGHTS).unlink()
    (bundle / name).write_bytes(saved_bomb(canary))
    refused(bundle, "missing")
    assert not canary.exists()


def test_code_beside_is_never_imported(bundle: Path, canary: Path) -> None:
    for name in ("modeling.py", "__init__.py", "setup.py", "configuration.py"):
        (bundle / name).write_text(f"import os; os.system('touch {canary}')")
    describe(bundle, auto_map={"AutoModel": "modeling.Model"}, trust_remote_code=True)
    TextSegmenter.load(bundle, "cpu")
    assert not canary.exists()


def test_no_trust_anywhere_in_the_code(repository: Path) -> None:
    """What would execute what a file says: found by reading all of our sources."""
    forbidden = re.compile(
        r"trust_remote_code\s*=\s*True|allow_pickle\s*=\s*True|yaml\.load\(|yaml\.unsafe|pickle\.loads?\(|"
        r"weights_only\s*=\s*False|\bjoblib\.load|torch\.hub|\bdill\.|shelve\.open|marshal\.loads?"
    )
    between_own_processes = {"message_pipe.py"}  # over an inherited pipe, never from a file
    loads = re.compile(r"torch\.load\(((?:[^()]|\([^()]*\))*)\)")
    wrong = []
    for top in ("medviewer", "plugins", "training"):
        for path in sorted((repository / top).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            found = {match.group() for match in forbidden.finditer(text)}
            wrong += [f"{path.name}: {what}" for what in found if path.name not in between_own_processes]
            unsafe = [call.group() for call in loads.finditer(text) if "weights_only=True" not in call.group(1)]
            wrong += [f"{path.name}: {call}" for call in unsafe]
    assert not wrong


# -- safetensors that lie -------------------------------------------------------------
def parts(bundle: Path) -> tuple[dict[str, Any], bytes]:
    """Header and data of the good weights."""
    data = (bundle / WEIGHTS).read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header: Any, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def first_tensor(header: dict[str, Any]) -> dict[str, Any]:
    return next(entry for name, entry in header.items() if name == "no_text")


def lie(change: Callable[[dict[str, Any], bytes], bytes]) -> Callable[[Path], bytes]:
    return lambda bundle: change(*parts(bundle))


def _shape(header: dict[str, Any], data: bytes) -> bytes:
    first_tensor(header)["shape"] = [2**40, 2**23]
    return joined(header, data)


def _negative(header: dict[str, Any], data: bytes) -> bytes:
    first_tensor(header)["shape"] = [-32]
    return joined(header, data)


def _offsets(header: dict[str, Any], data: bytes) -> bytes:
    first_tensor(header)["data_offsets"] = [0, 2**62]
    return joined(header, data)


def _overlap(header: dict[str, Any], data: bytes) -> bytes:
    second = [entry for name, entry in header.items() if name != "__metadata__"][1]
    second["data_offsets"] = [second["data_offsets"][0] - 4, second["data_offsets"][1] - 4]
    return joined(header, data)


def _dtype(header: dict[str, Any], data: bytes) -> bytes:
    first_tensor(header)["dtype"] = "F64"
    return joined(header, data)


def _unknown_dtype(header: dict[str, Any], data: bytes) -> bytes:
    first_tensor(header)["dtype"] = "OBJECT"
    return joined(header, data)


def _twice(header: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(header)
    return joined((text[:-1] + ', "no_text": ' + json.dumps(first_tensor(header)) + "}").encode(), data)


def _nested(header: dict[str, Any], data: bytes) -> bytes:
    return joined(b'{"a":' * 200_000 + b"1" + b"}" * 200_000, data)


LIES: dict[str, Callable[[Path], bytes]] = {
    "empty": lambda bundle: b"",
    "seven bytes": lambda bundle: b"1234567",
    "header of 2^63 bytes": lambda bundle: struct.pack("<Q", 2**63) + (bundle / WEIGHTS).read_bytes()[8:],
    "header of 2^64-1 bytes": lambda bundle: b"\xff" * 8 + (bundle / WEIGHTS).read_bytes()[8:],
    "header beyond the file": lambda bundle: struct.pack("<Q", 10**9) + (bundle / WEIGHTS).read_bytes()[8:],
    "cut in the header": lambda bundle: (bundle / WEIGHTS).read_bytes()[:200],
    "cut in the data": lambda bundle: (bundle / WEIGHTS).read_bytes()[:-1000],
    "too long": lambda bundle: (bundle / WEIGHTS).read_bytes() + b"x",
    "no JSON": lambda bundle: joined(b"\xff\xfe{", b""),
    "a list": lambda bundle: joined([1, 2], b""),
    "NaN": lambda bundle: joined(b'{"a": NaN}', b""),
    "shape": lie(_shape), "negative shape": lie(_negative), "offsets": lie(_offsets), "overlap": lie(_overlap),
    "dtype": lie(_dtype), "unknown dtype": lie(_unknown_dtype), "a key twice": lie(_twice), "nested": lie(_nested),
}  # fmt: skip


@pytest.mark.parametrize("kind", LIES)
def test_safetensors_that_lie(bundle: Path, kind: str) -> None:
    rewrite(bundle, LIES[kind](bundle))
    refused(bundle, "safetensors|header|missing|does not match")


def changed_tensors(bundle: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(bundle / WEIGHTS)
    change(tensors)
    save_file({name: value.contiguous() for name, value in tensors.items()}, bundle / WEIGHTS)
    describe(bundle)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("no_text"), "do not fit"),
        (lambda t: t.update(extra=torch.zeros(3)), "do not fit"),
        (lambda t: t.update(no_text=torch.zeros(31)), "do not fit"),
        (lambda t: t.update(no_text=torch.zeros(32, dtype=torch.int64)), "do not fit"),
        (lambda t: t.update(no_text=torch.full((32,), float("nan"))), "no numbers"),
        (lambda t: t.update(no_text=torch.full((32,), float("inf"))), "no numbers"),
    ],
)
def test_tensors_that_do_not_belong(bundle: Path, change: Callable[[dict[str, torch.Tensor]], Any], words: str) -> None:
    changed_tensors(bundle, change)
    refused(bundle, words)


def test_altered_bytes_and_sizes(bundle: Path) -> None:
    path = bundle / WEIGHTS
    good = path.read_bytes()
    for place in (0, 100, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        refused(bundle, "checksum differs")
    path.write_bytes(good)
    describe(bundle, weights_bytes=len(good) - 1)
    refused(bundle, "bytes instead of")
    describe(bundle, weights_bytes=len(good))
    TextSegmenter.load(bundle, "cpu")


# -- files that are no files -------------------------------------------------------------
def test_links_out_of_the_folder(bundle: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(bundle / WEIGHTS, elsewhere)
    (bundle / WEIGHTS).symlink_to(elsewhere)
    refused(bundle, "outside the model's folder")
    (bundle / WEIGHTS).unlink()
    (bundle / WEIGHTS).symlink_to("../elsewhere")
    refused(bundle, "outside the model's folder")


def test_a_linked_description(bundle: Path, tmp_path: Path) -> None:
    shutil.move(bundle / CONFIG, tmp_path / "config.json")
    (bundle / CONFIG).symlink_to(tmp_path / "config.json")
    refused(bundle, "no readable model")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", [WEIGHTS, CONFIG])
def test_pipes_and_loops_do_not_wait_for_ever(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    refused(bundle, "regular file|no readable model")
    (bundle / name).unlink()
    (bundle / name).symlink_to(name)
    refused(bundle, "cannot be read|no readable model|nowhere")
    (bundle / name).unlink()
    (bundle / name).mkdir()
    refused(bundle, "cannot be read|no readable model|regular")


# -- descriptions that lie ---------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", '"x"', "{", "{}", "\x00", "[" * 100_000, '{"id":' * 50_000, "NaN", '{"a": 1e999}',
        '{"id": ' + "9" * 10_000 + "}", '{"id": "x", "id": "y"}',
    ],
    ids=range(13),
)  # fmt: skip
def test_descriptions_that_are_none(bundle: Path, text: str) -> None:
    (bundle / CONFIG).write_text(text, encoding="utf-8")
    refused(bundle, "no readable model")


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": float("nan")}, {"threshold": float("inf")}, {"threshold": -1}, {"threshold": "0.5"},
        {"threshold": True}, {"network": SMALL.as_dict() | {"size": 2**40}}, {"network": {"dim": 10**9}},
        {"network": SMALL.as_dict() | {"size": -64}}, {"network": SMALL.as_dict() | {"size": 65}},
        {"network": SMALL.as_dict() | {"dim": 1.5}}, {"network": {"__class__": 1}}, {"network": None},
        {"weights_sha256": ""}, {"weights_sha256": "0" * 63 + "\n"}, {"weights_sha256": None}, {"terms": None},
        {"terms": {"liver": {}}}, {"id": 5}, {"id": "x" * 10**6}, {"sources": 7}, {"weights_bytes": -1},
        {"weights_bytes": "16"},
    ],
    ids=lambda change: "-".join(f"{key}={str(value)[:20]}" for key, value in change.items()),
)  # fmt: skip
def test_descriptions_with_impossible_values(bundle: Path, change: dict[str, Any]) -> None:
    describe(bundle, **change)
    refused(bundle, "no readable model")


def test_a_description_that_is_far_too_large(bundle: Path) -> None:
    with (bundle / CONFIG).open("r+b") as file:
        file.truncate(1 << 33)  # sparse
    refused(bundle, "no readable model")


def test_reading_takes_no_more_memory_than_the_file(bundle: Path) -> None:
    import tracemalloc

    size = (bundle / WEIGHTS).stat().st_size
    tracemalloc.start()
    data = read_confined(bundle / WEIGHTS, bundle, 1 << 40)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(data) == size
    assert peak < size + 1_000_000


# -- folders that change meanwhile ----------------------------------------------------------
def test_a_folder_replaced_between_description_and_weights(bundle: Path) -> None:
    info = read_info(bundle)
    changed_tensors(bundle, lambda tensors: tensors.update(no_text=torch.ones(32)))
    with pytest.raises(ModelMissing, match="replaced just now"):
        load_network(info)
    shutil.rmtree(bundle)
    with pytest.raises(ModelMissing, match="missing"):
        load_network(info)


def test_a_folder_replaced_again_and_again_while_it_is_loaded(bundle: Path, tmp_path: Path) -> None:
    """Either a whole model or a clear message: never a mixture, never another error."""
    other = tmp_path / "other"
    shutil.copytree(bundle, other)
    changed_tensors(other, lambda tensors: tensors.update(no_text=torch.ones(32)))
    plain, marked = (read_info(folder).weights_sha256 for folder in (bundle, other))
    stop = threading.Event()

    def swap() -> None:
        spare = tmp_path / "spare"
        while not stop.wait(0.005):
            os.replace(bundle, spare)
            os.replace(other, bundle)
            os.replace(spare, other)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(60):
            with contextlib.suppress(ModelMissing):
                segmenter = TextSegmenter.load(bundle, "cpu")
                ones = bool((segmenter.network.no_text == 1).all())
                assert segmenter.info.weights_sha256 == (marked if ones else plain)
    finally:
        stop.set()
        thread.join()
    TextSegmenter.load(bundle, "cpu")
