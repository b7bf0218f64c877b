"""Which files a scan looks at: a folder and its subfolders, the files a DICOMDIR lists, or a file's own folder."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from medviewer.core.volume import Refused
from medviewer.io.decode_pool import WorkerFailed, ask_about
from medviewer.io.dicom_header import NotReadable, read_header

# Files of other kinds that lie beside DICOM; looked at only if the user opens them by name.
_OTHER_SUFFIXES = (
    ".nii", ".gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".raw", ".zraw", ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff",
    ".gif", ".json", ".csv", ".tsv", ".txt", ".md", ".xml", ".html", ".htm", ".pdf", ".zip", ".py", ".stl", ".ply",
    ".log", ".exe", ".ini", ".inf", ".jar", ".dll", ".tmp", ".lock",
)  # fmt: skip
_MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"


def candidates(path: Path) -> tuple[list[Path], list[Refused], Path | None]:
    """(files to read, refusals so far, the single file the user chose or None)."""
    if path.is_dir():
        refused: list[Refused] = []
        return walk(path, refused), refused, None
    try:
        header = read_header(path)
    except NotReadable as error:
        return [], [Refused(path, str(error))], None
    if header.get("MediaStorageSOPClassUID") == _MEDIA_STORAGE_DIRECTORY:
        files, refused = dicomdir_files(path)
        return files, refused, None
    return _companions(path, header.get("SeriesInstanceUID"), header.get("NumberOfFrames")), [], path


def walk(folder: Path, refused: list[Refused]) -> list[Path]:
    """All files below a folder in a stable order; links to folders are not followed."""

    def unreadable(error: OSError) -> None:
        refused.append(Refused(Path(error.filename or folder), f"A folder cannot be read ({error.strerror})."))

    files = []
    for root, folders, names in os.walk(folder, onerror=unreadable):
        folders.sort()
        files += [Path(root, name) for name in sorted(names) if not _is_other(name)]
    return files


def _is_other(name: str) -> bool:
    return name.lower().endswith(_OTHER_SUFFIXES) or name.startswith(".") or name.upper() == "DICOMDIR"


def _companions(path: Path, series_uid: str | None, frames: int | None) -> list[Path]:
    """The files of the same folder that belong to the same series; the file alone if multi-frame or without a UID."""
    if series_uid is None or (frames or 1) > 1:
        return [path]
    found = []
    for name in sorted(os.listdir(path.parent)):
        other = path.parent / name
        if other == path or (not _is_other(name) and _series_of(other) == series_uid):
            found.append(other)
    return found


def _series_of(path: Path) -> str | None:
    try:
        uid = read_header(path).get("SeriesInstanceUID")
    except NotReadable:
        return None
    return str(uid) if uid else None


def dicomdir_files(path: Path) -> tuple[list[Path], list[Refused]]:
    """The files a DICOMDIR refers to. References that leave its folder are refused, missing ones are named."""
    try:
        references = ask_about("directory", path)[0]["references"]
    except WorkerFailed as error:
        reason = error.kind or error.reason
        return [], [Refused(path, f"{path.name} is damaged ({reason}). Open its folder instead.")]
    files: list[Path] = []
    refused: list[Refused] = []
    for reference in references:
        if reference:
            _resolve(path, reference, files, refused)
    if not files and not refused:
        refused.append(Refused(path, f"{path.name} lists no images. Open its folder instead."))
    return files, refused


def directory_task(path: Path) -> tuple[dict[str, Any], bytes]:
    """In the worker: the file references of a DICOMDIR, each as its parts."""
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        records = pydicom.dcmread(path, force=True).get("DirectoryRecordSequence") or []
        found = [record.get("ReferencedFileID") for record in records]
    parts = [[entry] if isinstance(entry, str) else [str(part) for part in entry or ()] for entry in found]
    return {"references": parts}, b""


def _resolve(dicomdir: Path, parts: list[str], files: list[Path], refused: list[Refused]) -> None:
    root = Path(os.path.realpath(dicomdir.parent))  # realpath: links that lead in a circle raise nothing
    target = root
    for part in parts:
        if part in ("", ".", "..") or any(sign in part for sign in ("/", "\\", ":", "\0")):
            refused.append(
                Refused(dicomdir, f"{dicomdir.name} refers to a file outside its folder; it was not opened.")
            )
            return
        target = _child(target, part)
    if root not in Path(os.path.realpath(target)).parents:
        refused.append(Refused(dicomdir, f"{dicomdir.name} refers to a file outside its folder; it was not opened."))
    elif not target.is_file():
        refused.append(
            Refused(target, f"{'/'.join(parts)} is listed in {dicomdir.name} but missing. Copy the disc again.")
        )
    else:
        files.append(target)


def _child(folder: Path, name: str) -> Path:
    """The entry of that name; discs are often copied to lower case, so upper and lower case are tried."""
    for candidate in (name, name.lower(), name.upper()):
        if (folder / candidate).exists():
            return folder / candidate
    return folder / name
