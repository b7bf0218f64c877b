"""A user's data set as cases: pictures beside masks, DICOM series with their DICOM SEG, or a manifest.

No voxels are read here. What the folder says is checked: `checks.check_cases` looks into the files.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from medviewer.core.errors import InputRefused, UserError
from medviewer.io import training_set
from medviewer.io.label_sidecar import read_labels
from medviewer.io.training_set import plain_name, same_name

from .case_files import DICOM, ending_of, is_named
from .cases import UNKNOWN, CaseFile, CasesRefused, Encoding, MaskFile, modality_token
from .dicom_cases import names_in, read_dicom_cases

MANIFEST = "manifest.csv"
_IMAGES = ("images", "imagesTr")
_MOST_NAMES = 8
_MASKS = ("masks", "labels", "labelsTr")
_LAYOUTS = (
    "Put pictures or volumes into images/ and masks of the same names into masks/, or a DICOM series with its "
    "DICOM SEG into a folder per case, or write a manifest.csv."
)


@dataclass(frozen=True)
class _Set:
    """What holds for all cases of a folder."""

    folder: Path
    prompt: str | None
    document: Mapping[str, Any]
    labels: Mapping[int, str]  # empty where the set names none
    encoding: Encoding
    modality: str

    @property
    def name(self) -> str:
        return str(self.document.get("name") or self.folder.name)


def read_cases(
    folder: Path, prompt: str | None = None, *, modality: str | None = None, use: str = "train"
) -> list[CaseFile]:
    """The cases of a data set, in a stable order.

    `prompt` names the one structure to train: needed where masks are only black and white, else one of the labels ("_"
    and case do not count). `modality` ("CT", "MR", "DX" ...) overrides what the set says. `use`: rows of a manifest.

    Raises InputRefused for what is no data set, CasesRefused listing what is wrong in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputRefused(f"There is no folder {folder}.", "Name the folder of the data set.")
    prompt = plain_name(prompt) if prompt is not None else None
    if prompt == "":
        raise InputRefused("The prompt is empty.", 'Name the structure, for instance --prompt "my structure".')
    found = _set(folder, prompt, modality)
    cases = _cases(found, use)
    if not cases:
        raise InputRefused(f"{folder} holds no case to train on.", _LAYOUTS)
    return [replace(case, modality=modality_token(modality)) for case in cases] if modality else cases


def _cases(found: _Set, use: str) -> list[CaseFile]:
    if (found.folder / MANIFEST).is_file():
        cases = _from_manifest(found, use)
    elif _first(found.folder, _IMAGES) is not None:
        cases = _from_pairs(found)
    else:
        cases = read_dicom_cases(found.folder)
        cases = [replace(case, dataset=found.name) for case in cases]
        if found.modality != UNKNOWN:
            cases = [replace(case, modality=found.modality) for case in cases]
        if not cases:
            raise InputRefused(f"{found.folder} is no data set: it has no images and no DICOM series.", _LAYOUTS)
    return _asked(found, cases)


def _set(folder: Path, prompt: str | None, modality: str | None) -> _Set:
    document = training_set.read_document(folder)
    encoding = document.get("encoding", "index")
    if encoding not in ("index", "bitmask", "binary"):
        raise InputRefused(
            f"{folder / training_set.FILE} has the encoding {encoding!r}, expected index, bitmask or binary."
        )
    where = str(folder / training_set.FILE)
    labels = training_set.labels_of(document["labels"], where, encoding) if "labels" in document else {}
    return _Set(folder, prompt, document, labels, encoding, modality_token(modality or _modality_of(document)))


def _modality_of(document: Mapping[str, Any]) -> str:
    """The modality a `dataset.json` states; of several channels none."""
    for key in ("modality", "channel_names"):
        stated = document.get(key)
        if isinstance(stated, str):
            return stated
        if isinstance(stated, dict) and len(stated) == 1:
            return str(next(iter(stated.values())))
    return ""


