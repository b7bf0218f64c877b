"""The embedding cache on disk: private, bounded, checked, shared by processes, and never in the way."""

from __future__ import annotations

import errno
import json
import os
import random
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medviewer.io.stray_files import temporary_name
from medviewer.services import embedding_cache, log
from medviewer.services.embedding_cache import DiskEmbeddings, clear, used
from medviewer.services.settings import Settings

posix = pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")


def key_of(number: int) -> str:
    return f"{number:064x}"


def pieces(seed: int = 0, rows: int = 3, size: int = 8) -> dict[str, list[np.ndarray[Any, Any]]]:
    rng = np.random.default_rng(seed)
    return {
        "embedding": [rng.normal(size=(4, size, size)).astype(np.float16) for _ in range(rows)],
        "features": [rng.normal(size=(2, 2 * size, size)).astype(np.float16) for _ in range(rows)],
    }


def assert_equal(found: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> None:
    assert found is not None
    assert list(found) == list(wanted)
    for name, rows in wanted.items():
        np.testing.assert_array_equal(found[name].view(np.uint16), np.stack(rows).view(np.uint16))


@pytest.fixture
def cache(tmp_path: Path) -> DiskEmbeddings:
    return DiskEmbeddings(tmp_path / "cache" / "embeddings", 10_000_000)


def stored(cache: DiskEmbeddings, number: int, **sizes: int) -> Path:
    cache.write(key_of(number), pieces(number, **sizes))
    cache.wait()
    return cache.folder / (key_of(number) + ".emb")


def test_what_was_written_comes_back_bit_for_bit(cache: DiskEmbeddings) -> None:
    assert cache.read(key_of(1)) is None
    stored(cache, 1)
    found = cache.read(key_of(1))
    assert_equal(found, pieces(1))
    assert found is not None
    found["embedding"][:] = 0  # a copy of one's own
    assert_equal(cache.read(key_of(1)), pieces(1))


@posix
def test_only_the_user_can_read_it(cache: DiskEmbeddings) -> None:
    before = os.umask(0)
    try:
        cache.folder.mkdir(parents=True, mode=0o777)
        path = stored(cache, 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@posix
def test_a_folder_that_is_a_link_is_not_used(cache: DiskEmbeddings, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    cache.folder.parent.mkdir()
    cache.folder.symlink_to(elsewhere)
    stored(cache, 1)
    assert not list(elsewhere.iterdir())
    assert cache.read(key_of(1)) is None


def test_names_are_hashes_and_nothing_else_is_inside(cache: DiskEmbeddings) -> None:
    path = stored(cache, 1)
    assert [item.name for item in cache.folder.iterdir()] == [path.name]
    size = sum(len(rows) * rows[0].nbytes for rows in pieces(1).values())
    text = path.read_bytes()[: path.stat().st_size - size - 16]
    header = text.removeprefix(b"medviewer embeddings 1\n\0")[4:]
    assert json.loads(header) == {"embedding": ["<f2", [3, 4, 8, 8]], "features": ["<f2", [3, 2, 16, 8]]}


@pytest.mark.parametrize("name", ["../../x", "", "A" * 64, "g" * 64, "0" * 63, "0" * 64 + "\n", "/etc/passwd"])
def test_other_keys_name_no_file(cache: DiskEmbeddings, name: str) -> None:
    cache.write(name, pieces())
    cache.wait()
    assert cache.read(name) is None
    assert not cache.folder.exists()


def test_the_least_recently_used_go_first(cache: DiskEmbeddings) -> None:
    size = stored(cache, 0).stat().st_size
    small = DiskEmbeddings(cache.folder, 4 * size + 4096)  # with the largest header
    for number in range(1, 4):
        stored(small, number)
    for number in range(4):
        os.utime(small.folder / (key_of(number) + ".emb"), (1000 + number, 1000 + number))
    assert small.read(key_of(0)) is not None  # used just now
    stored(small, 4)
    kept = [number for number in range(5) if small.read(key_of(number)) is not None]
    assert kept == [0, 2, 3, 4]
    assert used(small.folder) == 4 * size


def test_an_entry_beyond_the_quota_is_not_written_and_drops_nothing(cache: DiskEmbeddings) -> None:
    path = stored(cache, 1)
    stored(cache, 2, rows=60_000)
    assert [item.name for item in cache.folder.iterdir()] == [path.name]


def test_every_damage_is_noticed_and_removed(cache: DiskEmbeddings) -> None:
    path = stored(cache, 1)
    good = path.read_bytes()
    rng = random.Random(1)
    damaged = [good[:n] for n in (0, 1, 27, 28, 100, len(good) // 2, len(good) - 1)] + [good + b"x", good * 2]
    for _ in range(200):
        place = rng.randrange(len(good))
        damaged.append(good[:place] + bytes([good[place] ^ 1 << rng.randrange(8)]) + good[place + 1 :])
    for data in damaged:
        path.write_bytes(data)
        assert cache.read(key_of(1)) is None
        assert not path.exists()
    path.write_bytes(good)
    path.rename(cache.folder / (key_of(2) + ".emb"))  # whole, but of another scan
    assert cache.read(key_of(2)) is None
    stored(cache, 1)
    assert_equal(cache.read(key_of(1)), pieces(1))


@pytest.mark.parametrize(
    "header", [b"[]", b"5", b'{"a": ["O", [3]]}', b'{"a": ["<f2", [-1]]}', b'{"a": ["<f2", [4294967295, 4294967295]]}',
               b'{"a": ["<f2", ["x"]]}', b"\xff", b'{"a": 1}'],
)  # fmt: skip
def test_headers_that_lie_take_no_memory(cache: DiskEmbeddings, header: bytes) -> None:
    cache.folder.mkdir(parents=True)
    path = cache.folder / (key_of(1) + ".emb")
    path.write_bytes(b"medviewer embeddings 1\n\0" + len(header).to_bytes(4, "little") + header + bytes(100))
    assert cache.read(key_of(1)) is None


def test_a_full_disk_turns_it_off_with_a_line_in_the_log(
    cache: DiskEmbeddings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path))
    stored(cache, 1)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(embedding_cache, "_write_to", full)
    stored(cache, 2)
    assert cache.quota == 0
    assert cache.read(key_of(1)) is None
    assert [item.name for item in cache.folder.iterdir()] == [key_of(1) + ".emb"]  # no half file
    assert "model cache is off" in log.log_path().read_text()
    assert DiskEmbeddings(cache.folder, 10**7).read(key_of(1)) is not None  # the next start tries again


def test_a_nearly_full_disk_is_left_alone(cache: DiskEmbeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 100_000_000

    monkeypatch.setattr(embedding_cache.shutil, "disk_usage", lambda folder: Usage)
    stored(cache, 1)
    assert not list(cache.folder.iterdir())


def test_the_setting_is_the_quota_and_zero_is_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path))
    cache = embedding_cache.embedding_store()
    assert cache.quota == 2_000_000_000
    stored(cache, 1)
    for value, quota in ((0, 0), (0.0, 0), (-1, 0), (float("inf"), 0), (1, 10**9), (0.5, 5 * 10**8), ("x", 2 * 10**9)):
        Settings().set("embedding_cache_gb", value)
        assert cache.quota == quota
    Settings().set("embedding_cache_gb", 0)
    assert cache.read(key_of(1)) is None
    stored(cache, 2)
    assert len(list(cache.folder.iterdir())) == 1
    assert embedding_cache.embedding_store().quota == 0
    assert not list(cache.folder.iterdir())  # nothing derived from a patient stays on the disk


def test_clearing_frees_everything_and_touches_nothing_else(cache: DiskEmbeddings) -> None:
    sizes = [stored(cache, number).stat().st_size for number in range(3)]
    other = cache.folder / "notes.txt"
    other.write_text("mine")
    stray = temporary_name(cache.folder / (key_of(7) + ".emb"))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    stray = stray.with_name(stray.name.replace(f".{os.getpid()}.", f".{ended.pid}."))
    stray.write_bytes(bytes(50))
    assert used(cache.folder) == sum(sizes)
    assert clear(cache.folder) == sum(sizes) + 50
    assert [item.name for item in cache.folder.iterdir()] == ["notes.txt"]
    assert clear(cache.folder) == 0
    assert clear(cache.folder / "absent") == 0


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_embedding_cache import key_of, pieces, assert_equal
from medviewer.services.embedding_cache import DiskEmbeddings
cache = DiskEmbeddings(Path(sys.argv[1]), 6 * 4000)
for turn in range(120):
    number = (turn * 7 + int(sys.argv[2])) % 10
    cache.write(key_of(number), pieces(number))
    cache.wait()
    other = (turn * 3) % 10
    found = cache.read(key_of(other))
    if found is not None:
        assert_equal(found, pieces(other))
assert cache.quota, "it was turned off"
"""


def test_two_processes_share_the_folder(tmp_path: Path, repository: Path) -> None:
    """Both write, read and evict the same keys: nothing wrong is read, nothing fails, the quota holds at the end."""
    folder = tmp_path / "embeddings"
    here = str(Path(__file__).parent)
    children = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(n), here], cwd=repository) for n in range(2)
    ]
    assert [child.wait(100) for child in children] == [0, 0]
    assert used(folder) <= 6 * 4000
    assert all(item.name.endswith(".emb") for item in folder.iterdir() if not item.name.startswith("."))


def test_a_process_that_ends_finishes_its_writing(tmp_path: Path, repository: Path) -> None:
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]); "
        "from test_embedding_cache import key_of, pieces; "
        "from medviewer.services.embedding_cache import DiskEmbeddings; "
        "DiskEmbeddings(Path(sys.argv[1]), 10**9).write(key_of(1), pieces(1, rows=2000))"
    )
    here = str(Path(__file__).parent)
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "e"), here], cwd=repository, check=True)
    assert_equal(DiskEmbeddings(tmp_path / "e", 10**9).read(key_of(1)), pieces(1, rows=2000))


def test_a_header_nested_too_deeply_is_damage() -> None:
    with pytest.raises(embedding_cache.Damaged):
        embedding_cache._layout(b"[" * 4000)
