"""What a user's cases must be before any training starts; every fault is told with its file and what was expected."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from medviewer.core.errors import Cancelled, UserError
from medviewer.core.progress import Progress, silent

from .case_files import NOT_A_NUMBER, load_case
from .cases import Array, CaseFile, CasesRefused, Loaded, sample_of
from .samples import Sample

LEAST_CASES = 3


@dataclass(frozen=True, eq=False)
class CheckedCases:
    """Cases without a fault, as samples in the order given. `warnings` tell what limits the training."""

    samples: tuple[Sample, ...]
    held: tuple[Sample, ...]
    warnings: tuple[str, ...]


@dataclass
class _Seen:
    """What is known of the cases so far. Counts are by name: cases, cases that show it, slices without it."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    pixels: dict[str, tuple[str, str]] = field(default_factory=dict)  # hash to the first case with it, and its part
    cases: dict[str, int] = field(default_factory=dict)
    showing: dict[str, int] = field(default_factory=dict)
    filled: dict[str, int] = field(default_factory=dict)  # cases where every voxel is the structure
    free_slices: dict[str, int] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)  # names of cases that could not be read: nothing is known of these
    colour: list[str] = field(default_factory=list)
    grey: list[str] = field(default_factory=list)


def check_cases(
    cases: Sequence[CaseFile],
    held: Sequence[CaseFile] = (),
    *,
    least: int = LEAST_CASES,
    need_absent: bool = False,
    side: int | None = None,
    progress: Progress | None = None,
) -> CheckedCases:
    """Read every case once and check it; the samples come with the answer, so that nothing is read twice.

    `least`: how many cases both parts must have together. `need_absent`: refuse where a structure is in every slice,
    which is otherwise a warning. `side`: see `load_sample`. Any thread.

    Raises CasesRefused with all problems: unreadable files, masks of another grid, values or names that are unknown,
    images that are constant or hold NaN, the same pixels twice (also across the parts), structures that are nowhere or
    everywhere, too few cases. Raises Cancelled.
    """
    progress, seen = progress or silent(), _Seen()
    every = [*((case, "training") for case in cases), *((case, "held-out") for case in held)]
    samples: list[Sample] = []
    for number, (case, part) in enumerate(every):
        progress.report(number / len(every), f"Checking {case.key}")
        sample = _checked(case, part, side, seen)
        samples += [sample] if sample is not None else []
    _check_all(every, seen, least, need_absent)
    if seen.problems:
        raise CasesRefused(_name(every), seen.problems)
    return CheckedCases(tuple(samples[: len(cases)]), tuple(samples[len(cases) :]), tuple(seen.warnings))


def _name(every: Sequence[tuple[CaseFile, str]]) -> str:
    return (every[0][0].folder.name or every[0][0].dataset) if every else "The data set"


# -- one case ---------------------------------------------------------------------------------------------------------
def _checked(case: CaseFile, part: str, side: int | None, seen: _Seen) -> Sample | None:
    """The sample, or None where it could not be read; what is wrong with it goes to `seen`."""
    try:
        loaded = load_case(case)
        _check_image(case, part, loaded, seen)
        sample = sample_of(case, loaded, side=side)
    except Cancelled:
        raise
    except UserError as error:
        seen.problems.append(f"{case.key}: {error}")
        seen.unread.update(case.names)
        return None
    except MemoryError:
        seen.problems.append(f"{case.key}: it does not fit into the memory, expected a smaller image.")
        seen.unread.update(case.names)
        return None
    _count(sample, seen)
    return sample


