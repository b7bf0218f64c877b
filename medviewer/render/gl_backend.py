"""Which off-screen window of VTK works on this computer.

A missing driver can end the process, so a child process tries first.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache

from medviewer.core.errors import UserError

_LINUX = ("vtkEGLRenderWindow", "vtkOSOpenGLRenderWindow", "vtkXOpenGLRenderWindow")
_TRY = """
import sys
import vtkmodules.vtkRenderingOpenGL2 as gl, vtkmodules.vtkRenderingCore as core
window = getattr(gl, sys.argv[1], None) or core.vtkRenderWindow
window = window(); window.SetOffScreenRendering(1); window.SetSize(8, 8)
window.AddRenderer(core.vtkRenderer()); window.Render()
text = window.ReportCapabilities()
ok = "OpenGL version string:  " in text or "OpenGL renderer string" in text
print("ok" if ok else "no", "soft" if any(w in text.lower() for w in ("llvmpipe", "softpipe", "swrast")) else "hard")
"""


@cache
def working_window() -> tuple[str, bool]:
    """(class name, whether a graphics card draws) of the first off-screen window that works.

    Takes about a second the first time; any thread. Raises UserError where none works.
    """
    candidates = _LINUX if sys.platform.startswith("linux") else ("vtkRenderWindow",)
    for name in candidates:
        words = _try(name)
        if words[:1] == ["ok"]:
            return name, words[1:] == ["hard"]
    raise UserError(
        "This computer has no OpenGL, so 3D pictures cannot be drawn.",
        "Install Mesa (packages libegl1 and libgl1-mesa-dri on Debian); slices work without it.",
    )


def _try(name: str) -> list[str]:
    command = [sys.executable, "-c", _TRY, name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = done.stdout.strip().splitlines()
    return lines[-1].split() if done.returncode == 0 and lines else []
