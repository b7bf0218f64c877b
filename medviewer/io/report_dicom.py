"""What DICOM SR and Encapsulated PDF of a report share: the scan's study, who signed, and when.

Both objects go into the study of the scan's own files; patient and study are copied from them, whatever they look like.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medviewer.core.errors import OutputNotWritten, UserError
from medviewer.core.progress import Progress, silent
from medviewer.core.report.document import Report, Signature
from medviewer.core.report.drafting import identity_of
from medviewer.core.report.words import Words
from medviewer.core.volume import Volume
from medviewer.io.dicom_seg_sources import complete
from medviewer.io.dicom_seg_text import LONG_STRING, cut, line
from medviewer.io.quiet import quiet
from medviewer.io.report_layout import clean, is_verified, title_text

MAKER = "medviewer"
_REFERENCES = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_SAME = ("patient_id", "name", "birth_date", "study_uid")  # of a report and its scan
_OTHER_FORMS = (
    "Save the report as .pdf, .html, .docx, .json or .fhir.json instead, or save the masks as .dcm first and name them."
)
_MOST_CARETS = 4  # five components of a person's name (PS3.5 6.2)


def study_headers(
    report: Report, source: Volume, progress: Progress | None = None, segmentation: Path | None = None
) -> list[Any]:
    """The data sets (no pixels) of the scan's files in the order of k; the first holds everything, the others what a
    reference needs. One for a multi-frame file.

    Where the scan is no DICOM or its files lack UIDs, those of the copy of the scan that was written beside the DICOM
    SEG `segmentation`, which then is the study. Raises OutputNotWritten where there is no such copy either, for files
    of several studies, files that can no longer be read, and a report of another patient or study.
    """
    progress = progress or silent()
    _refuse_other_study(report, source)
    own = list(dict.fromkeys(source.source.files)) if source.source.format == "dicom" else []
    headers = _read(own, progress)
    if not _is_referable(headers):
        headers = _read(_copies(segmentation, source), progress)
    if not _is_referable(headers):
        what = "have no identifiers (UIDs) that a DICOM report could refer to" if own else "are no DICOM"
        raise OutputNotWritten(f"The files of {source.title or 'this scan'} {what}.", _OTHER_FORMS)
    if len({header.StudyInstanceUID for header in headers}) > 1:
        raise OutputNotWritten("The scan's files belong to several studies.", _OTHER_FORMS)
    complete(headers[0])
    return headers


def _read(files: Sequence[Path], progress: Progress) -> list[Any]:
    import pydicom

    headers = []
    for number, file in enumerate(files):
        progress.report(number / len(files), "Reading the source headers")
        try:
            wanted = list(_REFERENCES) if number else None
            headers.append(pydicom.dcmread(file, stop_before_pixels=True, specific_tags=wanted))
        except OSError as error:
            raise OutputNotWritten(
                f"The scan's file {file} can no longer be read.", "Put the scan back in its place, then save again."
            ) from error
    return headers


def _copies(segmentation: Path | None, source: Volume) -> list[Path]:
    """The copy of the scan beside a SEG, in the order of k ("masks.dcm" has "masks_source"); none of another size."""
    if segmentation is None:
        return []
    found = sorted(segmentation.with_name(f"{segmentation.stem}_source").glob("*.dcm"))
    return found if len(found) == source.shape[2] else []


def _is_referable(headers: Sequence[Any]) -> bool:
    return bool(headers) and all(header.get(name) for header in headers for name in _REFERENCES)


def refuse_source(path: Path, source: Volume) -> None:
    """A report is never written onto a file of the scan. Raises OutputNotWritten."""
    if any(path.resolve() == file.resolve() for file in source.source.files):
        raise OutputNotWritten(
            f"{path.name} is the scan itself, which is never written.", "Choose another name for the report."
        )


def signature_of(report: Report) -> Signature | None:
    """Who took the report to its present status; None for a draft. Raises OutputNotWritten where a status that needs a
    signature has none."""
    found = [one for one in report.signatures if one.status == report.status and one.name.strip()]
    if not found and report.status != "draft":
        raise OutputNotWritten(
            f"The report is marked as {report.status}, but nobody signed it so.", "Open it again and sign it."
        )
    return found[-1] if found else None


def moment_of(text: str) -> datetime | None:
    """An ISO 8601 time as the report holds it, in UTC; None for a text that is none."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def signed_at(signature: Signature) -> datetime:
    """When it was signed. Raises OutputNotWritten for a text that is no time."""
    moment = moment_of(signature.when)
    if moment is None:
        raise OutputNotWritten("The signature of the report has no readable time.", "Open the report again, sign it.")
    return moment


def person_name(text: str) -> str:
    """A typed name as DICOM holds it (PN, PS3.5 6.2): at most five components, no group and no value separators."""
    parts = [" ".join(part.split()) for part in line(text, 4 * LONG_STRING).replace("=", " ").split("^")]
    name = "^".join([*parts[:_MOST_CARETS], " ".join(parts[_MOST_CARETS:])]).rstrip("^ ")
    short = cut(name, LONG_STRING - 1)
    return short if "^" in short else f"{short}^"


def series_description(report: Report, words: Words) -> str:
    """The title for a verified report, else that it is an AI-assisted draft; one line of 64 bytes."""
    return line(title_text(report, words) if is_verified(report) else words.phrase("unverified"))


def series_number(header: Any, offset: int) -> int:
    """A number for a new series behind the one that the report is about."""
    number = header.get("SeriesNumber")
    return min(max(int(number), 0), 99_000) * 100 + offset if number else 100 + offset


def harmless(text: str) -> str:
    """Text of UT, ST and LT: composed letters, lines kept, nothing that moves a cursor or turns the direction."""
    return clean(unicodedata.normalize("NFC", text))


@contextmanager
def refused(what: str) -> Iterator[None]:
    """Whatever the libraries make of an odd source, in words; their warnings about it are not the user's."""
    try:
        with quiet():
            yield
    except (UserError, OSError):
        raise
    except Exception as error:
        raise OutputNotWritten(f"The scan's files allow no {what} ({error}).", _OTHER_FORMS) from error


def differs(path: Path, what: str) -> OutputNotWritten:
    """The one message for every difference that reading back finds."""
    return OutputNotWritten(
        f"{path.name} was not written: reading it back gave another {what} than was saved.",
        "Try another format; the report itself is unchanged.",
    )


def check_study(path: Path, found: Any, header: Any) -> None:
    """The written object has patient and study of the scan. Raises OutputNotWritten."""
    for name in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate"):
        if str(found.get(name) or "") != str(header.get(name) or ""):
            raise differs(path, "patient or study")


def _refuse_other_study(report: Report, source: Volume) -> None:
    own = identity_of(source)
    if any(getattr(report.identity, name) != getattr(own, name) for name in _SAME):
        raise OutputNotWritten(
            "The report belongs to another patient or study than this scan.", "Write it with the scan it was made of."
        )
