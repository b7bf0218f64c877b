"""The shipped files are found and can be read."""

from __future__ import annotations

import pytest

from medviewer.core.errors import UserError
from medviewer.services import resources


def test_the_shipped_files_are_there() -> None:
    assert "liver" in resources.terminology()
    assert resources.terminology() is resources.terminology()
    assert resources.presets()
    assert resources.resource_path("icons").is_dir()


def test_a_missing_file_is_a_user_error() -> None:
    with pytest.raises(UserError, match="lacks its file nothing"):
        resources.resource_path("nothing")
