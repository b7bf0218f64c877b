"""The last opened paths, kept in the settings and shown without what names a patient."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medviewer.core.volume import Patient, SeriesEntry
from medviewer.gui.panels.scans.logic import modality_name
from medviewer.services.settings import Settings

_KEY = "recent_scans"
_MOST = 5


@dataclass(frozen=True)
class Recent:
    """A path and the words it is shown by."""

    path: Path
    label: str


def recent_scans(settings: Settings) -> list[Recent]:
    """Newest first; what no longer exists is left out."""
    stored: list[object] = settings.get(_KEY, [])
    rows = [r for r in stored if isinstance(r, list) and len(r) == 2 and all(isinstance(v, str) for v in r)]
    return [Recent(Path(path), label) for path, label in rows if _exists(Path(path))]


def remember(settings: Settings, path: Path, entries: Sequence[SeriesEntry]) -> None:
    """Put a path first, shown by its name unless that names the patient."""
    full = path.resolve()
    kept = [[str(r.path), r.label] for r in recent_scans(settings) if r.path != full]
    settings.set(_KEY, [[str(full), label_of(full, entries)], *kept][:_MOST])


def label_of(path: Path, entries: Sequence[SeriesEntry]) -> str:
    """File or folder name and the folder above; plain words of the scan where a part of that names the patient."""
    patients = {entry.patient for entry in entries}
    names = [name for name in (path.name, path.parent.name) if name]
    parts = [name for name in names if not any(names_patient(name, patient) for patient in patients)]
    if path.name not in parts:
        kinds = sorted({modality_name(entry.modality) for entry in entries})
        parts = [f"{', '.join(kinds)} ({len(entries)} series)"] + [p for p in parts if p != path.name]
    return "   ·   ".join(parts)


def names_patient(text: str, patient: Patient) -> bool:
    """Whether a file name holds a part of the patient's name, number or birth date."""
    squeezed = re.sub(r"[^a-z0-9]", "", text.casefold())
    words = re.split(r"[^a-z0-9]+", f"{patient.name} {patient.id} {patient.birth_date}".casefold())
    return any(len(word) >= 3 and word in squeezed for word in words)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False
