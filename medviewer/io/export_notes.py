"""What every export says of the scan's grid (that it was resampled from irregular slices) and of the models that drew
the masks (what their weights may be used for). Never patient data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, get_args

from medviewer.core.plain_text import one_line
from medviewer.core.provenance import AlgorithmType, Provenance
from medviewer.core.volume import Volume

NIFTI_DESCRIPTION_BYTES = 79  # and a zero
_RESAMPLED = "; resampled: "
_TEXTS = ("model_id", "model_version", "weights_sha256", "prompt", "program_version", "created", "licence")
_MOST = 4000  # characters of a text of a file that is kept


def notes_of(volume: Volume) -> list[str]:
    """Sentences for sidecars, headers and messages; empty for a scan whose slices are a regular grid."""
    regularisation = volume.regularisation
    return [] if regularisation is None else [" ".join(regularisation.sentence.split())]


class Drawn(Protocol):
    """A segment or a preview."""

    @property
    def provenance(self) -> Provenance: ...


def models_of(segments: Iterable[Drawn]) -> list[dict[str, Any]]:
    """The models that drew segments, each once: id, version, weights_sha256, licence. Empty for masks drawn by hand."""
    found = []
    for origin in (segment.provenance for segment in segments):
        model = {
            "id": origin.model_id, "version": origin.model_version, "weights_sha256": origin.weights_sha256,
            "licence": origin.licence,
        }
        if (origin.model_id or origin.licence) and model not in found:
            found.append(model)
    return found


def licence_notes(segments: Iterable[Drawn]) -> list[str]:
    """The same as one sentence per model, for text fields of any format."""
    lines = (licence_note(segment) for segment in segments)
    return [f"{line}." for line in dict.fromkeys(lines) if line]


def licence_note(segment: Drawn) -> str:
    """The model of a segment and its terms: "model default 2: non-commercial research weights"; empty without one."""
    origin = segment.provenance
    if not (origin.model_id or origin.licence):
        return ""
    name = f"model {' '.join(origin.model_text.split())}" if origin.model_id else "model"
    return f"{name}: {' '.join(origin.licence.split()) or 'licence not stated'}"


def origin_from(values: Any) -> Provenance | None:
    """The origin that a file written by this program states (`Provenance.as_dict`), so that a further export names the
    model and its terms, too. Parameters are left out, and whatever is no text; None where nothing is stated."""
    if not isinstance(values, dict):
        return None
    stated = values.get("algorithm")
    kind: AlgorithmType = next((one for one in get_args(AlgorithmType) if one == stated), "SEMIAUTOMATIC")
    texts: dict[str, Any] = {
        name: one_line(value, _MOST) for name in _TEXTS if isinstance(value := values.get(name), str)
    }
    edits = values.get("edits")
    told = [one_line(edit, _MOST) for edit in edits if isinstance(edit, str)] if isinstance(edits, list) else []
    return Provenance(kind, edits=tuple(told), **texts)


def short_note(volume: Volume, start: str, bytes_: int) -> bytes:
    """`start` and, as far as `bytes_` allow, why the scan was resampled; ASCII, for headers of fixed length."""
    regularisation = volume.regularisation
    text = start
    if regularisation is not None:
        text += _RESAMPLED + ", ".join(str(reason) for reason in regularisation.reasons)
    return text.encode("ascii", "replace")[:bytes_]


def noted_resampling(description: bytes) -> tuple[str, ...]:
    """What `short_note` said, as a warning for whoever opens the file later; empty where it said nothing."""
    start, mark, _ = description.partition(_RESAMPLED.encode())
    if not (mark and start.startswith(b"medviewer")):
        return ()
    return ("This file was written from irregular slices that were resampled: not every slice was measured.",)
