"""Memory that is not there: scans are refused or reduced before they are read, models run with less, and say so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from medviewer.core.errors import InputRefused
from medviewer.core.progress import Progress
from medviewer.core.volume import SeriesEntry, Volume
from medviewer.services import memory, open_data, preflight

GIB = 1 << 30
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
posix = pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_AS is POSIX")


def sparse_nifti(path: Path, shape: tuple[int, int, int], dtype: Any = np.int16, slope: float = 1.0) -> Path:
    """A file of the full size that takes no space on the disk."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header.set_qform(np.diag([0.5, 0.5, 0.5, 1.0]), 1)
    header.set_sform(np.diag([0.5, 0.5, 0.5, 1.0]), 1)
    header["vox_offset"] = 352
    header.set_slope_inter(slope, 0.0)
    with path.open("wb") as file:
        file.write(header.binaryblock + bytes(4))
        file.truncate(352 + int(np.prod(shape)) * np.dtype(dtype).itemsize)
    return path


CHILD = """
import json, pathlib, re, resource, sys, time
path, limit = sys.argv[1], int(sys.argv[2])
import numpy, psutil, medviewer.services.open_data as open_data
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
from medviewer.core.errors import UserError
began = time.perf_counter()
try:
    volume = open_data.open_volume(path)
    told = {"shape": volume.shape, "warnings": volume.warnings, "spacing": volume.spacing_mm}
except UserError as error:
    told = {"error": str(error), "code": error.code}
told["seconds"] = time.perf_counter() - began
status = pathlib.Path("/proc/self/status")  # ru_maxrss would count the parent's memory before the exec
told["peak"] = int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text()).group(1)) * 1024 if status.exists() else 0
print(json.dumps(told))
"""


def open_limited(path: Path, limit: int, repository: Path) -> dict[str, Any]:
    """Open a scan in a process that may not have more than `limit` bytes of addresses."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), str(limit)], cwd=repository, capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@posix
def test_two_gigabytes_do_not_enter_a_process_of_four(tmp_path: Path, repository: Path) -> None:
    """2 GB on the disk (sparse), which would be 4 GB as real values, under an address limit of 4 GB (R31)."""
    path = sparse_nifti(tmp_path / "large.nii", (1024, 1024, 1024), slope=0.5)
    told = open_limited(path, 4 * GIB, repository)
    assert told["shape"] == [512, 512, 1024], told
    assert told["spacing"] == [1.0, 1.0, 0.5]
    assert told["warnings"][0].startswith("Too large for the free memory (it needs 10.")
    assert "reduced 2 × 2 × 1" in told["warnings"][0]
    assert sum(warning.startswith("Too large") for warning in told["warnings"]) == 1
    assert told["peak"] < 2.5 * GIB


@posix
def test_what_cannot_be_reduced_is_refused_before_anything_is_read(tmp_path: Path, repository: Path) -> None:
    """A colour volume of 2.4 GB."""
    path = sparse_nifti(tmp_path / "colour.nii", (1000, 1000, 800), RGB)
    told = open_limited(path, 4 * GIB, repository)
    assert told["code"] == "not-enough-memory"
    assert "needs" in told["error"]
    assert "are free" in told["error"]
    assert told["peak"] < 0.5 * GIB
    assert told["seconds"] < 5


def entry_of(path: Path) -> SeriesEntry:
    (entry,) = open_data.scan_path(path).entries
    return entry


@pytest.fixture
def scan(tmp_path: Path) -> SeriesEntry:
    """64 x 64 x 40 whole numbers: 0.3 MB."""
    values = np.random.default_rng(0).integers(-1000, 1000, (64, 64, 40)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1.0, 3.0, 1.0])), tmp_path / "scan.nii")
    return entry_of(tmp_path / "scan.nii")


def free_for(budget: float) -> int:
    """Free bytes that leave a scan `budget` bytes."""
    return int(budget / 0.9) + preflight._MARGIN + 1


def test_the_smallest_blocks_that_fit_are_taken(scan: SeriesEntry) -> None:
    voxels = 64 * 64 * 40
    assert preflight.plan_loading(scan, 1, free_for(3 * voxels)).whole
    plans = [preflight.plan_loading(scan, 1, free_for(share * voxels)) for share in (2.9, 1.1, 0.7, 0.6)]
    factors = [plan.factors for plan in plans]
    assert factors[0] == (2, 1, 1) or factors[0] == (2, 2, 1)
    assert [np.prod(f) for f in factors] == sorted(np.prod(f) for f in factors)
    assert all(f[2] == 1 for f in factors[:2]), "the slices are far apart already"
    assert all("measurements are coarser" in plan.notice for plan in plans)
    hopeless = preflight.plan_loading(scan, 1, free_for(0.01 * voxels))
    assert hopeless.refusal
    assert not hopeless.whole
    assert preflight.plan_loading(scan, free=0).refusal


def test_copies_are_counted(scan: SeriesEntry) -> None:
    voxels = 64 * 64 * 40
    free = free_for(3 * voxels)
    assert preflight.plan_loading(scan, 1, free).whole
    assert not preflight.plan_loading(scan, 2, free).whole
    assert preflight.plan_loading(scan, 2, free_for(5 * voxels)).whole


def short_of_memory(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(preflight, "available_memory", lambda: free)


def test_a_reduced_scan_says_so_everywhere(scan: SeriesEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is loaded (list of series, `info`), and in the volume, from which banner and exports take it."""
    short_of_memory(monkeypatch, free_for(1.5 * 64 * 64 * 40))
    listed = entry_of(scan.path)
    assert listed.warnings[0].startswith("Too large for the free memory")
    volume = open_data.load(listed)
    assert volume.shape == (32, 32, 40)
    assert volume.regularisation is not None
    assert volume.warnings[0] == volume.regularisation.sentence
    assert sum(warning.startswith("Too large") for warning in volume.warnings) == 1
    short_of_memory(monkeypatch, 10**10)
    assert open_data.load(listed).warnings == open_data.load(scan).warnings  # it fits by now


