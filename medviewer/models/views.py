"""What the network sees of a volume: slices of one plane, all or every n-th, at one input size."""

from __future__ import annotations

from dataclasses import dataclass, replace

from medviewer.core.volume import Volume
from medviewer.models.channels import modality_of, neighbour_step
from medviewer.models.planes import SlicePlan, plan_along, plan_slices
from medviewer.models.preprocessing import Letterbox, input_side, letterbox_of


@dataclass(frozen=True)
class View:
    """Every `step`-th slice of a plan's stack, from `first` on, fitted into `box`; the network also sees the slices
    `neighbour` away (0: none)."""

    plan: SlicePlan
    box: Letterbox
    first: int = 0
    step: int = 1
    neighbour: int = 0

    @property
    def count(self) -> int:
        """How many slices are looked at."""
        return (self.plan.shape[0] - 1 - self.first) // self.step + 1

    @property
    def spacing(self) -> float:
        """mm from one looked-at slice to the next; 0 where unknown."""
        return self.plan.spacing[0] * self.step

    def numbers(self, start: int, stop: int) -> list[int]:
        """Stack numbers of the looked-at slices start..stop."""
        return [self.first + n * self.step for n in range(start, stop)]


LEAST_VOXELS = 24  # along every axis, for slices across it to show something
MOST_ANISOTROPIC = 2.5  # largest to smallest spacing, for other planes to help
OTHER_SLICES = 64  # at most, of each other plane
OTHER_SIDE = 192  # input side of the other planes, at most
PICTURE_SIDES = (-32, 64)  # input sides of the other views of a picture, beyond that of its main view


def acquisition_view(volume: Volume, modality: str | None = None) -> View:
    """Every slice along the acquisition axis; of another modality than the scan records, where one is given."""
    plan = plan_slices(volume)
    _, rows, columns = plan.shape
    box = letterbox_of(rows, columns, plan.spacing[1:], input_side(modality or modality_of(volume), rows, columns))
    return View(plan, box, neighbour=neighbour_step(plan.spacing[0]))


def other_views(volume: Volume, main: View) -> tuple[View, ...]:
    """What is looked at beside the main view, and averaged with it.

    Of a picture the same at other sizes. Of a volume the two planes across the acquisition's, at lower resolution; none
    where it is too thin or its spacing too uneven for them, or where its place in the patient is unknown.
    """
    if volume.kind == "image":
        return tuple(_resized(main, main.box.size + change) for change in PICTURE_SIDES)
    spacing = volume.spacing_mm
    if volume.kind != "volume" or volume.affine is None or spacing is None or min(volume.shape) < LEAST_VOXELS:
        return ()
    if max(spacing) > MOST_ANISOTROPIC * min(spacing):
        return ()
    return tuple(_other_view(volume, axis) for axis in range(3) if axis != main.plan.axes[0])


def _resized(view: View, side: int) -> View:
    _, rows, columns = view.plan.shape
    return replace(view, box=letterbox_of(rows, columns, view.plan.spacing[1:], side))


def _other_view(volume: Volume, axis: int) -> View:
    plan = plan_along(volume, axis)
    slices, rows, columns = plan.shape
    side = min(OTHER_SIDE, input_side(modality_of(volume), rows, columns))
    step = -(-slices // OTHER_SLICES)
    first = (slices - 1) % step // 2
    box = letterbox_of(rows, columns, plan.spacing[1:], side)
    return View(plan, box, first, step, neighbour_step(plan.spacing[0]))
