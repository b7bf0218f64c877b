"""A segment comes back from its record as it was; what does not fit is refused."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest

from medviewer.core.provenance import Provenance
from medviewer.core.segment_record import from_record, to_record
from medviewer.core.segmentation import Segment


def make_segment(*, empty: bool = False) -> Segment:
    mask = np.zeros((9, 7, 5), bool, order="F")
    if not empty:
        mask[2:5, 1:6, 3] = True
        mask[8, 6, 4] = True
    provenance = Provenance(model_id="m", prompt="left kidney", parameters={"a": 1}, edits=("click",), tags=("t",))
    return Segment("Left kidney", mask, (1, 2, 3), 0.5, False, "kidney", "left", "judged", ("upper",), None, 0.7,
                   "dev Dice 0.8", provenance)  # fmt: skip


@pytest.mark.parametrize("empty", [False, True])
def test_everything_comes_back(empty: bool) -> None:
    segment = make_segment(empty=empty)
    header, data = to_record(segment)
    again = from_record(json.loads(json.dumps(header)), data)
    assert np.array_equal(again.mask, segment.mask)
    bare = Segment("", np.zeros((1, 1, 1), bool), id="")
    assert again.changed(mask=bare.mask).__dict__ == segment.changed(mask=bare.mask).__dict__


@pytest.mark.parametrize(
    "damage",
    [
        {"shape": [2, 2, 2]},
        {"box": [[0, 9], [0, 7], [0, 9]]},
        {"box": [[0, 3], [0, 7], [0, 5]]},
        {"box": [[3, 3], [0, 7], [0, 5]]},
        {"box": [[0, 1]]},
        {"shape": [10**6, 10**6, 10**6], "box": [[0, 10**6], [0, 10**6], [0, 10**6]]},
        {"name": 5, "provenance": 7},
    ],
)
def test_a_header_that_does_not_fit_is_refused(damage: dict[str, object]) -> None:
    header, data = to_record(make_segment())
    with pytest.raises(ValueError, match=r"mask|record|segment|unpack"):
        from_record(header | damage, data)


def test_truncated_bits_are_refused() -> None:
    header, data = to_record(make_segment())
    with pytest.raises(ValueError, match=r"size|record"):
        from_record(header, zlib.compress(zlib.decompress(data)[:-1]))
    with pytest.raises(ValueError, match=r"size|record"):
        from_record(header, data[:-3])
    with pytest.raises(ValueError, match=r"size|record"):
        from_record(header, b"nonsense")
