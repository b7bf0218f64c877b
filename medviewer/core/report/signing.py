"""A person's work on a draft: accept, edit, reject, write the impression, sign. Every step gives a new report and an
entry of the audit trail; nothing is ticked beforehand, and there is no step that accepts every sentence of a model.

Steps raise WrongUsage with a sentence where they are refused; ids that are not there raise KeyError.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace

from medviewer.core.errors import WrongUsage
from medviewer.core.report.audit import Action, Moment, Reviewed, replaced
from medviewer.core.report.checklist import before_signing, blocking
from medviewer.core.report.document import Finding, Mark, Section, Signature, Status
from medviewer.core.report.words import Words

IMPRESSION = "impression"
FIELDS = ("indication", "comparison", "technique")
_NEXT: dict[Status, tuple[Status, ...]] = {"draft": ("preliminary",), "preliminary": ("final",)}
_AFTER_FINAL: tuple[Status, ...] = ("addendum", "corrected")


# -- sentences -------------------------------------------------------------------------
def accept(reviewed: Reviewed, finding_id: str, moment: Moment) -> Reviewed:
    """Accept one sentence as it stands. Refused for a model's sentence that was not shown with its image, and while a
    guard's mark is unresolved."""
    finding = _open(reviewed).finding(finding_id)
    if finding.origin == "model" and not finding.seen:
        raise _refused(
            "This sentence of a model was not shown with its image yet.", "Click it to see what it rests on."
        )
    if finding.marks:
        raise _refused("This sentence has unresolved marks.", "Edit it, reject it, or dismiss each mark with a reason.")
    return _changed(reviewed, finding, moment, "accept", state="accepted", changed=False)


def accept_measured(reviewed: Reviewed, moment: Moment) -> Reviewed:
    """Accept every measured sentence that is undecided and has no mark. Sentences of a model are never among them."""
    for finding in _open(reviewed).report.findings:
        if finding.origin == "measured" and finding.state == "draft" and not finding.marks:
            reviewed = accept(reviewed, finding.id, moment)
    return reviewed


def edit(reviewed: Reviewed, finding_id: str, text: str, moment: Moment, marks: Sequence[Mark] = ()) -> Reviewed:
    """Replace the words of a sentence: they are a person's then, and its origin says so; the trail keeps what the
    program had said. A model's sentence still has to be shown with its image. `marks`: what the guards found in the new
    words."""
    finding = _open(reviewed).finding(finding_id)
    text = _text(text)
    changes = {
        "text": text,
        "origin": "human",
        "state": "edited",
        "marks": tuple(marks),
        "changed": False,
    }
    entry = reviewed.about("edit", moment, finding, after=text)
    return reviewed.with_report(replaced(reviewed.report, [finding.with_changes(**changes)]), entry)


def reject(reviewed: Reviewed, finding_id: str, moment: Moment, reason: str = "") -> Reviewed:
    """Leave a sentence out of the report; it stays in the record."""
    finding = _open(reviewed).finding(finding_id)
    return _changed(reviewed, finding, moment, "reject", reason, state="rejected")


def mark_seen(reviewed: Reviewed, finding_id: str, moment: Moment) -> Reviewed:
    """A sentence was shown with its image. Once is enough; later times change nothing."""
    finding = reviewed.finding(finding_id)
    if finding.seen:
        return reviewed
    return _changed(_open(reviewed), finding, moment, "seen", seen=True)


def dismiss_mark(reviewed: Reviewed, finding_id: str, mark: Mark, reason: str, moment: Moment) -> Reviewed:
    """A person says why a guard's mark does not hold. The reason is part of the record and may not be empty."""
    finding = _open(reviewed).finding(finding_id)
    if mark not in finding.marks:
        raise KeyError(mark)
    note = f"{mark.guard}: {_text(reason, 'A mark is dismissed with a reason.')}"
    return _changed(reviewed, finding, moment, "dismiss_mark", note, marks=tuple(m for m in finding.marks if m != mark))


