"""Settings: kept between sessions, tolerant to what is in the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medviewer.services.settings import Settings


def test_values_are_there_in_the_next_session(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "settings.json"
    Settings(path).set("theme", "light")
    assert Settings(path).get("theme", "dark") == "light"
    assert [p.name for p in path.parent.iterdir()] == ["settings.json"]


def test_a_value_of_another_type_becomes_the_default(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"theme": 3, "scale": 1, "flag": 1, "many": "one"}))
    settings = Settings(path)
    assert settings.get("theme", "dark") == "dark"
    assert settings.get("scale", 1.5) == 1.0
    assert settings.get("flag", False) is False
    assert settings.get("many", ["x"]) == ["x"]


@pytest.mark.parametrize("content", ["{", "[1]", "\x00", "", "7", "[" * 100_000])
def test_a_broken_file_gives_defaults_and_is_not_lost(tmp_path: Path, content: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(content)
    settings = Settings(path)
    assert settings.get("theme", "dark") == "dark"
    settings.set("theme", "light")
    assert Settings(path).get("theme", "dark") == "light"
    assert (tmp_path / "settings.json.broken").read_text() == content


def test_what_a_newer_version_wrote_stays_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"version": 99, "of the future": {"a": [1]}, "theme": "light"}))
    Settings(path).set("theme", "dark")
    assert json.loads(path.read_text()) == {"version": 99, "of the future": {"a": [1]}, "theme": "dark"}


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    settings = Settings(blocker / "settings.json")
    settings.set("theme", "light")
    assert settings.get("theme", "dark") == "light"


def test_what_json_cannot_hold_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "settings.json")
    with pytest.raises(TypeError):
        settings.set("bad", object())
    assert settings.as_dict() == {}


def test_the_environment_moves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path))
    assert Settings().path == tmp_path / "config" / "settings.json"
