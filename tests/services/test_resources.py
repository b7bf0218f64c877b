"""The shipped files are found and can be read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from medviewer.core.errors import UserError
from medviewer.core.user_terms import user_entry
from medviewer.services import resources


def test_the_shipped_files_are_there() -> None:
    assert "liver" in resources.terminology()
    assert resources.terminology() is resources.terminology()
    assert resources.presets()
    assert resources.resource_path("icons").is_dir()


def test_a_missing_file_is_a_user_error() -> None:
    with pytest.raises(UserError, match="lacks its file nothing"):
        resources.resource_path("nothing")


def test_the_structures_of_a_model_are_known_as_soon_as_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path))
    assert "user:blob" not in resources.terminology()
    model = tmp_path / "data" / "models" / "mine"
    model.mkdir(parents=True)
    for name in ("blob", "other blob"):
        (model / "config.json").write_text(json.dumps({"user_terms": [user_entry(name)]}))
        found = resources.terminology().find(name)
        assert found is not None
        assert found.term.name == name
    assert "user:blob" not in resources.terminology(), "the model was replaced"
    (model / "config.json").write_text("{")  # half copied
    assert "liver" in resources.terminology()
    shutil.rmtree(model)
    assert "user:other-blob" not in resources.terminology()
