"""A cancelled save leaves the old files, or, where the cancel came after the last step, the complete new ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from save_cases import Inputs, same_masks, segments, which

from medviewer.core.errors import Cancelled
from medviewer.core.progress import Progress
from medviewer.core.volume import Volume
from medviewer.services import save_apart


class _StopsAt:
    """Cancelled at the n-th question."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["m.nii.gz", "m.seg.nrrd", "s.dcm", "m.stl"])
def test_a_cancelled_save_leaves_the_old_files_or_the_whole_new_ones(tmp_path: Path, name: str) -> None:
    volume = Inputs(tmp_path / "in").short
    out = tmp_path / "out"
    out.mkdir()
    save_apart.save_segments(out / name, volume, segments(volume, 0), Progress())
    before = contents(out)
    for number in (0, 2, 5):
        try:
            save_apart.save_segments(out / name, volume, segments(volume, 1), Progress(is_cancelled=_StopsAt(number)))
        except Cancelled:
            cancelled = True
        else:
            break
        after = contents(out)
        assert {path.name for path in after} >= {path.name for path in before if path.suffix != ".dcm"}
        if number == 0:
            assert after == before
        elif after != before:
            assert_is_whole(out / name, volume)
            break
    assert cancelled


def assert_is_whole(path: Path, volume: Volume) -> None:
    """Masks and names of one save, without leavings; an old label map may lie beside a sidecar of both."""
    assert not [other for other in path.parent.rglob("*") if other.name.startswith(".")]
    if path.suffix != ".stl":
        which(lambda variant: same_masks(path, volume, segments(volume, variant)))


@pytest.mark.parametrize("name", ["m.nii.gz", "m.seg.nrrd", "s.dcm"])
def test_a_save_that_was_not_cancelled_in_time_counts_as_whole(tmp_path: Path, name: str) -> None:
    volume = Inputs(tmp_path / "in").short
    (tmp_path / "out").mkdir()
    for variant in (0, 1):
        save_apart.save_segments(tmp_path / "out" / name, volume, segments(volume, variant), Progress())
        assert_is_whole(tmp_path / "out" / name, volume)
