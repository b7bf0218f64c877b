"""Lets the tests of this folder import the modules beside them, in every import mode of pytest; one DICOM scan for all
tests of reports."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from medviewer.core.volume import Volume


@pytest.fixture(scope="session")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    """The CT of `report_dicom_kit`, which tests read and never write."""
    from report_dicom_kit import scan_in

    return scan_in(tmp_path_factory.mktemp("report"))
