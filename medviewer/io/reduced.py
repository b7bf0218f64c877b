"""Reading a scan that is too large for the memory: slab by slab, each block of voxels becoming its mean."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.core.progress import Progress
from medviewer.core.regularisation import Irregularity, Regularisation
from medviewer.core.volume import SeriesEntry, Source, Volume
from medviewer.io.nifti import replace_non_finite
from medviewer.io.voxel_stream import Encoding, damaged_data, to_native, unpacked_chunks

Array = NDArray[Any]
Factors = tuple[int, int, int]


@dataclass(frozen=True)
class Stored:
    """Voxels (i, j, k) of a file, i fastest: `offset` bytes in, behind `skip` bytes of earlier ones. The real value is
    stored * `slope` + `intercept`."""

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    encoding: Encoding
    offset: int
    skip: int = 0
    slope: float = 1.0
    intercept: float = 0.0


def load_reduced(entry: SeriesEntry, factors: Factors, sentence: str, progress: Progress) -> Volume:
    """Voxels of an entry with every `factors` (i, j, k) block replaced by its mean; the rest at the far ends, less than
    a block, is left out. `sentence` is the notice, which the volume carries as its regularisation.

    Raises InputRefused for what cannot be averaged (label maps, colour, resampled series) or is damaged.
    """
    content = entry.facts.get("content")
    if content is not None and content.value == "label map":
        raise InputRefused(f"{entry.title} is a label map, which cannot be averaged.", "Crop it first.")
    if entry.format == "dicom":
        return _reduced_dicom(entry, factors, sentence, progress)
    stored = _stored(entry)
    array = reduce_slabs(_slabs(stored, factors[2], progress), stored.shape, factors)
    if (stored.slope, stored.intercept) != (1.0, 0.0):
        array = array.astype(np.float32, order="F")
        array *= np.float32(stored.slope)
        array += np.float32(stored.intercept)
    array, notes = replace_non_finite(array)
    volume = Volume(
        array, entry.affine_lps, entry.modality, entry.units, entry.kind, entry.spacing_mm, facts=entry.facts,
        warnings=(*entry.warnings, *notes), id=entry.id, title=entry.title,
        source=Source(entry.format, entry.path, tuple({entry.handle.path: 0, stored.path: 0})),
    )  # fmt: skip
    return _on_coarse_grid(volume, factors, sentence)


def reduce_slabs(slabs: Iterator[Array], shape: Factors, factors: Factors, pad: float | None = None) -> Array:
    """Block means of slabs (i, j, factors[2]) that come in the order of k. Whole numbers stay whole (rounded); a block
    with a voxel of value `pad` becomes `pad`."""
    size = tuple(n // f for n, f in zip(shape, factors, strict=True))
    out: Array | None = None
    for k, slab in enumerate(slabs):
        plane = block_means(slab, factors, pad)
        if out is None:
            out = np.empty(size, plane.dtype, order="F")
        elif plane.dtype != out.dtype:  # a later slab needs a wider type
            out = out.astype(np.result_type(out.dtype, plane.dtype), order="F")
        out[:, :, k] = plane
    assert out is not None
    return out


def block_means(slab: Array, factors: Factors, pad: float | None = None) -> Array:
    """(i, j, f2) to (i // f0, j // f1)."""
    wide = np.float64 if slab.dtype.itemsize > 2 and slab.dtype != np.float32 else np.float32
    means = _block_sums(slab, factors, np.dtype(wide)) / wide(np.prod(factors))
    if slab.dtype.kind in "iu":
        means = np.rint(means).astype(slab.dtype)
    elif slab.dtype == np.float64:
        means = means.astype(np.float32)
    if pad is not None:
        means[_block_sums(slab == pad, factors, np.dtype(np.int32)) > 0] = pad
    return np.asarray(means)


def _block_sums(slab: Array, factors: Factors, dtype: np.dtype[Any]) -> Array:
    """Sums over blocks, one axis after the other: whole planes are added, which is several times faster than `mean`."""
    f0, f1, f2 = factors
    i, j = slab.shape[0] // f0 * f0, slab.shape[1] // f1 * f1
    plane = slab[:i, :j, 0].astype(dtype)
    for k in range(1, f2):
        plane += slab[:i, :j, k]
    rows = sum((plane[:, b::f1] for b in range(1, f1)), start=plane[:, ::f1])
    return np.asarray(sum((rows[a::f0] for a in range(1, f0)), start=rows[::f0]))


def coarse_affine(affine: NDArray[np.float64], factors: Factors) -> NDArray[np.float64]:
    """The affine of the block grid: voxel (0, 0, 0) lies in the middle of the first block."""
    step = np.eye(4)
    step[:3, :3] = np.diag(factors)
    step[:3, 3] = (np.array(factors) - 1) / 2
    return np.asarray(affine @ step)


def _on_coarse_grid(volume: Volume, factors: Factors, sentence: str) -> Volume:
    affine = None if volume.affine is None else coarse_affine(volume.affine, factors)
    old = volume.spacing_mm
    spacing = None if old is None else (old[0] * factors[0], old[1] * factors[1], old[2] * factors[2])
    source = Source(volume.source.format, volume.source.path, volume.source.files, volume.source.series_uid)
    done = Regularisation((Irregularity.MEMORY,), sentence)
    return volume.with_changes(
        affine=affine, spacing_mm=None if affine is not None else spacing, source=source, regularisation=done,
        warnings=(sentence, *volume.warnings),
    )  # fmt: skip


def _reduced_dicom(entry: SeriesEntry, factors: Factors, sentence: str, progress: Progress) -> Volume:
    from medviewer.io.dicom_corners import check_corners
    from medviewer.io.dicom_series import volume_of
    from medviewer.io.dicom_values import read_values

    handle = entry.handle
    if handle.plan is not None or handle.frames[0].format.color:
        raise InputRefused(f"{entry.title} cannot be reduced.", "Close other programs or open a part of it.")
    check_corners(entry)
    count = len(handle.frames) // factors[2]
    warnings: dict[str, None] = {}

    def slabs() -> Iterator[Array]:
        for k in range(count):
            frames = handle.frames[k * factors[2] : (k + 1) * factors[2]]
            values, told = read_values(frames, progress.part(k / count, (k + 1) / count))
            warnings.update(dict.fromkeys(told))
            yield values

    array = reduce_slabs(slabs(), entry.shape_xyz, factors, handle.padding)
    return _on_coarse_grid(volume_of(entry, handle, array, tuple(warnings), None), factors, sentence)


def _stored(entry: SeriesEntry) -> Stored:
    """Where the voxels of a file are."""
    frame = entry.handle.frame or 0
    if entry.format == "nifti":
        from medviewer.io.nifti_header import read_info

        nifti = read_info(entry.handle.path)
        return Stored(
            nifti.data_path, nifti.shape, nifti.dtype, nifti.encoding, nifti.offset, frame * nifti.frame_bytes,
            nifti.slope, nifti.intercept,
        )  # fmt: skip
    if entry.format == "metaimage":
        from medviewer.io.metaimage_header import read_info as read_meta

        meta = read_meta(entry.handle.path)
        skip = frame * meta.frame_bytes
        return Stored(meta.data_path, meta.shape, meta.dtype, meta.encoding, meta.offset, skip)
    from medviewer.io.nrrd_header import read_info as read_nrrd

    nrrd = read_nrrd(entry.handle.path)
    encoding: Any = nrrd.encoding
    return Stored(nrrd.data_path, nrrd.shape, nrrd.dtype, encoding, nrrd.offset, nrrd.skip)


def _slabs(stored: Stored, depth: int, progress: Progress) -> Iterator[Array]:
    """Whole slabs (i, j, depth) in the machine's byte order; the same memory each time. The file is read to its end."""
    slab = np.empty((*stored.shape[:2], depth), stored.dtype, order="F")
    flat: Any = slab.reshape(-1, order="F").view(np.uint8)
    count = stored.shape[2] // depth
    try:
        for _ in _filled(stored, memoryview(flat), count, progress):
            yield to_native(slab.copy(order="F"))
    except (zlib.error, EOFError, ValueError, OSError) as error:
        raise damaged_data(stored.path, error) from error


def _filled(stored: Stored, target: memoryview, count: int, progress: Progress) -> Iterator[None]:
    """Fill `target` `count` times, stopping each time; then read on, so that a checksum is verified."""
    packed = stored.encoding == "gzip"
    position, done = -(stored.skip + (stored.offset if packed else 0)), 0
    for chunk in unpacked_chunks(stored.path, stored.encoding, 0 if packed else stored.offset, progress):
        view = memoryview(chunk)
        while len(view) and done < count:
            if position < 0:
                view, position = view[-position:], min(0, position + len(view))
                continue
            take = min(len(view), len(target) - position)
            target[position : position + take] = view[:take]
            view, position = view[take:], position + take
            if position == len(target):
                done, position = done + 1, 0
                yield
        if done == count and stored.encoding == "raw":
            break
    if done < count:
        raise InputRefused(f"{stored.path.name} is cut short: the image is not complete.", "Copy the file again.")
