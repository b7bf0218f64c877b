"""The JSON beside a label map: what each integer means, its colour and code, and where it came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from medviewer.core.errors import OutputNotWritten
from medviewer.core.provenance import Provenance
from medviewer.core.segmentation import Color, LabelInfo, Segment
from medviewer.core.volume import Volume
from medviewer.io.atomic import write_text, write_text_atomic
from medviewer.io.export_notes import models_of, notes_of, origin_from

FORMAT = "medviewer labels"
NOTICE = "AI-generated draft, not verified by a clinician. Research use only."


class CodeLike(Protocol):
    """A coded concept, for instance SNOMED CT: scheme "SCT", value "64033007", meaning "Kidney"."""

    @property
    def value(self) -> str: ...
    @property
    def scheme(self) -> str: ...
    @property
    def meaning(self) -> str: ...


class TermLike(Protocol):
    """What the writers need to know of a term of the terminology."""

    @property
    def snomed(self) -> CodeLike | None: ...
    @property
    def category(self) -> CodeLike | None: ...


TermMap = Mapping[str, TermLike]  # term id to term


def sidecar_path(path: Path) -> Path:
    """`liver.nii.gz` and `liver.nii` have `liver.json`."""
    name = path.name.removesuffix(".gz")
    stem = name.rsplit(".", 1)[0] if "." in name.strip(".") else name
    return path.with_name(stem + ".json")


def make_document(
    path: Path, volume: Volume, segments: Sequence[Segment], terms: TermMap, warnings: Sequence[str], sha256: str
) -> dict[str, Any]:
    """The sidecar of the label map that will be `path`; `sha256` is that of its bytes. Holds no patient data."""
    return {
        "format": FORMAT,
        "version": 1,
        "file": path.name,
        "sha256": sha256,
        "notice": NOTICE,
        "labels": [_line(n, segment, volume, terms) for n, segment in enumerate(segments, start=1)],
        "models": models_of(segments),
        "notes": notes_of(volume),
        "warnings": list(warnings),
    }


def write_document(temporary: Path, document: Mapping[str, Any]) -> None:
    """Write a sidecar to the temporary path of an atomic write and read it back."""
    write_text(temporary, _text(document))


@contextmanager
def announced(path: Path, document: Mapping[str, Any]) -> Iterator[None]:
    """While the label map `path` is replaced, its sidecar describes the old one and the new one, each by its checksum.

    So a process killed in between leaves a pair that agrees. Where the block fails, the old sidecar is put back.
    """
    target = sidecar_path(path)
    before = target.read_bytes() if target.exists() else None
    previous = {"previous": _describing(path) or None, "previous_sha256": _sha256(path)}
    write_text_atomic(target, _text({**document, **previous}))
    try:
        yield
    except BaseException:
        with suppress(OSError, OutputNotWritten):
            target.unlink() if before is None else write_text_atomic(target, before.decode("utf-8"))
        raise


def refuse_foreign(path: Path) -> None:
    """Raise OutputNotWritten where the sidecar of `path` would replace a file that is not ours."""
    target = sidecar_path(path)
    if target.exists() and not _document(path):
        raise OutputNotWritten(
            f"{target.name}, where the names of the labels would go, is another file.", "Choose another file name."
        )


def read_labels(path: Path) -> list[LabelInfo]:
    """The label lines of the sidecar beside the label map `path`; empty where none of ours describes it."""
    lines = _describing(path).get("labels", [])
    return [
        LabelInfo(int(line["label"]), str(line["name"]), _color(line.get("color")), line.get("term"))
        for line in lines
        if isinstance(line, dict) and "label" in line and "name" in line
    ]


def read_origins(path: Path) -> dict[int, Provenance]:
    """Who made each label of the label map `path`, where the sidecar says so."""
    lines = _describing(path).get("labels", [])
    found = {
        int(line["label"]): origin_from(line.get("provenance"))
        for line in lines
        if isinstance(line, dict) and isinstance(line.get("label"), int)
    }
    return {label: origin for label, origin in found.items() if origin is not None}


def changed_since(path: Path) -> bool:
    """Whether another program changed the label map after its sidecar was written."""
    known = _describing(path).get("sha256")
    return known is not None and known != _sha256(path)


def _describing(path: Path) -> dict[str, Any]:
    """The document of this very label map: after a save that was killed, the one with its checksum.

    A finished sidecar also describes a label map that another program changed (see `changed_since`).
    """
    document = _document(path)
    if "previous" not in document:
        return document
    found, previous = _sha256(path), document["previous"]
    if document.get("sha256") == found:
        return document
    return previous if isinstance(previous, dict) and document.get("previous_sha256") == found else {}


def _sha256(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def is_label_map(path: Path) -> bool:
    """Whether a sidecar of ours beside `path` says that it holds labels."""
    document = _document(path)
    return document.get("format") == FORMAT and document.get("file") == path.name


def code_dict(code: CodeLike | None) -> dict[str, str] | None:
    """JSON of a code."""
    return None if code is None else {"scheme": code.scheme, "value": code.value, "meaning": code.meaning}


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(sidecar_path(path).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) and document.get("format") == FORMAT else {}


def _line(number: int, segment: Segment, volume: Volume, terms: TermMap) -> dict[str, Any]:
    term = terms.get(segment.term_id or "")
    voxels = int(segment.mask.sum())
    measurable = volume.voxel_ml is not None and not segment.incomplete
    return {
        "label": number,
        "name": segment.name,
        "term": segment.term_id,
        "side": segment.side,
        "side_note": segment.side_note,
        "color": list(segment.color),
        "code": code_dict(term.snomed) if term else None,
        "category": code_dict(term.category) if term else None,
        "voxels": voxels,
        "volume_ml": round(voxels * (volume.voxel_ml or 0.0), 3) if measurable else None,
        "incomplete": segment.incomplete,
        "cut_edges": list(segment.cut_edges),
        "frame": segment.frame,
        "presence": segment.presence,
        "tested": segment.tested,
        "provenance": segment.provenance.as_dict(),
    }


def _color(value: Any) -> Color:
    if isinstance(value, list) and len(value) == 3 and all(isinstance(v, int) and 0 <= v <= 255 for v in value):
        return value[0], value[1], value[2]
    return 76, 194, 255
