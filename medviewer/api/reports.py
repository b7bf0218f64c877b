"""Reports, for plugins and panels: the document, drafting and checking it, a person's steps on it, files and templates.

Steps give a new `Reviewed`; nothing is changed in place. Loads numpy only.
"""

from __future__ import annotations

from medviewer.core.report.audit import AuditEntry, Moment, Reviewed
from medviewer.core.report.checklist import Check, before_signing, blocking, identity_line
from medviewer.core.report.document import (
    Evidence,
    Finding,
    Identity,
    KeyImage,
    Language,
    Mark,
    Measurement,
    Report,
    Section,
    Signature,
    Status,
)
from medviewer.core.report.signing import (
    IMPRESSION,
    accept,
    accept_measured,
    add_sentence,
    change_text,
    dismiss_mark,
    edit,
    insert_impression,
    mark_seen,
    next_statuses,
    reject,
    remove_impression,
    reopen,
    segment_changed,
    sign,
)
from medviewer.core.report.template import GENERAL, Template, fits_modality, prompt_wordings
from medviewer.core.report.words import Words
from medviewer.services.report_drafting import (
    DraftCase,
    DraftedReport,
    check_again,
    contrast_given,
    draft,
    now,
    redraft,
    report_language,
    sides_warnings,
)
from medviewer.services.report_files import DICOM_FORMS, SUFFIXES, Origin, read_report, report_text, write_report
from medviewer.services.report_keeping import KeptReport, kept_report, kept_text
from medviewer.services.report_templates import Templates, report_templates, report_words, user_template_folder
from medviewer.services.results import segment_for, warnings_of

__all__ = [
    "DICOM_FORMS", "GENERAL", "IMPRESSION", "SUFFIXES", "AuditEntry", "Check", "DraftCase", "DraftedReport",
    "Evidence", "Finding", "Identity", "KeptReport", "KeyImage", "Language", "Mark", "Measurement", "Moment",
    "Origin", "Report", "Reviewed", "Section", "Signature", "Status", "Template", "Templates", "Words", "accept",
    "accept_measured", "add_sentence", "before_signing", "blocking", "change_text", "check_again", "contrast_given",
    "dismiss_mark", "draft", "edit", "fits_modality", "identity_line", "insert_impression", "kept_report",
    "kept_text", "mark_seen", "next_statuses", "now", "prompt_wordings", "read_report", "redraft", "reject",
    "remove_impression", "reopen", "report_language", "report_templates", "report_text", "report_words",
    "segment_changed", "segment_for", "sides_warnings", "sign", "user_template_folder", "warnings_of", "write_report",
]  # fmt: skip
