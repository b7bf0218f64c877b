"""A preview as a record: what was there comes back, damage is a ValueError."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest

from medviewer.core import prediction_record
from medviewer.core.prediction import Answer, BoxPrompt, PointPrompt, Prediction
from medviewer.core.provenance import Provenance

MASK = np.zeros((5, 6, 7), np.bool_)
MASK[1:4, 2:5, 3] = True
WHOLE = Prediction(
    "left kidney", Answer.FOUND, MASK, 0.8, None, "Left kidney", "kidney", "left", "judged against the spine", "",
    ("upper",), True, "dev Dice 0.91", 1.5, Provenance(model_id="m", edits=("a",)), ("a warning",),
)  # fmt: skip
POINTS = (PointPrompt((1.0, 2.0, 3.0)), PointPrompt((4.0, 5.0, 6.0), False))
BOX = BoxPrompt((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_every_field_comes_back() -> None:
    header, data = prediction_record.to_record(WHOLE)
    back = prediction_record.from_record(json.loads(json.dumps(header)), data)
    for field in fields(Prediction):
        if field.name not in ("mask", "extras"):
            assert getattr(back, field.name) == getattr(WHOLE, field.name), field.name
    np.testing.assert_array_equal(back.mask, MASK)


@pytest.mark.parametrize(("points", "box"), [(POINTS, BOX), ((), None)])
def test_clicks_and_box_come_back(points: tuple[PointPrompt, ...], box: BoxPrompt | None) -> None:
    values = json.loads(json.dumps(prediction_record.prompts_to_record(points, box)))
    assert prediction_record.prompts_from_record(values) == (points, box)
    assert prediction_record.prompts_from_record({}) == ((), None)


@pytest.mark.parametrize("change", [{"answer": "PERHAPS"}, {"shape": [5, 6]}, {"box": [[0, 9]] * 3}, {"answer": None}])
def test_damage_is_one_error(change: dict[str, object]) -> None:
    header, data = prediction_record.to_record(WHOLE)
    with pytest.raises(ValueError, match=r"."):
        prediction_record.from_record(header | change, data)
    with pytest.raises(ValueError, match=r"."):
        prediction_record.from_record(header, data[:-3])


@pytest.mark.parametrize("values", [{"points": [3]}, {"points": [{"position": [1, 2]}]}, {"prompt_box": [[1, 2, 3]]}])
def test_damaged_clicks_are_one_error(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        prediction_record.prompts_from_record(values)
