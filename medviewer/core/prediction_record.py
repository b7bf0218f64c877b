"""A preview as a JSON header and a block of bytes: the form in which the journal and session files keep it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from medviewer.core.mask_patch import PackedMask
from medviewer.core.prediction import Answer, BoxPrompt, PointPrompt, Prediction
from medviewer.core.segment_record import packed_from, packed_header, provenance_from

_PLAIN = (
    "prompt", "presence", "title", "term_id", "side", "side_note", "reason", "cut_edges", "below_threshold", "tested",
    "seconds", "warnings",
)  # fmt: skip
_TUPLES = ("cut_edges", "warnings")


def to_record(prediction: Prediction) -> tuple[dict[str, Any], bytes]:
    """A JSON-ready header (all but the confidence map and `extras`) and the mask's compressed bits."""
    header = {name: getattr(prediction, name) for name in _PLAIN}
    header |= {"answer": prediction.answer.name, "provenance": prediction.provenance.as_dict()}
    packed = PackedMask.pack(prediction.mask)
    return header | packed_header(packed), zlib.compress(packed.bits, 1)


def from_record(header: Mapping[str, Any], data: bytes) -> Prediction:
    """The preview again; names that are not known are passed over. Raises ValueError."""
    try:
        values = {name: header[name] for name in _PLAIN if name in header}
        values |= {name: tuple(values.get(name, ())) for name in _TUPLES}
        return Prediction(
            answer=Answer[header["answer"]], mask=packed_from(header, data).unpack(),
            provenance=provenance_from(header.get("provenance", {})), **values,
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError, zlib.error) as error:
        raise ValueError("a damaged record of a preview") from error


def prompts_to_record(points: Sequence[PointPrompt], box: BoxPrompt | None) -> dict[str, Any]:
    """The clicks and the box that led to a preview, JSON-ready: names "points" and "prompt_box"."""
    return {
        "points": [{"position": list(p.position), "positive": p.positive} for p in points],
        "prompt_box": None if box is None else [list(box.corner0), list(box.corner1)],
    }


def prompts_from_record(values: Mapping[str, Any]) -> tuple[tuple[PointPrompt, ...], BoxPrompt | None]:
    """The clicks and the box again; none where they were not kept. Raises ValueError."""
    try:
        points = tuple(PointPrompt(_place(p["position"]), bool(p["positive"])) for p in values.get("points", ()))
        corners = values.get("prompt_box")
        return points, None if corners is None else BoxPrompt(_place(corners[0]), _place(corners[1]))
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError("damaged corrections of a preview") from error


def _place(values: Any) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
