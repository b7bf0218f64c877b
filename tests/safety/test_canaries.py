"""40 planted identifiers are nowhere but in what is identified by nature. `python -m tests.safety.canaries` prints all.

One run of the window, and of some commands, is looked at from several sides: what is left on the disk and said, and
(in test_no_network.py) what was asked of the network.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.safety import canaries
from tests.safety.planted import TOKENS, scan_bytes
from tests.safety.runs import CommandRuns, WindowRun


def test_the_window_leaves_no_identifier(window_run: WindowRun) -> None:
    assert window_run.status == 0, window_run.words[-2000:]
    sinks = canaries.window_sinks(window_run.folder, window_run.words)
    found = {sink.name: sink.hits.places for sink in sinks if len(sink.hits)}
    assert set(found) == set(canaries.IDENTIFIED), found
    written = [sink.name for sink in sinks if sink.files]
    assert set(canaries.SINKS) <= set(written), "every place was written to, so that there was something to find"


def test_a_segmentation_belongs_to_its_patient(window_run: WindowRun) -> None:
    """The identified format is identified: otherwise the search above could be blind."""
    (seg,) = (window_run.folder / "out" / "dicom").glob("*.dcm")
    assert {"Qzvarnholt", "PID7731904X"} <= set(scan_bytes(seg.read_bytes(), "SEG").tokens)


def test_the_log_tells_of_the_defects_without_values(window_run: WindowRun) -> None:
    text = (window_run.folder / "home" / "log" / "medviewer.log").read_text()
    assert text.count("caused by KeyError") >= 3
    assert "raise_with" in text
    assert "UserWarning" in text
    assert "pydicom:" in text


def test_private_folders_are_closed_to_others(window_run: WindowRun) -> None:
    home = window_run.folder / "out" / "snapshot"
    for name in ("config/settings.json", "log/medviewer.log"):
        assert (home / name).stat().st_mode & 0o077 == 0, name
    for path in (home / "data" / "journal").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name


def test_no_temporary_file_is_left(window_run: WindowRun, command_runs: CommandRuns) -> None:
    for folder in (window_run.folder, command_runs.folder):
        assert [path for path in (folder / "tmp").rglob("*") if path.is_file()] == []


def test_the_commands_leave_and_say_no_identifier(command_runs: CommandRuns) -> None:
    for name, said in command_runs.spoken.items():
        assert said.status == 0, f"{name}: {said.words[-1000:]}"
    for written in ("work.mvsession", "training-set/dataset.json"):
        assert (command_runs.folder / "out" / written).is_file(), "there was something to find"
    sinks = canaries.command_sinks(command_runs.folder, command_runs.spoken)
    assert {sink.name: sink.hits.places for sink in sinks if len(sink.hits)} == {}


def test_dicom_anonymizer_alone_leaves_some(tmp_path: Path, planted: Path) -> None:
    """The comparison is alive: the engine without the further passes fails the same search."""
    left = canaries.left_by_engine(planted, tmp_path / "engine")
    assert {"PREAMBLEXYV", "SRCAETITLEW", "OvlyLabelFump"} <= set(left.tokens)
    assert len(left) < len(TOKENS)


@pytest.mark.parametrize("packed", ["gzip", "zip", "zlib", "png"])
def test_the_search_looks_into_packed_files(tmp_path: Path, packed: str) -> None:
    import gzip
    import zipfile
    import zlib

    from PIL import Image, PngImagePlugin

    secret, path = b"name: Qzvarnholt", tmp_path / "file"
    if packed == "gzip":
        path.write_bytes(gzip.compress(secret))
    elif packed == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("inner", gzip.compress(secret))
    elif packed == "zlib":
        path.write_bytes(b"RECORD" + zlib.compress(secret) + b"END")
    else:
        info = PngImagePlugin.PngInfo()
        info.add_text("Comment", "Qzvarnholt", zip=True)
        Image.new("L", (4, 4)).save(path, "PNG", pnginfo=info)
    assert scan_bytes(path.read_bytes(), "file").tokens == ["Qzvarnholt"]