def add_sentence(reviewed: Reviewed, heading: str, text: str, moment: Moment) -> Reviewed:
    """A person's own sentence at the end of a heading; KeyError for a heading that is not there."""
    report = _open(reviewed).report
    finding = Finding(_text(text), heading, origin="human", state="accepted", seen=True)
    if heading not in {section.key for section in report.sections}:
        raise KeyError(heading)
    sections = tuple(_appended(s, finding) if s.key == heading else s for s in report.sections)
    entry = reviewed.about("add_sentence", moment, finding, before="", after=finding.text)
    return reviewed.with_report(report.with_changes(sections=sections), entry)


def insert_impression(reviewed: Reviewed, text: str, finding_ids: Sequence[str], moment: Moment) -> Reviewed:
    """One sentence of the impression, written or taken over by a person, linked to the findings it rests on. It has
    their evidence. Refused without a finding, and for a rejected one."""
    known = {f.id: f for section in _open(reviewed).report.sections for f in section.findings}
    linked = [known[finding_id] for finding_id in finding_ids]
    if not linked:
        raise _refused("A sentence of the impression rests on a finding.", "Choose the finding that it sums up.")
    if any(finding.state == "rejected" for finding in linked):
        raise _refused("A rejected finding cannot support the impression.", "Choose another finding.")
    evidence = tuple(dict.fromkeys(one for finding in linked for one in finding.evidence))
    finding = Finding(
        _text(text), IMPRESSION, evidence, "human", "accepted", seen=True, linked=tuple(dict.fromkeys(finding_ids)),
        term_ids=tuple(dict.fromkeys(term for f in linked for term in f.term_ids)),
    )  # fmt: skip
    report = reviewed.report
    entry = reviewed.about("insert_impression", moment, finding, before="", after=finding.text)
    return reviewed.with_report(report.with_changes(impression=(*report.impression, finding)), entry)


def insert_suggestion(
    reviewed: Reviewed, suggestion: Finding, finding_ids: Sequence[str], moment: Moment
) -> Reviewed:
    """One sentence of a model's own impression, chosen by a person and linked to the findings it rests on. It stays a
    model's: undecided, with the guards' marks, and to be shown with its image before it can be accepted."""
    after = insert_impression(reviewed, suggestion.text, finding_ids, moment)
    *before, inserted = after.report.impression
    ours = inserted.with_changes(origin="model", state="draft", seen=False, model=suggestion.model)
    return Reviewed(
        after.report.with_changes(impression=(*before, ours)),
        (*after.trail[:-1], replace(after.trail[-1], origin="model", model=suggestion.model)), after.earlier,
    )  # fmt: skip


def remove_impression(reviewed: Reviewed, finding_id: str, moment: Moment) -> Reviewed:
    """Take a sentence out of the impression."""
    finding = {f.id: f for f in _open(reviewed).report.impression}[finding_id]
    kept = tuple(f for f in reviewed.report.impression if f.id != finding_id)
    entry = reviewed.about("remove_impression", moment, finding)
    return reviewed.with_report(reviewed.report.with_changes(impression=kept), entry)


def change_text(reviewed: Reviewed, name: str, text: str, moment: Moment) -> Reviewed:
    """Write the indication, the comparison or the technique by hand."""
    if name not in FIELDS:
        raise KeyError(name)
    before = getattr(_open(reviewed).report, name)
    entry = reviewed.entry("change_text", moment, where=name, before=before, after=text.strip())
    return reviewed.with_report(reviewed.report.with_changes(**{name: text.strip()}), entry)


def segment_changed(reviewed: Reviewed, segment_id: str, moment: Moment) -> Reviewed:
    """A mask was edited: every sentence that rests on it is marked as changed and undecided again. A signed report
    opens again as a new version, to be signed as corrected."""
    resting = [f for f in reviewed.report.findings if any(e.segment_id == segment_id for e in f.evidence)]
    if not resting:
        return reviewed
    if reviewed.report.status != "draft":
        reviewed = reopen(reviewed, moment, "a mask was edited")
    entries = [reviewed.about("numbers_changed", moment, f) for f in resting]
    again = [f if f.state == "rejected" else f.with_changes(changed=True, state="draft") for f in resting]
    return reviewed.with_report(replaced(reviewed.report, again), *entries)


