"""Prints every measurement beside an independent one: `python -m tests.core.measure.table [folder of the test data]`.

Run it in the root of the repository. Without the folder only bodies of known size are measured. One line for each
check; it ends with 1 where one is beyond its tolerance.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .checks import PHANTOMS, Check
from .checks_real import real

HEAD = (
    f"{'quantity':<21}{'body':<38}{'ours':>11}{'other':>11}{'unit':>5}  {'difference':>11}{'tolerance':>11}"
    "  independent way"
)
DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def row(check: Check) -> str:
    """One line; "!" where the difference is beyond the tolerance."""
    mark = "" if check.holds else " !"
    return (
        f"{check.quantity:<21}{check.body:<38}{check.ours:>11.4f}{check.other:>11.4f}{check.unit:>5}  "
        f"{check.difference:>+11.4f}{check.tolerance:>11.4g}  {check.way}{mark}"
    )


def main(arguments: list[str]) -> int:
    """Print all checks; real scans where their folder is there."""
    folder = Path(arguments[0]) if arguments else DATA
    checks = [check for body in PHANTOMS for check in body()]
    checks += list(real(folder)) if folder.is_dir() else []
    print(HEAD, *(row(check) for check in checks), sep="\n")
    beyond = sum(not check.holds for check in checks)
    print(f"{len(checks)} checks of {len({check.quantity for check in checks})} quantities, {beyond} beyond tolerance")
    return int(beyond > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
