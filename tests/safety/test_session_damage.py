"""Damaged and forged session files: one message, and a forged file takes neither memory nor paths."""

from __future__ import annotations

import io
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from session_kit import copied, rewritten

from medviewer.core.errors import InputRefused
from medviewer.io import session_file
from medviewer.services import sessions

pytestmark = pytest.mark.filterwarnings("ignore:Duplicate name")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return copied(tmp_path)


def is_damaged(path: Path) -> None:
    with pytest.raises(InputRefused) as caught:
        sessions.load_session(path)
    assert caught.value.code == "session-damaged", caught.value
    assert caught.value.message == f"{path.name} is damaged or is not a session of medviewer."
    assert caught.value.hint


def test_cut_off_at_every_byte(saved: Path) -> None:
    data = saved.read_bytes()
    for length in range(len(data)):
        saved.write_bytes(data[:length])
        is_damaged(saved)


def test_every_byte_changed(saved: Path) -> None:
    """Refused, or (where the byte means nothing, for instance a date) the same content."""
    data, whole_file = bytearray(saved.read_bytes()), session_file.read(saved)
    found = []
    for place in range(len(data)):
        data[place] ^= 0x41
        saved.write_bytes(data)
        found.append(outcome(saved, whole_file))
        data[place] ^= 0x41
    assert set(found) == {"same", "session-damaged"}
    assert found.count("session-damaged") > 0.7 * len(data)


def outcome(path: Path, whole_file: session_file.SessionFile) -> str:
    try:
        return "same" if session_file.read(path) == whole_file else "another content"
    except InputRefused as error:
        return error.code


def test_a_newer_schema_is_refused_politely(saved: Path) -> None:
    def change(document: dict[str, Any], masks: dict[str, bytes]) -> None:
        document.update(schema=2, scans={"in": "another form"})
        masks["something/new.bin"] = b"x"

    words = r"made by a newer medviewer \(schema 2\); this one reads schema 1"
    with pytest.raises(InputRefused, match=words) as caught:
        sessions.load_session(rewritten(saved, change))
    assert caught.value.code == "session-newer"
    assert "newer medviewer" in caught.value.hint


def test_names_that_are_not_known_are_passed_over(saved: Path) -> None:
    def change(document: dict[str, Any], masks: dict[str, bytes]) -> None:
        document["mood"] = "new"
        document["scans"][0]["mood"] = {"new": [1]}
        document["scans"][0]["segments"][0]["mood"] = 3

    assert len(sessions.load_session(rewritten(saved, change)).scene.scans[0].segments) == 2


