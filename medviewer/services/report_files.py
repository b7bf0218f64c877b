"""Writing a report to a file; the ending of the name says in which form."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from medviewer.core.errors import OutputNotWritten, WrongUsage
from medviewer.core.report.audit import Reviewed
from medviewer.core.report.document import Report
from medviewer.core.volume import Volume
from medviewer.services.report_templates import report_words
from medviewer.services.resources import terminology

SUFFIXES = {
    ".json": "json", ".html": "html", ".txt": "text", ".pdf": "pdf", ".docx": "docx", ".dcm": "dicom",
    ".fhir.json": "fhir",
}  # fmt: skip
DICOM_FORMS = {"sr": "sr", "pdf": "encapsulated"}  # what a .dcm holds, by the caller's choice


@dataclass(frozen=True, eq=False)
class Origin:
    """What the forms for a hospital's systems need besides the report: the scan it was made of, and, where there are
    any, the DICOM SEG with its masks and the SR of the version before."""

    volume: Volume
    segmentation: Path | None = None
    predecessor: Path | None = None


def write_report(
    report: Report | Reviewed, path: Path | str, origin: Origin | None = None, *, dicom: str = "sr"
) -> Path:
    """Write a report atomically; any thread. The audit trail goes into JSON only; the other forms show the report.

    `dicom`: what a .dcm holds, "sr" or "pdf". Raises WrongUsage for an ending or kind that is not known and for a DICOM
    object of a scan that is not DICOM, OutputNotWritten (an older file is then as it was).
    """
    path, form = Path(path), form_of(Path(path))
    shown = report.report if isinstance(report, Reviewed) else report
    if form == "json":
        from medviewer.io import report_json

        report_json.write(path, report if isinstance(report, Reviewed) else Reviewed(report))
    elif form in ("dicom", "fhir"):
        has_masks = origin is not None and origin.segmentation is not None
        check_target(path, None if origin is None else origin.volume, dicom=dicom, has_masks=has_masks)
        _write_exchanged(shown, path, origin, DICOM_FORMS[dicom] if form == "dicom" else form)
    else:
        import_module(f"medviewer.io.report_{form}").write(path, shown, report_words(shown.language))
    return path


def check_target(path: Path | str, volume: Volume | None, *, dicom: str = "sr", has_masks: bool = False) -> None:
    """Refuse ahead of the work what `write_report` would refuse: raises WrongUsage, OutputNotWritten.

    `has_masks`: a DICOM SEG goes with the report; a scan without a study of its own has that of the SEG.
    """
    if form_of(Path(path)) != "dicom":
        return
    if dicom not in DICOM_FORMS:
        raise WrongUsage(f"A .dcm holds no {dicom!r}.", f"Choose one of {', '.join(DICOM_FORMS)}.")
    if volume is not None and has_masks:
        return
    if volume is not None and volume.source.format == "dicom" and not all(volume.source.instance_uids or ("",)):
        raise OutputNotWritten(
            "The scan's files lack the identifiers (UIDs) that a DICOM report refers to.",
            f"Save the report as .pdf, .html, .docx, .json or .fhir.json instead{_with_masks(volume)}.",
        )
    if volume is None or volume.source.format != "dicom":
        raise WrongUsage(
            "A DICOM report belongs to a DICOM study, and this scan is none.",
            f"Choose .pdf, .docx, .html or .json{_with_masks(volume)}.",
        )


def _with_masks(volume: Volume | None) -> str:
    """The other way out, for a scan whose masks a DICOM SEG can hold."""
    return "" if volume is None or volume.affine is None else ", or save the masks as .dcm first and name them"


def _write_exchanged(report: Report, path: Path, origin: Origin | None, form: str) -> None:
    """SR, encapsulated PDF or FHIR: their writers take the scan and the codes of structures."""
    options: dict[str, Any] = {}
    if form != "encapsulated":
        options["terms"] = {term.id: term for term in terminology()}
    if form in ("sr", "encapsulated") and origin is not None:
        options["segmentation"] = origin.segmentation
    if form == "sr" and origin is not None:
        options["predecessor"] = origin.predecessor
    writer = import_module(f"medviewer.io.report_{form}").write
    writer(path, report, report_words(report.language), None if origin is None else origin.volume, **options)


def read_report(path: Path | str) -> Reviewed:
    """Read a report that was written as JSON. Raises InputRefused, WrongUsage for another ending."""
    path = Path(path)
    if form_of(path) != "json":
        raise WrongUsage(f"{path.name} cannot be opened as a report.", "Open the .json file of the report.")
    from medviewer.io import report_json

    return report_json.read(path)


def report_text(report: Report) -> str:
    """The report as clean text, for the clipboard."""
    from medviewer.io import report_text as text_form

    return text_form.render(report, report_words(report.language))


def form_of(path: Path) -> str:
    """The form ("json", "text" ...) by the ending of the name. Raises WrongUsage with the endings that there are."""
    name = path.name.lower()
    found = [end for end in SUFFIXES if name.endswith(end) and len(name) > len(end)]
    if not found:
        known = ", ".join(SUFFIXES)
        raise WrongUsage(f"A report cannot be written as {path.name!r}.", f"End the name in one of {known}.")
    return SUFFIXES[max(found, key=len)]
