"""Every measurement against an independent way to the same number; `python -m tests.core.measure.table` prints them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from medviewer.core.measure import KNOWN
from tests.core.measure.checks import PHANTOMS, Check, covered
from tests.core.measure.checks_real import real
from tests.core.measure.table import row

pytest.importorskip("SimpleITK")
FOUND: dict[str, list[Check]] = {}


def checks_of(body: Callable[[], Iterator[Check]]) -> list[Check]:
    """The checks of one body, made once."""
    if body.__name__ not in FOUND:
        FOUND[body.__name__] = list(body())
    return FOUND[body.__name__]


@pytest.mark.parametrize("body", PHANTOMS, ids=lambda body: body.__name__)
def test_every_measurement_agrees_with_an_independent_one(body: Callable[[], Iterator[Check]]) -> None:
    checks = checks_of(body)
    assert checks
    assert [row(check) for check in checks if not check.holds] == []


def test_every_quantity_has_an_independent_check() -> None:
    assert set(KNOWN) - covered([check for body in PHANTOMS for check in checks_of(body)]) == set()


def test_measurements_of_real_scans_agree_with_simpleitk(shared_data: Path) -> None:
    checks = list(real(shared_data))
    assert {check.body.split(",")[0] for check in checks} == {"example CT", "BraTS", "JSRT JPCNN015"}
    assert [row(check) for check in checks if not check.holds] == []


def test_a_number_beyond_its_tolerance_is_marked() -> None:
    check = Check("volume", "a body", 10.0, 9.0, "ml", "geometry", 0.5)
    assert not check.holds
    assert row(check).endswith("!")
