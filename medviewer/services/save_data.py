"""Saving masks, scans and pictures: the writer by the name's ending, checked by reading back before it counts."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import OutputNotWritten, UserError, WrongUsage
from medviewer.core.progress import Progress, silent
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.io.atomic import atomic_files, atomic_pair, atomic_write, not_written
from medviewer.io.export_notes import Drawn, licence_notes, notes_of
from medviewer.io.label_sidecar import TermMap, refuse_foreign
from medviewer.services.output_names import numbered_name, source_folder

_WRITERS = {
    ".nii.gz": "medviewer.io.write_nifti",
    ".nii": "medviewer.io.write_nifti",
    ".seg.nrrd": "medviewer.io.write_nrrd_seg",
    ".dcm": "medviewer.io.dicom_seg",
    ".stl": "medviewer.io.mesh_file",
    ".ply": "medviewer.io.mesh_file",
    ".png": "medviewer.io.write_png",
}
_MOST_PAIRS = 3  # overlaps told one by one
SUFFIXES = tuple(_WRITERS)
_WHAT_WORKS = "Give the file one of the endings .nii.gz, .nii, .seg.nrrd, .dcm, .stl, .ply or, for 2D images, .png."


@dataclass(frozen=True)
class SavedReport:
    """What was written: the file asked for, files beside it, and what the user should know."""

    path: Path
    extra_paths: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass
class _Job:
    """One save under way."""

    path: Path
    suffix: str
    volume: Volume
    segments: Sequence[Segment]
    terms: TermMap
    progress: Progress
    extra: list[Path] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def save_segments(
    path: Path | str, volume: Volume, segments: Sequence[Segment], progress: Progress | None = None
) -> SavedReport:
    """Write the segments of a volume to one file whose ending names the format; empty masks are written, too.

    Label (or segment number) = 1-based position in `segments`. The file is written beside its place, read back by
    another way than it was written, compared, and only then takes its name. Raises WrongUsage for an unknown
    ending, OutputNotWritten otherwise (the old file is then unchanged). Never writes onto a source file.
    """
    path = Path(path)
    suffix = _suffix(path)
    with _told(path, volume):
        _refuse_sources(path, volume)
        _refuse_other_grids(volume, segments)
        job = _Job(path, suffix, volume, segments, _terms(), progress or silent(), warnings=notes_of(volume))
        _require_possible(job)
        if volume.affine is not None and not volume.orientation_recorded:
            told = "The scan does not record its orientation: left and right are not known in this file, too."
            job.warnings.append(told)
        _SAVERS[suffix](job)
    return SavedReport(path, tuple(job.extra), tuple(job.warnings))


def check_output(path: Path | str, volume: Volume) -> None:
    """Raise what `save_segments` would raise for the ending, the scan's own files or the geometry: before any work."""
    path = Path(path)
    suffix = _suffix(path)
    with _told(path, volume):
        _refuse_sources(path, volume)
        _require_possible(_Job(path, suffix, volume, (), {}, silent()))


def save_volume_nifti(path: Path | str, volume: Volume, progress: Progress | None = None) -> SavedReport:
    """Write a scan as NIfTI (.nii.gz or .nii), voxels and position as they are. Raises as `save_segments`."""
    from medviewer.io import write_nifti

    path = Path(path)
    if _suffix(path) not in (".nii.gz", ".nii"):
        raise WrongUsage(f"{path.name} is not a NIfTI name.", "Give the file the ending .nii.gz.")
    with _told(path, volume):
        _refuse_sources(path, volume)
    with atomic_write(path) as temporary:
        write_nifti.write_volume(temporary, volume, progress or silent())
        write_nifti.verify_volume(temporary, volume)
    return SavedReport(path, warnings=volume.warnings)


def save_view_png(
    path: Path | str, picture: NDArray[np.uint8], volume: Volume | None = None, drawn: Sequence[Drawn] = ()
) -> SavedReport:
    """Write a picture of a view, uint8 (rows, cols, 3), as PNG. Raises as `save_segments`.

    `volume` is the scan shown: where its grid was resampled, the picture's text says so. It is never written onto.
    `drawn` are the segments and previews on it: the text names their models and what these may be used for.
    """
    from medviewer.io import write_png

    path = Path(path)
    if path.suffix.lower() != ".png":
        raise WrongUsage(f"{path.name} is not a PNG name.", "Give the file the ending .png.")
    if volume is not None:
        with _told(path, volume):
            _refuse_sources(path, volume)
    notes = [] if volume is None else notes_of(volume)
    with atomic_write(path) as temporary:
        write_png.write_picture(temporary, picture, [*notes, *licence_notes(drawn)])
        write_png.verify_picture(temporary, picture)
    return SavedReport(path, warnings=tuple(notes))


def read_mask(path: Path | str, volume: Volume) -> list[Segment]:
    """Read segments of `volume` from .nii(.gz), .seg.nrrd or DICOM SEG onto its grid. Raises InputRefused."""
    from medviewer.services.read_masks import read_segments

    return read_segments(Path(path), volume)


