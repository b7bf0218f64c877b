"""What the segment list says. Qt-free."""

from __future__ import annotations

from dataclasses import dataclass

from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume


@dataclass(frozen=True)
class Size:
    """How large a mask is: voxels, and ml or mm2 where the geometry is known."""

    voxels: int
    volume_ml: float | None = None
    area_mm2: float | None = None


def size_of(voxels: int, volume: Volume) -> Size:
    """From the number of voxels in the mask."""
    ml, area = volume.voxel_ml, volume.pixel_area_mm2
    return Size(voxels, voxels * ml if ml is not None else None, voxels * area if area is not None else None)


def size_text(size: Size, cut: bool) -> str:
    """For instance "137 ml"; "cut" where the scan cuts the structure; pixels where no spacing is known."""
    if size.voxels == 0:
        return "empty"
    if cut:
        return "cut"
    if size.volume_ml is not None:
        return f"{number(size.volume_ml)} ml"
    if size.area_mm2 is not None:
        return f"{number(size.area_mm2 / 100)} cm²"
    return f"{size.voxels} px"


def number(value: float) -> str:
    """Three significant figures, without more digits than that."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def edges_text(cut_edges: tuple[str, ...]) -> str:
    """For instance "cut at the upper and left edge"; empty if nothing is cut."""
    if not cut_edges:
        return ""
    if cut_edges == ("image edge",):
        return "cut at the edge of the image"
    names = [e.removesuffix(" edge") for e in cut_edges]
    joined = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
    return f"cut at the {joined} edge"


def origin_text(segment: Segment) -> str:
    """Where the mask came from and what people did to it."""
    provenance = segment.provenance
    if provenance.algorithm == "MANUAL":
        start = "drawn by hand"
    elif provenance.prompt:
        start = "text"
    elif provenance.model_id:
        start = "clicks"
    else:
        start = "file"
    count = len(provenance.edits)
    return f"{start}, not edited" if count == 0 else f"{start}, {count} edit{'s' if count > 1 else ''}"
