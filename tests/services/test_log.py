"""The log: enough to find a defect, nothing of a patient."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from medviewer.services import log


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path))


@pytest.fixture
def _hooks_restored() -> Iterator[None]:
    before = (sys.excepthook, threading.excepthook)
    yield
    sys.excepthook, threading.excepthook = before


def fail_with(message: str) -> Exception:
    secret_local = "Miller^Anna"
    try:
        raise ValueError(message + secret_local)
    except ValueError as error:
        return error


def test_a_defect_is_described_by_type_and_place_without_patient_data() -> None:
    path = log.record_defect(fail_with("cannot read '/data/Miller_Anna/1.dcm' of 19500412 "))
    text = path.read_text()
    assert "ValueError" in text
    assert "test_log.py" in text
    assert "fail_with" in text
    for secret in ("Miller", "Anna", "19500412", "secret_local"):
        assert secret not in text


@pytest.mark.parametrize(
    "secret", ["Doe^Jane", "'Jane Doe'", "/home/jane/scan.nii", "C:\\scans\\jane.dcm", "1.2.840.113619.2.55"]
)
def test_scrub_takes_out_what_could_name_a_patient(secret: str) -> None:
    assert secret.strip("'") not in log.scrub(f"failed on {secret} today")
    assert "failed on" in log.scrub(f"failed on {secret} today")


def test_the_log_does_not_grow_without_end() -> None:
    path = log.start_log()
    for _ in range(20_000):
        log.record("a line of some length that says what the program did, again and again and again")
    assert sum(p.stat().st_size for p in path.parent.glob("medviewer.log*")) < 3_200_000


@pytest.mark.usefixtures("_hooks_restored")
def test_the_hook_takes_errors_of_every_thread() -> None:
    seen: list[BaseException] = []
    log.install_hook(lambda error, path: seen.append(error))
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    error = fail_with("main")
    sys.excepthook(type(error), error, error.__traceback__)
    assert [type(e) for e in seen] == [ZeroDivisionError, ValueError]


def test_a_home_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    monkeypatch.setenv("MEDVIEWER_HOME", str(blocker))
    log.record("still fine")
