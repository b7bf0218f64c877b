"""Cleans one DICOM data set in memory: every element at every depth is judged, and repeated identities are found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from medviewer.io.deidentify_names import NewNames, shifted
from medviewer.io.deidentify_rules import Action, Rules

REMOVED_TEXT = "REMOVED"
_DUMMIES = {
    "DA": "19000101", "TM": "000000", "DT": "19000101000000", "AS": "000Y", "PN": REMOVED_TEXT, "UR": "urn:removed",
    "CS": REMOVED_TEXT, "AE": REMOVED_TEXT, "DS": "0", "IS": "0",
}  # fmt: skip
_SOP_CLASS_TAGS = (0x00080016, 0x00081150, 0x0008115A, 0x00041510, 0x00041512, 0x0008001B, 0x00080062)
_TEXT = ("LO", "SH", "CS", "LT", "ST", "UT", "UC", "UR", "AE", "PN", "AS")
# Elements whose values name a person; every word of them is looked for in the text that stays.
_IDENTITY_TAGS = (
    0x00100020, 0x00100021, 0x00100030, 0x00100050, 0x00101000, 0x00101040, 0x00102154, 0x00080050, 0x00101090,
    0x00380010, 0x00400244, 0x00101002,
)  # fmt: skip
# Codes that describe pixels, place and structure; a patient called "Axial" must not make an image unreadable.
_NEVER_ECHO = (0x00080008, 0x00080060, 0x00280004, 0x00185100, 0x00200020, 0x00080005, 0x00281054, 0x00281056,
               0x0040A010, 0x0040A040, 0x00080102)  # fmt: skip
_SHORTEST_ECHO, _LONG_ECHO = 4, 7
PIXEL_TAGS = (0x7FE00010, 0x7FE00008, 0x7FE00009)
NUMBERS = re.compile(rb"[0-9+\-.,eE\\ \0]*")
_A_UID = re.compile(r"[0-9.]{1,64}")
_LONGEST_EXCLUDED = 64 << 10


@dataclass
class Cleaned:
    """What was done to one data set."""

    patient: str
    elements_removed: int = 0
    echoes: int = 0  # texts that repeated an identity in a place where none belongs
    structured: bool = False  # a content tree was cleaned item by item
    graphics: bool = False


@dataclass
class Cleaner:
    """Cleans data sets of one run by its rules and new names. One thread."""

    rules: Rules
    names: NewNames
    _echo: re.Pattern[bytes] | None = None
    _long_words: tuple[bytes, ...] = ()
    _days: timedelta = field(default_factory=timedelta)
    _done: Cleaned = field(default_factory=lambda: Cleaned(""))

    def clean(self, dataset: Any) -> Cleaned:
        """Change a pydicom data set in place; its pixel data and geometry stay as they are, byte for byte."""
        identity = patient_identity(dataset)
        self._days = self.names.days(identity)
        self._done = Cleaned(self.names.patient(identity))
        words = set(_identity_words(dataset))
        self._echo, self._long_words = _pattern(words), _long(words)
        self._enter(dataset)
        _state_patient(dataset, self._done.patient)
        return self._done

    def _enter(self, dataset: Any) -> None:
        for tag in list(dataset.keys()):
            element = dataset.get_item(tag)
            self._apply(dataset, tag, _vr_of(element, tag))

    def _apply(self, dataset: Any, tag: Any, vr: str) -> None:
        action = self.rules.action(int(tag), vr)
        if action is Action.REMOVE:
            del dataset[tag]
            self._done.elements_removed += 1
        elif action is Action.ENTER:
            self._enter_items(dataset, tag)
        elif action is Action.KEEP:
            self._keep(dataset, tag, vr)
        else:
            self._replace(dataset, tag, vr, action)

    def _enter_items(self, dataset: Any, tag: Any) -> None:
        self._done.structured |= int(tag) == 0x0040A730
        self._done.graphics |= int(tag) == 0x00700001
        element = dataset[tag]  # pydicom parses the items here
        if element.VR != "SQ":
            del dataset[tag]
            return
        for item in element.value:
            self._enter(item)

    def _keep(self, dataset: Any, tag: Any, vr: str) -> None:
        """Keep an element, unless it is not what it claims or repeats an identity."""
        if int(tag) == 0x00101010:
            _cap_age(dataset, tag)
        value = dataset.get_item(tag).value
        if vr in ("DS", "IS"):
            if not all(NUMBERS.fullmatch(text.encode()) for text in _texts_of(dataset.get_item(tag))):
                del dataset[tag]
        elif vr in _TEXT:
            text = _bytes_of(dataset.get_item(tag)).lower()
            if self._echo and int(tag) not in _NEVER_ECHO and self._echo.search(text):
                self._done.echoes += 1
                self._set(dataset, tag, vr, REMOVED_TEXT)
        elif isinstance(value, bytes) and int(tag) not in PIXEL_TAGS and self.repeats(value):
            self._done.echoes += 1
            del dataset[tag]

    def repeats(self, value: bytes) -> bool:
        """Do bytes that are no text (numbers, tables, comments) hold a long word of the last identity?"""
        lower = value.lower()
        return any(word in lower for word in self._long_words)

    def _replace(self, dataset: Any, tag: Any, vr: str, action: Action) -> None:
        if action is Action.EMPTY:
            self._set(dataset, tag, vr, [] if vr == "SQ" else "")
            return
        texts = _texts_of(dataset.get_item(tag))
        if action is Action.UID:
            kept = int(tag) in _SOP_CLASS_TAGS
            new = [text if kept and _A_UID.fullmatch(text) else self.names.uid(text) for text in texts]
        elif action is Action.SHIFT:
            new = [shifted(text, vr, self._days) for text in texts]
        elif int(tag) == 0x00620020:
            new = [self.names.tracking(text) for text in texts]
        else:
            new = [_DUMMIES.get(vr, REMOVED_TEXT)]
        if action is Action.DUMMY and vr not in (*_DUMMIES, "LO", "SH", "ST", "LT", "UT", "UC"):
            del dataset[tag]
            return
        self._set(dataset, tag, vr, new[0] if len(new) == 1 else new)

    @staticmethod
    def _set(dataset: Any, tag: Any, vr: str, value: Any) -> None:
        from pydicom.dataelem import DataElement

        dataset[tag] = DataElement(tag, vr, value)


def patient_identity(dataset: Any) -> str:
    """What tells patients apart: the id and its issuer, else name and birth date."""
    number = _first(dataset, 0x00100020)
    if number:
        return f"id\0{number}\0{_first(dataset, 0x00100021)}"
    return f"name\0{_first(dataset, 0x00100010)}\0{_first(dataset, 0x00100030)}"


def _state_patient(dataset: Any, code: str) -> None:
    """Patient module elements that every file must have; name and id are the same code."""
    dataset.PatientName, dataset.PatientID = code, code
    for keyword in ("PatientBirthDate", "PatientSex"):
        if keyword not in dataset:
            setattr(dataset, keyword, "")


def _cap_age(dataset: Any, tag: Any) -> None:
    """Ages above 89 years are told as 90: they are so rare that they can identify."""
    text = _bytes_of(dataset.get_item(tag)).strip(b" \0")
    if text[-1:].upper() == b"Y" and text[:-1].isdigit() and int(text[:-1]) > 89:
        dataset[tag].value = "090Y"


def _identity_words(dataset: Any) -> Iterator[bytes]:
    """The words of all person names and numbers of people, in lower case, wherever they stand."""
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        vr = _vr_of(element, tag)
        if vr == "PN" or int(tag) in _IDENTITY_TAGS:
            for word in re.split(rb"[\^=\\\s,;/]+", _bytes_of(element).lower().strip(b" \0")):
                if len(word) >= _SHORTEST_ECHO:
                    yield word
        elif vr == "SQ" and not _skip_words(tag):
            for item in dataset[tag].value if dataset[tag].VR == "SQ" else ():
                yield from _identity_words(item)


def _skip_words(tag: Any) -> bool:
    """Functional groups and coded tables are long and hold no names of people."""
    return int(tag) in (0x52009230, 0x52009229) or int(tag) >> 16 >= 0x3000


def _pattern(words: set[bytes]) -> re.Pattern[bytes] | None:
    """Finds long words anywhere, also in 16-bit letters, and short ones as whole words."""
    parts = [re.escape(word) for word in _long(words)]
    short = sorted(word for word in words if len(word) < _LONG_ECHO)
    parts += [rb"(?<![a-z0-9])" + re.escape(word) + rb"(?![a-z0-9])" for word in short]
    return re.compile(b"|".join(parts)) if parts else None


def _long(words: set[bytes]) -> tuple[bytes, ...]:
    """Words so long that they do not occur by chance, in 8-bit and 16-bit letters."""
    plain = sorted(word for word in words if len(word) >= _LONG_ECHO)
    wide = [b"".join(bytes((byte, 0)) for byte in word) for word in plain]
    return (*plain, *(word[:-1] for word in wide))


def _vr_of(element: Any, tag: Any) -> str:
    """The value representation; of implicit and unknown ones that of the dictionary."""
    from pydicom.datadict import dictionary_has_tag, dictionary_VR

    vr = element.VR
    if vr in (None, "UN") and dictionary_has_tag(int(tag)):
        return str(dictionary_VR(int(tag)))
    return str(vr or "UN")


def _bytes_of(element: Any) -> bytes:
    value = element.value
    if value is None:
        return b""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")[:_LONGEST_EXCLUDED]


def _texts_of(element: Any) -> list[str]:
    value = element.value
    if value is None:
        return [""]
    if isinstance(value, bytes):
        return [part.strip(" \0") for part in value.decode("latin-1").split("\\")]
    many = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    return [str(part) for part in many]


def _first(dataset: Any, tag: int) -> str:
    if tag not in dataset:
        return ""
    return _bytes_of(dataset.get_item(tag)).decode("latin-1").strip(" \0")
