"""How a journal or a session file refers to a scan: by its path and by hashes, never by what its header says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medviewer.core.errors import InputRefused, UserError
from medviewer.core.progress import Progress
from medviewer.core.volume import Fact, SeriesEntry, Volume
from medviewer.core.voxel_hash import voxel_hash

_GENERATED = "generated"


@dataclass(frozen=True)
class ScanIdentity:
    """`path` is what was opened, `series` a salted hash of the id of the series in it, `voxels` the `voxel_hash`."""

    path: Path
    format: str
    series: str
    salt: str
    shape: tuple[int, int, int]
    voxels: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "path": str(self.path), "format": self.format, "series": self.series, "salt": self.salt,
            "shape": list(self.shape), "voxels": self.voxels,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ScanIdentity:
        """Raises ValueError for damaged values."""
        try:
            i, j, k = (int(n) for n in values["shape"])
            texts = {name: str(values[name]) for name in ("format", "series", "salt", "voxels")}
            return cls(path=Path(str(values["path"])), shape=(i, j, k), **texts)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("a damaged reference to a scan") from error

    @property
    def name(self) -> str:
        """What the scan is called in a question to the user: the name of its file or folder."""
        return "sample" if self.format == _GENERATED else self.path.name or str(self.path)


def identity_of(volume: Volume, salt: str) -> ScanIdentity:
    """Reads all voxels: not on the GUI thread."""
    source = volume.source
    path = source.path.absolute() if source.format != _GENERATED else source.path
    return ScanIdentity(
        path, source.format, _series_hash(volume.id, salt), salt, volume.shape, voxel_hash(volume)
    )  # fmt: skip


def reopen(identity: ScanIdentity, progress: Progress) -> Volume:
    """Open the scan again and check that it is the same one. Any thread; raises InputRefused, Cancelled."""
    if identity.format == _GENERATED:
        volume = _generate(identity)
        if volume is not None and voxel_hash(volume) == identity.voxels:
            return volume
        raise _another(identity)
    from medviewer.services import open_data

    if not identity.path.exists():
        raise InputRefused(
            f"The scan {identity.name} is no longer at {identity.path}.", "Put it back there, then recover the work."
        )
    entries = open_data.scan_path(identity.path, progress.part(0.0, 0.2)).entries
    named = [e for e in entries if _series_hash(e.id, identity.salt) == identity.series]
    wanted = named or [e for e in entries if e.shape_xyz == identity.shape]
    for number, entry in enumerate(wanted):
        part = progress.part(0.2 + 0.8 * number / len(wanted), 0.2 + 0.8 * (number + 1) / len(wanted))
        found = _load_if_same(entry, identity, part, only=len(wanted) == 1)
        if found is not None:
            return found
    raise _another(identity)


def _load_if_same(entry: SeriesEntry, identity: ScanIdentity, progress: Progress, *, only: bool) -> Volume | None:
    from medviewer.services.load_again import load_as

    try:
        volume = load_as(entry, identity.shape, progress)
    except UserError:
        if only:
            raise
        return None
    return volume if voxel_hash(volume) == identity.voxels else None


def _generate(identity: ScanIdentity) -> Volume | None:
    from medviewer.core.phantom import torso_phantom

    volume = torso_phantom(seed=0).volume
    return volume if volume.shape == identity.shape else None


def _another(identity: ScanIdentity) -> InputRefused:
    return InputRefused(
        f"{identity.name} is not the scan that the work was done on: its voxels differ.",
        "The work is kept; put the original scan back in its place to recover it.",
    )


def same_place(identity: ScanIdentity, volume: Volume) -> bool:
    """Whether a volume was opened from where a scan was; says nothing about its voxels."""
    source = volume.source
    series = _series_hash(volume.id, identity.salt) == identity.series
    if _GENERATED in (source.format, identity.format):
        return source.format == identity.format and series
    named = series or (source.format != "dicom" and volume.shape == identity.shape)
    return source.path.absolute() == identity.path and named


def _series_hash(series: str, salt: str) -> str:
    return hashlib.sha256(f"{salt} {series}".encode()).hexdigest()[:32]


# -- what the user stated about a scan ----------------------------------------------
def stated(volume: Volume) -> dict[str, Any]:
    """Modality and side as the user stated them; empty where they are the file's own. JSON-ready."""
    facts = {name: volume.facts.get(name) for name in ("modality", "patient_orientation")}
    said = {name for name, fact in facts.items() if fact is not None and fact.origin == "user"}
    side = volume.patient_orientation
    return {
        name: value
        for name, value in (("modality", volume.modality), ("patient_orientation", list(side) if side else None))
        if name in said
    }


def with_stated(volume: Volume, values: Mapping[str, Any]) -> Volume:
    """The volume with what the user stated. Raises ValueError for damaged values."""
    from medviewer.services.open_data import with_modality

    try:
        if values.get("modality"):
            volume = with_modality(volume, str(values["modality"]))
        if "patient_orientation" not in values:
            return volume
        side = _side(values["patient_orientation"])
    except (UserError, TypeError) as error:
        raise ValueError("a damaged description of a scan") from error
    facts = dict(volume.facts) | {"patient_orientation": Fact("\\".join(side) if side else None, "user")}
    return volume.with_changes(patient_orientation=side, facts=facts)


def _side(value: Sequence[Any] | None) -> tuple[str, str] | None:
    if value is None:
        return None
    first, second = (str(v) for v in value)
    return first, second
