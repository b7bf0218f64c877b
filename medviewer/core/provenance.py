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

    def edited(self, what: str) -> Provenance:
        """The same origin after a human change: AUTOMATIC becomes SEMIAUTOMATIC."""
        kind: AlgorithmType = "MANUAL" if self.algorithm == "MANUAL" else "SEMIAUTOMATIC"
        return replace(self, algorithm=kind, edits=(*self.edits, what))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"parameters": dict(self.parameters)}
