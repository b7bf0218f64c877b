"""Fine-tuning: it learns a structure from a few cases, its result is a model of its own, and nothing else changes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from medviewer.core.errors import Cancelled, InputRefused, UserError, WrongUsage
from medviewer.core.phantom import torso_phantom
from medviewer.core.prediction import Answer
from medviewer.core.progress import Progress, silent
from medviewer.core.prompts import parse_prompt
from medviewer.core.terminology import Terminology
from medviewer.core.user_terms import user_entry, user_term_id, with_user_terms
from medviewer.io import image_file
from medviewer.models.bundle import LAYOUT, load_network, read_info, sha256_of
from medviewer.models.pipeline import TextSegmenter
from medviewer.models.text_sam import NetworkConfig, TextSam
from training import finetune, rehearsal, tuning
from training.data.samples import Sample
from training.data.sets import SetConfig, load_sets
from training.data.terms import TERMINOLOGY
from training.derived_bundle import licence_of
from training.finetune_options import FinetuneOptions
from training.lora import Tunable, row_of
from training.target_term import pieces_of, target_of

SMALL = NetworkConfig(size=64, dim=32, high_res=16, text_buckets=256)
PROMPT = "my dark part"
TERMS = {name: {"text": name, "results": {"CT": {"dice": 0.9, "n": 24}}, "parts": 1, "regions": ["abdomen"], "note": ""}
         for name in ("liver", "kidney")}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights that is said to know liver and kidney."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "base"
    folder.mkdir()
    save_file({k: v.contiguous() for k, v in TextSam(SMALL).state_dict().items()}, folder / "model.safetensors")
    config = {
        "id": "base", "version": "3", "layout": LAYOUT, "weights_sha256": sha256_of(folder / "model.safetensors"),
        "network": SMALL.as_dict(), "threshold": 0.5, "slice_threshold": 0.4, "licence": "CC BY 4.0",
        "commercial_use": True, "sources": ["random"], "terms": TERMS, "calibration": {"picture": [1.0, 0.5]},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "card.md").write_text("# Model base\n\nRandom.\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One slice of each of ten generated persons; the masks outline the lungs under another name."""
    folder = tmp_path_factory.mktemp("cases")
    for part in ("images", "masks"):
        (folder / part).mkdir()
    for seed in range(20, 30):
        phantom = torso_phantom(seed, (48, 40, 2), (8.0, 8.0, 8.0), centre_z=80.0)
        pixels = ((phantom.volume.array[:, :, 0].astype(float) + 1000) / 1600 * 255).clip(0, 255)
        Image.fromarray(pixels.T.astype(np.uint8)).save(folder / "images" / f"{seed}.png")
        mask = phantom.mask("lung")[:, :, 0]
        Image.fromarray(mask.T.astype(np.uint8) * 255).save(folder / "masks" / f"{seed}.png")
    document = {"name": "ours", "modality": "CT", "licence": "CC BY-NC 4.0"}
    (folder / "dataset.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    """Small steps, and a small torso to measure old knowledge on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "PIXELS", 3 * 128**2)
        patch.setattr(finetune, "held_out_phantom", small_torso)
        yield


def small_torso(config: SetConfig) -> Sample:
    phantom = torso_phantom(0, (32, 26, 6), (12.0, 12.0, 12.0))
    tables = {name: np.isin(np.arange(256), values)
              for name, values in config.values({v: label.name for v, label in phantom.names.items()}).items()}
    image, label = (array.transpose(2, 1, 0) for array in (phantom.volume.array, phantom.labels))
    return Sample("torso", config, np.ascontiguousarray(image, np.int16), np.ascontiguousarray(label), tables, True)


def options(base: Path, cases: Path, models: object, **changes: object) -> FinetuneOptions:
    values = {"data": str(cases), "prompt": PROMPT, "bundle": str(base), "models": str(models), "threads": 1,
              "steps": 2, "checks": 2, "phantoms": 0, "rehearsal": 0.0, "method": "lora"}  # fmt: skip
    return FinetuneOptions(**(values | changes))  # type: ignore[arg-type]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def shipped_terms(config: Mapping[str, Any] | None = None) -> Terminology:
    """The terminology, with the user's terms of a model."""
    return with_user_terms(json.loads(TERMINOLOGY.read_text(encoding="utf-8")), (config or {}).get("user_terms", []))


