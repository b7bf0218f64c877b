"""Header strings made to be taken for something else (see nasty.py): the terminal, file names, tables, exports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medviewer.cli.batch import cell
from medviewer.cli.main import main
from medviewer.core.segmentation import Segment
from medviewer.services.open_data import open_volume
from medviewer.services.save_data import read_mask, save_segments
from tests.safety import nasty
from tests.safety.planted import PlantedSeries


@pytest.fixture(params=sorted(nasty.NASTY))
def text(request: pytest.FixtureRequest) -> str:
    return nasty.NASTY[request.param]


def test_the_terminal_gets_one_harmless_line(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = nasty.write(tmp_path / "scan", text, slices=2)
    assert main(["info", str(folder)]) == 0
    shown = capsys.readouterr()
    assert not any(sign in shown.out + shown.err for sign in nasty.DANGEROUS)
    assert shown.out.count("CT  56 x 48 x 2") == 1
    assert len(shown.out) < 2000
    assert main(["info", str(folder), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["volumes"]) == 1


def test_de_identified_names_come_from_counters(tmp_path: Path, text: str) -> None:
    folder = nasty.write(tmp_path / "scan", text, slices=2)
    assert main(["deidentify", str(folder), str(tmp_path / "out")]) == 0
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.dcm") if "out" in path.parts)
    assert names == [f"out/patient001/study01/series001/0000{n}.dcm" for n in (1, 2)]
    assert not Path("/tmp/escaped").exists()


@pytest.mark.parametrize("suffix", [".nii.gz", ".seg.nrrd", ".dcm", ".ply"])
def test_a_segment_name_cannot_write_into_a_header(tmp_path: Path, suffix: str) -> None:
    PlantedSeries(slices=3).write(tmp_path / "scan")
    volume = open_volume(tmp_path / "scan")
    names = [*nasty.NASTY.values(), "x\nspace: right-anterior-superior\nelement vertex 1\r\n"]
    segments = [Segment(name, volume.array > 50 + n) for n, name in enumerate(names)]
    out = tmp_path / f"masks{suffix}"
    save_segments(out, volume, segments)
    if suffix == ".ply":
        assert out.read_bytes().count(b"element vertex") == 1
        return
    read = read_mask(out, volume)
    assert len(read) == len(segments) if suffix != ".nii.gz" else read
    for segment in read:
        assert not any(sign in segment.name for sign in (*nasty.DANGEROUS, "\n"))
    assert (volume.affine == open_volume(tmp_path / "scan").affine).all()


@pytest.mark.parametrize(
    ("text", "shown"),
    [("=1+1", "'=1+1"), ("@SUM(A1)", "'@SUM(A1)"), ("-2+3", "'-2+3"), ("+1", "'+1"), ("a\tb\nc", "a b c"),
     ("left kidney", "left kidney")],
)  # fmt: skip
def test_a_cell_is_no_formula_and_no_second_cell(text: str, shown: str) -> None:
    assert cell(text) == shown