FORGED: dict[str, Callable[[dict[str, Any], dict[str, bytes]], Any]] = {
    "no scans": lambda d, m: d.pop("scans"),
    "scans are text": lambda d, m: d.update(scans="all"),
    "scan is a number": lambda d, m: d.update(scans=[3]),
    "schema is text": lambda d, m: d.update(schema="1"),
    "schema is true": lambda d, m: d.update(schema=True),
    "schema is 0": lambda d, m: d.update(schema=0),
    "active beyond": lambda d, m: d.update(active=1),
    "active is text": lambda d, m: d.update(active="0"),
    "path outside": lambda d, m: d["scans"][0].update(path="../../etc/passwd"),
    "path with zero": lambda d, m: d["scans"][0].update(path="a\0b"),
    "path is a number": lambda d, m: d["scans"][0].update(path=3),
    "no path": lambda d, m: d["scans"][0].update(path=""),
    "affine of 3": lambda d, m: d["scans"][0].update(affine_lps=[1, 2, 3]),
    "cursor of text": lambda d, m: d["scans"][0].update(cursor=["a", 2, 3]),
    "window of 3": lambda d, m: d["scans"][0].update(window=[1, 2, 3]),
    "frame is huge": lambda d, m: d["scans"][0].update(frame=10**400),
    "inverted is 1": lambda d, m: d["scans"][0].update(inverted=1),
    "modality of lists": lambda d, m: d["scans"][0].update(stated={"modality": [1]}),
    "unknown modality": lambda d, m: d["scans"][0].update(stated={"modality": "XX"}),
    "three sides": lambda d, m: d["scans"][0].update(stated={"patient_orientation": ["L", "F", "H"]}),
    "segment without a name": lambda d, m: d["scans"][0]["segments"][0].pop("name"),
    "name is a number": lambda d, m: d["scans"][0]["segments"][0].update(name=4),
    "colour of 2": lambda d, m: d["scans"][0]["segments"][0].update(color=[1, 2]),
    "colour beyond": lambda d, m: d["scans"][0]["segments"][0].update(color=[1, 2, 256]),
    "opacity beyond": lambda d, m: d["scans"][0]["segments"][0].update(opacity=7),
    "two with one id": lambda d, m: d["scans"][0]["segments"][1].update(id="segment-one"),
    "mask of another file": lambda d, m: d["scans"][0]["segments"][0].update(mask="session.json"),
    "mask is missing": lambda d, m: d["scans"][0]["segments"][0].update(mask="masks/9.bits"),
    "huge grid": lambda d, m: d["scans"][0]["segments"][1].update(shape=[10**6] * 3),
    "box outside": lambda d, m: d["scans"][0]["segments"][0].update(box=[[0, 99], [0, 5], [0, 5]]),
    "box of text": lambda d, m: d["scans"][0]["segments"][0].update(box="all"),
    "mask of noise": lambda d, m: m.update({"masks/0.bits": b"noise"}),
    "provenance of lists": lambda d, m: d["scans"][0]["segments"][0].update(provenance=[]),
    "preview without answer": lambda d, m: d["scans"][0]["preview"].pop("answer"),
    "preview of another kind": lambda d, m: d["scans"][0]["preview"].update(answer="PERHAPS"),
    "points of text": lambda d, m: d["scans"][0]["preview"].update(points=["here"]),
    "unexpected member": lambda d, m: m.update({"../../evil.txt": b"x"}),
    "absolute member": lambda d, m: m.update({"/etc/evil": b"x"}),
    "checksums missing": lambda d, m: d.pop("masks"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_forged_content_is_damage(saved: Path, name: str) -> None:
    is_damaged(rewritten(saved, FORGED[name]))
    assert sorted(path.name for path in saved.parent.iterdir()) == ["schema_1.mvsession", "schema_1_scan.nii.gz"]


def document_of(text: bytes, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("session.json", text, compression)
    return buffer.getvalue()


def twice() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for _ in range(2):
            archive.writestr("session.json", '{"format": "medviewer session", "schema": 1, "scans": [], "masks": {}}')
    return buffer.getvalue()


def many() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("session.json", '{"format": "medviewer session", "schema": 1, "scans": [], "masks": {}}')
        for number in range(20_001):
            archive.writestr(f"masks/{number}.bits", b"")
    return buffer.getvalue()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "zeros": lambda: bytes(100_000),
    "another zip": lambda: document_of(b"{}"),
    "a list": lambda: document_of(b"[]"),
    "no JSON": lambda: document_of(b"\xff\xfe"),
    "deep": lambda: document_of(b"[" * 100_000),
    "a number of 5000 digits": lambda: document_of(b'{"schema": ' + b"9" * 5000 + b"}"),
    "not a number": lambda: document_of(b'{"format": "medviewer session", "schema": 1, "scans": NaN}'),
    "a bomb of 300 MB": lambda: document_of(bytes(300 << 20)),
    "bzip2": lambda: document_of(b"{}" * 1000, zipfile.ZIP_BZIP2),
    "two documents": twice,
    "20,001 masks": many,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_containers(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bad.mvsession"
    path.write_bytes(HOSTILE[name]())
    tracemalloc.start()
    is_damaged(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 << 20


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.mvsession", tmp_path):
        with pytest.raises(InputRefused, match="cannot be read") as caught:
            sessions.read_session(path)
        assert str(path) in caught.value.message
