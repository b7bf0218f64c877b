"""A whole session of work on scans in a folder: open, prompt, export as everything, save and open a session, close.

    python -m tests.safety.source_session SOURCES OUT [--no-prompt]

Prints, as JSON, every attempt of this process to open for writing, make, rename or remove anything below SOURCES (seen
by Python's audit hook), and what was written to OUT.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = (
    "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.chown", "os.utime", "os.link",
    "os.symlink", "os.setxattr", "os.removexattr", "shutil.",
)  # fmt: skip


def watch(root: Path, attempts: list[str]) -> None:
    """Note every attempt to change something below `root`, for the rest of the process."""
    below = os.path.realpath(root) + os.sep

    def inside(value: Any) -> bool:
        if not isinstance(value, (str, bytes, os.PathLike)):
            return False
        path = os.path.realpath(os.fsdecode(os.fspath(value)))
        return (path + os.sep).startswith(below)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and inside(arguments[0]):
            mode, flags = str(arguments[1] or ""), int(arguments[2] or 0)
            if set(mode) & set("wax+") or flags & _WRITING:
                attempts.append(f"open {arguments[0]} {mode} {flags}")
        elif event.startswith(_CHANGES) and any(inside(value) for value in arguments):
            attempts.append(f"{event} {arguments}")

    sys.addaudithook(hook)


def work(sources: Path, out: Path, prompt: bool) -> None:
    """What a user does in an afternoon, on every scan that there is."""
    from medviewer.core.errors import OutputNotWritten
    from medviewer.core.scene import Scene
    from medviewer.services import open_data, save_data, sessions

    scene = Scene()
    for number, entry in enumerate(open_data.scan_path(sources).entries):
        volume = open_data.load(entry)
        open_data.thumbnail(entry)
        scene.add_volume(volume)
        for segment in _segments(volume, prompt):
            scene.add_segment(segment)
        for ending in save_data.SUFFIXES:
            try:
                save_data.save_segments(out / f"{number}{ending}", volume, scene.scans[-1].segments)
            except OutputNotWritten as error:  # a picture has no place in space, a volume is no picture
                if "position" not in str(error) and "volume" not in str(error):
                    raise
        if volume.affine is not None:
            save_data.save_volume_nifti(out / f"{number}_scan.nii.gz", volume)
        picture = np.zeros((20, 30, 3), np.uint8)
        save_data.save_view_png(out / f"{number}_view.png", picture, volume)
        for target in {volume.source.path, *volume.source.files[:2]}:
            _try_to_overwrite(target, volume)
    if (sources / "series").is_dir():
        from medviewer.services.deidentify import deidentify

        deidentify([sources / "series"], out / "without-names")
    sessions.save_session(out / "all.mvsession", sessions.state_of(scene))
    for scan in list(scene.scans):
        scene.close(scan)
    sessions.restore(scene, sessions.load_session(out / "all.mvsession"))


def _segments(volume: Any, prompt: bool) -> list[Any]:
    """What the model finds in it, and a block."""
    from medviewer.core.segmentation import Segment

    block = np.zeros(volume.shape, np.bool_)
    block[4:20, 4:16, : max(1, volume.shape[2] // 2)] = True
    if not prompt:
        return [Segment("Block", block)]
    import medviewer
    from medviewer.services.results import segment_for

    return [segment_for(medviewer.segment(volume, "liver"), volume, 0), Segment("Block", block)]


def _try_to_overwrite(target: Path, volume: Any) -> None:
    from medviewer.core.errors import UserError
    from medviewer.services import save_data

    for save in (
        lambda: save_data.save_segments(target, volume, []),
        lambda: save_data.save_volume_nifti(target, volume),
        lambda: save_data.save_view_png(target, np.zeros((4, 4, 3), np.uint8), volume),
    ):
        try:
            save()
        except UserError:
            continue
        raise AssertionError(f"{target} was written over")


def main() -> int:
    sources, out = Path(sys.argv[1]), Path(sys.argv[2])
    attempts: list[str] = []
    watch(sources, attempts)
    work(sources, out, "--no-prompt" not in sys.argv)
    print(json.dumps({"attempts": attempts, "written": sorted(p.name for p in out.iterdir())}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
