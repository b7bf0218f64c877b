"""`report --language-model` end to end with small random models in the published layouts of LLaVA and MedGemma."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")

from medviewer.core.segmentation import Segment
from medviewer.services.folders import user_folder
from medviewer.services.open_data import open_volume
from medviewer.services.report_files import read_report
from medviewer.services.save_data import save_segments
from medviewer.services.settings import Settings
from tests.models.vision_language_kit import save_gemma, save_llava

SAYS = (
    "**Findings:**\n", "Liver: Enlarged, ca. 19.5 cm.\n", "The left kidney shows a cyst.\n",
    "The bowel gas pattern is unremarkable.\n", "Unchanged from the prior study.\n",
    "## Impression\n1. Renal cyst.\n",
)  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("language-models")
    return {"llava": save_llava(root / "writer-7b", SAYS), "gemma": save_gemma(root / "medgemma-small")}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path / "own-home"))
    return tmp_path / "own-home"


@pytest.fixture
def call(run: Any, scan: Path, home: Path, tmp_path: Path) -> Any:
    """`report` of a small scan with a mask of the liver."""
    volume = open_volume(scan)
    liver = Segment("Liver", volume.array == 900, term_id="liver")
    save_segments(tmp_path / "masks.seg.nrrd", volume, [liver])

    def run_it(*options: Any, out: str = "r.json", template: str = "general") -> Any:
        return run("report", scan, "--template", template, "--masks", tmp_path / "masks.seg.nrrd", "--no-pictures",
                   "--out", tmp_path / out, *options, "--json")  # fmt: skip

    return run_it


def test_sentences_of_a_local_model_are_drafts_of_the_model_in_the_report(
    call: Any, folders: dict[str, Path], tmp_path: Path
) -> None:
    ran = call("--language-model", folders["llava"], "--accept-licence", "--indication", "Pain of Doe^Jane",
               template="ct_abdomen")  # fmt: skip
    assert ran.status == 0, ran.err
    told = ran.document["language_model"]
    assert (told["model"], told["licence"]) == ("writer-7b", "small-model-terms")
    assert len(told["weights_sha256"]) == 64
    rows = {row["text"]: row for row in told["sentences"]}
    assert rows["Liver: Enlarged, ca. 19.5 cm."]["segments"] == 1
    assert "measurement" in rows["Liver: Enlarged, ca. 19.5 cm."]["marks"]
    assert {"no evidence", "normal"} <= set(rows["The bowel gas pattern is unremarkable."]["marks"])
    assert "prior" in rows["Unchanged from the prior study."]["marks"]
    assert told["suggestions"] == ["Renal cyst."]
    assert set(told["notices"]) <= set(ran.document["limitations"])
    assert "prompt" not in told
    _check_file(tmp_path / "r.json")


def _check_file(path: Path) -> None:
    """Model, provenance and record, and no prompt."""
    reviewed = read_report(path)
    said = [f for f in reviewed.report.findings if f.origin == "model"]
    assert {(f.state, f.model, f.seen) for f in said} == {("draft", "writer-7b", False)}
    assert [f.heading for f in said] == ["liver", "kidneys", "bowel", "other"]
    assert reviewed.report.impression == ()
    assert reviewed.report.provenance[-1].model_id == "writer-7b"
    (entry,) = [e for e in reviewed.trail if e.action == "model_sentences"]
    assert "Renal cyst." in entry.after
    text = path.read_text("utf-8")
    assert text.count("Doe^Jane") == 1  # the indication itself, not the prompt


def test_what_people_read_names_the_model(call: Any, folders: dict[str, Path], tmp_path: Path) -> None:
    ran = call("--language-model", folders["llava"], "--accept-licence", out="r.txt")
    assert ran.status == 0, ran.err
    text = (tmp_path / "r.txt").read_text("utf-8")
    for words in ("The left kidney shows a cyst.", "writer-7b", "small-model-terms", "writer-7b are drafts"):
        assert words in text


def test_the_layout_of_medgemma_is_asked(call: Any, folders: dict[str, Path]) -> None:
    ran = call("--language-model", folders["gemma"], "--accept-licence")
    assert ran.status == 0, ran.err
    assert ran.document["language_model"]["model"] == "medgemma-small"
    assert ran.document["language_model"]["notices"]  # random weights say nothing that can be used


def test_a_licence_is_shown_and_accepted_before_the_first_use_and_remembered(
    call: Any, folders: dict[str, Path], tmp_path: Path
) -> None:
    ran = call("--language-model", folders["llava"])
    assert (ran.status, ran.error["code"]) == (3, "licence-not-accepted")
    assert "small-model-terms" in ran.error["message"]
    assert "--accept-licence" in ran.error["hint"]
    assert "For tests only." in ran.err  # the terms themselves
    assert not (tmp_path / "r.json").exists()
    assert call("--language-model", folders["llava"], "--accept-licence").status == 0
    assert len(Settings().get("accepted_licences", [])) == 1
    assert call("--language-model", folders["llava"]).status == 0


def test_a_prior_report_is_given_to_the_model_and_still_no_sentence_may_mention_one(
    call: Any, folders: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "prior.txt").write_text("Liver: 15 cm. Doe^Jane", "utf-8")
    ran = call("--language-model", folders["llava"], "--accept-licence", "--prior-report", tmp_path / "prior.txt")
    assert ran.status == 0, ran.err
    report = read_report(tmp_path / "r.json").report
    assert report.provenance[-1].parameters["given"]["prior report"] is True
    assert "Doe^Jane" not in (tmp_path / "r.json").read_text("utf-8")
    told = next(f for f in report.findings if f.text.startswith("Unchanged"))
    assert "prior" in {mark.guard for mark in told.marks}


@pytest.mark.parametrize("content", [b"", b"\x00\x01\xff\xfe", b"x" * 500_000])
def test_a_prior_report_that_is_no_text_is_refused(
    call: Any, folders: dict[str, Path], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "prior.txt").write_bytes(content)
    ran = call("--language-model", folders["llava"], "--accept-licence", "--prior-report", tmp_path / "prior.txt")
    assert (ran.status, ran.error["code"]) == (3, "input-refused")
    assert "prior.txt" in ran.error["message"]


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model-00002-of-00002.safetensors"])
def test_an_incomplete_folder_is_named_before_any_work(
    call: Any, folders: dict[str, Path], tmp_path: Path, missing: str
) -> None:
    shutil.copytree(folders["llava"], tmp_path / "part")
    (tmp_path / "part" / missing).unlink()
    ran = call("--language-model", tmp_path / "part", "--accept-licence")
    assert (ran.status, ran.error["code"]) == (3, "model-folder-refused")
    assert missing in ran.error["message"]
    assert not (tmp_path / "r.json").exists()


def test_too_little_memory_is_told_with_both_sizes_before_any_work(
    call: Any, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medviewer.plugin_host.host import host

    language = sys.modules[type(host().logic("report_generation")).__module__.rsplit(".", 1)[0] + ".language"]
    monkeypatch.setattr(language, "available_memory", lambda: 10_000_000)
    ran = call("--language-model", folders["llava"], "--accept-licence")
    assert (ran.status, ran.error["code"]) == (3, "not-enough-memory")
    assert "0.0 GB are free" in ran.error["message"]
    assert not (tmp_path / "r.json").exists()


def test_the_package_that_is_absent_is_named_with_how_to_install_it(
    call: Any, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers.utils", None)
    ran = call("--language-model", folders["llava"], "--accept-licence")
    assert ran.status == 4
    assert "transformers" in ran.error["message"]
    assert f'"{sys.executable}" -m pip install "transformers' in ran.error["hint"]
    assert not (tmp_path / "r.json").exists()


def test_a_folder_that_is_not_there_is_told(call: Any) -> None:
    ran = call("--language-model", "no-such-model")
    assert ran.status == 4
    assert "no-such-model" in ran.error["message"]


def test_options_without_a_model_are_refused(call: Any) -> None:
    assert call("--accept-licence").status == 2


def test_an_installed_folder_is_named_by_its_id_and_is_no_segmentation_model(
    call: Any, run: Any, scan: Path, folders: dict[str, Path]
) -> None:
    target = user_folder("data") / "models" / "my-writer"
    shutil.copytree(folders["llava"], target)
    rows = {row["id"]: row for row in run("models", "list", "--json").document["models"]}
    assert (rows["my-writer"]["task"], rows["my-writer"]["weights"]) == ("language", "not recorded")
    ran = call("--model", "my-writer", "--accept-licence")
    assert ran.status == 0, ran.err
    assert (ran.document["model"], ran.document["language_model"]["model"]) == ("default", "my-writer")
    ran = run("segment", scan, "--prompt", "liver", "--out", "y.nii.gz", "--model", "my-writer", "--json")
    assert ran.status == 4


def test_ctrl_c_while_the_model_writes_ends_with_130_and_no_file(
    run: Any, scan: Path, home: Path, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medviewer.models.vision_language import generation

    told: list[str] = []

    def tell(self: Any, text: str) -> None:
        told.append(text)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(generation._Writing, "_tell", tell)
    ran = run("report", scan, "--template", "general", "--no-pictures", "--out", tmp_path / "r.json",
              "--language-model", folders["llava"], "--accept-licence")  # fmt: skip
    assert len(told) == 1
    assert ran.status == 130
    assert not (tmp_path / "r.json").exists()
