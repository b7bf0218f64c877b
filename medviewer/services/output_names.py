"""The names of what one export writes: the file that was asked for and those beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medviewer.core.segmentation import Segment
from medviewer.io.label_sidecar import sidecar_path

_ONE_EACH = (".stl", ".ply", ".png")


def outputs(path: Path, segments: Sequence[Segment]) -> list[Path]:
    """Every file or folder that saving these segments as `path` may replace, the one that was asked for first.

    No segments means a picture of the views.
    """
    name = path.name.lower()
    found = [path]
    if segments and name.endswith((".nii", ".nii.gz")):
        found.append(sidecar_path(path))
    if segments and name.endswith(".dcm"):
        found.append(source_folder(path))
    if len(segments) > 1 and name.endswith(_ONE_EACH):
        found += [numbered_name(path, number, segment.name) for number, segment in enumerate(segments, start=1)]
    return found


def existing(paths: Sequence[Path]) -> list[Path]:
    """Those that are there; a name that the drive does not take is not."""
    return [path for path in paths if _exists(path)]


def numbered_name(path: Path, number: int, name: str) -> Path:
    """`out.png`, 2, "Left kidney" -> `out_2_left_kidney.png`; only letters and digits of the name are used."""
    words = "".join(letter if letter.isalnum() else " " for letter in name.lower()).split()
    return path.with_name("_".join([path.stem, str(number), *words])[:120] + path.suffix)


def source_folder(path: Path) -> Path:
    """Where the source series of the segmentation `path` goes: `liver.dcm` has `liver_source`."""
    return path.with_name(path.name[: -len(path.suffix)] + "_source")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False
