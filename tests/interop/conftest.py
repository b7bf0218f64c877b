"""Lets the tests of this folder import the modules beside them and those of `tests/io`."""

from __future__ import annotations

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parent / "io")]
