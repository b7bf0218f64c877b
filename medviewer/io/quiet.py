"""Warnings of the DICOM libraries about odd sources are not the user's; what matters is checked after writing."""

from __future__ import annotations

import logging
import warnings as python_warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Without what highdicom logs below an error, and without Python's warnings (they would quote patient data)."""
    logger = logging.getLogger("highdicom")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with python_warnings.catch_warnings():
            python_warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
