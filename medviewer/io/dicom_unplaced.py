"""CT, MR and PET images without a place in the patient: a stack of pictures to page through, never a volume."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace

from medviewer.core.volume import SeriesEntry
from medviewer.io.dicom_handle import Handle

_SLICES_OF_SOMETHING = ("CT", "MR", "PT")


def stacked_pictures(entries: Sequence[SeriesEntry]) -> list[SeriesEntry]:
    """The entries of one series, with its unplaced slices of equal format as one stack in the order of their numbers.

    The stack has no third dimension in space: no affine, no distances and no volumes across the pictures.
    """
    groups: dict[Hashable, list[SeriesEntry]] = defaultdict(list)
    for index, entry in enumerate(entries):
        groups[_alike(entry) or index].append(entry)
    return [group[0] if len(group) == 1 else _stack(group) for group in groups.values()]


def _alike(entry: SeriesEntry) -> Hashable:
    if entry.kind != "image" or entry.modality not in _SLICES_OF_SOMETHING:
        return None
    return entry.handle.frames[0].format, entry.spacing_mm, entry.units, entry.modality


def _stack(entries: Sequence[SeriesEntry]) -> SeriesEntry:
    numbers = [entry.handle.instance_numbers[0] for entry in entries]
    numbered = None not in numbers and len(set(numbers)) == len(numbers)
    if numbered:
        entries = sorted(entries, key=lambda entry: int(entry.handle.instance_numbers[0]))
    first, handles = entries[0], [entry.handle for entry in entries]
    note = (
        f"These {len(entries)} images do not state where they lie in the patient (no image position, orientation or "
        f"pixel spacing): they are shown one after the other by {'instance number' if numbered else 'file name'}, "
        "not as a volume."
    )
    told = dict.fromkeys(text for entry in entries for text in entry.warnings)
    return replace(
        first,
        kind="cine",
        shape_xyz=(*first.shape_xyz[:2], len(entries)),
        warnings=(note, *told),
        handle=_joined(handles),
    )


def _joined(handles: Sequence[Handle]) -> Handle:
    orientations = {handle.patient_orientation for handle in handles}
    return replace(
        handles[0],
        frames=tuple(ref for handle in handles for ref in handle.frames),
        instance_uids=tuple(uid for handle in handles for uid in handle.instance_uids),
        instance_numbers=tuple(number for handle in handles for number in handle.instance_numbers),
        patient_orientation=orientations.pop() if len(orientations) == 1 else None,
    )
