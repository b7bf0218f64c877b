"""A user's own cases as scans with their truth."""

from __future__ import annotations

import numpy as np

from ..data.cases import CaseFile, modality_token
from ..data.dev_cases import Case
from .options import Options


def own_cases(options: Options) -> list[CaseFile]:
    """The cases of the folder, at most `options.most`. Raises InputRefused for what is no data set."""
    from ..data.folders import read_cases

    return read_cases(options.data, options.prompt, modality=options.modality, use=options.use)[: options.most]


def case_of(file: CaseFile) -> Case:
    """One case through the program's readers; a structure annotated throughout and nowhere in the scan is absent.

    Raises InputRefused naming the file.
    """
    from ..data.case_files import load_case

    loaded = load_case(file)
    truths = {}
    for name in file.names:
        spelled = {other for other in (name, *file.spelling) if file.spelling.get(other, other) == name}
        codes = [code for code, meaning in loaded.meanings.items() if meaning & spelled]
        truths[name] = np.isin(loaded.codes, codes)
    modality = file.modality if file.modality != "unknown" else modality_token(loaded.volume.modality)
    return Case(
        file.dataset or file.folder.name, modality, loaded.volume, {n: m for n, m in truths.items() if m.any()},
        [n for n, m in truths.items() if not m.any()], file.key, file.patient,
    )
