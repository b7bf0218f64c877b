"""Sources are read only: after a whole session of work every byte, time and name of the input tree is as it was."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from save_cases import Inputs

from medviewer.core.errors import UserError


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Every format that is read: NIfTI, a DICOM series, NRRD, MetaImage, a picture."""
    import SimpleITK

    inputs = Inputs(tmp_path / "sources", (48, 40, 8))
    made = (inputs.nifti, inputs.dicom, inputs.picture)
    image = SimpleITK.GetImageFromArray(made[0].array.T)
    for name in ("a.nrrd", "b.mha", "c.mhd"):
        SimpleITK.WriteImage(image, tmp_path / "sources" / name)
    return tmp_path / "sources"


def tree(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Of every file and folder: time, mode, content."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        about = path.stat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        found[str(path)] = (about.st_mtime_ns, about.st_mode, content)
    return found


def has_model() -> bool:
    from medviewer.services.model_store import find_bundle

    try:
        find_bundle()
    except UserError:
        return False
    return True


def one_session(sources: Path, out: Path, repository: Path, home: Path, prompt: bool) -> dict[str, list[str]]:
    """The work in a process of its own, so that every Python open of it is seen."""
    out.mkdir()
    command = [sys.executable, "-m", "tests.safety.source_session", str(sources), str(out)]
    command += [] if prompt else ["--no-prompt"]
    environment = {**os.environ, "MEDVIEWER_HOME": str(home), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_a_session_of_work_changes_no_source(sources: Path, tmp_path: Path, repository: Path) -> None:
    before = tree(sources)
    result = one_session(sources, tmp_path / "out", repository, tmp_path / "home", has_model())
    assert tree(sources) == before
    assert result["attempts"] == []
    outputs = (".nii.gz", ".nii", ".seg.nrrd", ".dcm", ".stl", ".ply", ".png", ".mvsession", "without-names")
    for ending in outputs:
        assert any(name.endswith(ending) for name in result["written"]), ending


def test_it_works_on_a_read_only_mount(sources: Path, tmp_path: Path, repository: Path) -> None:
    place = tmp_path / "mounted"
    place.mkdir()
    bind = [["mount", "--bind", str(sources), str(place)], ["mount", "-o", "remount,bind,ro", str(place)]]
    if os.geteuid() != 0 or any(subprocess.run(command, capture_output=True).returncode for command in bind):
        pytest.skip("mounting is not permitted here")
    try:
        with pytest.raises(OSError, match="Read-only"):
            (place / "x").touch()
        before = tree(place)
        result = one_session(place, tmp_path / "out", repository, tmp_path / "home", prompt=False)
        assert result["attempts"] == []
        assert tree(place) == before
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_the_watch_sees_what_it_should(tmp_path: Path, repository: Path) -> None:
    """The check itself can fail: opening for writing, renaming and removing are noticed, reading is not."""
    code = """
import json, os, sys
from pathlib import Path
from tests.safety.source_session import watch
root, found = Path(sys.argv[1]), []
(root / "a").write_text("x")
watch(root, found)
(root / "a").read_text()
quiet = len(found)
(root / "a").write_text("y"); open(root / "a", "r+").close(); os.rename(root / "a", root / "b")
(root / "b").unlink(); os.mkdir(root / "c")
print(quiet, len(found))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=repository, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["0", "5"]