def _check_image(case: CaseFile, part: str, loaded: Loaded, seen: _Seen) -> None:
    volume = loaded.volume
    file = case.image.name
    if any(NOT_A_NUMBER in warning for warning in volume.warnings):
        seen.problems.append(f"{case.key}: {file} holds NaN or infinite values, expected numbers everywhere.")
    if volume.array.min() == volume.array.max():
        seen.problems.append(f"{case.key}: {file} has the same value everywhere, expected an image.")
        return  # all constant images would be duplicates
    mark = _pixel_hash(volume.array)
    if mark in seen.pixels:
        first, other = seen.pixels[mark]
        where = f", which is in the {other} part while this is in the {part} part" if other != part else ""
        seen.problems.append(f"{case.key}: {file} has the same pixels as {first}{where}; expected each image once.")
    else:
        seen.pixels[mark] = case.key, part
    if volume.affine is None:
        (seen.colour if volume.is_color else seen.grey).append(case.key)


def _pixel_hash(array: Array) -> str:
    digest = hashlib.blake2b(str(array.shape).encode(), digest_size=16)
    for k in range(array.shape[2]):
        digest.update(np.ascontiguousarray(array[:, :, k]).astype(np.float32).tobytes())
    return digest.hexdigest()


def _count(sample: Sample, seen: _Seen) -> None:
    size = max(len(table) for table in sample.tables.values()) if sample.tables else 1
    per_slice = np.stack([np.bincount(part.reshape(-1), minlength=size) for part in sample.label])
    for name, table in sample.tables.items():
        voxels = per_slice[:, : len(table)] @ table
        seen.cases[name] = seen.cases.get(name, 0) + 1
        seen.showing[name] = seen.showing.get(name, 0) + bool(voxels.any())
        seen.filled[name] = seen.filled.get(name, 0) + (int(voxels.sum()) == sample.label.size)
        seen.free_slices[name] = seen.free_slices.get(name, 0) + int((voxels == 0).sum())


# -- all cases --------------------------------------------------------------------------------------------------------
def _check_all(every: Sequence[tuple[CaseFile, str]], seen: _Seen, least: int, need_absent: bool) -> None:
    if len(every) < least:
        seen.problems.append(f"it has {_cases(len(every))}, expected at least {least}.")
    for key in _repeated([case.key for case, _ in every]):
        seen.problems.append(f"{key}: the case is given twice, expected each case once.")
    for name, count in seen.cases.items():
        if name not in seen.unread:
            _check_name(name, count, seen, need_absent)
    _check_patients(every, seen)
    if seen.colour and seen.grey:
        seen.warnings.append(
            f"{len(seen.colour)} colour pictures (such as {seen.colour[0]}) stand beside {len(seen.grey)} grey ones "
            f"(such as {seen.grey[0]}); the model sees the brightness of both."
        )


def _check_name(name: str, count: int, seen: _Seen, need_absent: bool) -> None:
    if seen.showing[name] == 0:
        seen.problems.append(
            f'"{name}": the masks are empty in all {_cases(count)} (one class only), expected some that show it.'
        )
    elif seen.filled[name] == count:
        seen.problems.append(
            f'"{name}": the masks cover the whole image in all {_cases(count)} (one class only), expected an outline.'
        )
    elif seen.free_slices[name] == 0:
        what = f'"{name}" is in every picture (one class only)'
        if need_absent:
            seen.problems.append(f"{what}, expected some pictures without it, with an empty mask.")
        else:
            seen.warnings.append(
                f"{what}: the model cannot learn to say that it is absent. Add pictures without it, with an empty mask."
            )


def _check_patients(every: Sequence[tuple[CaseFile, str]], seen: _Seen) -> None:
    parts: dict[str, dict[str, str]] = {}
    for case, part in every:
        if case.patient:
            parts.setdefault(case.patient, {}).setdefault(part, case.key)
    for keys in parts.values():
        if len(keys) > 1:
            first, second = keys["training"], keys["held-out"]
            seen.problems.append(f"{second}: its patient also is in the training part ({first}), expected either part.")


def _repeated(keys: Sequence[str]) -> list[str]:
    return sorted(key for key, count in Counter(keys).items() if count > 1)


def _cases(count: int) -> str:
    return "1 case" if count == 1 else f"{count} cases"
