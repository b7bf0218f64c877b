"""A scan as the pictures that a vision-language model is shown: chosen slices, windowed, turned as radiologists view
them (patient right on the left; head or front at the top), square so that no processor distorts or crops them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.models.planes import SlicePlan, plan_slices
from medviewer.models.preprocessing import robust_range

if TYPE_CHECKING:
    from PIL import Image

LONGEST_SIDE = 1024  # pixels; processors scale to their own size, which is smaller
_FINDING = "49755003"  # SNOMED CT: morphologically abnormal structure
_FINDING_WEIGHT = 3.0
_GOOD_VIEW = 0.5  # a slice shows a structure well that has this share of its largest area
_PERCENTILES = {"MR": (1.0, 99.0)}
Stack = NDArray[Any]


@dataclass(frozen=True)
class Window:
    """`width` and `centre` in the scan's units; `name` for the reader; `sigmoid`: DICOM's VOI LUT function SIGMOID
    (PS3.3 C.11.2.1.3.1)."""

    width: float
    centre: float
    name: str = ""
    sigmoid: bool = False

    def grey(self, values: NDArray[Any], inverted: bool = False) -> NDArray[np.uint8]:
        """0..255; what is no number is black."""
        wide = np.asarray(values, np.float32)
        width = max(self.width, 1e-6)
        if self.sigmoid:
            unit = 1.0 / (1.0 + np.exp(np.clip(-4.0 * (wide - self.centre) / width, -60.0, 60.0)))
        else:
            unit = np.clip((wide - self.centre) / width + 0.5, 0.0, 1.0)
        unit = 1.0 - unit if inverted else unit
        return np.asarray(np.nan_to_num(unit) * 255.0 + 0.5, np.uint8)


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture (RGB, square). `slice`: number in the stack from 0, which for axial slices counts from the feet;
    `index`: the voxel index along the acquisition axis, or the frame."""

    image: Image.Image
    slice: int
    index: int
    plane: str
    slices: int
    window: str


def windows_of(volume: Volume, presets: Mapping[str, Any], wanted: Sequence[str], german: bool) -> tuple[Window, ...]:
    """The windows to show a scan in: the wanted presets (ids) for CT in HU; else the stored one, else percentiles."""
    if volume.is_color:
        return (Window(255.0, 127.5),)
    if volume.units == "HU":
        known = {str(one.get("id")): one for one in presets.get("presets", ())}
        chosen = [known[id_] for id_ in wanted if id_ in known and known[id_].get("width")]
        if chosen:
            name = "name_de" if german else "name"
            return tuple(Window(float(one["width"]), float(one["level"]), str(one[name])) for one in chosen)
    return (_own_window(volume),)


