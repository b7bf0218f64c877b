"""400 mutants of every format, the same in every run: each gives voxels or one sentence, and no wrong voxels.

See `judge` for what "wrong" means where, and `extended` for the long run. The mutants of a format share the program's
pool of decode workers, as the files of a folder do.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from medviewer.io import decode_frames
from medviewer.services import open_data
from tests.fuzz import judge as judging
from tests.fuzz.extended import run
from tests.fuzz.mutate import mutant
from tests.fuzz.originals import FORMATS, original

MUTANTS, SEED = 400, 2026
LONGEST = decode_frames.SECONDS + 10.0  # seconds: the limit, and what a busy machine adds


@pytest.mark.parametrize("name", FORMATS)
def test_mutants(name: str) -> None:
    found = list(run(name, SEED, 0, MUTANTS))
    tally = Counter(judged.verdict for judged in found)
    assert [judged for judged in found if judged.verdict in ("wrong", "error")] == []
    assert tally.total() == MUTANTS
    assert tally["refused"] >= 20  # else the mutants do not reach what reads them
    assert max(judged.seconds for judged in found) < LONGEST


def test_the_mutants_are_the_same_in_every_run() -> None:
    whole = original("rle")
    assert mutant(whole, "rle", 1, 7) == mutant(whole, "rle", 1, 7) != mutant(whole, "rle", 1, 8)


@pytest.mark.parametrize("name", ["nifti.gz", "png", "native", "rle", "nifti", "nrrd", "metaimage", "metaimage.zlib"])
def test_a_wrong_voxel_is_seen(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge itself: a reader that changes one voxel is found out."""
    whole = original(name)
    undamaged = judging.whole_volume(tmp_path, name, whole)
    path = tmp_path / f"a{whole.suffix}"
    path.write_bytes(whole.data)
    assert judging.judge(path, name, undamaged).verdict == "same"
    really = open_data.load

    def load(*arguments: Any) -> Any:
        volume = really(*arguments)
        array = volume.array.copy(order="K")
        array[3, 4, 0] += 1
        return volume.with_changes(array=array)

    monkeypatch.setattr(open_data, "load", load)
    assert judging.judge(path, name, undamaged).verdict == "wrong"
