"""The process that decodes compressed pixels, so that a crashing codec costs one file and not the program.

Run as `python -P -m medviewer.io.decode_worker`. It speaks over standard input and output: each request is a 4-byte
length and JSON, each answer a 4-byte length, JSON and, if it went well, the bytes of the array. Nothing is unpickled.
It imports neither Qt nor VTK nor torch, and limits its own memory where the system can.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

MEMORY_LIMIT = 3 << 30  # bytes of address space
_LONGEST_REQUEST = 1 << 16


def _limit_resources() -> None:
    try:
        import resource
    except ImportError:  # Windows has no rlimits; the parent's timeout and size checks remain
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Decode one frame: (description, bytes). Raises whatever the codecs raise."""
    from medviewer.io.decode_codecs import decode_frame
    from medviewer.io.decode_fragments import frame_bytes
    from medviewer.io.dicom_handle import PixelFormat

    if request.get("do") == "start":  # what was imported above is now loaded
        return {}, b""
    if request.get("do") == "modules":
        return {"modules": sorted(sys.modules)}, b""
    pixels = PixelFormat(**request["format"])
    path = Path(request["path"])
    data = frame_bytes(path, request["offset"], request["index"], request["frames"], pixels.transfer_syntax)
    values = decode_frame(data, pixels)
    return {}, values.tobytes()


def _guarded(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    try:
        return answer(request)
    except (KeyboardInterrupt, SystemExit):
        raise
    except MemoryError:
        return {"error": "it needs more memory than a decoder may use"}, b""
    except BaseException as error:  # some codecs raise past Exception
        if type(error).__name__ in ("InputRefused", "Undecodable"):
            return {"error": str(getattr(error, "message", error))}, b""
        return {"error": f"its compressed data is damaged ({type(error).__name__})"}, b""


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the other side closes."""
    while len(head := requests.read(4)) == 4:
        length = struct.unpack("<I", head)[0]
        if length > _LONGEST_REQUEST:
            return
        described, data = _guarded(json.loads(requests.read(length)))
        text = json.dumps(described | {"bytes": len(data)}).encode()
        answers.write(struct.pack("<I", len(text)) + text)
        answers.write(data)
        answers.flush()


def main() -> None:
    """Keep standard output for answers alone: whatever a codec prints goes to standard error."""
    _limit_resources()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
