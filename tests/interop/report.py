"""`python -m tests.interop.report [part of a name]`: every case of DICOM SEG beside what the tools of others say of it.

Columns: errors/warnings of dciodvfy and dcentvfy, voxels given back and largest error of the affine (mm) by dcmqi,
highdicom and medviewer, seconds to save, and whether Orthanc stored, filed and returned it. Needs dicom3tools, dcmtk,
orthanc (Debian) and dcmqi (PyPI). Ends with status 1 where anything is not perfect.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
import warnings
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parent / "io")]

import seg_tools  # noqa: E402
from orthanc_server import Orthanc, orthanc  # noqa: E402
from seg_cases import CASES, Case  # noqa: E402
from seg_judged import through_orthanc, write  # noqa: E402

_READERS = ("dcmqi", "highdicom", "medviewer")


def main(arguments: list[str]) -> int:
    """Print the table; 0 where every cell is perfect."""
    warnings.simplefilter("ignore")
    heads = ("dciodvfy", "dcentvfy", *_READERS, "save s", "Orthanc")
    print(f"{'case':32}" + "".join(f"{head:>24}" if head in _READERS else f"{head:>10}" for head in heads))
    good = True
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "server").mkdir()
        server = stack.enter_context(orthanc(folder / "server"))
        for number, case in enumerate(CASES):
            if not arguments or any(word in case.name for word in arguments):
                (folder / str(number)).mkdir()
                good &= _line(case, folder / str(number), server)
    print("all perfect" if good else "NOT perfect")
    return 0 if good else 1


def _line(case: Case, folder: Path, server: Orthanc) -> bool:
    start = time.perf_counter()
    written = write(case, folder)
    seconds = time.perf_counter() - start
    verdicts = (seg_tools.dciodvfy(written.seg), seg_tools.dcentvfy([written.seg, *written.sources]))
    found = written.foreign(folder / "dcmqi")
    stored = all(through_orthanc(written, server).values())
    cells = [f"{len(v.errors)}/{len(v.warnings)}".rjust(10) for v in verdicts]
    for reader in _READERS:
        one = found.get(reader)
        place = "" if reader == "medviewer" or one is None else f" {one.affine_error:.0e}"  # ours has the scan's grid
        cells.append((f"{one.equal}/{one.total}{place}" if one else "needs a place").rjust(24))
    print(f"{case.name:32}" + "".join(cells) + f"{seconds:10.2f}" + ("yes" if stored else "NO").rjust(10), flush=True)
    return stored and not any(v.errors for v in verdicts) and all(one.exact for one in found.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
