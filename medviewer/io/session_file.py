"""The container of a session (`.mvsession`): a zip with `session.json` and one file of packed bits per mask.

Reading trusts nothing: members, their number, their sizes and their compression are checked before anything is
unpacked, nothing is ever extracted to a path, and every mask is compared with its checksum.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from medviewer.core.errors import InputRefused, OutputNotWritten
from medviewer.io.atomic import atomic_write
from medviewer.io.schema_check import check_schema, no_number

SUFFIX = ".mvsession"
FORMAT = "medviewer session"
SCHEMA = 1
_DOCUMENT = "session.json"
_MASK = re.compile(r"masks/\d{1,6}\.bits")
_MOST_MEMBERS = 20_000
_LARGEST_DOCUMENT = 64 << 20
_LARGEST_MASK = 1 << 30
_LARGEST_TOTAL = 4 << 30
_LARGEST_RATIO = 200  # only the document is compressed; text reaches about 20
_DATE = (1980, 1, 1, 0, 0, 0)  # the document says when
_DAMAGE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, ValueError, KeyError, EOFError, NotImplementedError,
    RuntimeError, RecursionError, OverflowError, TypeError, IndexError,
)  # fmt: skip


@dataclass(frozen=True)
class SessionFile:
    """`document` is JSON-ready and refers to `masks` by name ("masks/0.bits"); each is a block of bytes."""

    document: Mapping[str, Any]
    masks: Mapping[str, bytes] = field(default_factory=dict)


def is_session(path: Path) -> bool:
    """By the name alone: the content is checked when it is read."""
    return path.name.lower().endswith(SUFFIX)


def write(path: Path, content: SessionFile) -> None:
    """Write atomically, read back, compare. Raises OutputNotWritten; the old file is then as it was."""
    document = _plain({"format": FORMAT, "schema": SCHEMA, **content.document, "masks": _checksums(content.masks)})
    with atomic_write(path) as temporary:
        with zipfile.ZipFile(temporary, "w") as archive:
            text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
            archive.writestr(zipfile.ZipInfo(_DOCUMENT, _DATE), text.encode(), zipfile.ZIP_DEFLATED)
            for name, data in content.masks.items():
                archive.writestr(zipfile.ZipInfo(name, _DATE), data, zipfile.ZIP_STORED)
        _verify(temporary, SessionFile(document, content.masks))


def _verify(path: Path, content: SessionFile) -> None:
    try:
        found = read(path)
        same = dict(found.masks) == dict(content.masks) and found.document == content.document
    except InputRefused:
        same = False
    if not same:
        raise OutputNotWritten(
            f"{path.name} was not written: reading it back gave another session than was saved.",
            "Try another folder or drive; the old file, if there was one, is unchanged.",
        )


def read(path: Path) -> SessionFile:
    """Read and check the container. Raises InputRefused for every damage, and for a newer schema."""
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            _check_document_member(path, archive)
            document = json.loads(_document_text(archive), parse_constant=no_number)
            check_schema(document, path.name, "session", SCHEMA)
            masks = {info.filename: archive.read(info) for info in _checked_members(archive)}
    except OSError as error:
        if error.errno == errno.EINVAL:  # a forged place of a member, before the beginning of the file
            raise damaged(path) from error
        reason = error.strerror or "the drive does not answer"
        raise InputRefused(f"{path} cannot be read: {reason}.", "Check the drive and the name.") from error
    except (*_DAMAGE, MemoryError) as error:
        raise damaged(path) from error
    if _checksums(masks) != document.get("masks"):
        raise damaged(path)
    return SessionFile(document, masks)


def _checksums(masks: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in masks.items()}


def _plain(value: Any) -> Any:
    """JSON types only: numpy's numbers as numbers, what is no number as null, anything else as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (str, bool)):
        return str(value) if isinstance(value, str) else value
    number = value.item() if isinstance(value, np.generic) else value
    if isinstance(number, (bool, int)):
        return number
    if isinstance(number, float):
        return number if math.isfinite(number) else None
    return str(value)


def damaged(path: Path) -> InputRefused:
    """The one message for every kind of damage."""
    return InputRefused(
        f"{path.name} is damaged or is not a session of medviewer.",
        "Copy it again, or open an older copy; scans and exported masks are not touched.",
        code="session-damaged",
    )


def _check_document_member(path: Path, archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    if len(members) > _MOST_MEMBERS or sum(info.file_size for info in members) > _LARGEST_TOTAL:
        raise ValueError("too large")
    info = archive.getinfo(_DOCUMENT)
    if info.file_size > _LARGEST_DOCUMENT or info.file_size > _LARGEST_RATIO * max(info.compress_size, 1):
        raise ValueError("too large")
    _check_plain(info)


def _document_text(archive: zipfile.ZipFile) -> str:
    """The document, unpacked in no more bytes than its directory entry admits to: `ZipFile.read` unpacks 2 GB first."""
    with archive.open(_DOCUMENT) as member:
        return member.read(archive.getinfo(_DOCUMENT).file_size + 1).decode("utf-8")


def _checked_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members that are masks; anything else than those and the document, and any name twice, is damage."""
    members = archive.infolist()
    names = [info.filename for info in members]
    masks = [info for info in members if info.filename != _DOCUMENT]
    if len(set(names)) != len(names) or not all(_MASK.fullmatch(info.filename) for info in masks):
        raise ValueError("unexpected members")
    for info in masks:
        _check_plain(info)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > _LARGEST_MASK:
            raise ValueError("unexpected compression or size")
    return masks


def _check_plain(info: zipfile.ZipInfo) -> None:
    if info.flag_bits & 0x1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("encrypted or of another compression")