@pytest.fixture(scope="module")
def tuned(base: Path, cases: Path, tmp_path_factory: pytest.TempPathFactory) -> finetune.Tuned:
    """The model after learning from eight of the cases."""
    torch.set_num_threads(1)
    models = tmp_path_factory.mktemp("mine") / "models"
    before = content(base)
    result = finetune.run(options(base, cases, models, steps=30, checks=3, rate=5e-3))
    assert content(base) == before, "the model it began with is untouched"
    return result


def test_it_learns_a_structure_it_did_not_know(tuned: finetune.Tuned) -> None:
    report = tuned.report
    assert (report.cases, len(report.held), report.modalities) == (8, 2, {"CT": 8})
    assert report.before is not None
    assert report.after is not None
    assert report.before < 0.3
    assert report.after > 0.8


def test_the_new_model_answers_to_the_new_name_and_the_old_one_does_not(
    tuned: finetune.Tuned, base: Path, cases: Path
) -> None:
    config = json.loads((tuned.folder / "config.json").read_text(encoding="utf-8"))
    prompt = parse_prompt(f"show me {PROMPT.upper()}", shipped_terms(config))
    assert prompt.term is not None
    assert prompt.term.id == user_term_id(PROMPT) == "user:my-dark-part"
    path = cases / "images" / "20.png"
    scan = image_file.load(image_file.scan(path, silent()).entries[0], silent())
    answer = TextSegmenter.load(tuned.folder, "cpu").segment(scan, prompt)
    truth = np.asarray(Image.open(cases / "masks" / "20.png")).T[:, :, None] > 0
    assert answer.answer is Answer.FOUND
    assert 2 * (answer.mask & truth).sum() / (answer.mask.sum() + truth.sum()) > 0.8
    assert TextSegmenter.load(base, "cpu").segment(scan, prompt).answer is Answer.NOT_TRAINED
    assert parse_prompt(PROMPT, shipped_terms()).term is None


def test_the_description_says_where_it_comes_from(tuned: finetune.Tuned, base: Path) -> None:
    config = json.loads((tuned.folder / "config.json").read_text(encoding="utf-8"))
    origin = json.loads((base / "config.json").read_text(encoding="utf-8"))
    assert config["id"] == tuned.folder.name == "base-my-dark-part"
    assert config["derived_from"] == {key: origin[key] for key in ("id", "version", "weights_sha256")}
    assert config["calibration"] == origin["calibration"]
    assert (config["licence"], config["commercial_use"]) == ("CC BY-NC 4.0", False)
    assert config["sources"] == ["random", "ours: 8 cases of the user's own"]
    assert config["terms"]["liver"]["results"] == {"CT": {"dice": None, "n": 0}}, "old figures are of other weights"
    assert config["terms"]["user:my-dark-part"]["results"]["CT"]["n"] == 2
    card = (tuned.folder / "card.md").read_text(encoding="utf-8")
    assert f"Dice {tuned.report.before:.3f} before, {tuned.report.after:.3f} after" in card
    assert all(case.key in card for case in tuned.report.held)
    assert "### Model base" in card
    assert read_info(tuned.folder).weights_sha256 == sha256_of(tuned.folder / "model.safetensors")
    assert all(value.dtype == torch.float16 for value in load_file(tuned.folder / "model.safetensors").values()
               if value.is_floating_point())  # fmt: skip


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_seed_gives_the_same_model_twice(base: Path, cases: Path, tmp_path: Path, method: str) -> None:
    folders = [finetune.run(options(base, cases, tmp_path / part, method=method)).folder for part in ("a", "b")]
    first, second = (load_file(folder / "model.safetensors") for folder in folders)
    old = load_file(base / "model.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], old[name].half()) for name in first)
    table = "text_encoder.whole.weight"
    changed = (first[table] != old[table].half()).any(1).nonzero()[:, 0].tolist()
    assert changed == [zlib.crc32(PROMPT.encode()) % SMALL.text_buckets], "no other wording changes its meaning"


def test_rehearsal_holds_old_answers(base: Path, cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "phantom_samples", lambda config, seeds: [small_torso(config)])
    moved = []
    for weight in (0.0, 3.0):
        folder = finetune.run(options(base, cases, tmp_path / str(weight), steps=8, rate=5e-3, phantoms=1,
                                      rehearsal=weight)).folder  # fmt: skip
        nets = [load_network(read_info(path)) for path in (base, folder)]
        scans = torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(1))
        old, new = (net.encode_images(scans)[0] for net in nets)
        moved.append(float((new - old).pow(2).mean() / old.var()))
    assert moved[1] < 0.7 * moved[0]


