"""A bundle is replaced as a whole: a failed export leaves the old one, a good one is read back equal and loads."""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from medviewer.core.errors import InputRefused, OutputNotWritten, WrongUsage
from medviewer.models.bundle import CONFIG, WEIGHTS
from medviewer.models.text_sam import NetworkConfig, TextSam
from training import export
from training.catalogue import catalogue_text, write_catalogue
from training.failure_pictures import Failure, copy_pictures
from training.licences import OPEN, RESEARCH, SetUse, sources_of, terms_of
from training.model_card import Extras

PERMISSIVE = SetUse("us/one", "A", "CC BY 4.0", "somewhere", 12)
CLOSED = SetUse("ct/two", "B", "CC BY-NC 4.0", "elsewhere", 3)


def write(out: Path, network: TextSam, tiers: str = "") -> None:
    options = argparse.Namespace(data=Path("none"), version="2", tiers=tiers, failures=None)
    export.write_bundle(out, network, [], {"threshold": 0.3, "slice_threshold": 0.2}, {}, options)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> TextSam:
    """An untrained network; the manifest and the terminology are stand-ins."""

    def extras(data: Path, tiers: Sequence[str], failures: Path | None) -> Extras:
        return Extras([PERMISSIVE] if tiers else [PERMISSIVE, CLOSED])

    monkeypatch.setattr(export, "read_extras", extras)
    monkeypatch.setattr(export, "describe_terms", lambda *a: {"liver": {"results": {"CT": {"dice": None, "n": 0}}}})
    return TextSam(NetworkConfig())


def test_a_bundle_is_whole_or_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: TextSam) -> None:
    out = tmp_path / "models" / "default"
    write(out, network)
    assert sorted(path.name for path in out.iterdir()) == sorted([CONFIG, WEIGHTS, "card.md"])
    read = load_file(out / WEIGHTS)
    assert all(torch.equal(read[k], v.half() if v.is_floating_point() else v) for k, v in network.state_dict().items())
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    monkeypatch.setattr(export, "card", lambda *a: (_ for _ in ()).throw(RuntimeError("a defect")))
    with pytest.raises(RuntimeError):
        write(out, network)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in out.parent.iterdir()] == ["default"]


def test_the_licence_follows_from_the_rows_and_both_bundles_are_listed(tmp_path: Path, network: TextSam) -> None:
    for name, tiers in (("default", ""), ("default-open", "A,A-")):
        write(tmp_path / "models" / name, network, tiers)
    catalogue = tomllib.loads((tmp_path / "models.toml").read_text())
    assert catalogue["default"] == "default"
    closed, free = catalogue["models"]["default"], catalogue["models"]["default-open"]
    assert (closed["commercial_use"], free["commercial_use"]) == (False, True)
    assert (closed["licence"], free["licence"]) == (RESEARCH.licence, OPEN.licence)
    assert "non-commercial" in closed["intended_use"]
    assert "non-commercial" not in free["intended_use"]
    assert any("CC BY-NC 4.0" in source for source in closed["sources"])
    assert not any("CC BY-NC" in source for source in free["sources"])
    for name, entry in catalogue["models"].items():
        config = json.loads((tmp_path / "models" / name / CONFIG).read_text())
        assert (config["weights_sha256"], config["licence"]) == (entry["weights_sha256"], entry["licence"])
        assert config["weights_bytes"] == entry["size_bytes"]
        assert f"**Licence: {entry['licence']}.**" in (tmp_path / "models" / name / "card.md").read_text()
    assert json.loads((tmp_path / "models" / "default" / CONFIG).read_text())["trained_tiers"] == ["A", "B"]


@pytest.mark.parametrize(
    ("tiers", "allowed"),
    [(["A", "A-"], True), (["A"], True), (["A", "B"], False), (["C"], False), ([], False), ([""], False)],
)
def test_only_known_permissive_tiers_are_open(tiers: list[str], allowed: bool) -> None:
    assert terms_of(tiers).commercial_use is allowed


def test_a_run_is_not_exported_under_other_tiers_than_its_own() -> None:
    options = argparse.Namespace(tiers="A,A-")
    assert export.trained_tiers({"tiers": "A-,A"}, options) == ["A", "A-"]
    assert export.trained_tiers({}, options) == ["A", "A-"]
    with pytest.raises(WrongUsage, match="trained on all rows"):
        export.trained_tiers({"tiers": ""}, options)


def described(model_id: str, **more: object) -> dict[str, object]:
    sources = ['a "b" \\ ü']
    return {"id": model_id, "version": "2", "weights_sha256": "ab", "licence": "free", "sources": sources, **more}


def listed(folder: Path, model_id: str, **more: object) -> Path:
    out = folder / "models" / model_id
    out.mkdir(parents=True, exist_ok=True)
    (out / WEIGHTS).write_bytes(bytes(7))
    write_catalogue(out, described(model_id, **more))
    return folder / "models.toml"


def test_an_entry_is_merged_into_the_catalogue(tmp_path: Path) -> None:
    listed(tmp_path, "mine", licence="first")
    assert tomllib.loads((tmp_path / "models.toml").read_text())["default"] == "mine"
    listed(tmp_path, "default")
    path = listed(tmp_path, "mine", licence="second", commercial_use=True)
    catalogue = tomllib.loads(path.read_text())
    assert (catalogue["default"], list(catalogue["models"])) == ("default", ["default", "mine"])
    assert (catalogue["models"]["mine"]["licence"], catalogue["models"]["mine"]["commercial_use"]) == ("second", True)
    assert catalogue["models"]["default"]["sources"] == ['a "b" \\ ü']
    assert catalogue["models"]["default"]["size_bytes"] == 7


def test_a_catalogue_that_cannot_be_read_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text("default = [")
    with pytest.raises(InputRefused):
        listed(tmp_path, "default")
    assert (tmp_path / "models.toml").read_text() == "default = ["


def test_the_shipped_catalogue_is_as_this_writes_it(repository: Path) -> None:
    shipped = (repository / "resources" / "models.toml").read_text()
    catalogue = tomllib.loads(shipped)
    assert tomllib.loads(catalogue_text(catalogue["default"], catalogue["models"])) == catalogue


def test_generated_data_are_named_last() -> None:
    assert sources_of([PERMISSIVE])[0] == "us/one: CC BY 4.0; somewhere"
    assert "generated" in sources_of([PERMISSIVE])[-1]


def test_pictures_are_copied_only_where_they_are_small_pngs(tmp_path: Path) -> None:
    source, bundle = tmp_path / "drawn", tmp_path / "bundle"
    for folder in (source, bundle):
        folder.mkdir()
    one = Failure("1.png", "us/one", "liver", 0.1, "CC0", "somewhere")
    (source / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    copy_pictures([one], source, bundle)
    assert (bundle / "failures" / "1.png").read_bytes() == (source / "1.png").read_bytes()
    for data in (b"\x89PNG\r\n\x1a\n" + bytes(60_000), b"GIF89a"):
        (source / "1.png").write_bytes(data)
        (bundle / "failures" / "1.png").unlink(missing_ok=True)
        (bundle / "failures").rmdir()
        with pytest.raises(OutputNotWritten, match="no PNG"):
            copy_pictures([one], source, bundle)
