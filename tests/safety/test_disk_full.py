"""Where nothing can be written: one clear sentence that names the path, the old file intact, nothing left behind, and
saving elsewhere works afterwards. For everything the program writes."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from save_cases import Inputs, SaveCase, all_cases
from small_drive import filled, largest_file, read_only, small_drive

from medviewer.core.errors import OutputNotWritten
from medviewer.services.batch_journal import BatchJournal

FORMATS = (
    "nii.gz", "nii", "seg.nrrd", "dcm", "dcm + source series", "stl", "ply", "png", "picture of a view",
    "converted scan", "session", "settings", "bundle folder",
)  # fmt: skip
Forbid = Callable[[Path], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SaveCase]:
    return {case.name: case for case in all_cases(Inputs(tmp_path_factory.mktemp("inputs") / "in"))}


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Path]:
    with small_drive(tmp_path / "drive") as place:
        yield place


def hashes(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "filler.bin"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def is_refused(case: SaveCase, folder: Path, forbid: Callable[[], AbstractContextManager[object]], what: str) -> None:
    """Save the other content where it cannot be saved; everything is as it was, and then it can be saved elsewhere."""
    before = hashes(folder)
    with forbid(), pytest.raises(OutputNotWritten) as caught:
        case.save(folder, 1)
    assert what in caught.value.message
    assert str(folder) in caught.value.message
    assert ".part" not in str(caught.value)
    assert caught.value.hint
    assert hashes(folder) == before
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    case.save(elsewhere, 1)
    assert case.found(elsewhere) == 1


def filled_on_the_way(drive: Path) -> AbstractContextManager[None]:
    """Room for a part of the file, or for the first of several."""
    size = sum(path.stat().st_blocks * 512 for path in drive.rglob("*") if path.is_file())
    return filled(drive, leaving=int(0.6 * size))


@pytest.mark.parametrize(
    ("forbid", "what"),
    [
        (filled, "no space is left"), (filled_on_the_way, "no space is left"), (read_only, "the drive is read-only"),
    ],
    ids=["full", "gets full on the way", "read-only"],
)  # fmt: skip
@pytest.mark.parametrize("name", FORMATS)
def test_a_drive_that_cannot_be_written(
    cases: dict[str, SaveCase], drive: Path, name: str, forbid: Forbid, what: str
) -> None:
    cases[name].save(drive, 0)
    is_refused(cases[name], drive, lambda: forbid(drive), what)
    assert cases[name].found(drive) == 0


@pytest.mark.parametrize("name", FORMATS)
def test_a_limit_on_the_size_of_files(cases: dict[str, SaveCase], tmp_path: Path, name: str) -> None:
    """The same error without the right to mount."""
    (tmp_path / "out").mkdir()
    cases[name].save(tmp_path / "out", 0)
    is_refused(cases[name], tmp_path / "out", lambda: largest_file(150), "no space is left")


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_that_was_removed(cases: dict[str, SaveCase], tmp_path: Path, name: str) -> None:
    if name == "settings":
        pytest.skip("settings make their folder")
    is_refused(cases[name], tmp_path / "gone", nothing, "does not exist")


@pytest.mark.parametrize("name", FORMATS)
def test_a_path_that_is_too_long(cases: dict[str, SaveCase], tmp_path: Path, name: str) -> None:
    folder = tmp_path / ("x" * 300)
    with pytest.raises(OutputNotWritten, match="name is too long") as caught:
        cases[name].save(folder, 1)
    assert str(folder) in caught.value.message


@pytest.mark.parametrize("name", FORMATS)
def test_a_name_that_is_taken(cases: dict[str, SaveCase], tmp_path: Path, name: str) -> None:
    """By a folder, or by a file where a folder is wanted."""
    if name == "settings":
        pytest.skip("settings choose their own place")
    taken = tmp_path / "out" / cases[name].target
    taken.mkdir(parents=True)
    if name == "bundle folder":
        taken.rmdir()
        taken.write_text("precious")
    is_refused(cases[name], tmp_path / "out", nothing, "of this name is there")
    assert taken.exists()
    shutil.rmtree(tmp_path / "elsewhere")


def test_a_full_disk_keeps_the_finished_rows_of_a_batch(tmp_path: Path, drive: Path) -> None:
    from medviewer.services.batch_rows import BatchRow
    from medviewer.services.results import RowResult

    def row(number: int) -> BatchRow:
        return BatchRow(number, "ct.nii.gz", "kidney", f"{number}.bin", None, Path("ct.nii.gz"))

    (drive / "out.bin").touch()
    journal = BatchJournal(drive, "model")
    journal.add(row(1), RowResult(1, "ct.nii.gz", "kidney", "1.bin"), drive / "out.bin")
    with filled(drive), pytest.raises(OSError, match="No space"):
        journal.add(row(2), RowResult(2, "ct.nii.gz", "kidney", "x" * 60_000), drive / "out.bin")
    journal = BatchJournal(drive, "model")
    journal.add(row(3), RowResult(3, "ct.nii.gz", "kidney", "3.bin"), drive / "out.bin")
    journal = BatchJournal(drive, "model")
    assert [journal.finished(row(n), drive / "out.bin") is not None for n in (1, 2, 3)] == [True, False, True]


@contextmanager
def nothing() -> Iterator[None]:
    yield
