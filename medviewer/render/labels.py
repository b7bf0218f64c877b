"""The words on a view: plane, image number, window, position, value, identity, badges. For window and pictures."""

from __future__ import annotations

from collections.abc import Sequence

from medviewer.core.geometry import position_text
from medviewer.core.regularisation import Irregularity
from medviewer.core.volume import Patient, Volume
from medviewer.render.slice_grid import is_oblique
from medviewer.render.slice_view import Pick, SliceView

RESEARCH_USE = "Research use only. Not for diagnosis or treatment decisions."
_NICE = (1, 2, 5, 10, 20, 50, 100, 200)


def plane_line(view: SliceView) -> str:
    """For instance "Axial · image 87 of 112" or "Frame 12 of 60"."""
    volume, grid = view.volume, view.grid
    if volume is None or grid is None:
        return ""
    if volume.kind == "cine":
        return f"Frame {view.index + 1} of {grid.count}"
    name = grid.plane.capitalize() if grid.plane != "native" else (volume.modality or "Image")
    if volume.affine is not None and is_oblique(volume.affine):
        name += " (oblique)"
    if grid.count == 1:
        return name
    return f"{name} · image {view.index + 1} of {grid.count}"


def pacs_line(view: SliceView) -> str:
    """Series and instance number as the PACS shows them; empty where there is no DICOM source."""
    volume, grid = view.volume, view.grid
    if volume is None or grid is None:
        return ""
    parts = []
    series = fact_value(volume, "series_number", "SeriesNumber")
    if series:
        parts.append(f"Series {series}")
    numbers = volume.source.instance_numbers
    if grid.slice_axis == 2 and view.index < len(numbers) and numbers[view.index] is not None:
        parts.append(f"instance {numbers[view.index]}")
    return " · ".join(parts)


def window_line(view: SliceView) -> str:
    """For instance "W 400 L 40"; empty for colour."""
    if view.volume is None or view.volume.is_color:
        return ""
    width, centre = view.look.window
    return f"W {number(width)} L {number(centre)}"


def position_line(volume: Volume, pick: Pick, names: Sequence[str] = ()) -> str:
    """For instance "L 78 A 126 S 357 mm · 17 HU · Left kidney"."""
    return " · ".join(position_parts(volume, pick, names))


def position_parts(volume: Volume, pick: Pick, names: Sequence[str] = ()) -> tuple[str, ...]:
    """Place, value with unit, segments; what is unknown is left out."""
    parts = [place_text(volume, pick)]
    if pick.voxel is not None:
        parts.append(value_text(volume, pick.voxel))
        parts.extend(names)
    return tuple(part for part in parts if part)


def place_text(volume: Volume, pick: Pick) -> str:
    """Where, with letters and unsigned mm; voxels or pixels where the place in the patient is not recorded."""
    if volume.kind != "cine" and volume.orientation_recorded:
        return position_text(pick.position)
    if pick.voxel is None:
        return ""
    if volume.kind == "volume" and volume.affine is not None:
        return f"voxel {pick.voxel[0]} {pick.voxel[1]} {pick.voxel[2]}"
    return f"x {pick.voxel[0]} y {pick.voxel[1]} px"


def value_text(volume: Volume, voxel: tuple[int, int, int]) -> str:
    """Stored value and unit at a voxel index."""
    value = volume.array[voxel]
    if volume.is_color:
        return "RGB " + " ".join(str(int(v)) for v in value)
    unit = f" {volume.units}" if volume.units else ""
    return f"{number(float(value))}{unit}"


def number(value: float) -> str:
    """A short number: integers whole, others with three significant digits; a true minus sign."""
    rounded = round(value)
    text = str(rounded) if abs(value - rounded) < 1e-6 or abs(value) >= 100 else f"{value:.3g}"
    return text.replace("-", "−")


def identity_line(volume: Volume) -> str:
    """Name, ID, birth date, sex, study date and series description, saying what is missing."""
    who: Patient = volume.patient
    born = f"born {date_text(who.birth_date)}" if who.birth_date else ""
    date = date_text(who.study_date) if who.study_date else "no date"
    parts = [who.name.replace("^", ", ") or "no name", who.id or "no ID", born, who.sex, date, volume.title]
    return " · ".join(part for part in parts if part)


def date_text(value: str) -> str:
    """DICOM date 20240131 as 2024-01-31; anything else unchanged."""
    return f"{value[:4]}-{value[4:6]}-{value[6:]}" if len(value) == 8 and value.isdigit() else value


def badges(view: SliceView) -> list[str]:
    """What a reader must know about this picture, in capitals."""
    volume = view.volume
    if volume is None:
        return []
    found = []
    if view.camera.flipped:
        found.append("FLIPPED")
    if view.camera.quarter_turns % 4:
        found.append("ROTATED")
    if view.look.inverted != volume.inverted:
        found.append("INVERTED")
    if is_lossy(volume):
        found.append("LOSSY")
    found += _regularised(view, volume)
    if not view.letters():
        found.append("SIDE NOT RECORDED")
    if not view.masks_shown and view.layers:
        found.append("MASKS HIDDEN")
    return found


def _regularised(view: SliceView, volume: Volume) -> list[str]:
    """That these are not the voxels as they were acquired; on a filled-in slice, that nothing was acquired there."""
    done = volume.regularisation
    if done is None:
        return []
    if done.reasons == (Irregularity.MEMORY,):
        return ["REDUCED"]
    across = view.grid is not None and view.grid.slice_axis == 2
    return ["INTERPOLATED SLICE" if across and view.index in done.interpolated else "RESAMPLED"]


def is_lossy(volume: Volume) -> bool:
    """Whether the source says that its pixels were compressed with loss."""
    value = fact_value(volume, "lossy", "lossy_compression", "LossyImageCompression", "lossy_image_compression")
    return str(value).lower() not in ("", "none", "0", "00", "no", "false")


def fact_value(volume: Volume, *names: str) -> str:
    """The first recorded fact of these names as text; empty if none is known."""
    for name in names:
        fact = volume.facts.get(name)
        if fact is not None and fact.value is not None:
            return str(fact.value)
    return ""


def scale_bar(mm_per_pixel: float | None, width: float, note: str = "") -> tuple[float, str] | None:
    """Length in logical pixels and label of a scale bar of about a fifth of the view; None without spacing.

    `note` says what the millimetres mean where that matters, for instance "at the detector".
    """
    if mm_per_pixel is None or mm_per_pixel <= 0:
        return None
    wanted = 0.22 * width * mm_per_pixel
    fitting = [n for n in _NICE if n <= wanted]
    if not fitting:
        return (wanted / mm_per_pixel, f"{wanted:.2g} mm {note}".strip()) if wanted > 0 else None
    return fitting[-1] / mm_per_pixel, f"{fitting[-1]} mm {note}".strip()
