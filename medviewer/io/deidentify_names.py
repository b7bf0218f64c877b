"""New identities for one run of de-identification: UIDs, patient codes and day shifts from a key nobody keeps."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import date, timedelta
from functools import lru_cache

_MOST_DAYS, _LEAST_DAYS = 3650, 31


class NewNames:
    """Consistent within one object, unlinkable without its random key, which is never stored."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(32)
        self._uids: dict[str, str] = {}

    def uid(self, old: str) -> str:
        """The new UID of an instance, series, study, frame of reference ...; registered UIDs stay as they are."""
        if not old or is_registered(old):
            return old
        if old not in self._uids:
            self._uids[old] = "2.25." + str(int.from_bytes(self._digest("uid", old)[:16], "big"))
        return self._uids[old]

    def patient(self, identity: str) -> str:
        """A code for a patient, for PatientName and PatientID."""
        return "DEID-" + self._digest("patient", identity).hex()[:10].upper()

    def tracking(self, old: str) -> str:
        """A code that keeps equal tracking names equal."""
        return "T-" + self._digest("tracking", old).hex()[:12].upper()

    def days(self, identity: str) -> timedelta:
        """How far all dates of a patient move into the past."""
        number = int.from_bytes(self._digest("days", identity)[:8], "big")
        return timedelta(days=_LEAST_DAYS + number % _MOST_DAYS)

    def _digest(self, kind: str, text: str) -> bytes:
        return hmac.new(self._key, f"{kind}\0{text}".encode(), hashlib.sha256).digest()


@lru_cache(maxsize=4096)
def is_registered(uid: str) -> bool:
    """Is it a UID of PS3.6 (a SOP class, a transfer syntax, a coding scheme ...)?"""
    from pydicom.uid import UID_dictionary

    return uid in UID_dictionary


def shifted(value: str, vr: str, days: timedelta) -> str:
    """A DA or DT value moved into the past; "" where it cannot be read. Times of day (TM) stay."""
    if vr == "TM":
        return value
    day, rest = value[:8], value[8:]
    try:
        moved = date(int(day[:4]), int(day[4:6]), int(day[6:8])) - days
    except (ValueError, OverflowError):
        return ""
    return f"{moved.year:04d}{moved:%m%d}" + (rest if vr == "DT" else "")
