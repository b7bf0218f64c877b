"""Key images for a report that is made without a window: views through what matters, with the masks on them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Literal

from medviewer.core.geometry import lps_to_voxel, position_text
from medviewer.core.report.document import Evidence, Finding, KeyImage, Report
from medviewer.core.report.wording import image_place
from medviewer.core.report.words import Words
from medviewer.core.scene import extent_of
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume

_ABNORMAL = "49755003"  # SNOMED CT: findings are shown before organs
_SIZE = (640, 640)
_MOST = 2  # structures
_TALL_MM = 100.0  # a coronal view of less shows a stripe
View = Literal["axial", "coronal", "native"]


def with_key_images(report: Report, volume: Volume, segments: Sequence[Segment], words: Words) -> Report:
    """The report with pictures through its first findings: what is abnormal, else the largest masks; axial, and coronal
    for the first. A report without masks has none."""
    images: list[KeyImage] = []
    for number, segment in enumerate(_targets(report, segments)):
        flat = volume.kind != "volume" or volume.affine is None
        both = number == 0 and not flat and _height(volume) >= _TALL_MM
        views: tuple[View, ...] = ("native",) if flat else ("axial", "coronal") if both else ("axial",)
        images += [_picture(report, volume, segments, segment, view, words) for view in views]
        if flat:
            break  # one picture shows everything
    return report.with_changes(key_images=(*report.key_images, *images))


def _targets(report: Report, segments: Sequence[Segment]) -> list[Segment]:
    """The masks that sentences point at: findings first, then by size."""
    from medviewer.services.resources import terminology

    def rank(segment: Segment) -> tuple[bool, int]:
        term = terminology().get(segment.term_id) if segment.term_id in terminology() and segment.term_id else None
        return term is None or term.category.value != _ABNORMAL, -int(segment.mask.sum())

    told = {e.segment_id for finding in report.findings for e in finding.evidence}
    return sorted((s for s in segments if s.id in told), key=rank)[:_MOST]


def _height(volume: Volume) -> float:
    low, high = extent_of(volume)
    return float(high[2] - low[2])


def _picture(
    report: Report, volume: Volume, segments: Sequence[Segment], segment: Segment, view: View, words: Words
) -> KeyImage:
    """One view through a mask; its caption names the mask and the place."""
    from PIL import Image

    from medviewer.render.screenshot import screenshot

    found = list(_pointing_at(report, segment))
    at = next((e.position for _, e in found if e.position is not None), None)
    stream = io.BytesIO()
    Image.fromarray(screenshot(volume, view, segments, at, _SIZE)).save(stream, "PNG")
    caption = [found[0][0].text.split(":")[0], words.phrase(f"view_{view}")]
    if at is not None and volume.affine is not None:
        caption.append(position_text(at))
    place = image_place(volume, _slice(volume, view, at), words).rstrip(".")
    caption += [place] if place else []
    ids = tuple(dict.fromkeys(finding.id for finding, _ in found))
    return KeyImage(stream.getvalue(), ", ".join(caption), ids, _instance(volume, _slice(volume, view, at)))


def _pointing_at(report: Report, segment: Segment) -> Iterator[tuple[Finding, Evidence]]:
    for finding in report.findings:
        for evidence in finding.evidence:
            if evidence.kind == "segment" and evidence.segment_id == segment.id:
                yield finding, evidence


def _slice(volume: Volume, view: View, at: tuple[float, float, float] | None) -> int | None:
    """The slice (k) that is shown; None for views across the slices."""
    if view == "native":
        return 0 if volume.shape[2] == 1 else None
    if view != "axial" or at is None or volume.affine is None:
        return None
    index = round(float(lps_to_voxel(volume.affine, at)[2]))
    axial = abs(volume.affine[2, 2]) > max(abs(volume.affine[0, 2]), abs(volume.affine[1, 2]))
    return index if axial and 0 <= index < volume.shape[2] else None


def _instance(volume: Volume, index: int | None) -> str:
    """UID of the image that is shown, where it has one."""
    uids = volume.source.instance_uids
    return uids[index] if index is not None and len(uids) == volume.shape[2] else ""
