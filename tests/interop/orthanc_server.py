"""An Orthanc server of one's own: on this computer only, in an empty folder, ended whatever happens."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_PLACES = ("/usr/sbin", "/usr/local/sbin")
_START_SECONDS = 60
_WITHOUT_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
CALLER, SERVER = "INTEROP", "ORTHANC"


@dataclass(frozen=True)
class Orthanc:
    """A running server."""

    http_port: int
    dicom_port: int

    def get(self, path: str) -> bytes:
        """The answer of the REST interface."""
        with _WITHOUT_PROXY.open(f"http://127.0.0.1:{self.http_port}{path}", timeout=60) as answer:
            return bytes(answer.read())

    def post(self, path: str, data: bytes) -> Any:
        """Send bytes to the REST interface; its JSON answer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data, method="POST")
        with _WITHOUT_PROXY.open(request, timeout=60) as answer:
            return json.loads(answer.read())

    def store(self, files: Sequence[Path]) -> None:
        """C-STORE by DCMTK; fails unless every file is accepted with status 0x0000."""
        tool = shutil.which("storescu")
        if tool is None:
            pytest.skip("storescu (Debian package dcmtk) is not installed")
        names = ["-aet", CALLER, "-aec", SERVER, "127.0.0.1", str(self.dicom_port)]
        done = subprocess.run([tool, "-v", "-R", *names, *map(str, files)], capture_output=True, timeout=120)
        said = (done.stdout + done.stderr).decode(errors="replace")
        assert done.returncode == 0, said[-2000:]
        assert said.count("Received Store Response (Success)") == len(files), said[-2000:]

    def find(self, level: str, **query: str) -> list[dict[str, Any]]:
        """What the server finds (C-FIND's matching), with the tags that identify it."""
        request = {"Level": level, "Query": query, "Expand": True}
        found: list[dict[str, Any]] = self.post("/tools/find", json.dumps(request).encode())
        return found


@contextmanager
def orthanc(folder: Path) -> Iterator[Orthanc]:
    """Start the server with its data in `folder`; skips where it is not installed."""
    program = shutil.which("Orthanc") or next((p for d in _PLACES if (p := shutil.which("Orthanc", path=d))), None)
    if program is None:
        pytest.skip("Orthanc (Debian package orthanc) is not installed")
    server = Orthanc(_free_port(), _free_port())
    (folder / "orthanc.json").write_text(json.dumps(_settings(folder, server)))
    with open(folder / "log.txt", "wb") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log, cwd=folder)
        try:
            _wait_until_it_answers(server, process, folder / "log.txt")
            yield server
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)


def _settings(folder: Path, server: Orthanc) -> dict[str, Any]:
    """Nothing but this computer may store, and only under the test's own name."""
    return {
        "Name": "interop", "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"),
        "TemporaryDirectory": str(folder), "HttpPort": server.http_port, "DicomPort": server.dicom_port,
        "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "Plugins": [], "DicomAet": SERVER,
        "DicomCheckCalledAet": True, "DicomAlwaysAllowStore": False, "DicomAlwaysAllowEcho": False,
        "DicomCheckModalityHost": True, "UnknownSopClassAccepted": False, "DefaultEncoding": "Utf8",
        "DicomModalities": {"test": [CALLER, "127.0.0.1", 104]}, "OrthancExplorerEnabled": False,
        "WebDavEnabled": False, "ConcurrentJobs": 1, "DicomThreadsCount": 1, "HttpThreadsCount": 4,
    }  # fmt: skip


def _wait_until_it_answers(server: Orthanc, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        try:
            server.get("/system")
            with socket.create_connection(("127.0.0.1", server.dicom_port), timeout=5):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.05)  # there is nothing to wait on but the port
    raise AssertionError("Orthanc did not start: " + log.read_text(errors="replace")[-2000:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
