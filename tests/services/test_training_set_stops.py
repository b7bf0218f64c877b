"""An export that is cancelled, killed or out of space leaves a set that agrees with its files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from training_set_kit import blob, case, ct, turned

from medviewer.core.errors import Cancelled, OutputNotWritten
from medviewer.core.progress import Progress
from medviewer.services.training_set import export_training_set
from training.data.cases import load_sample
from training.data.folders import read_cases


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path / "home"))


def test_a_cancelled_export_keeps_whole_cases(tmp_path: Path) -> None:
    told: list[str] = []
    progress = Progress(lambda fraction, text: told.append(text), lambda: "Saving case 2 of 3" in told)
    with pytest.raises(Cancelled, match="1 of 3 cases were saved"):
        export_training_set([case(ct(seed=n)) for n in range(3)], tmp_path / "set", progress)
    assert len(read_cases(tmp_path / "set")) == 1
    assert len(list((tmp_path / "set" / "images").iterdir())) == 1


class Killed(BaseException):
    pass


@pytest.mark.parametrize("kept", range(6))
def test_a_set_agrees_with_its_files_after_a_kill_at_any_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """The second export changes a mask from indices to bits: read with the wrong meaning it would be another mask."""
    folder = tmp_path / "set"
    volume, new = ct("RAS"), ct(seed=50)
    old = [blob(volume), blob(volume, "Other", move=-6.0)]
    better = [blob(volume), blob(volume, "Other", move=2.0), blob(volume, "Third", move=3.0)]
    export_training_set([case(volume, *old)], folder)
    left, real = [kept], os.replace

    def replace(source: str, target: str) -> None:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(Killed):
        export_training_set([case(volume, *better), case(new)], folder)
    monkeypatch.setattr(os, "replace", real)
    found = read_cases(folder)
    sample = load_sample(found[0] if len(found) == 1 else next(f for f in found if "Other" in f.names))
    masks = {name: table[sample.label] for name, table in sample.tables.items()}
    wanted = better if "Third" in masks else old
    assert set(masks) == {segment.name for segment in wanted}
    for segment in wanted:
        assert np.array_equal(masks[segment.name], turned(segment.mask, volume))
    export_training_set([case(volume, *better), case(new)], folder)
    assert len(read_cases(folder)) == 2
    assert "pending" not in (folder / "dataset.json").read_text()


def test_a_full_drive_leaves_the_set_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medviewer.io import write_nifti

    folder = tmp_path / "set"
    export_training_set([case(ct())], folder)
    before = (folder / "dataset.json").read_bytes()

    def full(*arguments: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write_nifti, "write_array", full)
    with pytest.raises(OutputNotWritten, match="no space is left"):
        export_training_set([case(ct(seed=5))], folder)
    assert (folder / "dataset.json").read_bytes() == before
    assert len(list((folder / "images").iterdir())) == 1


def test_two_exports_at_once_wait_for_each_other(tmp_path: Path) -> None:
    from filelock import FileLock

    from medviewer.services import training_set

    folder = tmp_path / "set"
    export_training_set([case(ct())], folder)
    with FileLock(folder / training_set._LOCK), pytest.raises(OutputNotWritten, match="Another export"):
        export_training_set([case(ct(seed=5))], folder)
