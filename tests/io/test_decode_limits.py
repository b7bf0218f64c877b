"""Whatever a codec does to its process costs one slice and one message: never the program, never an orphan."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import psutil
import pydicom
import pytest
from dicom_factory import Series, save
from pydicom.encaps import encapsulate

from medviewer.core.errors import InputRefused
from medviewer.io import decode_frames, decode_limits, decode_pool, dicom_series

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs signals")

# Imported by the worker as it starts: a codec that obeys the first bytes of its data.
EVIL_CODEC = """
import os, signal, time
import numpy as np
import medviewer.io.decode_codecs as codecs

class PanicException(BaseException):
    "Rust codecs raise one like this: it is no Exception."

def panic(): raise PanicException("index out of bounds")
def hang():
    while True: pass
def grow():
    kept = []
    while True:
        kept.append(np.ones(1 << 23)); time.sleep(0.001)
def segfault():
    import ctypes
    ctypes.string_at(0)

DEEDS = {b"KILL": lambda: os.kill(os.getpid(), signal.SIGKILL), b"ABRT": os.abort, b"SEGV": segfault, b"HANG": hang,
         b"400G": lambda: np.empty(400 << 30, np.uint8), b"GROW": grow, b"PANI": panic, b"EXIT": lambda: os._exit(0),
         b"PRNT": lambda: os.write(1, b"0123456789" * 1000), b"STOP": lambda: exit(3)}
really = codecs.decode_frame

def decode_frame(data, pixels):
    if data[:4] in DEEDS:
        DEEDS[data[:4]]()
    return really(data, pixels)

codecs.decode_frame = decode_frame
"""
VALUES = np.random.default_rng(0).integers(0, 1000, (20, 24)).astype(np.uint16)
GOOD = bytes(imagecodecs.jpeg2k_encode(VALUES, codecformat="j2k", reversible=True, level=0))
DEADLY = ["KILL", "ABRT", "SEGV", "HANG", "EXIT"]
HARMLESS = ["PANI", "400G", "STOP"]  # the worker answers and goes on


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that, on PYTHONPATH, gives workers the evil codec."""
    folder = tmp_path_factory.mktemp("evil")
    (folder / "sitecustomize.py").write_text(EVIL_CODEC)
    return folder


@pytest.fixture(scope="module")
def module_pool(evil: Path) -> Iterator[decode_pool.DecodePool]:
    """Workers with the evil codec."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(evil))
        own = decode_pool.DecodePool()
        patch.setattr(decode_pool, "POOL", own)
        patch.setattr(decode_frames, "SECONDS", 2.0)  # a good slice takes milliseconds, also on a busy machine
        patch.setattr(decode_frames, "MEGAPIXEL_SECONDS", 0.0)
        yield own
        own.close()


def series(folder: Path, middle: bytes) -> list[Path]:
    """Three compressed slices, of which the second holds `middle`."""
    made = Series(slices=3, signed=False, intercept=0.0, origin=(0.0, 0.0, 300.0))

    def pack(dataset: pydicom.Dataset, k: int) -> None:
        dataset.PixelData = encapsulate([middle if k == 1 else GOOD])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless

    made.edit = pack
    return made.write(folder)


@pytest.mark.parametrize("deed", DEADLY + HARMLESS)
def test_one_evil_slice_costs_one_message(module_pool: decode_pool.DecodePool, tmp_path: Path, deed: str) -> None:
    paths = series(tmp_path / "a", deed.encode() + bytes(40))
    (entry,) = dicom_series.scan(tmp_path / "a").entries
    before = module_pool.deaths
    with pytest.raises(InputRefused) as refusal:
        dicom_series.load(entry)
    assert refusal.value.message.startswith(f"{paths[1].name} could not be decoded")
    assert refusal.value.hint
    assert module_pool.deaths - before == (deed in DEADLY)
    np.testing.assert_array_equal(dicom_series.load_slice(entry, 0).T, VALUES)  # the next request works


@pytest.mark.parametrize("deed", ["ABRT", "PANI"])
def test_a_longer_series_is_shown_without_the_slice(
    module_pool: decode_pool.DecodePool, tmp_path: Path, deed: str
) -> None:
    """As if its file were missing: the gap is filled between its neighbours, and the warnings say so."""
    made = Series(slices=10, signed=False, intercept=0.0, origin=(0.0, 0.0, 300.0))

    def pack(dataset: pydicom.Dataset, k: int) -> None:
        good = imagecodecs.jpeg2k_encode(made.stored(k), codecformat="j2k", reversible=True, level=0)
        dataset.PixelData = encapsulate([deed.encode() + bytes(40) if k == 4 else bytes(good)])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless

    made.edit = pack
    paths = made.write(tmp_path)
    (entry,) = dicom_series.scan(tmp_path).entries
    volume = dicom_series.load(entry)
    assert volume.regularisation is not None
    assert volume.regularisation.interpolated == (4,)
    assert any(paths[4].name in warning and "left out" in warning for warning in volume.warnings)
    assert paths[4] not in volume.source.files
    np.testing.assert_allclose(volume.affine, entry.affine_lps, atol=1e-6)
    for k in range(10):
        np.testing.assert_allclose(volume.array[:, :, k].T, np.rint(made.values(k)), atol=1.0)


def test_what_a_codec_prints_does_not_disturb_the_answers(module_pool: decode_pool.DecodePool, tmp_path: Path) -> None:
    series(tmp_path, b"PRNT" + bytes(40))
    (entry,) = dicom_series.scan(tmp_path).entries
    with pytest.raises(InputRefused, match="could not be decoded"):
        dicom_series.load(entry)
    np.testing.assert_array_equal(dicom_series.load_slice(entry, 2).T, VALUES)


def test_memory_is_watched_where_the_system_has_no_limit(
    evil: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way of macOS, forced: the worker sets itself no limit, the program polls its memory and ends it."""
    monkeypatch.setenv("PYTHONPATH", str(evil))
    monkeypatch.setattr(decode_limits, "MEMORY_LIMIT", 300 << 20)
    pool = decode_pool.DecodePool(watched=True)
    monkeypatch.setattr(decode_pool, "POOL", pool)
    series(tmp_path, b"GROW" + bytes(40))
    ref = dicom_series.scan(tmp_path).entries[0].handle.frames[1]
    try:
        assert address_space_limit(started(pool)) in (None, "unlimited")
        with pytest.raises(InputRefused, match="ran out of memory"):
            decode_frames.decode(ref, seconds=100.0)  # which it would fill until the machine has no memory left
        assert pool.deaths == 1
    finally:
        pool.close()


