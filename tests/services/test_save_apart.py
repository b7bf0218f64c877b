"""Saving in a process of its own: the same files, the same errors, and no file left when it is ended."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from medviewer.core.errors import OutputNotWritten, UserError
from medviewer.core.progress import Progress, silent
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.services import save_apart, save_data


@pytest.fixture
def volume() -> Volume:
    rng = np.random.default_rng(0)
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    return Volume(np.asfortranarray(rng.integers(-100, 200, (30, 28, 20)).astype(np.int16)), affine, "CT", "HU")


@pytest.fixture
def segment(volume: Volume) -> Segment:
    mask = np.zeros(volume.shape, bool, order="F")
    mask[8:20, 8:18, 5:14] = True
    return Segment("Liver", mask, term_id="liver")


def test_the_files_are_those_of_the_ordinary_way(volume: Volume, segment: Segment, tmp_path: Path) -> None:
    for ending in (".nii.gz", ".stl"):
        here, apart = tmp_path / f"here{ending}", tmp_path / f"apart{ending}"
        first = save_data.save_segments(here, volume, [segment])
        second = save_apart.save_segments(apart, volume, [segment], silent())
        assert second.path == apart
        assert second.warnings == first.warnings
        assert apart.stat().st_size == here.stat().st_size
    assert np.array_equal(save_data.read_mask(tmp_path / "apart.nii.gz", volume)[0].mask, segment.mask)


def test_errors_come_back_as_themselves(volume: Volume, segment: Segment, tmp_path: Path) -> None:
    with pytest.raises(OutputNotWritten):
        save_apart.save_segments(tmp_path / "absent" / "masks.nii.gz", volume, [segment], silent())


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs POSIX signals")
def test_a_save_whose_process_dies_leaves_the_old_file_and_no_other(
    volume: Volume, segment: Segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import signal

    from medviewer.services.logic_process import LogicProcess, LogicStopped

    path = tmp_path / "masks.nii.gz"
    path.write_bytes(b"old")
    made: list[LogicProcess] = []
    ordinary = LogicProcess.__init__

    def remembered(self: LogicProcess, *given: object, **more: object) -> None:
        ordinary(self, *given, **more)  # type: ignore[arg-type]
        made.append(self)

    monkeypatch.setattr(LogicProcess, "__init__", remembered)
    killed = threading.Event()

    def report(fraction: float, text: str) -> None:
        if not killed.is_set() and made and made[0].pid is not None:
            killed.set()
            os.kill(made[0].pid, signal.SIGKILL)

    with pytest.raises(UserError) as caught:
        save_apart.save_segments(path, volume, [segment], Progress(report))
    assert killed.is_set()
    assert isinstance(caught.value, LogicStopped)
    assert "The save was lost" in str(caught.value)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["masks.nii.gz"]
