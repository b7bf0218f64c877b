"""Masks of structures that a set does not annotate, where an earlier model is sure of them, for training."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.io.atomic import atomic_write

from .samples import Sample

FIRST_CODE = 950  # of the tables' 1024 codes; the sets' own and those of planted tumours lie below
NAMES = "names"


@dataclass(frozen=True)
class PseudoLabels:
    """`names`: structure of code 1, 2, ...; `codes`: by a sample's key an array (z, y, x) of codes, 0 elsewhere;
    `known`: by key the structures that were judged there, also those that are surely absent."""

    names: tuple[str, ...]
    codes: Mapping[str, NDArray[np.uint8]]
    known: Mapping[str, tuple[str, ...]]


def write_pseudo(path: Path, labels: PseudoLabels) -> None:
    """As one npz file without pickled objects. Raises OutputNotWritten."""
    table = json.dumps({"names": labels.names, "known": dict(labels.known)})
    with atomic_write(path) as temporary, temporary.open("wb") as temporary_file:
        np.savez_compressed(temporary_file, **{NAMES: np.array(table)}, **labels.codes)  # type: ignore[arg-type]


def read_pseudo(path: Path) -> PseudoLabels:
    """What `write_pseudo` wrote. Raises InputRefused."""
    try:
        with np.load(path, allow_pickle=False) as file:
            table = json.loads(str(file[NAMES]))
            codes = {key: file[key] for key in file.files if key != NAMES}
        known = {key: tuple(names) for key, names in table["known"].items()}
        return PseudoLabels(tuple(table["names"]), codes, known)
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
        hint = "Make them with python -m training.pseudo_labels."
        raise InputRefused(f"{path} holds no pseudo-labels.", hint) from error


def with_pseudo(samples: Iterable[Sample], labels: PseudoLabels) -> list[Sample]:
    """The samples; those that were judged know more structures. Nothing that a person annotated is overwritten."""
    return [_joined(sample, labels) for sample in samples]


def _joined(sample: Sample, labels: PseudoLabels) -> Sample:
    found = labels.codes.get(sample.key)
    names = [n for n in labels.known.get(sample.key, ()) if n not in sample.tables]
    if found is None or found.shape != sample.label.shape or not names:
        return sample
    label, tables = sample.label.astype(np.uint16), dict(sample.tables)
    size = max((len(table) for table in tables.values()), default=1024)
    if size != 1024:  # bit masks have no free codes
        return sample
    for name in names:
        code = FIRST_CODE + labels.names.index(name)
        label[(label == 0) & (found == labels.names.index(name) + 1)] = code
        tables[name] = np.arange(size) == code
    return replace(sample, label=label, tables=tables)
