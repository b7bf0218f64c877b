"""A PACS accepts, files and returns what the program writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from orthanc_server import orthanc
from seg_cases import CASES
from seg_judged import through_orthanc, write

pytestmark = pytest.mark.filterwarnings("ignore")
_STORED = ("oblique CT", "multi-frame CT", "tilted gantry", "longest names", "X-ray image")  # the report has all


def test_a_pacs_files_the_seg_under_its_source_and_returns_it(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with orthanc(tmp_path / "server") as server:
        for case in CASES:
            if case.name in _STORED:
                folder = tmp_path / case.name
                folder.mkdir()
                answers = through_orthanc(write(case, folder), server)
                assert all(answers.values()), (case.name, answers)


def test_the_server_ends_when_a_test_fails(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError), orthanc(tmp_path) as server:
        raise ConnectionError
    with pytest.raises(OSError, match="refused"):
        server.get("/system")