def started(pool: decode_pool.DecodePool) -> int:
    """The process id of a worker that is ready."""
    pool.ask({"do": "modules"})
    return pool._idle[-1].process.pid


def address_space_limit(pid: int) -> str | None:
    """The soft RLIMIT_AS of a process as /proc shows it."""
    path = Path(f"/proc/{pid}/limits")
    if not path.is_file():
        return None
    return next(line for line in path.read_text().splitlines() if line.startswith("Max address space")).split()[3]


PROGRAM = """
import sys, threading
from pathlib import Path
from medviewer.io import decode_frames, decode_pool, dicom_series
ref = dicom_series.scan(Path(sys.argv[1])).entries[0].handle.frames[1]
decode_pool.POOL.ask({"do": "modules"})
print(decode_pool.POOL._idle[-1].process.pid, flush=True)
if sys.argv[2] == "busy":
    decode_frames.decode(ref, seconds=4.0)
sys.stdin.read()
"""


@pytest.mark.parametrize("state", ["idle", "busy"])
def test_no_orphan_when_the_program_is_killed(evil: Path, tmp_path: Path, state: str) -> None:
    """SIGKILL lets the program clean up nothing. A busy worker hangs here while it holds the interpreter's lock."""
    series(tmp_path, b"HANG" + bytes(40))
    root = str(Path(dicom_series.__file__).resolve().parents[2])
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path), state], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(evil), root))},
    )  # fmt: skip
    assert program.stdout is not None
    worker = psutil.Process(int(program.stdout.readline()))
    if state == "busy":
        wait_until(lambda: worker.cpu_times().user > 0.3)
    program.kill()
    program.communicate()
    wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


def wait_until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Poll until it is true; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_ctrl_c_is_for_the_program(module_pool: decode_pool.DecodePool) -> None:
    """Ctrl-C reaches all processes of a terminal; a worker that died of it would look like a damaged file."""
    pid = started(module_pool)
    os.kill(pid, signal.SIGINT)
    assert started(module_pool) == pid


def test_a_file_that_killed_a_worker_is_not_tried_again(
    module_pool: decode_pool.DecodePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(Series(slices=1).dataset(0), tmp_path / "a.dcm")
    asked = []

    def dies(task: str, *_: object, **__: object) -> None:
        asked.append(task)
        raise decode_pool.WorkerFailed(decode_pool.STOPPED)

    monkeypatch.setattr(decode_pool, "ask", dies)
    for _ in range(2):
        with pytest.raises(decode_pool.WorkerFailed):
            decode_pool.ask_about("header", path)
    assert asked == ["header"]
    os.utime(path, (1, 1))  # another file in its place is
    with pytest.raises(decode_pool.WorkerFailed):
        decode_pool.ask_about("header", path)
    assert asked == ["header", "header"]
