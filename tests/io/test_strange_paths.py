"""Odd names and places: opened as any other file, or refused within seconds; a name is never more than a name."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from dicom_factory import Series, save
from PIL import Image

from medviewer.core.errors import InputRefused
from medviewer.services import open_data

NAMES = [
    unicodedata.normalize("NFC", "Müller Schädel"), unicodedata.normalize("NFD", "Müller Schädel"), "\U0001fac0 heart",
    "שלום", "患者", "a" * 240, "trailing dot.", "trailing space ", "-leading-dash", "--help", "%s%n%d", "a'b\"c`d",
    "$(touch x);|&", "new\nline", "back\\slash", "<img src=x>", "CON", ".",
]  # fmt: skip
ENDINGS = (".dcm", ".nii", ".nii.gz", ".nrrd", ".mha", ".png")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="names and links of POSIX systems")


def write(path: Path) -> Path:
    """A small scan of the format that the path's ending names."""
    values = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    if path.name.endswith(".dcm"):
        return save(Series(slices=1).dataset(0), path)
    if ".nii" in path.name:
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
    elif path.name.endswith(".png"):
        with path.open("wb") as file:
            Image.fromarray(np.zeros((4, 5), np.uint8)).save(file, "PNG")
    elif path.name.endswith(".nrrd"):
        head = "NRRD0004\ntype: short\ndimension: 3\nsizes: 3 4 5\nendian: little\nencoding: raw\n\n"
        path.write_bytes(head.encode() + values.tobytes())
    else:
        head = "ObjectType = Image\nNDims = 3\nDimSize = 3 4 5\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
        path.write_bytes(head.encode() + values.tobytes())
    return path


@pytest.mark.parametrize("ending", ENDINGS)
def test_any_name_opens(tmp_path: Path, ending: str) -> None:
    for name in NAMES:
        path = write(tmp_path / (name + ending))
        volume = open_data.open_volume(path)
        assert volume.array.size in (60, 480, 20)
        assert volume.source.path == path
        path.unlink()
    assert list(tmp_path.iterdir()) == []


def fifo(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path)


def folder(path: Path) -> None:
    path.mkdir()


def gone(path: Path) -> None:
    path.symlink_to(path.with_name("not there"))


@pytest.mark.parametrize("make", [fifo, endless, loop, folder, gone])
@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, ending: str, make: Callable[[Path], None]) -> None:
    path = tmp_path / f"a{ending}"
    make(path)
    reason = within_seconds(lambda: opening(path))
    assert path.name in reason


@pytest.mark.parametrize("make", [fifo, endless, loop, folder, gone])
@pytest.mark.parametrize("header", ["a.hdr", "a.nhdr", "a.mhd"])
def test_a_header_whose_data_is_no_file(tmp_path: Path, header: str, make: Callable[[Path], None]) -> None:
    data = tmp_path / ("a.img" if header == "a.hdr" else "a.raw")
    if header == "a.hdr":
        nibabel.save(nibabel.Nifti1Pair(np.zeros((3, 4, 5), np.int16), np.eye(4)), tmp_path / "a.img")
        data.unlink()
    else:
        whole = write(tmp_path / ("a.nrrd" if header == "a.nhdr" else "a.mha"))
        text = whole.read_bytes().split(b"\n\n")[0].split(b"LOCAL")[0]
        text += b"\ndata file: a.raw\n" if header == "a.nhdr" else b"a.raw\n"
        (tmp_path / header).write_bytes(text)
        whole.unlink()
    make(data)
    assert header in within_seconds(lambda: opening(tmp_path / header))


def test_a_folder_of_them_still_shows_its_scan(tmp_path: Path) -> None:
    write(tmp_path / "good.nii")
    for number, make in enumerate((fifo, endless, loop, gone)):
        for ending in ENDINGS:
            make(tmp_path / f"bad{number}{ending}")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    found: Any = within_seconds(lambda: open_data.scan_path(tmp_path))
    assert [entry.path.name for entry in found.entries] == ["good.nii"]
    assert len(found.refused) == 4 * len(ENDINGS)


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder that anybody may enter; root, who may read everything, becomes nobody while the test runs."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        folder.chmod(0o755)
        yield folder
        if os.getuid() == 0:
            os.seteuid(0)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_may_not_be_read(as_nobody: Path, ending: str) -> None:
    path = write(as_nobody / f"a{ending}")
    path.chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)
    assert opening(path).startswith(f"a{ending} may not be read.")


def opening(path: Path) -> str:
    """Why opening the path is refused."""
    try:
        open_data.open_volume(path)
    except InputRefused as error:
        return str(error)
    return ""


def within_seconds(work: Callable[[], Any], seconds: float = 20.0) -> Any:
    """The result of `work`; fails where it waits for a pipe or reads without end."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    start = time.monotonic()
    thread.start()
    thread.join(seconds)
    assert found, f"no answer after {time.monotonic() - start:.0f} s ({sys.platform})"
    return found[0]
