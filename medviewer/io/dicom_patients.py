"""Whose images these are: two patients under one series identifier must never become one volume."""

from __future__ import annotations

import re
from collections.abc import Sequence

from medviewer.io.dicom_header import Header

Identity = tuple[str, tuple[str, ...], str]


def patients(headers: Sequence[Header]) -> list[Identity]:
    """The different people the headers state, one entry each: (ID, words of the name, date of birth).

    Upper case, separators and blanks are formatting. A field that is empty in some images contradicts nothing, as long
    as another field agrees.
    """
    people = list(dict.fromkeys(identity(*words) for words in dict.fromkeys(map(_stated, headers))))
    while len(merged := _merged(people)) < len(people):
        people = merged
    return people


def _merged(stated: Sequence[Identity]) -> list[Identity]:
    people: list[Identity] = []
    for one in stated:
        for index, known in enumerate(people):
            if _same_person(one, known):
                people[index] = (known[0] or one[0], known[1] or one[1], known[2] or one[2])
                break
        else:
            people.append(one)
    return people


def _stated(header: Header) -> tuple[str, str, str]:
    get = header.get
    return get("PatientID") or "", get("PatientName") or "", get("PatientBirthDate") or ""


def identity(patient_id: str, name: str, birth_date: str) -> Identity:
    """Without formatting."""
    words = re.split(r"[\s,^=]+", name.casefold())
    return patient_id.strip().casefold(), tuple(filter(None, words)), re.sub(r"\D", "", birth_date)


def identity_of(header: Header) -> Identity:
    """Of one header, without formatting."""
    return identity(*_stated(header))


def _same_person(first: Identity, second: Identity) -> bool:
    pairs = [(one, other) for one, other in zip(first, second, strict=True) if one and other]
    return all(one == other for one, other in pairs) and (bool(pairs) or not any((*first, *second)))