def _suffix(path: Path) -> str:
    name = path.name.lower()
    for suffix in SUFFIXES:
        if name.endswith(suffix) and len(name) > len(suffix):
            return suffix
    raise WrongUsage(f"{path.name} has no ending that names a format.", _WHAT_WORKS)


@contextmanager
def _told(path: Path, volume: Volume) -> Iterator[None]:
    """Errors of the drive outside the writing itself: of the target's name, or of the scan's files that are read."""
    try:
        yield
    except OSError as error:
        sources = {str(source) for source in volume.source.files}
        if error.filename is not None and str(error.filename) in sources:
            raise OutputNotWritten(
                f"{path} was not written: the scan's file {error.filename} can no longer be read.",
                "Put the scan back in its place, then save again.",
            ) from error
        raise not_written(path, error) from error


def _refuse_sources(path: Path, volume: Volume) -> None:
    target = path.resolve()
    for source in (volume.source.path, *volume.source.files):
        if source != Path() and source.resolve() == target:
            raise OutputNotWritten(
                f"{path.name} is the scan itself, which is never written.", "Choose another name for the result."
            )


def _refuse_other_grids(volume: Volume, segments: Sequence[Segment]) -> None:
    for segment in segments:
        if segment.mask.shape != volume.shape:
            raise OutputNotWritten(
                f"The segment {segment.name} belongs to another scan.", "Save it together with its own scan."
            )


def _require_possible(job: _Job) -> None:
    """Refuse what the format cannot hold, and to replace files of others beside the output."""
    if job.suffix in (".nii.gz", ".nii"):
        refuse_foreign(job.path)
    if job.suffix == ".png":
        if job.volume.kind == "volume" and job.volume.shape[2] > 1:
            raise OutputNotWritten(
                "A PNG cannot hold the mask of a volume.", "Save it as .nii.gz, .seg.nrrd, .dcm or .stl."
            )
        return
    if job.volume.affine is None and not (job.suffix == ".dcm" and job.volume.source.format == "dicom"):
        works = ".png or .dcm" if job.volume.source.format == "dicom" else ".png"
        raise OutputNotWritten(
            f"{job.suffix} needs the position of the image in the patient, which {job.volume.title or 'this image'} "
            "does not have.",
            f"Save the mask as {works} instead.",
        )


def _terms() -> TermMap:
    """The terminology's codes by term id; none where the terminology cannot be read."""
    from medviewer.services import resources

    try:
        terminology = resources.terminology()
        return {term.id: term for term in terminology}
    except (UserError, ImportError, OSError, KeyError, AttributeError):
        return {}


def _writer(job: _Job) -> ModuleType:
    return importlib.import_module(_WRITERS[job.suffix])


def _write_one(job: _Job, temporary: Path) -> None:
    """Write and verify by the suffix's writer, which knows nothing of terms."""
    writer: Any = _writer(job)
    writer.write(temporary, job.volume, job.segments, job.progress.part(0.0, 0.6))
    job.progress.report(0.7, "Checking what was written")
    writer.verify(temporary, job.volume, job.segments)


def _save_nifti(job: _Job) -> None:
    """The label map, then its sidecar; until both are in place the sidecar describes the old and the new map."""
    from medviewer.io import label_sidecar

    job.warnings += _overlaps(job.segments)
    job.warnings += _notes(job.segments)
    side = label_sidecar.sidecar_path(job.path)
    with atomic_write(side) as new_side, ExitStack() as stack:
        temporary = stack.enter_context(atomic_write(job.path))
        _write_one(job, temporary)
        document = label_sidecar.make_document(
            job.path, job.volume, job.segments, job.terms, job.warnings, sha256_of(temporary)
        )
        label_sidecar.write_document(new_side, document)
        with label_sidecar.announced(job.path, document):
            stack.close()  # the label map takes its place
    job.extra.append(side)


