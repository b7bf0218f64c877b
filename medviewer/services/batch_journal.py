"""Remembers which rows of a batch are done, so that an interrupted batch can go on."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medviewer.services.batch_rows import BatchRow
from medviewer.services.results import RowResult

JOURNAL_NAME = ".medviewer-batch.jsonl"


class BatchJournal:
    """One line per finished row beside the outputs: the question asked, the result, and the output's checksum."""

    def __init__(self, folder: Path, model_id: str) -> None:
        self._folder = folder
        self._path = folder / JOURNAL_NAME
        self._model_id = model_id
        self._done = self._read()
        self._outputs = {json.loads(question)[3] for question in self._done}

    def add(self, row: BatchRow, result: RowResult, out: Path) -> None:
        """Note a finished row; called after its output was written and verified."""
        line = {"question": self._question(row), "result": asdict(result), "sha256": _sha256(out), "name": out.name}
        torn = not _ends_with_a_line(self._path)  # half a line of a killed run must not swallow this one
        with self._path.open("a", encoding="utf-8") as file:
            file.write("\n" * torn + json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def finished(self, row: BatchRow, out: Path) -> RowResult | None:
        """The result of an earlier run, if the same question was answered and its output is unchanged."""
        line = self._done.get(self._question(row))
        if line is None or not out.is_file() or line.get("sha256") != _sha256(out):
            return None
        try:
            result = RowResult(**line["result"])
        except (KeyError, TypeError):
            return None
        result.row, result.skipped = row.number, True
        return result

    def knows_output(self, row: BatchRow) -> bool:
        """Whether an earlier run wrote this output, for this or for another question."""
        return row.out in self._outputs

    def _question(self, row: BatchRow) -> str:
        return json.dumps([str(row.scan_path.resolve()), row.series, row.prompt, row.out, self._model_id])

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            lines = self._path.read_bytes().decode("utf-8", "replace").split("\n")
        except OSError:
            return {}
        done = {}
        for text in lines:
            try:
                line = json.loads(text)
                done[str(line["question"])] = line
            except (ValueError, KeyError, TypeError):  # half a line of an interrupted run
                continue
        return done


def _ends_with_a_line(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 1, 0))
            return file.read(1) in (b"", b"\n")
    except FileNotFoundError:
        return True


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
