"""A run becomes a bundle that loads; what it may be used for follows from what it was really trained on."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medviewer.core.errors import InputRefused, WrongUsage
from medviewer.models.bundle import CONFIG, load_network, read_info
from medviewer.models.text_sam import TextSam
from training import export
from training.data.corpus import Corpus, Sources, load_corpus, write_sources
from training.model_card import Extras
from training.recipe import read_recipe, write_recipe
from training.run_state import BEST, STATE, write_tensors


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """The phantom of the recipe `smoke`, and nothing held out."""
    return replace(load_corpus(read_recipe("smoke").data), held=[])


@pytest.fixture
def run(tmp_path: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run whose averaged weights are all 0.5."""
    monkeypatch.setattr(export, "load_corpus", lambda data, seed: corpus)
    folder = tmp_path / "run"
    folder.mkdir()
    recipe = read_recipe("smoke")
    state(folder / STATE, 0.5)
    write_recipe(folder / "recipe.yaml", recipe)
    write_sources(folder, corpus.sources)
    return folder


def state(path: Path, value: float) -> None:
    network = TextSam(read_recipe("smoke").network)
    average = {key: torch.full_like(t, value) for key, t in network.state_dict().items()}
    write_tensors(path, {"average": average, "config": network.config.as_dict(), "step": 1})


def test_a_run_is_exported_and_loads(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "models" / "mine"
    export.main(["--run", str(run), "--out", str(out)])
    info = read_info(out)
    assert float(next(iter(load_network(info).parameters())).mean()) == 0.5
    assert (info.id, info.commercial_use, info.trained_tiers) == ("mine", True, ())
    assert "phantoms" in info.sources[0]
    assert set(info.terms) >= {"liver", "aorta"}
    assert "Licence" in (out / "card.md").read_text()


def test_the_best_weights_are_exported_where_they_are_kept(run: Path, tmp_path: Path) -> None:
    state(run / BEST, 0.25)
    export.main(["--run", str(run), "--out", str(tmp_path / "models" / "mine")])
    network = load_network(read_info(tmp_path / "models" / "mine"))
    assert float(next(iter(network.parameters())).mean()) == 0.25


@pytest.mark.parametrize(
    ("sources", "licence", "commercial"),
    [
        (Sources(("A", "A-")), "commercial use allowed", True),
        (Sources(("A", "B")), "non-commercial", False),
        (Sources(), "commercial use allowed", True),
        (Sources(("A",), (), ("",)), "not stated", None),
        (Sources(("A",), (), ("CC BY-NC 4.0",)), "CC BY-NC 4.0", False),
        (Sources(("B",), (), ("CC BY 4.0",)), "non-commercial", False),
    ],
)
def test_the_strictest_licence_counts(sources: Sources, licence: str, commercial: bool | None) -> None:
    origin = export._origin(Extras(), sources)
    assert licence in origin["licence"]
    assert origin["commercial_use"] is commercial


def test_what_an_export_refuses(run: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "models" / "mine")
    with pytest.raises(WrongUsage, match="was trained on all rows, not on A"):
        export.main(["--run", str(run), "--out", out, "--tiers", "A"])
    with pytest.raises(WrongUsage, match="rows of a manifest"):
        export.main(["--run", str(run), "--out", out, "--calibrate"])
    with pytest.raises(InputRefused, match=r"no state\.pt"):
        export.main(["--run", str(tmp_path), "--out", out])
    results = tmp_path / "results.json"
    results.write_text("[]")
    with pytest.raises(InputRefused, match="cannot be read as results"):
        export.main(["--run", str(run), "--out", out, "--results", str(results)])
    (run / "recipe.yaml").unlink()
    with pytest.raises(WrongUsage, match=r"has no recipe\.yaml"):
        export.main(["--run", str(run), "--out", out])


def test_structures_of_ones_own_become_terms(run: Path, tmp_path: Path, corpus: Corpus) -> None:
    sample = corpus.kept[0]
    own = replace(sample, tables={"my structure": sample.tables["liver"]})
    options = argparse.Namespace(data=None, version="1", tiers="", failures=None)
    network = TextSam(read_recipe("smoke").network)
    out = tmp_path / "models" / "mine"
    thresholds = {"threshold": 0.5, "slice_threshold": 0.4}
    export.write_bundle(out, network, [own], thresholds, {}, options, Sources(own=("",)))
    stated = json.loads((out / CONFIG).read_text())
    assert list(stated["terms"]) == ["user:my-structure"]
    assert [entry["name"] for entry in stated["user_terms"]] == ["my structure"]
    assert stated["commercial_use"] is None
    assert read_info(out).terms["user:my-structure"].text == "my structure"
