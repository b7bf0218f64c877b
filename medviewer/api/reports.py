"""Reports, for plugins and panels: the document, drafting and checking it, a person's steps on it, files and templates.

Steps give a new `Reviewed`; nothing is changed in place. Loads numpy only.
"""

from __future__ import annotations

from medviewer.core.comparison import (
    Change,
    Comparison,
    Match,
    PriorCheck,
    PriorStudy,
    RecistInput,
    RecistResult,
    Registration,
    StudyFacts,
    TargetLesion,
    TimePoint,
)
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
from medviewer.core.report.drafting import DraftSource
from medviewer.core.report.model_prompt import ModelInputs
from medviewer.core.report.model_text import Groundable, ModelDraft
from medviewer.core.report.signing import (
    IMPRESSION,
    accept,
    accept_measured,
    add_sentence,
    change_text,
    dismiss_mark,
    edit,
    insert_impression,
    insert_suggestion,
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
from medviewer.services.comparison import (
    CompareRequest,
    PriorMasks,
    compare_again,
    compare_with_prior,
    nudged,
    prior_check,
)
from medviewer.services.comparison import assess as recist
from medviewer.services.comparison_draft import PRIOR, prior_entry
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
from medviewer.services.report_guards import warm_up
from medviewer.services.report_keeping import KeptReport, kept_report, kept_text
from medviewer.services.report_language import (
    LanguageAnswer,
    LanguageModel,
    LanguageRequest,
    accept_licence,
    accepted_licences,
    add_model_sentences,
    askable_terms,
    grounded_again,
    language_inputs,
    language_means,
    language_source,
)
from medviewer.services.report_templates import Templates, report_templates, report_words, user_template_folder
from medviewer.services.results import segment_for, warnings_of

__all__ = [
    "DICOM_FORMS", "GENERAL", "IMPRESSION", "PRIOR", "SUFFIXES", "AuditEntry", "Change", "Check", "CompareRequest",
    "Comparison", "DraftCase", "DraftSource", "DraftedReport", "Evidence", "Finding", "Groundable", "Identity",
    "KeptReport", "KeyImage", "Language", "LanguageAnswer", "LanguageModel", "LanguageRequest", "Mark", "Match",
    "Measurement", "ModelDraft", "ModelInputs", "Moment", "Origin", "PriorCheck", "PriorMasks", "PriorStudy",
    "RecistInput", "RecistResult", "Registration", "Report", "Reviewed", "Section", "Signature", "Status", "StudyFacts",
    "TargetLesion", "Template", "Templates", "TimePoint", "Words", "accept", "accept_licence", "accept_measured",
    "accepted_licences", "add_model_sentences", "add_sentence", "askable_terms", "before_signing", "blocking",
    "change_text", "check_again", "compare_again", "compare_with_prior", "contrast_given", "dismiss_mark", "draft",
    "edit", "fits_modality", "grounded_again", "identity_line", "insert_impression", "insert_suggestion", "kept_report",
    "kept_text", "language_inputs", "language_means", "language_source", "mark_seen", "next_statuses", "now", "nudged",
    "prior_check", "prior_entry", "prompt_wordings", "read_report", "recist", "redraft", "reject", "remove_impression",
    "reopen", "report_language", "report_templates", "report_text", "report_words", "segment_changed", "segment_for",
    "sides_warnings", "sign", "user_template_folder", "warm_up", "warnings_of", "write_report",
]  # fmt: skip
