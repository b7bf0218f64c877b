"""The process that decodes what a hostile file could hurt, so that a crash costs one file and not the program.

Run as `python -P -m medviewer.io.decode_worker [watched]`. It speaks over standard input and output: each request is a
4-byte length and JSON, each answer a 4-byte length, JSON and, if it went well, the bytes of an array. Nothing is
unpickled. It imports neither Qt nor VTK nor torch, and limits its own memory and time (see decode_limits).
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from medviewer.io.decode_limits import alarm, limit_this_process

_LONGEST_REQUEST = 1 << 16
Answer = tuple[dict[str, Any], bytes | memoryview]
# What may be asked for: library, module and function (path, **arguments) -> (JSON, bytes). Nothing else can be called.
TASKS = {
    "frame": ("imagecodecs", "decode_codecs", "frame_task"),
    "header": ("pydicom", "dicom_header", "header_task"),
    "functional groups": ("pydicom", "dicom_enhanced", "groups_task"),
    "detector": ("pydicom", "dicom_nuclear", "detector_task"),
    "regions": ("pydicom", "dicom_planar", "regions_task"),
    "palette": ("pydicom", "dicom_color", "palette_task"),
    "directory": ("pydicom", "dicom_files", "directory_task"),
    "picture": ("PIL.Image", "decode_pictures", "picture_task"),
    "pages": ("PIL.Image", "decode_pictures", "pages_task"),
}


def answer(request: dict[str, Any]) -> Answer:
    """Do what is asked: (description, bytes). Raises whatever the codecs raise."""
    task = request["do"]
    if task == "modules":
        return {"modules": sorted(sys.modules)}, b""
    if task == "prepare":
        _work(request["task"])
        return {}, b""
    return _work(task)(Path(request["path"]), **request["arguments"])


def _work(task: str) -> Callable[..., Answer]:
    """The function of a task, with the library it needs loaded."""
    library, module, function = TASKS[task]
    importlib.import_module(library)
    work: Callable[..., Answer] = getattr(importlib.import_module(f"medviewer.io.{module}"), function)
    return work


def _guarded(request: dict[str, Any]) -> Answer:
    try:
        alarm(float(request.get("seconds", 0.0)))
        return answer(request)
    except BaseException as error:  # some codecs raise past Exception
        return _described(error), b""
    finally:
        alarm(0.0)


def _described(error: BaseException) -> dict[str, Any]:
    kind, hint = type(error).__name__, ""
    if kind == "error":  # zlib.error, struct.error
        kind = f"{type(error).__module__}.error"
    if isinstance(error, MemoryError):
        text = "it needs more memory than a decoder may use"
    elif kind in ("InputRefused", "Undecodable", "NotReadable"):
        text, hint = str(getattr(error, "message", error)), str(getattr(error, "hint", ""))
    else:
        text = f"its data is damaged ({kind})"
    return {"error": text, "kind": kind, "hint": hint}


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the other side closes or ends."""
    while len(head := requests.read(4)) == 4:
        length = struct.unpack("<I", head)[0]
        if length > _LONGEST_REQUEST:
            return
        described, data = _guarded(json.loads(requests.read(length)))
        text = json.dumps(described | {"bytes": memoryview(data).nbytes}).encode()
        try:
            answers.write(struct.pack("<I", len(text)) + text)
            answers.write(data)
            answers.flush()
        except OSError:  # the program has ended
            return


def main() -> None:
    """Keep standard output for answers alone: whatever a codec prints goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C in the terminal is the program's business
    limit_this_process("watched" in sys.argv[1:])
    sys.modules["gdcm"] = None  # type: ignore[assignment]  # pydicom would load it where it is installed
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(os.fdopen(os.dup(0), "rb"), answers)  # a codec that calls exit() closes sys.stdin


if __name__ == "__main__":
    main()
