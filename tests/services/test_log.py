"""The log: enough to find a defect, nothing of a patient."""

from __future__ import annotations

import subprocess
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


SECRETS = (
    "Doe^Jane", "'Jane Doe'", "/home/jane/scan.nii", "/data/Miller Anna/1.dcm", "C:\\scans\\jane.dcm",
    "1.2.840.113619.2.55", "Jane", "MILLER", "PID4711", "19500412", "1950-04-12", "12.04.1950", "0043/555-812",
    "jane.doe@home.example", "Übelhör", "Иванов", "山田", "<b>Jane</b>",
)  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
def test_scrub_takes_out_what_could_name_a_patient(secret: str) -> None:
    scrubbed = log.scrub(f"failed on {secret} with index 5 out of range")
    for part in secret.strip("'").replace("^", " ").replace("/", " ").split():
        assert part not in scrubbed
    assert "failed on" in scrubbed
    assert "with index 5 out of range" in scrubbed


def test_scrub_keeps_what_tells_a_developer_what_went_wrong() -> None:
    for text in (
        "operands could not be broadcast together with shapes",
        "index 12 is out of bounds for axis 0 with size 4",
        "unsupported operand type(s) for +:",
    ):
        kept = sum(word in text.split() for word in log.scrub(text).split())
        assert kept >= len(text.split()) - 2


NAMES = ("anna", "maria", "brown", "young", "may", "rose", "grace", "mark", "bill", "long", "john", "page", "white")


@pytest.mark.parametrize("word", NAMES)
def test_common_names_in_lower_case_are_no_technical_words(word: str) -> None:
    assert word not in log.scrub(f"value {word} is wrong").split()


def test_causes_notes_and_locals_stay_out() -> None:
    try:
        try:
            raise KeyError("Miller")
        except KeyError as error:
            wrapped = ValueError("bad Miller")
            wrapped.add_note("of Miller")
            raise wrapped from error
    except ValueError as error:
        text = log.describe(error)
    assert "Miller" not in text
    assert "KeyError" in text


def test_an_error_that_cannot_be_printed_is_still_described() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError("Miller")

    assert log.describe(Odd()).startswith("Odd:")


def test_a_cause_that_is_its_own_cause_ends() -> None:
    error, other = ValueError("x"), ValueError("y")
    error.__cause__, other.__cause__ = other, error
    assert log.describe(error).count("caused by") == 5


def test_places_outside_packages_are_named_without_folders() -> None:
    namespace: dict[str, object] = {}
    exec(compile("def work():\n    raise ValueError", "/home/miller/anna/own_plugin.py", "exec"), namespace)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        namespace["work"]()  # type: ignore[operator]
    text = log.describe(caught.value)
    assert "own_plugin.py" in text
    assert "miller" not in text
    assert "anna" not in text


def test_only_the_owner_may_read_the_log() -> None:
    log.record("started")
    assert log.log_path().stat().st_mode & 0o777 == 0o600


def test_warnings_loggers_and_lost_exceptions_go_to_the_log_without_values(tmp_path: Path) -> None:
    """In a process of its own, since it changes what the whole process prints."""
    code = """
import logging, threading, warnings
from medviewer.services import log
log.guard_output()
log.guard_output()
warnings.warn("Invalid value for VR DA: Miller", UserWarning)
logging.getLogger("highdicom").warning("value %s of Miller", "Anna")
class Lost:
    def __del__(self): raise ValueError("Miller")
Lost()
thread = threading.Thread(target=lambda: int("Miller")); thread.start(); thread.join()
try: memory = [b"Miller"] * 10**15
except MemoryError as error: log.record_defect(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""
    text = log.log_path().read_text()
    assert "Miller" not in text
    assert "Anna" not in text
    assert text.count("ValueError") == 2
    assert text.count("UserWarning") == text.count("WARNING …:") + text.count("WARNING highdicom:") == 1
    assert "MemoryError" in text


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