def test_ctrl_c_keeps_the_best_so_far_and_resume_goes_on(
    base: Path, cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = tuning.Tuning._step
    monkeypatch.setattr(tuning.Tuning, "_step", lambda self: (os.kill(os.getpid(), signal.SIGINT), step(self))[1])
    wanted = options(base, cases, tmp_path / "models", steps=3)
    tuned = finetune.run(wanted)
    assert tuned.report.steps == 1
    assert tuned.report.stopped == "stopped by the user"
    assert read_info(tuned.folder).terms
    monkeypatch.setattr(tuning.Tuning, "_step", step)
    said: list[str] = []
    again = finetune.run(replace(wanted, resume=True), say=said.append)
    assert again.report.steps == 3
    assert not again.report.stopped
    assert any(line.startswith("Resumed after step 1") for line in said)
    with pytest.raises(WrongUsage, match="used its time"):
        finetune.run(replace(wanted, resume=True))
    with pytest.raises(WrongUsage, match="another method"):
        finetune.run(replace(wanted, resume=True, method="full", steps=9))
    with pytest.raises(WrongUsage, match="no earlier run"):
        finetune.run(replace(wanted, resume=True, out="other"))


def test_a_cancelled_job_keeps_what_it_has_but_not_nothing(base: Path, cases: Path, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        finetune.run(options(base, cases, tmp_path / "a"), Progress(is_cancelled=lambda: True))
    seen: list[float] = []
    cancelled = Progress(lambda fraction, text: seen.append(fraction), lambda: bool(seen) and seen[-1] > 0.3)
    tuned = finetune.run(options(base, cases, tmp_path / "b", steps=4), cancelled)
    assert 1 <= tuned.report.steps < 4
    assert not (tmp_path / "a").exists()


def test_it_ends_when_nothing_is_gained(
    base: Path, cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "slice_dice", lambda *args: 0.5)
    tuned = finetune.run(options(base, cases, tmp_path, steps=20, checks=20, patience=2))
    assert tuned.report.steps == 3
    assert tuned.report.best_step == 1
    assert "nothing was gained" in tuned.report.stopped


def test_faulty_data_are_refused_before_anything_is_trained(base: Path, cases: Path, tmp_path: Path) -> None:
    shutil.copytree(cases, tmp_path / "cases")
    Image.fromarray(np.full((7, 9), 255, np.uint8)).save(tmp_path / "cases" / "masks" / "23.png")
    with pytest.raises(InputRefused, match=r"23\.png"):
        finetune.run(options(base, tmp_path / "cases", tmp_path / "models"))
    assert not (tmp_path / "models").exists()
    for path in (tmp_path / "cases" / "masks").iterdir():
        mask = np.zeros((40, 48), np.uint8)
        mask[10:12, 10:12] = 255
        Image.fromarray(mask).save(path)
    with pytest.raises(InputRefused, match="too small"):
        finetune.run(options(base, tmp_path / "cases", tmp_path / "models"))


def test_names_are_checked_before_the_data(base: Path, tmp_path: Path) -> None:
    def refused(match: str, **changes: object) -> None:
        wanted = {"models": tmp_path / "models", **changes}
        with pytest.raises(UserError, match=match):
            finetune.run(options(base, tmp_path / "none", **wanted), reserved=["default"])

    refused("one side", prompt="left kidney")
    refused("reads like", prompt="livver")
    refused("absence", prompt="no liver")
    refused("cannot be the name", out="../elsewhere")
    refused("a model of the program", out="default")
    refused('no model "missing"', bundle="missing")
    refused("There is no folder")
    (tmp_path / "models" / "mine").mkdir(parents=True)
    refused('There is a model "mine" already', out="mine")
    refused("There is no folder", out="mine", replace=True)
    refused("would replace", models=base.parent, out=base.name)
    for wrong in ({"minutes": 0.0}, {"held": 1.0}, {"rank": 0}, {"method": "other"}):
        with pytest.raises(WrongUsage):
            options(base, tmp_path, tmp_path, **wrong)


def test_which_structure_a_prompt_means() -> None:
    network, terms = TextSam(SMALL), {**TERMS, "kidneys": TERMS["kidney"]}
    known = target_of("Liver", shipped_terms(), terms, network)
    assert (known.id, known.text, known.was_trained, known.is_new) == ("liver", "liver", True, False)
    other = target_of("spleen", shipped_terms(), terms, network)
    assert (other.id, other.was_trained, other.is_new) == ("spleen", False, False)
    shared = target_of("kidney", shipped_terms(), terms, network)
    assert shared.text != "kidney", "two terms share that text: it must keep its meaning"
    new = target_of("  my   thing ", shipped_terms(), terms, network)
    assert (new.id, new.name, new.is_new) == ("user:my-thing", "my thing", True)
    taken = {"x": {"text": "my thing"}}
    assert row_of(target_of("my thing", shipped_terms(), taken, network).text, network) != row_of("my thing", network)


def test_adapters_begin_as_nothing_and_merge_exactly() -> None:
    torch.manual_seed(1)
    network = TextSam(SMALL).eval()
    names, image = list(network.state_dict()), torch.randn(1, 4, 64, 64)
    with torch.no_grad():
        before = network.encode_images(image)[1]
        tunable = Tunable(network, "lora", 4, "thing")
        assert torch.equal(network.encode_images(image)[1], before)
        for name, parameter in tunable.parameters().items():
            if "lora_B" in name:
                parameter.normal_(std=0.02)
        changed = network.encode_images(image)[1]
        merged = tunable.merged()
        assert list(merged.state_dict()) == names
        assert not torch.allclose(changed, before, atol=1e-3)
        assert torch.allclose(merged.encode_images(image)[1], changed, atol=1e-4)


@pytest.mark.parametrize(("base_text", "commercial", "data", "text", "allowed"), [
    ("CC BY 4.0", True, ["CC BY-NC 4.0"], "CC BY-NC 4.0", False),
    ("non-commercial research weights", False, ["CC0"], "non-commercial research weights", False),
    ("CC BY-SA 4.0, commercial use allowed", True, ["MIT"], "CC BY-SA 4.0, commercial use allowed", True),
    ("CC BY-SA 4.0", True, [""], "CC BY-SA 4.0; of the cases: not stated", None),
    ("CC BY-NC 4.0", False, ["CC BY-ND 4.0"], "CC BY-ND 4.0", False),
])  # fmt: skip
def test_the_stricter_licence_holds(
    base_text: str, commercial: bool, data: list[str], text: str, allowed: bool | None
) -> None:
    licence = licence_of(base_text, commercial, data)
    assert (licence.text, licence.commercial_use) == (text, allowed)


def test_terms_of_bundles_are_not_trusted() -> None:
    good = user_entry("my thing", ["CT"])
    entries = [
        good, {**good, "name": "twice"}, {"id": "liver", "name": "stolen"}, {**user_entry("x"), "name": ""}, 7, None,
        {**user_entry("another"), "synonyms": ["liver"]}, {**user_entry("third"), "synonyms": "text"},
    ]  # fmt: skip
    terms = with_user_terms(json.loads(TERMINOLOGY.read_text(encoding="utf-8")), entries)
    assert [term.id for term in terms if term.id.startswith("user:")] == ["user:my-thing", "user:third"]
    match = terms.find("liver")
    assert match is not None
    assert match.term.id == "liver"


def test_pieces_are_counted_where_cases_agree() -> None:
    def sample(pieces: int) -> Sample:
        label = np.zeros((1, 20, 40), np.uint8)
        for number in range(pieces):
            label[0, 5:15, 1 + 10 * number : 8 + 10 * number] = 1
        label[0, 0, 0] = 1  # a speck is no piece
        return Sample("s", load_sets()["phantom"], label, label, {"thing": np.array([False, True])})

    assert pieces_of([sample(2), sample(2)], "thing") == 2
    assert pieces_of([sample(1), sample(3)], "thing") == 0
    assert pieces_of([sample(0)], "thing") in (0, 1)
