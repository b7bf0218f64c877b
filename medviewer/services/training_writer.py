"""Writes the files of one case of a training set, reads them back, and enters the case."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import OutputNotWritten, UserError
from medviewer.core.progress import Progress
from medviewer.core.volume import Volume
from medviewer.io import write_nifti, write_png
from medviewer.io.atomic import atomic_files
from medviewer.io.training_set import MOST_BITS, place_of, same_name, sha256_of
from medviewer.services.training_case import IMAGES, MASKS, Item, segment_record, title_of
from medviewer.services.training_document import SetDocument

_MOST_BITS_PNG = 16
_KEPT = ("modality", "units", "inverted", "spacing_mm", "orientation", "patient", "notes")
_NIFTI, _PNG = ".nii.gz", ".png"
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def write_item(item: Item, document: SetDocument, patient: str, progress: Progress) -> bool:
    """Write image and mask of a case and enter it; whether it replaced one. Raises OutputNotWritten, Cancelled."""
    picture = as_picture(item.volume)
    image = item.source or document.folder / IMAGES / f"{item.id}{_NIFTI if picture is None else _PNG}"
    ending = _PNG if image.suffix.lower() in _PICTURES else _NIFTI
    mask = document.folder / MASKS / f"{item.id}{ending}"
    values, encoding, labels = _encoded(item, document, ending)
    entry = _entry(item, image, mask, encoding, labels, patient)
    keeps = item.source is not None or _holds(image, item.volume, picture)
    before = document.entries.get(item.id)
    if before is not None and item.source is not None:  # its file does not say what the scan it came from said
        entry = {key: before[key] for key in _KEPT if key in before} | entry
    with ExitStack() as stack:
        new_mask, *new_image = stack.enter_context(atomic_files(mask, *([] if keeps else [image])))
        for path in new_image:
            _write_image(path, item.volume, picture)
        progress.report(0.6, "Writing the mask")
        _write_mask(new_mask, item, values)
        progress.report(0.9, "Entering the case")
        entry["mask_sha256"] = sha256_of(new_mask)
        document.announce(entry)
    document.put(entry)
    _remove_other(document.folder, before, entry)
    return before is not None


def as_picture(volume: Volume) -> NDArray[Any] | None:
    """(rows, cols[, 3]) for a PNG that keeps every value; None for volumes and values that a PNG cannot keep."""
    array = volume.array
    if volume.affine is not None or volume.shape[2] > 1:
        return None
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    if array.dtype not in (np.uint8, np.uint16):
        if volume.is_color or array.dtype.kind not in "iu" or array.min() < 0 or array.max() > 65535:
            return None
        array = array.astype(np.uint16)
    return np.ascontiguousarray(array[:, :, 0].swapaxes(0, 1))


def _remove_other(folder: Path, before: Mapping[str, Any] | None, entry: Mapping[str, Any]) -> None:
    """The old mask of a case, where it had another ending: a case has one mask."""
    if before is not None and before.get("mask") != entry["mask"]:
        with suppress(OSError):
            place_of(folder, before.get("mask")).unlink(missing_ok=True)


def placed(volume: Volume) -> Volume:
    """With an affine for NIfTI: its own, or for a picture whose values no PNG can keep its pixel size alone."""
    if volume.affine is not None:
        return volume
    i, j, k = volume.spacing_mm or (1.0, 1.0, 1.0)
    return volume.with_changes(affine=np.diag([i or 1.0, j or 1.0, k or 1.0, 1.0]))


def _holds(path: Path, volume: Volume, picture: NDArray[Any] | None) -> bool:
    """Whether the image is there already, voxel by voxel: then it is left alone."""
    if not path.is_file():
        return False
    try:
        _verify_image(path, volume, picture)
    except (UserError, OSError, ValueError, SyntaxError):
        return False
    return True


def _write_image(path: Path, volume: Volume, picture: NDArray[Any] | None) -> None:
    if picture is None:
        write_nifti.write_volume(path, placed(volume), Progress())
    else:
        write_png.write_picture(path, picture)
    _verify_image(path, volume, picture)


def _verify_image(path: Path, volume: Volume, picture: NDArray[Any] | None) -> None:
    if picture is None:
        write_nifti.verify_volume(path, placed(volume))
    else:
        write_png.verify_picture(path, picture)


def _write_mask(path: Path, item: Item, values: NDArray[Any]) -> None:
    """A PNG beside a picture, NIfTI beside all else."""
    if path.name.endswith(_NIFTI):
        affine = placed(item.volume).affine
        assert affine is not None
        write_nifti.write_array(path, values, affine, "labels")
        write_nifti.verify_array(path, values, affine)
        return
    picture = np.ascontiguousarray(values[:, :, 0].T)
    write_png.write_picture(path, picture)
    write_png.verify_picture(path, picture)


# -- values -----------------------------------------------------------------------------------------------------------
def _encoded(item: Item, document: SetDocument, ending: str) -> tuple[NDArray[Any], str, dict[str, int]]:
    """(values (i, j, k), encoding, label to value): indices of the set, or one bit per label where labels overlap."""
    labels = {document.spelling(label): mask for label, mask in item.masks.items()}
    if not item.overlaps:
        meaning = {label: document.labels[label] for label in labels}
        values = np.zeros(item.volume.shape, np.uint8 if max(meaning.values()) <= 255 else np.uint16, order="F")
        for label, mask in labels.items():
            np.copyto(values, values.dtype.type(meaning[label]), where=mask)  # lets other threads run, unlike indexing
        return values, "index", meaning
    most = _MOST_BITS_PNG if ending == _PNG else MOST_BITS
    if len(labels) > most:
        raise OutputNotWritten(
            f"{title_of(item.volume)} has {len(labels)} labels that overlap; one mask holds {most}.",
            "Export fewer segments, or mend the overlap.",
        )
    meaning = {label: 1 << bit for bit, label in enumerate(labels)}
    kind = next(kind for kind in (np.uint8, np.uint16, np.uint32) if len(labels) <= 8 * np.dtype(kind).itemsize)
    values = np.zeros(item.volume.shape, kind, order="F")
    for label, mask in labels.items():
        np.bitwise_or(values, kind(meaning[label]), out=values, where=mask)
    return values, "bitmask", meaning


def _entry(item: Item, image: Path, mask: Path, encoding: str, labels: dict[str, int], patient: str) -> dict[str, Any]:
    volume = item.volume
    told: dict[str, Any] = {
        "id": item.id,
        "image": f"{IMAGES}/{image.name}",
        "mask": f"{MASKS}/{mask.name}",
        "encoding": encoding,
        "labels": labels,
        "modality": volume.modality,
        "units": volume.units,
        "inverted": volume.inverted or None,
        "spacing_mm": list(volume.spacing_mm) if volume.affine is None and volume.spacing_mm else None,
        "orientation": None if volume.affine is None or volume.orientation_recorded else "not recorded",
        "patient": patient or None,
        "segments": [segment_record(_label(segment.name, labels), segment) for segment in item.segments],
        "notes": list(item.notes) or None,
        "exported": datetime.now(UTC).date().isoformat(),
    }
    return {key: value for key, value in told.items() if value is not None}


def _label(name: str, labels: dict[str, int]) -> str:
    return next(label for label in labels if same_name(label, name))
