"""What a result card says. Qt-free. The words follow the five answers: nothing is claimed that was not computed."""

from __future__ import annotations

from dataclasses import dataclass

from medviewer.api import Answer, Prediction, Volume


@dataclass(frozen=True)
class CardText:
    """`answer` is the headline's second half, `rows` are name and value, `warnings` stand out."""

    title: str
    answer: str
    rows: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    advice: str = ""
    source: str = ""  # the model that answered and what its weights may be used for


_ADVICE = {
    Answer.OUTSIDE: "The scan does not reach there, so nothing can be said about it.",
    Answer.NOT_TRAINED: "The model cannot say whether it is there. Point at it with Click + or use another model.",
    Answer.NOT_ASSESSABLE: "This scan does not allow it.",
    Answer.SIDE_UNKNOWN: (
        "The file does not record left and right. State the side under “What this scan is”, or ask without a side."
    ),
    Answer.NEGATION: "Ask for what should be found; its absence cannot be asked for.",
}
_HEADLINE = {
    Answer.OUTSIDE: "Outside the scanned region",
    Answer.NOT_TRAINED: "Not trained for this term",
    Answer.NOT_ASSESSABLE: "Not assessable",
    Answer.SIDE_UNKNOWN: "Side unknown",
    Answer.NEGATION: "Negation is not supported",
}


def card_text(prediction: Prediction, volume: Volume, voxels: int) -> CardText:
    """The card of an answer; `voxels` is the size of its mask."""
    title = prediction.title
    if not title or prediction.answer is Answer.NEGATION:
        title = prediction.prompt.strip()[:80].capitalize()
    if prediction.found:
        rows, warnings = _found_rows(prediction, volume, voxels), _warnings(prediction)
        return CardText(title, answer_line(prediction), rows, warnings, source=prediction.provenance.model_line)
    advice = prediction.reason or _ADVICE.get(prediction.answer, "")
    rows = _test_rows(prediction) if prediction.answer is Answer.NOT_FOUND else ()
    source = prediction.provenance.model_line
    return CardText(title, answer_line(prediction), rows, tuple(prediction.warnings), advice, source)


def answer_line(prediction: Prediction) -> str:
    """For instance "Found · model score 0.98"."""
    score = prediction.presence
    if prediction.answer is Answer.FOUND:
        parts = ["Found"] + ([f"model score {score:.2f}"] if score is not None else [])
        return " · ".join(parts + (["below threshold"] if prediction.below_threshold else []))
    if prediction.answer is Answer.NOT_FOUND:
        middle = [f"score {score:.2f}"] if score is not None else []
        return " · ".join(["Not found by the model", *middle, "this does not exclude it"])
    return _HEADLINE[prediction.answer]


def size_row(prediction: Prediction, volume: Volume, voxels: int) -> tuple[str, str] | None:
    """Volume or area; none for a structure that the scan cuts."""
    if prediction.cut_edges or voxels == 0:
        return None
    if volume.voxel_ml is not None:
        return "Volume", f"{_figure(voxels * volume.voxel_ml)} ml"
    if volume.pixel_area_mm2 is not None:
        note = f" {volume.spacing_note}" if volume.spacing_note else ""
        return "Area", f"{_figure(voxels * volume.pixel_area_mm2 / 100)} cm²{note}"
    return "Area", f"{voxels} pixels (no spacing)"


def edges_text(edges: tuple[str, ...]) -> str:
    """For instance "cut at the upper edge of the scan"."""
    if edges == ("image edge",):
        return "cut at the edge of the image"
    names = [edge.removesuffix(" edge") for edge in edges]
    joined = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
    return f"cut at the {joined} edge of the scan"


def _found_rows(prediction: Prediction, volume: Volume, voxels: int) -> tuple[tuple[str, str], ...]:
    rows: list[tuple[str, str]] = []
    if prediction.side or prediction.side_note:
        corrected = prediction.provenance.algorithm == "SEMIAUTOMATIC" and not prediction.side_note
        note = "not checked after the correction" if corrected else prediction.side_note
        note = note.removeprefix("left and right ")
        rows.append(("Side", ", ".join(p for p in (prediction.side, note) if p)))
    size = size_row(prediction, volume, voxels)
    if size is not None:
        rows.append(size)
    return (*rows, *_test_rows(prediction))


def _test_rows(prediction: Prediction) -> tuple[tuple[str, str], ...]:
    return ("Tested on this kind", prediction.tested), ("Answered in", f"{prediction.seconds:.1f} s")


def _warnings(prediction: Prediction) -> tuple[str, ...]:
    cut: tuple[str, ...] = ()
    if prediction.cut_edges:
        cut = (f"Incomplete: {edges_text(prediction.cut_edges)}. No volume, length or range.",)
    return cut + tuple(w for w in prediction.warnings if "cut at" not in w.lower())


def _figure(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
