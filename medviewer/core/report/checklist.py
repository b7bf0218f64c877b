"""The page "before you sign": what is open in a report. Blocking lines keep it from being signed; the others warn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medviewer.core.report.document import Finding, Report, Status
from medviewer.core.report.wording import ABOVE, BELOW, INCOMPLETE
from medviewer.core.report.words import Words


@dataclass(frozen=True)
class Check:
    """One line of the page. `key` names the rule; `finding_ids` are the sentences it is about."""

    key: str
    text: str
    blocks: bool
    finding_ids: tuple[str, ...] = ()


def before_signing(
    report: Report, words: Words, *, identity_shown: str = "", status: Status = "final"
) -> tuple[Check, ...]:
    """Every line that applies; blocking ones first. `identity_shown`: what the page shows of `identity_line`, "" while
    it shows nothing. A preliminary report needs no impression yet."""
    kept = [f for f in report.findings if f.state != "rejected"]
    found = [*_identity(report, words, identity_shown), *_sentences(kept, words)]
    if status != "preliminary" and not any(f.state != "rejected" for f in report.impression):
        found.append(Check("impression_empty", words.check("impression_empty"), True))
    found += [*_warnings(report, kept, words), Check("typed_name", words.check("typed_name"), False)]
    return tuple(sorted(found, key=lambda check: not check.blocks))


def blocking(checks: Iterable[Check]) -> tuple[Check, ...]:
    """The lines that keep a report from being signed."""
    return tuple(check for check in checks if check.blocks)


def identity_line(report: Report, words: Words) -> str:
    """The line that the page has to show; words saying so for a scan without identity."""
    return report.identity.line or words.phrase("no_identity")


def _identity(report: Report, words: Words, shown: str) -> list[Check]:
    line = identity_line(report, words)
    return [] if shown == line else [Check("identity", words.check("identity", identity=line), True)]


def _sentences(kept: Sequence[Finding], words: Words) -> list[Check]:
    """What is open in the sentences that are not rejected."""
    rules = {
        "marks": [f for f in kept if f.marks],
        "unseen": [f for f in kept if (f.origin == "model" or f.model) and not f.seen],
        "changed": [f for f in kept if f.changed],
        "undecided": [f for f in kept if f.state == "draft"],
        "unsupported": [f for f in kept if not f.is_supported],
    }
    return [_check(key, found, words, True) for key, found in rules.items() if found]


def _warnings(report: Report, kept: Sequence[Finding], words: Words) -> list[Check]:
    flagged = {m.id for m in report.measurements if {ABOVE, BELOW} & set(m.flags)}
    cut = {m.id for m in report.measurements if INCOMPLETE in m.flags}
    impression = [f for f in report.impression if f.state != "rejected"]
    linked = {id_ for f in impression for id_ in f.linked}
    findings = [f for f in kept if f.id not in {g.id for g in report.impression}]
    rules = {
        "incomplete": [f for f in findings if _numbers(f) & cut],
        "flagged_missing": [f for f in findings if _numbers(f) & flagged and f.id not in linked],
        "impression_unlinked": [f for f in impression if not set(f.linked) & {g.id for g in findings}],
    }
    return [_check(key, found, words, False) for key, found in rules.items() if found]


def _numbers(finding: Finding) -> set[str]:
    return {e.measurement_id for e in finding.evidence if e.measurement_id}


def _check(key: str, findings: Sequence[Finding], words: Words, blocks: bool) -> Check:
    return Check(key, words.check(key, count=str(len(findings))), blocks, tuple(f.id for f in findings))
