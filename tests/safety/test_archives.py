"""Archives from strangers: a session with any trick in it is refused, nothing is ever unpacked beside or outside.

Sessions are the only archives that the program reads; their members are read by name into memory, never extracted.
Archives of plugins, models and scans are not unpacked at all: the user is told to.
"""

from __future__ import annotations

import ast
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from medviewer.core.errors import InputRefused
from medviewer.io import session_file
from medviewer.io.session_file import SessionFile
from medviewer.plugin_host import PluginHost
from medviewer.services import open_data

_DOCUMENT = {"scans": []}
_MASKS = {"masks/0.bits": b"\x01\x02", "masks/1.bits": b"\x03"}


def good(path: Path) -> Path:
    session_file.write(path, SessionFile(_DOCUMENT, _MASKS))
    return path


def _member(name: str, data: bytes = b"x", mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3  # Unix: the mode counts
    info.external_attr = mode << 16
    info.file_size = len(data)
    return info


def add(*names: str, mode: int = 0, data: bytes = b"x") -> Callable[[Path], None]:
    """Append members to a good session."""

    def change(path: Path) -> None:
        with zipfile.ZipFile(path, "a") as archive:
            for name in names:
                archive.writestr(_member(name, data, mode), data)

    return change


def bomb(path: Path) -> None:
    """A document of 60 MB of spaces, which is allowed, in 60 KB, which is not."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("session.json", b" " * (60 << 20))


def bomb_of_masks(path: Path) -> None:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("masks/2.bits", bytes(60 << 20))


def forged_size(path: Path) -> None:
    """The directory says that the last mask has 256 MB; the file ends long before."""
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    for place in (20, 24):
        data[at + place : at + place + 4] = (0xFFFFFF0).to_bytes(4, "little")
    path.write_bytes(data)


def duplicate(path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        add("masks/0.bits")(path)


def as_tar(kind: bytes) -> Callable[[Path], None]:
    """A tar of that member type under the session's name."""

    def change(path: Path) -> None:
        with tarfile.open(path, "w") as archive:
            info = tarfile.TarInfo("session.json")
            info.type, info.linkname = kind, "../../outside"
            archive.addfile(info, io.BytesIO())

    return change


TRICKS: dict[str, Callable[[Path], None]] = {
    "climbs out": add("../outside"),
    "climbs out of its folder": add("masks/../../outside.bits"),
    "climbs out with backslashes": add("masks\\..\\..\\outside"),
    "absolute": add("/outside"),
    "absolute on Windows": add("C:\\outside", "\\\\server\\share\\outside"),
    "symbolic link": add("masks/2.bits", mode=stat.S_IFLNK | 0o777, data=b"/etc"),
    "symbolic link by name": add("link", mode=stat.S_IFLNK | 0o777, data=b"/etc/passwd"),
    "hard link": as_tar(tarfile.LNKTYPE),
    "device": add("device", mode=stat.S_IFCHR | 0o666),
    "device in a tar": as_tar(tarfile.CHRTYPE),
    "bomb": bomb,
    "bomb of masks": bomb_of_masks,
    "forged size": forged_size,
    "same name twice": duplicate,
    "same name in capitals": add("MASKS/0.BITS", "Session.json"),
    "device names of Windows": add("CON", "masks/NUL.bits", "masks/aux.txt"),
    "colon and trailing dot": add("masks/0.bits:stream", "masks/0.bits."),
    "zero byte in the name": add("masks/2.bits\0.exe"),
    "too many members": lambda path: add(*(f"masks/{n}.bits" for n in range(2, 20_050)))(path),
    "a folder": add("masks/"),
    "an executable beside": add("run.exe"),
}


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS.keys())
def test_a_session_with_a_trick_is_refused_and_nothing_is_written(
    trick: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    path = good(folder / "case.mvsession")
    assert session_file.read(path).masks == _MASKS
    trick(path)
    before = everything(tmp_path)
    with pytest.raises(InputRefused, match="damaged or is not a session"):
        session_file.read(path)
    assert everything(tmp_path) == before


def everything(folder: Path) -> dict[str, int]:
    return {str(p): p.lstat().st_size for p in folder.rglob("*")}


@pytest.mark.parametrize("ending", ["zip", "tar.gz", "tar", "whl"])
def test_archives_of_plugins_models_and_scans_are_not_unpacked(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path / "home"))
    folder = tmp_path / "mine"
    folder.mkdir()
    archive = folder / f"plugin.{ending}"
    if ending in ("zip", "whl"):
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr("plugin/plugin.toml", "[plugin]\n")
            packed.writestr("../outside", "x")
    else:
        with tarfile.open(archive, "w:gz" if ending == "tar.gz" else "w") as packed_tar:
            packed_tar.addfile(tarfile.TarInfo("../outside"), io.BytesIO())
    before = everything(tmp_path)
    assert PluginHost([], [folder, archive]).list() == []
    refused = open_data.scan_path(archive).refused
    assert len(refused) == 1
    assert archive.name in refused[0].reason
    assert everything(tmp_path) == before


def test_nothing_in_the_program_extracts_archives(repository: Path) -> None:
    """The one place that opens a zip is the session's reader, which extracts nothing to disk."""
    opens, extracts = set(), set()
    for root in ("medviewer", "plugins", "training"):
        for file in (repository / root).rglob("*.py"):
            names = {_last(node.func) for node in ast.walk(ast.parse(file.read_bytes())) if isinstance(node, ast.Call)}
            place = file.relative_to(repository).as_posix()
            opens |= {place} if names & {"ZipFile", "PyZipFile", "TarFile"} else set()
            extracts |= {place} if names & {"extractall", "unpack_archive", "untar"} else set()
    assert extracts == set()
    assert opens == {"medviewer/io/session_file.py"}
    assert "extract" not in (repository / "medviewer/io/session_file.py").read_text("utf-8").replace("extracted to", "")


def _last(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_the_number_of_tricks_is_at_least_the_bars() -> None:
    assert len(TRICKS) >= 10
