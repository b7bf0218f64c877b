"""Files are written in one way: through io/atomic.py. Whoever writes by hand is listed here with the reason."""

from __future__ import annotations

import re
from pathlib import Path

_WRITES = re.compile(
    r"\.write_text\(|\.write_bytes\(|open\([^)\n]*[\"'](?:w|a|x|r\+)b?\+?[\"']|(?<!self)\.save_as\(|json\.dump\(|np\.save"
    r"|savez|save_file\(|torch\.save\(|os\.replace\(|\.to_filename\(|mkstemp|NamedTemporary|format=\"PNG\""
)
_ALLOWED = {
    "medviewer/cli/output.py": "standard output",
    "medviewer/io/atomic.py": "the one way",
    "medviewer/io/folder_swap.py": "the one way",
    "medviewer/io/stray_files.py": "puts an old folder back",
    "medviewer/plugin_host/fitness.py": "a mark that a plugin is being started, gone when it has",
    "medviewer/services/batch_journal.py": "appends a line at a time, each flushed to the disk",
    "medviewer/services/journal_writer.py": "appends records; a torn end is tolerated",
    "medviewer/services/shared_array.py": "memory shared with a process, not a file that is kept",
    "training/reporting.py": "appends a line of a training's log",
}
_IN_A_BLOCK = {  # these functions get a temporary path of an atomic write
    "medviewer/io/dicom_seg.py", "medviewer/io/dicom_source.py", "medviewer/io/mesh_file.py",
    "medviewer/io/write_nifti.py", "medviewer/io/write_nrrd_seg.py", "medviewer/io/write_png.py",
}  # fmt: skip


def test_nothing_is_written_past_the_atomic_writer(repository: Path) -> None:
    odd = []
    for folder in ("medviewer", "plugins", "training"):
        for path in sorted((repository / folder).rglob("*.py")):
            name, text = path.relative_to(repository).as_posix(), path.read_text("utf-8")
            if _WRITES.search(text) and name not in _ALLOWED and name not in _IN_A_BLOCK:
                calls = [line.strip() for line in text.splitlines() if _WRITES.search(line)]
                odd += [f"{name}: {call}" for call in calls if not _to_a_temporary_path(call)]
    assert not odd, "\n".join(odd)


def _to_a_temporary_path(call: str) -> bool:
    return "temporary" in call or call == "save_file(tensors, folder / WEIGHTS)"


def test_the_exceptions_still_exist(repository: Path) -> None:
    for name in (*_ALLOWED, *_IN_A_BLOCK):
        assert _WRITES.search((repository / name).read_text("utf-8")), f"{name} writes nothing: take it off the list"
