"""Whether the window keeps its size: `python -m tests.benchmarks.bench_soak [--cycles N] [--model] [--slices N]`.

Opens a generated CT in the real window, asks, accepts, exports, closes; N times (default 200). The answers come from
the real process of the plugins; by default from a plugin that thresholds (fast), with `--model` from the shipped model.
Every twentieth export is a DICOM SEG. Prints memory (proportional set size of the window and its processes), open
files, threads and processes at the start of the counting (after 20 cycles) and at the end, and which heavy libraries
the window has loaded itself. Exit status 1 if the memory grew by more than 5 %, or anything else became more.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import gc
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.benchmarks.window_driver import Driver, in_display

PLUGIN = Path(__file__).resolve().parents[1] / "plugins" / "example_threshold"
GROWTH_BAR = 0.05
HEAVY = {"torch", "vtkmodules", "highdicom"}  # their import or work lets no other thread run


@dataclasses.dataclass(frozen=True)
class Size:
    """The program after a cycle."""

    memory_mb: float
    window_mb: float
    files: int
    threads: int
    processes: int


def own_memory(process: psutil.Process) -> int:
    """Bytes that a process holds itself, by proportional shares: neither code nor libraries.

    Pages of libraries are shared with whatever else runs on the computer, so that counting them would measure others.
    """
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        info = process.memory_full_info()
        return int(getattr(info, "uss", info.rss))
    figures = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines[1:])}
    return 1024 * (figures["Pss_Anon"] + figures["Pss_Shmem"])


def size_of_program() -> Size:
    """Window and children; memory by proportional shares, so that what they share counts once."""
    gc.collect()
    me = psutil.Process()
    family = [me, *me.children(recursive=True)]
    memory = {}
    for process in family:
        with contextlib.suppress(psutil.Error):
            memory[process.pid] = own_memory(process) / 2**20
    return Size(
        sum(memory.values()),
        memory[me.pid],
        me.num_fds() if hasattr(me, "num_fds") else 0,
        me.num_threads(),
        len(family),
    )


def use_plugin(driver: Driver, folder: Path) -> None:
    """Let the Find tab ask the logic of another plugin, in the same process of the window."""
    from medviewer.plugin_host.logic_factory import FACTORY
    from medviewer.services.logic_process import RemoteLogic

    panel = driver.panel
    logic = RemoteLogic(driver.window.logic.process, FACTORY, (str(folder),))
    panel.context = dataclasses.replace(panel.context, logic=logic)
    panel.finder.context = panel._preparer.context = panel.context


def cycle(driver: Driver, scan: Path, out: Path, prompt: str, number: int) -> None:
    """One scan as a reader works on it."""
    driver.open(scan)
    driver.settle()
    driver.ask(prompt)
    driver.accept()
    driver.export(out / f"masks{'.dcm' if number % 20 == 19 else '.nii.gz'}")
    driver.window.scene.undo()
    driver.window.scene.redo()
    driver.close_scan()
    driver.run_for(0.01)


def soak(cycles: int, warm_up: int, slices: int, *, model: bool) -> dict[str, object]:
    """Work, and compare the sizes after the warm-up with those of the end."""
    from tests.benchmarks.large_scan import large_ct, write_nifti

    sizes: list[Size] = []
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="medviewer-bench-") as temporary:
        folder = Path(temporary)
        scan = write_nifti(folder / "scan.nii", large_ct((128, 96, slices)))
        driver = Driver()
        if not model:
            use_plugin(driver, PLUGIN)
        for number in range(cycles):
            cycle(driver, scan, folder, "liver" if model else "bone", number)
            sizes.append(size_of_program())
            if number % 10 == 9:
                print(f"... {number + 1} cycles: {sizes[-1]}", file=sys.stderr, flush=True)
        heavy = sorted({name.partition(".")[0] for name in sys.modules} & HEAVY)
        driver.close()
    figures = compared(sizes[warm_up:], warm_up, time.perf_counter() - began)
    return figures | {"heavy_modules": heavy, "processes_after_closing": len(psutil.Process().children())}


def compared(sizes: list[Size], warm_up: int, seconds: float) -> dict[str, object]:
    """Medians of the first and the last fifth."""
    part = max(len(sizes) // 5, 1)
    first, last = sizes[:part], sizes[-part:]
    memory = [statistics.median(size.memory_mb for size in part) for part in (first, last)]
    window = [statistics.median(size.window_mb for size in part) for part in (first, last)]
    growth = memory[1] / memory[0] - 1
    files = [max(size.files for size in part) for part in (first, last)]
    threads = [max(size.threads for size in part) for part in (first, last)]
    processes = [max(size.processes for size in part) for part in (first, last)]
    good = growth <= GROWTH_BAR and files[1] <= files[0] and threads[1] <= threads[0] and processes[1] <= processes[0]
    return {
        "cycles": len(sizes) + warm_up, "warm_up": warm_up, "seconds": round(seconds),
        "memory_mb": [round(m, 1) for m in memory],
        "window_mb": [round(m, 1) for m in window], "growth_percent": round(100 * growth, 2),
        "mb_per_cycle": round((memory[1] - memory[0]) / max(len(sizes) - part, 1), 3),
        "files": files, "threads": threads, "processes": processes, "good": good,
    }  # fmt: skip


def main() -> int:
    """Print the figures as JSON."""
    in_display("tests.benchmarks.bench_soak")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--warm-up", type=int, default=20)
    parser.add_argument("--slices", type=int, default=64)
    parser.add_argument("--model", action="store_true")
    options = parser.parse_args()
    figures = soak(options.cycles, options.warm_up, options.slices, model=options.model)
    print(json.dumps(figures, indent=1))
    return 0 if figures["good"] else 1


if __name__ == "__main__":
    sys.exit(main())