def _first(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


# -- the structure that was asked for ---------------------------------------------------------------------------------
def _asked(found: _Set, cases: Sequence[CaseFile]) -> list[CaseFile]:
    """All cases, or those where the asked structure is annotated, under the words it was asked by."""
    if found.prompt is None:
        return list(cases)
    kept = []
    for case in cases:
        name = next((name for name in case.names if same_name(name, found.prompt)), None)
        if name is not None:
            spelling = {name: found.prompt} if name != found.prompt else {}
            kept.append(replace(case, names=(found.prompt,), spelling=spelling))
    if not kept:
        known = sorted({name for case in cases for name in case.names})
        near = get_close_matches(found.prompt, known, n=_MOST_NAMES, cutoff=0.3) or known
        told = ", ".join(f'"{name}"' for name in near[:_MOST_NAMES]) + (", ..." if len(known) > _MOST_NAMES else "")
        raise InputRefused(
            f'No case of {found.folder} is annotated for "{found.prompt}", expected one of {told}.',
            "Give --prompt the name that the data set uses.",
        )
    missing = [c for c in cases if not any(same_name(name, found.prompt) for name in c.names) and _tells_all(c)]
    if missing:
        raise CasesRefused(found.folder.name, [_lacks(case, found.prompt) for case in missing])
    return kept


def _tells_all(case: CaseFile) -> bool:
    """Whether a missing name is more likely a slip: masks that name their own segments, by hand."""
    return any(mask.encoding == "named" for mask in case.masks)


def _lacks(case: CaseFile, prompt: str) -> str:
    return (
        f'{case.key}: its masks name {", ".join(case.names) or "nothing"}, expected "{prompt}" '
        "(an empty segment of that name where the structure is not there)."
    )


# -- pictures beside masks --------------------------------------------------------------------------------------------
def _from_pairs(found: _Set) -> list[CaseFile]:
    images, masks = _first(found.folder, _IMAGES), _first(found.folder, _MASKS)
    assert images is not None
    if masks is None:
        raise InputRefused(f"{found.folder} has images but no masks.", "Put the masks into masks/ or labels/.")
    problems: list[str] = []
    pictures = _by_stem(images, found.folder, problems, channels=images.name == "imagesTr")
    targets = _by_stem(masks, found.folder, problems, folders=True)
    entries = training_set.entries_of(found.document, found.folder)
    listed = {entry["id"] for entry in training_set.stored_entries(found.document, found.folder)}
    unborn = listed - set(entries)  # an export was killed before their files were there
    cases = []
    for stem in sorted((pictures.keys() | targets.keys()) - unborn):
        try:
            cases.append(_pair(found, stem, pictures.get(stem), targets.get(stem), entries.get(stem)))
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise CasesRefused(found.folder.name, problems)
    return cases


def _by_stem(
    folder: Path, root: Path, problems: list[str], *, channels: bool = False, folders: bool = False
) -> dict[str, Path]:
    """Files (and folders of masks) by the name without its ending; what cannot be read goes to `problems`."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        ending = ending_of(path)
        if path.name.startswith(".") or path.suffix.lower() in (".json", ".txt", ".md", ".csv"):
            continue
        stem = path.name if path.is_dir() else path.name[: -len(ending)] if ending else ""
        if not stem or (path.is_dir() and not folders and not _holds_dicom(path)):
            problems.append(f"{path.relative_to(root)}: not a picture, volume or DICOM file that can be read.")
            continue
        if path.name.lower().endswith(".seg.nrrd"):
            stem = stem[: -len(".seg")]
        if channels and stem.endswith("_0001"):
            problems.append(f"{path.relative_to(root)}: a second channel, expected one image per case.")
        stem = stem.removesuffix("_0000") if channels else stem
        if stem in found:
            problems.append(f"{path.relative_to(root)}: the case {stem} has another file, {found[stem].name}.")
        found[stem] = path
    return found


def _holds_dicom(folder: Path) -> bool:
    return any(ending_of(path) in (*DICOM, "") for path in folder.iterdir() if path.is_file())


def _pair(found: _Set, stem: str, image: Path | None, mask: Path | None, entry: Mapping[str, Any] | None) -> CaseFile:
    if image is None or mask is None:
        there, missing = (mask, "image") if image is None else (image, "mask")
        assert there is not None
        raise InputRefused(f"{there.relative_to(found.folder)}: it has no {missing}, expected one named {stem}.")
    masks = tuple(_masks_in(found, mask)) if mask.is_dir() else (_mask(found, mask, entry),)
    case = CaseFile(
        key=image.relative_to(found.folder).as_posix(), image=image, masks=masks, names=_names(masks),
        modality=found.modality, units=_text(found.document.get("units")), dataset=found.name, folder=found.folder,
        licence=_text(found.document.get("licence")) or "",
    )  # fmt: skip
    return case if entry is None else _with_entry(case, entry)


def _with_entry(case: CaseFile, entry: Mapping[str, Any]) -> CaseFile:
    return replace(
        case,
        modality=modality_token(_text(entry.get("modality"))),
        units=_text(entry.get("units")),
        patient=_text(entry.get("patient")) or "",
        inverted=entry.get("inverted") is True,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _mask(found: _Set, path: Path, entry: Mapping[str, Any] | None = None) -> MaskFile:
    """What the values of one mask mean: its own entry says so, else the set, else the file itself, else the prompt."""
    if is_named(path):
        return MaskFile(path, "named")
    if entry is not None:
        encoding = entry.get("encoding", found.encoding)
        where = f"{found.folder / training_set.FILE}, case {entry.get('id')},"
        return MaskFile(path, encoding, training_set.labels_of(entry.get("labels"), where, encoding))
    if found.labels and found.encoding != "binary":
        return MaskFile(path, found.encoding, found.labels)
    if found.labels:
        return MaskFile(path, "binary", {1: _only(found, path)})
    lines = read_labels(path)
    if lines:
        return MaskFile(path, "index", {line.label: plain_name(line.name) for line in lines})
    if found.prompt is None:
        raise InputRefused(
            f"{path.relative_to(found.folder)}: nothing says what its values mean.",
            "Give --prompt for a black and white mask, or write dataset.json.",
        )
    return MaskFile(path, "binary", {1: found.prompt})


def _only(found: _Set, path: Path) -> str:
    if len(found.labels) != 1:
        raise InputRefused(f"{path.name}: a binary mask needs one label, dataset.json names {len(found.labels)}.")
    return next(iter(found.labels.values()))


def _masks_in(found: _Set, folder: Path) -> list[MaskFile]:
    """A folder with one mask per structure, named after it, or with DICOM SEG files."""
    files = [path for path in sorted(folder.iterdir()) if ending_of(path) and not path.name.startswith(".")]
    if not files:
        raise InputRefused(f"{folder.relative_to(found.folder)}: it holds no mask.")
    names = [plain_name(path.name[: -len(ending_of(path))]) for path in files]
    return [
        MaskFile(path, "named") if is_named(path) else MaskFile(path, "binary", {1: name})
        for path, name in zip(files, names, strict=True)
    ]


def _names(masks: Sequence[MaskFile]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for mask in masks:
        names.update(dict.fromkeys(names_in(mask.path) if mask.encoding == "named" else mask.labels.values()))
    return tuple(names)


# -- a manifest -------------------------------------------------------------------------------------------------------
def _from_manifest(found: _Set, use: str) -> list[CaseFile]:
    path = found.folder / MANIFEST
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise InputRefused(f"{path} cannot be read as CSV with UTF-8 text.", "Save it again.") from error
    if not {"path", "label_path"} <= set(reader.fieldnames or ()):
        raise InputRefused(f"{path} has no columns path and label_path.", "See the user guide for the columns.")
    problems: list[str] = []
    cases: dict[str, CaseFile] = {}
    for line, row in enumerate(rows, start=2):
        if (row.get("use") or use) != use or not _is_annotated(row):
            continue
        try:
            case = _row_case(found, row)
            cases[case.key] = _together(cases[case.key], case) if case.key in cases else case
        except UserError as error:
            problems.append(f"{MANIFEST} line {line}: {error}")
    if problems:
        raise CasesRefused(found.folder.name, problems)
    return list(cases.values())


def _is_annotated(row: Mapping[str, str]) -> bool:
    """A row without an image or a mask, or whose table of labels is empty, is no case of any structure."""
    return bool(row.get("path")) and bool(row.get("label_path")) and (row.get("labels") or "").strip() != "{}"


def _row_case(found: _Set, row: Mapping[str, str]) -> CaseFile:
    image, mask = (_there(found.folder, row[key]) for key in ("path", "label_path"))
    masks = (_row_mask(found, mask, row),)
    patient = row.get("patient") or ""
    return CaseFile(
        key=row["path"], image=image, masks=masks, names=_names(masks),
        modality=modality_token(row.get("modality")), dataset=row.get("set") or found.name, folder=found.folder,
        patient=hashlib.sha256(patient.encode()).hexdigest()[:12] if patient else "", licence=row.get("licence") or "",
    )  # fmt: skip


def _row_mask(found: _Set, path: Path, row: Mapping[str, str]) -> MaskFile:
    stated = (row.get("mask_encoding") or "index").split()[0]
    encoding: Encoding = "bitmask" if stated.startswith("bitmask") else "binary" if stated == "binary" else "index"
    if is_named(path) or not row.get("labels"):
        return _mask(found, path)
    try:
        table = json.loads(row["labels"])
    except ValueError:
        raise InputRefused(f"its labels are no JSON: {row['labels'][:40]}.") from None
    labels = training_set.labels_of(table, str(path.relative_to(found.folder)), encoding)
    if encoding == "binary" and len(labels) != 1:
        raise InputRefused(f"{path.name}: a binary mask needs one label, the row names {len(labels)}.")
    return MaskFile(path, encoding, labels if encoding != "binary" else {1: next(iter(labels.values()))})


def _there(folder: Path, stored: str) -> Path:
    path = folder / stored
    if not path.exists():
        raise InputRefused(f"there is no {stored}.")
    return path


def _together(first: CaseFile, second: CaseFile) -> CaseFile:
    """Two rows of one image: a mask file per structure."""
    names = tuple(dict.fromkeys((*first.names, *second.names)))
    return replace(first, masks=(*first.masks, *second.masks), names=names)
