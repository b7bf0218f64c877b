"""The JSON beside a label map: what each integer means, its colour and code, and where it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from medviewer.core.errors import OutputNotWritten
from medviewer.core.segmentation import Color, LabelInfo, Segment
from medviewer.core.volume import Volume
from medviewer.io.atomic import write_text_atomic

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


def write_sidecar(
    path: Path, volume: Volume, segments: Sequence[Segment], terms: TermMap, warnings: Sequence[str]
) -> Path:
    """Write the sidecar of the label map `path` atomically and return its path. Holds no patient data."""
    target = sidecar_path(path)
    document = {
        "format": FORMAT,
        "version": 1,
        "file": path.name,
        "notice": NOTICE,
        "labels": [_line(n, segment, volume, terms) for n, segment in enumerate(segments, start=1)],
        "warnings": list(warnings),
    }
    write_text_atomic(target, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return target


def refuse_foreign(path: Path) -> None:
    """Raise OutputNotWritten where the sidecar of `path` would replace a file that is not ours."""
    target = sidecar_path(path)
    if target.exists() and not _document(path):
        raise OutputNotWritten(
            f"{target.name}, where the names of the labels would go, is another file.", "Choose another file name."
        )


def read_labels(path: Path) -> list[LabelInfo]:
    """The label lines of the sidecar beside the label map `path`; empty where there is none or it is not ours."""
    document = _document(path)
    lines = document.get("labels", [])
    return [
        LabelInfo(int(line["label"]), str(line["name"]), _color(line.get("color")), line.get("term"))
        for line in lines
        if isinstance(line, dict) and "label" in line and "name" in line
    ]


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