def sha256_of(path: Path) -> str:
    """Of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _save_png(job: _Job) -> None:
    """All segments in one picture; with several, each one also in a file of its own."""
    from medviewer.io import write_png

    job.warnings += _notes(job.segments)
    several = enumerate(job.segments, start=1) if len(job.segments) > 1 else ()
    singles = [(numbered_name(job.path, number, segment.name), [segment]) for number, segment in several]
    if singles:
        job.warnings.append("The PNG shows all segments together; each one is also in a file of its own.")
    with atomic_files(job.path, *(path for path, _ in singles)) as (whole, *parts):
        _write_one(job, whole)
        for temporary, (_, segments) in zip(parts, singles, strict=True):
            write_png.write(temporary, job.volume, segments, job.progress)
            write_png.verify(temporary, job.volume, segments)
    job.extra += [path for path, _ in singles]


def _overlaps(segments: Sequence[Segment]) -> list[str]:
    """Warnings of the pairs of segments that share voxels: in a label map the later one keeps them."""
    pairs = []
    for later, second in enumerate(segments):
        for first in segments[:later]:
            shared = int(np.count_nonzero(first.mask & second.mask))
            if shared:
                pairs.append(f"{first.name} and {second.name} overlap in {shared} voxels; {second.name} keeps them")
    if not pairs:
        return []
    more = [f"{len(pairs) - _MOST_PAIRS} more pairs overlap; the later one keeps the voxels"]
    told = pairs if len(pairs) <= _MOST_PAIRS else pairs[:_MOST_PAIRS] + more
    return [f"{text}." for text in told] + ["A label map holds one label per voxel; .seg.nrrd and .dcm keep both."]


def _notes(segments: Sequence[Segment]) -> list[str]:
    notes = [
        f"{segment.name} is incomplete: cut at the {' and '.join(segment.cut_edges)} edge of the scan."
        for segment in segments
        if segment.incomplete
    ]
    return notes + [
        f"{segment.name} was drawn below the model's threshold."
        for segment in segments
        if "below threshold" in segment.provenance.tags
    ]


def _save_nrrd(job: _Job) -> None:
    from medviewer.io import write_nrrd_seg

    job.warnings += _notes(job.segments)
    with atomic_write(job.path) as temporary:
        write_nrrd_seg.write(temporary, job.volume, job.segments, job.progress.part(0.0, 0.6), job.terms)
        job.progress.report(0.7, "Checking what was written")
        write_nrrd_seg.verify(temporary, job.volume, job.segments)


def _save_mesh(job: _Job) -> None:
    """One file with all surfaces; with several segments each one also in a file of its own."""
    from medviewer.io import mesh_file

    job.warnings += _notes(job.segments)
    surfaces = mesh_file.make_surfaces(job.volume, job.segments, job.progress.part(0.0, 0.6))
    files = [(job.path, list(range(len(surfaces))))]
    if len(surfaces) > 1:
        files += [(numbered_name(job.path, n + 1, job.segments[n].name), [n]) for n in range(len(surfaces))]
    with atomic_files(*(path for path, _ in files)) as places:
        for number, (temporary, (_, chosen)) in enumerate(zip(places, files, strict=True)):
            job.progress.report(0.6 + 0.4 * number / len(files), "Writing and checking surfaces")
            segments = [job.segments[n] for n in chosen]
            mesh_file.write_surfaces(temporary, [surfaces[n] for n in chosen], segments, notes_of(job.volume))
            mesh_file.verify(temporary, job.volume, segments)
    job.extra += [path for path, _ in files[1:]]


def _save_dicom(job: _Job) -> None:
    """A SEG that refers to the scan's own files, or to a series of the scan written beside it."""
    from medviewer.io import dicom_seg

    job.warnings += _notes(job.segments)
    sources = dicom_seg.source_headers(job.volume, job.progress.part(0.0, 0.2))
    if sources is not None:
        with atomic_write(job.path) as temporary:
            _write_seg(job, temporary, sources)
        return
    folder = source_folder(job.path)
    _refuse_foreign_folder(folder)
    with atomic_pair(job.path, folder) as (temporary, series):
        _write_seg(job, temporary, _write_source(job, series))
    job.extra.append(folder)


def _write_source(job: _Job, folder: Path) -> list[Any]:
    from medviewer.io import dicom_source

    like = None
    if job.volume.source.format == "dicom" and job.volume.source.files:
        import pydicom

        like = pydicom.dcmread(job.volume.source.files[0], stop_before_pixels=True)
        job.warnings.append(
            "The scan's files cannot be referred to (resampled on opening, or without UIDs); the segmentation refers "
            "to a copy of the scan as shown."
        )
    headers = dicom_source.write_series(folder, job.volume, job.progress.part(0.0, 0.3), like)
    dicom_source.verify_series(folder, job.volume)
    error = dicom_source.store_values(job.volume).largest_error
    if error:
        job.warnings.append(f"The values of the scan were rounded by up to {error:.3g} for its DICOM copy.")
    return headers


def _write_seg(job: _Job, temporary: Path, sources: Sequence[Any]) -> None:
    from medviewer.io import dicom_seg

    dicom_seg.write(temporary, job.volume, job.segments, job.progress.part(0.3, 0.8), sources, job.terms)
    job.progress.report(0.85, "Checking what was written")
    dicom_seg.verify(temporary, job.volume, job.segments, sources, job.terms)


def _refuse_foreign_folder(folder: Path) -> None:
    """Only a source series that this program wrote may be replaced."""
    import pydicom

    if not folder.exists():
        return
    for file in sorted(p for p in folder.rglob("*") if not p.is_dir()) if folder.is_dir() else [folder]:
        try:
            text = str(pydicom.dcmread(file, stop_before_pixels=True).get("DerivationDescription", ""))
        except Exception:
            text = ""
        if not text.startswith("Converted by medviewer"):
            raise OutputNotWritten(
                f"The folder {folder.name} holds other files than a source series.", "Choose another file name."
            )


_SAVERS: dict[str, Callable[[_Job], None]] = {
    ".nii.gz": _save_nifti,
    ".nii": _save_nifti,
    ".seg.nrrd": _save_nrrd,
    ".dcm": _save_dicom,
    ".stl": _save_mesh,
    ".ply": _save_mesh,
    ".png": _save_png,
}
