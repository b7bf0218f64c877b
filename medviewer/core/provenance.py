"""Where a result came from; written into every export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

AlgorithmType = Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]  # DICOM SegmentAlgorithmType (PS3.3 C.8.20.2)


@dataclass(frozen=True)
class Provenance:
    """Model, weights, prompt and what people changed afterwards."""

    algorithm: AlgorithmType = "AUTOMATIC"
    model_id: str = ""
    model_version: str = ""
    weights_sha256: str = ""
    prompt: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    program_version: str = ""
    created: str = ""  # ISO 8601, UTC
    edits: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()  # e.g. "below threshold"
    licence: str = ""  # what the weights may be used for; of several models, joined by " + "

    @property
    def model_text(self) -> str:
        """Model and version, "default 2"; empty where no model took part."""
        return " ".join(part for part in (self.model_id, self.model_version) if part)

    @property
    def model_line(self) -> str:
        """The model and what its weights may be used for: "default 2 – non-commercial research weights"."""
        return f"{self.model_text} – {self.licence or 'licence not stated'}" if self.model_id else ""

    def edited(self, what: str) -> Provenance:
        """The same origin after a human change: AUTOMATIC becomes SEMIAUTOMATIC."""
        kind: AlgorithmType = "MANUAL" if self.algorithm == "MANUAL" else "SEMIAUTOMATIC"
        return replace(self, algorithm=kind, edits=(*self.edits, what))

    def corrected(self, by: Provenance, what: str) -> Provenance:
        """The same origin after a correction that a model made; another model than the first is named, and the terms of
        both hold for the result."""
        if by.model_text in ("", self.model_text):
            return self.edited(what)
        return replace(self.edited(f"{what} by {by.model_line}"), licence=_all_terms(self, by))

    def after(self, earlier: Provenance) -> Provenance:
        """This origin of a mask that a model made out of an earlier one, which may be another model's."""
        started = () if earlier.model_text in ("", self.model_text) else (f"begun by {earlier.model_line}",)
        return replace(self, edits=(*earlier.edits, *started, *self.edits), licence=_all_terms(self, earlier))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"parameters": dict(self.parameters)}


def _all_terms(*origins: Provenance) -> str:
    """What all of them allow together: every model's terms, each once."""
    return " + ".join(dict.fromkeys(part for one in origins for part in one.licence.split(" + ") if part))
