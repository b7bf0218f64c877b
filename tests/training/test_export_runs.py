"""A run becomes a bundle that loads; what it may be used for follows from what it was really trained on."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medviewer.core.errors import InputRefused, WrongUsage
from medviewer.models.bundle import CONFIG, load_network, read_info
from medviewer.models.picture_kind import length_of
from medviewer.models.text_sam import TextSam
from training import export
from training.data.corpus import Corpus, Sources, load_corpus, write_sources
from training.data.samples import Sample
from training.data.sets import load_sets
from training.evaluation import picture_kind
from training.evaluation.calibration import keep_fitted, write_calibration
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


CALIBRATION = {
    "calibration": {"picture": [0.5, 0.25]}, "threshold": 0.77, "slice_threshold": 0.33,
    "calibrated_on": {"picture": {"present": 9, "absent": 9, "scans": 3}},
}


def stated(out: Path) -> dict[str, object]:
    read: dict[str, object] = json.loads((out / CONFIG).read_text())
    return read


@pytest.fixture
def pictured(run: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run as if it had been trained on MR and ultrasound too; few views, so that the rule is fitted at once."""
    pixels = np.random.default_rng(0).integers(0, 255, (1, 60, 50)).astype(np.uint8)
    names, sets = ("mr/cardiac_acdc", "us/breast_busi"), load_sets()
    more = [Sample(name, sets[name], pixels, np.zeros((1, 60, 50), np.uint16), {}) for name in names]
    every = replace(corpus, kept=[*corpus.kept, *more])
    monkeypatch.setattr(export, "load_corpus", lambda data, seed: every)
    monkeypatch.setattr(picture_kind, "VIEWS", 6)
    return run


def test_the_rule_for_kinds_of_pictures_is_fitted_and_survives_a_calibration(pictured: Path, tmp_path: Path) -> None:
    out = tmp_path / "models" / "mine"
    export.main(["--run", str(pictured), "--out", str(out)])
    weights = read_info(out).picture_kind.weights
    assert list(weights) == ["CT", "MR", "US", "XR"]
    assert {len(row) for row in weights.values()} == {length_of(read_recipe("smoke").network.dim)}
    write_calibration(out, CALIBRATION)
    info = read_info(out)
    assert (info.threshold, info.picture_kind.weights) == (0.77, weights)


def test_what_a_calibration_finds_is_written_beside_the_rule(
    pictured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "models" / "mine"
    monkeypatch.setattr(export, "calibrate", lambda bundle, data: CALIBRATION)
    export.main(["--run", str(pictured), "--out", str(out), "--calibrate", "--data", str(tmp_path)])
    assert stated(out).items() >= CALIBRATION.items()
    assert list(read_info(out).picture_kind.weights) == ["CT", "MR", "US", "XR"]


@pytest.fixture(autouse=True)
def _no_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "read_extras", lambda data, tiers, failures: Extras())


def test_an_export_of_the_same_weights_keeps_the_calibration_and_says_so(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "models" / "mine"
    export.main(["--run", str(run), "--out", str(out)])
    assert "cannot be told apart" in capsys.readouterr().out  # one phantom shows neither MR nor ultrasound
    write_calibration(out, CALIBRATION)
    results = tmp_path / "results.json"
    results.write_text("{}")
    export.main(["--run", str(run), "--out", str(out), "--results", str(results)])
    assert stated(out).items() >= CALIBRATION.items()
    assert "The calibration of the bundle before was kept" in capsys.readouterr().out


def test_other_weights_do_not_inherit_what_was_fitted_and_it_is_said(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "models" / "mine"
    export.main(["--run", str(run), "--out", str(out)])
    rule = {"picture_kind": {kind: [0.0] * length_of(read_recipe("smoke").network.dim) for kind in ("CT", "XR")}}
    write_calibration(out, CALIBRATION | rule)
    state(run / BEST, 0.25)
    export.main(["--run", str(run), "--out", str(out)])
    assert not {"calibration", "picture_kind"} & stated(out).keys()
    said = capsys.readouterr().out
    assert "The calibration of the bundle before was dropped" in said
    assert "The picture kind of the bundle before was dropped" in said


def test_a_first_export_has_nothing_to_keep(tmp_path: Path) -> None:
    assert keep_fitted(tmp_path, {}) == []