def _own_window(volume: Volume) -> Window:
    fact = volume.facts.get("voi_lut_function")
    sigmoid = fact is not None and str(fact.value).upper() == "SIGMOID"
    if volume.window is not None and volume.window[0] > 0:
        return Window(*volume.window, sigmoid=sigmoid)
    if volume.array.dtype == np.uint8:
        return Window(255.0, 127.5)
    values = np.asarray(volume.array)[tuple(slice(None, None, max(1, n // 128)) for n in volume.array.shape)]
    if volume.padding_value is not None and (scanned := values[values != volume.padding_value]).size:
        values = scanned
    low, high = robust_range(values, *_PERCENTILES.get((volume.modality or "").upper(), (0.5, 99.5)))
    return Window(high - low, (high + low) / 2)


def pictures_of(
    volume: Volume, segments: Iterable[Segment], windows: Sequence[Window], most: int, findings: Iterable[str] = ()
) -> tuple[Picture, ...]:
    """At most `most` pictures, in the order of the slices; every chosen slice in each of the windows.

    `findings`: ids of segments that are abnormal, to be shown first. Masks are bool (i, j, k) on the volume's grid.
    """
    plan = plan_slices(volume)
    used = windows[: max(1, most)]
    count = max(1, most // len(used))
    chosen = choose_slices(_areas(plan, segments, frozenset(findings)), plan.shape[0], count)
    stack = plan.to_stack(volume.array[..., 0] if volume.is_color else volume.array)
    return tuple(
        Picture(
            _image(_values(volume, plan, stack, number), plan, window, volume.inverted and not volume.is_color),
            number, plan.shape[0] - 1 - number if plan.reversed[0] else number, plan.plane, plan.shape[0], window.name,
        )
        for number in chosen for window in used
    )  # fmt: skip


def _values(volume: Volume, plan: SlicePlan, stack: Stack, number: int) -> NDArray[Any]:
    """One slice (rows, columns), or (rows, columns, 3) of a colour image."""
    if not volume.is_color:
        return stack[number]
    return np.stack([plan.to_stack(volume.array[..., band])[number] for band in range(3)], axis=-1)


# -- which slices ---------------------------------------------------------------------
def _areas(plan: SlicePlan, segments: Iterable[Segment], findings: frozenset[str]) -> NDArray[np.float64]:
    """Area of each structure on each slice as a share of its largest (structures, slices), findings weighted."""
    rows = []
    for segment in segments:
        area = plan.to_stack(segment.mask).sum(axis=(1, 2), dtype=np.float64)
        if area.any():
            rows.append(area / area.max() * (_FINDING_WEIGHT if segment.id in findings else 1.0))
    return np.array(rows).reshape(len(rows), plan.shape[0])


def choose_slices(areas: NDArray[np.float64], slices: int, count: int) -> tuple[int, ...]:
    """Numbers of at most `count` slices, ascending: first those that show most structures well that no chosen one shows
    (areas: structures x slices, weighted shares of the largest), then evenly spread over where structures are; evenly
    over everything where there are none."""
    chosen: list[int] = []
    tops = areas.max(axis=1, initial=0.0)
    hidden = tops > 0
    while hidden.any() and len(chosen) < count:
        shown = np.where(areas[hidden] >= _GOOD_VIEW * tops[hidden, None], areas[hidden], 0.0)
        best = int(shown.sum(axis=0).argmax())
        chosen.append(best)
        hidden &= areas[:, best] < _GOOD_VIEW * tops
    occupied = np.flatnonzero(areas.any(axis=0)) if len(areas) else np.arange(slices)
    return tuple(sorted(_spread(chosen, occupied, count)))


def _spread(chosen: list[int], allowed: NDArray[np.intp], count: int) -> list[int]:
    """The chosen numbers and further ones of the allowed, each as far from its neighbours as can be."""
    if not chosen:
        parts = min(count, len(allowed))
        return [int(allowed[int((n + 0.5) * len(allowed) / parts)]) for n in range(parts)]
    while len(chosen) < count:
        distance = np.abs(allowed[:, None] - np.array(chosen)[None]).min(axis=1)
        if not distance.max():
            break
        chosen.append(int(allowed[int(distance.argmax())]))
    return chosen


# -- one picture ----------------------------------------------------------------------
def _image(values: NDArray[Any], plan: SlicePlan, window: Window, inverted: bool) -> Image.Image:
    from PIL import Image

    grey = np.asarray(values, np.uint8) if values.ndim == 3 else window.grey(values, inverted)
    picture = Image.fromarray(np.ascontiguousarray(grey)).convert("RGB")
    rows, columns = values.shape[:2]
    tall, wide = rows * plan.spacing[1], columns * plan.spacing[2]
    side = min(LONGEST_SIDE, max(round(max(tall, wide) / min(plan.spacing[1:])), 1))
    height, width = (max(1, round(side * length / max(tall, wide))) for length in (tall, wide))
    if (height, width) != (rows, columns):
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    square = Image.new("RGB", (side, side))
    square.paste(picture, ((side - width) // 2, (side - height) // 2))
    return square