# -- signing ---------------------------------------------------------------------------
def next_statuses(reviewed: Reviewed) -> tuple[Status, ...]:
    """What the report may be signed as now."""
    status, signed = reviewed.report.status, {s.status for s in reviewed.report.signatures}
    if signed & {"final", *_AFTER_FINAL}:
        return _AFTER_FINAL if status == "draft" else ()
    if status == "draft" and "preliminary" in signed:  # opened again in between
        return ("final", "preliminary")
    return _NEXT.get(status, ())


def sign(reviewed: Reviewed, status: Status, moment: Moment, words: Words, *, identity_shown: str) -> Reviewed:
    """Take the report to its next status under a typed name, which is no electronic signature.

    `identity_shown`: the identity line as the page of signing shows it. Refused, with the reasons, while the list of
    `before_signing` has a blocking line, without a name, and for a status that does not come next.
    """
    report = reviewed.report
    if status not in next_statuses(reviewed):
        known = ", ".join(next_statuses(reviewed)) or "nothing: open it again first"
        raise _refused(f"A report that is {report.status} cannot be signed as {status}.", f"Next comes {known}.")
    if not moment.who.strip():
        raise _refused("Signing needs a name.", "Enter your name.")
    open_points = blocking(before_signing(report, words, identity_shown=identity_shown, status=status))
    if open_points:
        listed = " ".join(check.text for check in open_points)
        raise WrongUsage(
            f"The report cannot be signed yet: {listed}", "Settle these points first.", code="not-signable"
        )
    if status == "addendum":
        _check_only_added(reviewed)
    signature = Signature(moment.who.strip(), status, moment.when, report.identity.line)
    signed = report.with_changes(status=status, signatures=(*report.signatures, signature))
    entry = reviewed.entry("sign", moment, before=report.status, after=status, note=report.identity.line)
    return reviewed.with_report(signed, entry)


def reopen(reviewed: Reviewed, moment: Moment, reason: str = "") -> Reviewed:
    """A new version of a signed report, as a draft; the signed one stays as it is under `earlier`."""
    report = reviewed.report
    if report.status == "draft":
        raise _refused("This report is a draft already.", "Change it as it is.")
    new = report.with_changes(
        id=uuid.uuid4().hex, previous=report.id, version=report.version + 1, status="draft", created=moment.when
    )
    entry = reviewed.entry("reopen", moment, before=report.status, after="draft", note=reason)
    return Reviewed(new, (*reviewed.trail, entry), (*reviewed.earlier, report))


def _check_only_added(reviewed: Reviewed) -> None:
    """An addendum adds; whoever changes what was signed corrects."""
    before = reviewed.earlier[-1] if reviewed.earlier else None
    now = {finding.id: (finding.text, finding.state) for finding in reviewed.report.findings}
    if before is None or any(now.get(f.id) != (f.text, f.state) for f in before.findings):
        raise _refused(
            "An addendum only adds to what was signed, and here something was changed.", "Sign as corrected."
        )
    if any(getattr(before, name) != getattr(reviewed.report, name) for name in FIELDS):
        raise _refused("An addendum only adds to what was signed, and here a text was changed.", "Sign as corrected.")


# -- parts -----------------------------------------------------------------------------
def _open(reviewed: Reviewed) -> Reviewed:
    if reviewed.report.status != "draft":
        raise _refused(
            f"This report is {reviewed.report.status} and cannot be changed.",
            "Open it again as a new version first.",
        )
    return reviewed


def _changed(
    reviewed: Reviewed, finding: Finding, moment: Moment, action: Action, note: str = "", **changes: object
) -> Reviewed:
    after = str(changes.get("state", ""))
    entry = reviewed.about(action, moment, finding, after=after, note=note)
    return reviewed.with_report(replaced(reviewed.report, [finding.with_changes(**changes)]), entry)


def _appended(section: Section, finding: Finding) -> Section:
    return replace(section, findings=(*section.findings, finding), not_assessed=False)


def _text(text: str, message: str = "A sentence needs words.") -> str:
    stripped = text.strip()
    if not stripped:
        raise _refused(message, "Write it first.")
    return stripped


def _refused(message: str, hint: str) -> WrongUsage:
    return WrongUsage(message, hint, code="report-step-refused")
