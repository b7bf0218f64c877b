"""The decode worker: light, expendable, and never the end of the program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_factory import Series, save
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate

from medviewer.core.errors import InputRefused
from medviewer.core.volume import SeriesEntry
from medviewer.io import decode_frames, decode_limits, decode_pool, dicom_series
from medviewer.io.decode_worker import TASKS

CODECS = {
    "80": lambda values: bytes(imagecodecs.jpegls_encode(values)),
    "90": lambda values: bytes(imagecodecs.jpeg2k_encode(values, codecformat="j2k", reversible=True, level=0)),
    "70": lambda values: bytes(imagecodecs.jpeg8_encode(values, lossless=True, predictor=1, bitspersample=16)),
    "201": lambda values: bytes(imagecodecs.htj2k_encode(values)),
}


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A pool of this test alone."""
    own = decode_pool.DecodePool()
    monkeypatch.setattr(decode_pool, "POOL", own)
    yield own
    own.close()


def values(seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(seed).integers(0, 4000, (20, 24)).astype(np.uint16)


def compressed(path: Path, codec: str, data: bytes) -> SeriesEntry:
    dataset: FileDataset = Series(slices=1, signed=False, intercept=0.0, origin=(0.0, 0.0, 300.0)).dataset(0)
    dataset.PixelData = encapsulate([data])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID("1.2.840.10008.1.2.4." + codec)
    return dicom_series.scan(save(dataset, path)).entries[0]


def test_worker_has_no_qt_vtk_or_torch(pool: Any, tmp_path: Path) -> None:
    dicom_series.load(compressed(tmp_path / "a.dcm", "90", CODECS["90"](values())))
    for task in TASKS:
        pool.ask({"do": "prepare", "task": task})
    modules = pool.ask({"do": "modules"})[0]["modules"]
    assert {"medviewer.io.decode_codecs", "pydicom", "PIL.Image"} <= set(modules)  # it is the worker that answered
    roots = {name.split(".")[0] for name in modules}
    assert not roots & {"torch", "vtk", "vtkmodules", "PySide6", "SimpleITK", "scipy", "_gdcm", "openjpeg", "libjpeg"}


def test_reading_uncompressed_loads_no_heavy_library() -> None:
    code = "import sys, medviewer.io.dicom_series; print(sorted({m.split('.')[0] for m in sys.modules}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_environment())
    for name in ("torch", "vtk", "PySide6", "SimpleITK", "imagecodecs", "highdicom", "pydicom"):
        assert f"'{name}'" not in found.stdout


def _environment() -> dict[str, str]:
    root = str(Path(dicom_series.__file__).resolve().parents[2])
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))}


def test_killed_worker_gives_a_clear_error_and_the_next_decode_works(pool: Any, tmp_path: Path) -> None:
    entry = compressed(tmp_path / "a.dcm", "90", CODECS["90"](values()))
    asked = decode_pool.DecodeWorker.ask

    def killed(worker: decode_pool.DecodeWorker, request: dict[str, Any], timeout: float, most: int) -> Any:
        if request.get("do") == "prepare":
            return asked(worker, request, timeout, most)
        worker.process.kill()
        worker.process.wait()
        return asked(worker, request, timeout, most)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode_pool.DecodeWorker, "ask", killed)
        with pytest.raises(InputRefused, match=r"a\.dcm could not be decoded: the decoder stopped"):
            dicom_series.load(entry)
    np.testing.assert_array_equal(dicom_series.load(entry).array[:, :, 0].T, values())


def test_idle_worker_that_died_is_replaced(pool: Any, tmp_path: Path) -> None:
    entry = compressed(tmp_path / "a.dcm", "80", CODECS["80"](values()))
    dicom_series.load(entry)
    for worker in pool._idle:
        worker.process.kill()
        worker.process.wait()
    np.testing.assert_array_equal(dicom_series.load(entry).array[:, :, 0].T, values())


@pytest.mark.skipif(os.name == "nt", reason="needs a signal that stops a process")
def test_hanging_worker_is_ended_after_the_timeout(pool: Any, tmp_path: Path) -> None:
    entry = compressed(tmp_path / "a.dcm", "90", CODECS["90"](values()))
    dicom_series.load(entry)
    stopped = pool._idle[-1].process
    os.kill(stopped.pid, signal.SIGSTOP)
    with pytest.raises(InputRefused, match="took too long"):
        decode_frames.decode(entry.handle.frames[0], seconds=0.5)
    assert stopped.wait(timeout=10) == -signal.SIGKILL
    np.testing.assert_array_equal(decode_frames.decode(entry.handle.frames[0]), values())


@pytest.mark.skipif(os.name == "nt", reason="needs rlimits")
def test_worker_memory_is_limited(pool: Any) -> None:
    pool.ask({"do": "modules"})
    limits = Path(f"/proc/{pool._idle[-1].process.pid}/limits")
    if not limits.is_file():
        pytest.skip("no /proc here")
    line = next(text for text in limits.read_text().splitlines() if text.startswith("Max address space"))
    assert str(decode_limits.MEMORY_LIMIT) in line


def _mutant(data: bytes, rng: np.random.Generator) -> bytes:
    """One to four changed bytes, most of them near the beginning, as in a damaged header."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        end = min(250, len(changed)) if rng.random() < 0.7 else len(changed)
        changed[int(rng.integers(0, end))] = int(rng.integers(0, 256))
    return bytes(changed)


def _refusal(entry: SeriesEntry) -> str | None:
    try:
        assert dicom_series.load(entry).shape == (24, 20, 1)
    except InputRefused as error:
        return error.message
    return None


@pytest.mark.parametrize("codec", CODECS)
def test_damaged_streams_are_refused_or_shown_but_never_fatal(pool: Any, tmp_path: Path, codec: str) -> None:
    """Mutated code streams: each gives pixels of the stated size or a refusal that names the file."""
    rng = np.random.default_rng(int(codec))
    whole = CODECS[codec](values())
    refused = 0
    for index in range(60):
        entry = compressed(tmp_path / f"m{index}.dcm", codec, _mutant(whole, rng))
        message = _refusal(entry)
        refused += message is not None
        assert message is None or f"m{index}.dcm" in message
    assert refused
    np.testing.assert_array_equal(
        dicom_series.load(compressed(tmp_path / "whole.dcm", codec, whole)).array[:, :, 0].T, values()
    )
