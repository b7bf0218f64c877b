"""`info` and `convert` on files made here and on real scans."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest


def test_info_tells_size_place_and_units(run: Any, scan: Path) -> None:
    ran = run("info", scan, "--json")
    assert ran.status == 0
    (volume,) = ran.document["volumes"]
    assert list(volume) == ["id", "modality", "shape_xyz", "spacing_mm", "affine_lps", "units", "facts", "warnings"]
    assert volume["shape_xyz"] == [12, 13, 9]
    assert volume["spacing_mm"] == [2.0, 2.0, 3.0]
    assert volume["affine_lps"] == [[2, 0, 0, -10], [0, 2, 0, -20], [0, 0, 3, 30], [0, 0, 0, 1]]
    assert ran.document["refused"] == []
    assert run("info", scan, "--json").document == ran.document


def test_info_without_spacing_gives_null(run: Any, picture: Path) -> None:
    (volume,) = run("info", picture, "--json").document["volumes"]
    assert (volume["spacing_mm"], volume["affine_lps"]) == (None, None)
    assert volume["shape_xyz"] == [12, 7, 1]


@pytest.mark.parametrize("content", [b"", b"not a scan", b"\x1f\x8b\x08\x00"])
def test_info_on_something_else_is_refused(run: Any, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.nii.gz"
    path.write_bytes(content)
    ran = run("info", path, "--json")
    assert ran.status == 3
    assert ran.document["volumes"] == []
    assert ran.document["error"]["code"] == "input-refused"
    assert len(ran.document["refused"]) == 1
    assert run("info", path).status == 3


def test_info_on_nothing_is_refused(run: Any, tmp_path: Path) -> None:
    assert run("info", tmp_path / "nothing", "--json").status == 3
    (tmp_path / "empty").mkdir()
    assert run("info", tmp_path / "empty", "--json").status == 3


def test_info_loads_no_network_library(scan: Path, repository: Path) -> None:
    code = (
        "import sys; from medviewer.cli.main import main; main(sys.argv[1:]);"
        "print({'torch', 'vtkmodules', 'PySide6'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "info", str(scan)], cwd=repository, capture_output=True, text=True, timeout=60
    )
    assert done.stderr.strip() == "set()"


def test_convert_keeps_voxels_and_place(run: Any, scan: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.nii.gz"
    ran = run("convert", scan, out, "--json")
    assert (ran.status, ran.document["out"]) == (0, str(out))
    before, after = nibabel.load(scan), nibabel.load(out)
    np.testing.assert_array_equal(np.asarray(before.dataobj), np.asarray(after.dataobj))
    np.testing.assert_allclose(before.affine, after.affine, atol=1e-5)


def test_convert_refuses_other_names_and_the_scan_itself(run: Any, scan: Path, tmp_path: Path) -> None:
    assert run("convert", scan, tmp_path / "out.mha", "--json").status == 2
    before = scan.read_bytes()
    assert run("convert", scan, scan, "--json").status == 5
    assert scan.read_bytes() == before


def test_convert_to_a_folder_that_is_not_there(run: Any, scan: Path, tmp_path: Path) -> None:
    ran = run("convert", scan, tmp_path / "no" / "out.nii.gz", "--json")
    assert (ran.status, ran.document["error"]["code"]) == (5, "output-not-written")


def test_numbers_have_a_point_in_every_locale(scan: Path, repository: Path) -> None:
    code = (
        "import locale, sys\n"
        "for name in ('de_DE.UTF-8', 'de_DE.utf8', ''):\n"
        "    try: locale.setlocale(locale.LC_ALL, name); break\n"
        "    except locale.Error: pass\n"
        "from medviewer.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "info", str(scan)],
        cwd=repository, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "2.000 x 2.000 x 3.000 mm" in done.stdout


def test_a_folder_of_several_series_lists_their_ids(run: Any, scan: Path, picture: Path, tmp_path: Path) -> None:
    ids = [volume["id"] for volume in run("info", tmp_path, "--json").document["volumes"]]
    assert len(ids) == 2
    refused = run("convert", tmp_path, tmp_path / "o.nii.gz", "--json")
    assert refused.status == 3
    assert all(name in str(refused.document["error"]) for name in ids)
    chosen = next(name for name in ids if name.startswith("ct_scan"))
    assert run("convert", tmp_path, tmp_path / "o.nii.gz", "--series", chosen).status == 0