def test_info_tells_it(
    scan: SeriesEntry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from medviewer.cli.main import main

    short_of_memory(monkeypatch, free_for(1.5 * 64 * 64 * 40))
    assert main(["info", str(scan.path), "--json"]) == 0
    (volume,) = json.loads(capsys.readouterr().out)["volumes"]
    assert any("reduced 2 × 2 × 1" in warning for warning in volume["warnings"])


def test_a_refusal_has_a_code_a_size_and_a_hint(scan: SeriesEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    short_of_memory(monkeypatch, free_for(1000))
    with pytest.raises(InputRefused, match=r"needs 0\.2 GB, 0\.2 GB are free") as caught:
        open_data.load(scan)
    assert caught.value.code == "not-enough-memory"
    assert "Close other" in caught.value.hint
    assert entry_of(scan.path).warnings[0].startswith("Too large")


def test_memory_that_ends_while_reading_is_told(scan: SeriesEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(entry: SeriesEntry, progress: Progress) -> Volume:
        raise MemoryError

    monkeypatch.setattr("medviewer.io.nifti.load", no_room)
    with pytest.raises(InputRefused, match="does not fit into the memory"):
        open_data.load(scan)


# -- what is free -----------------------------------------------------------------------
@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    return tmp_path


def test_a_container_limits_it(container: Path) -> None:
    whole = memory.available_memory()
    assert whole > 10**8
    (container / "memory.max").write_text("90000000\n")
    (container / "memory.current").write_text("50000000\n")
    (container / "memory.stat").write_text("anon 1\ninactive_file 20000000\n")
    assert memory.available_memory() == 60_000_000
    (container / "memory.current").write_text("200000000\n")
    assert memory.available_memory() == 0
    (container / "memory.max").write_text("max\n")
    assert memory.available_memory() > 10**8


def test_an_old_container_limits_it(container: Path) -> None:
    old = container / "memory"
    old.mkdir()
    (old / "memory.limit_in_bytes").write_text("70000000")
    (old / "memory.usage_in_bytes").write_text("30000000")
    (old / "memory.stat").write_text("total_inactive_file 5000000\n")
    assert memory.available_memory() == 45_000_000


@posix
def test_an_address_limit_limits_it(repository: Path) -> None:
    code = (
        "import resource, psutil; from medviewer.services.memory import available_memory; "
        "limit = psutil.Process().memory_info().vms + 300_000_000; "
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit)); free = available_memory(); "
        "assert 200_000_000 < free <= 300_000_000, free"
    )
    subprocess.run([sys.executable, "-c", code], cwd=repository, check=True)
