"""From a draft to a signed report: every step, every refusal, and the trail."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from report_kit import NOW, draft, measured, model_sentence, reviewed, segment, words_of

from medviewer.core.errors import WrongUsage
from medviewer.core.report import signing
from medviewer.core.report.audit import Moment, Reviewed
from medviewer.core.report.checklist import before_signing, blocking, identity_line
from medviewer.core.report.document import Evidence, Finding, Mark, Status

MARK = Mark("laterality", "The mask lies on the right.", (0, 3))
WORDS = words_of("en")


def shown(work: Reviewed) -> str:
    return identity_line(work.report, WORDS)


def sign(work: Reviewed, status: Status, who: str = "Dr. Example") -> Reviewed:
    return signing.sign(work, status, Moment(who, NOW.when), WORDS, identity_shown=shown(work))


def ready(work: Reviewed | None = None) -> Reviewed:
    """Every measured sentence accepted, one sentence in the impression."""
    work = signing.accept_measured(work or reviewed(), NOW)
    return signing.insert_impression(work, "Kidneys measured.", [work.report.findings[0].id], NOW)


def final() -> Reviewed:
    return sign(sign(ready(), "preliminary"), "final")


def keys(work: Reviewed, **options: str) -> set[str]:
    return {c.key for c in blocking(before_signing(work.report, WORDS, identity_shown=shown(work), **options))}


# -- sentences ---------------------------------------------------------------------------
def test_nothing_is_ticked_beforehand() -> None:
    assert {f.state for f in draft().findings} == {"draft"}
    assert not any(f.seen for f in draft().findings)


def test_accept_edit_and_reject_are_recorded_with_what_the_program_said() -> None:
    work = reviewed()
    first, second, third = work.report.findings[:3]
    work = signing.accept(work, first.id, NOW)
    work = signing.edit(work, second.id, "Shorter words.", NOW)
    work = signing.reject(work, third.id, NOW, "wrong mask")
    assert [work.finding(f.id).state for f in (first, second, third)] == ["accepted", "edited", "rejected"]
    assert work.finding(second.id).origin == "human"
    entries = {entry.action: entry for entry in work.trail}
    assert (entries["edit"].before, entries["edit"].after) == (second.text, "Shorter words.")
    assert entries["edit"].origin == "measured"
    assert entries["reject"].note == "wrong mask"
    assert all((e.who, e.when) == ("Dr. Example", NOW.when) for e in work.trail)
    assert json.loads(json.dumps([e.as_dict() for e in work.trail]))[0]["action"] == "accept"


def test_the_report_of_before_is_never_changed() -> None:
    work = reviewed()
    before = work.report
    signing.reject(work, before.findings[0].id, NOW)
    assert work.report is before
    assert before.findings[0].state == "draft"


def test_no_accept_all_for_model_sentences() -> None:
    """clinical.md 20."""
    work = signing.accept_measured(reviewed(model_sentence(seen=True)), NOW)
    assert work.finding("m1").state == "draft"
    assert all(f.state == "accepted" for f in work.report.findings if f.origin == "measured")


def test_a_model_sentence_is_accepted_only_after_it_was_shown_with_its_image() -> None:
    """clinical.md 20."""
    work = reviewed(model_sentence())
    with pytest.raises(WrongUsage, match="not shown with its image"):
        signing.accept(work, "m1", NOW)
    work = signing.accept(signing.mark_seen(work, "m1", NOW), "m1", NOW)
    assert work.finding("m1").state == "accepted"
    assert signing.mark_seen(work, "m1", NOW) is work


def test_a_marked_sentence_is_accepted_only_after_its_marks_are_settled() -> None:
    work = reviewed(model_sentence(seen=True, marks=(MARK,)))
    with pytest.raises(WrongUsage, match="unresolved marks"):
        signing.accept(work, "m1", NOW)
    with pytest.raises(WrongUsage, match="with a reason"):
        signing.dismiss_mark(work, "m1", MARK, "  ", NOW)
    settled = signing.dismiss_mark(work, "m1", MARK, "mirrored on purpose", NOW)
    assert settled.finding("m1").marks == ()
    assert settled.trail[-1].note == "laterality: mirrored on purpose"
    assert settled.trail[-1].marks == ("laterality: The mask lies on the right.",)
    assert signing.accept(settled, "m1", NOW).finding("m1").state == "accepted"


def test_an_edit_keeps_the_marks_that_the_guards_find_in_the_new_words() -> None:
    work = signing.edit(reviewed(model_sentence(marks=(MARK,))), "m1", "Other words.", NOW, marks=(MARK,))
    assert work.finding("m1").marks == (MARK,)
    assert "marks" in keys(work)


def test_editing_a_models_sentence_does_not_spare_looking_at_its_image() -> None:
    """clinical.md 20: every model sentence shown with its image at least once."""
    work = signing.edit(reviewed(model_sentence()), "m1", "Other words.", NOW)
    assert "unseen" in keys(work)
    assert "unseen" not in keys(signing.mark_seen(work, "m1", NOW))


def test_a_persons_own_sentence_makes_a_heading_assessed() -> None:
    work = signing.add_sentence(reviewed(), "spleen", " Spleen is normal. ", NOW)
    section = next(s for s in work.report.sections if s.key == "spleen")
    assert not section.not_assessed
    assert (section.findings[0].text, section.findings[0].origin) == ("Spleen is normal.", "human")
    with pytest.raises(KeyError):
        signing.add_sentence(work, "nowhere", "x", NOW)
    with pytest.raises(WrongUsage, match="needs words"):
        signing.add_sentence(work, "spleen", "  ", NOW)


def test_a_heading_with_only_rejected_sentences_is_not_assessed_again() -> None:
    work = reviewed()
    (liver,) = (f for f in work.report.findings if f.heading == "liver")
    work = signing.reject(work, liver.id, NOW)
    assert next(s for s in work.report.sections if s.key == "liver").not_assessed


# -- impression ----------------------------------------------------------------------------
def test_the_impression_is_inserted_one_sentence_at_a_time_each_linked_to_a_finding() -> None:
    """clinical.md 14."""
    work = reviewed()
    first = work.report.findings[0]
    work = signing.insert_impression(work, "The right kidney is short.", [first.id], NOW)
    (sentence,) = work.report.impression
    assert sentence.linked == (first.id,)
    assert sentence.evidence == first.evidence
    assert sentence.origin == "human"
    with pytest.raises(WrongUsage, match="rests on a finding"):
        signing.insert_impression(work, "Alone.", [], NOW)
    rejected = signing.reject(work, first.id, NOW)
    with pytest.raises(WrongUsage, match="rejected finding"):
        signing.insert_impression(rejected, "Wrong.", [first.id], NOW)
    assert signing.remove_impression(work, sentence.id, NOW).report.impression == ()
    with pytest.raises(KeyError):
        signing.remove_impression(work, first.id, NOW)
    with pytest.raises(KeyError):
        signing.insert_impression(work, "On itself.", [sentence.id], NOW)


def test_signing_warns_about_flagged_findings_missing_from_the_impression_and_the_reverse() -> None:
    """clinical.md 14."""
    liver = segment("liver")
    flagged = measured(liver, "volume", 2000.0, "ml", flags=("above range",), range_text="825-1700 ml (Kim 2021)")
    work = Reviewed(draft(segments=(liver,), measurements=(flagged,)))
    found = {c.key: c for c in before_signing(work.report, WORDS)}
    assert not found["flagged_missing"].blocks
    work = signing.insert_impression(work, "Large liver.", [work.report.findings[0].id], NOW)
    assert "flagged_missing" not in {c.key for c in before_signing(work.report, WORDS)}
    rejected = signing.reject(work, work.report.findings[0].id, NOW)
    assert "impression_unlinked" in {c.key for c in before_signing(rejected.report, WORDS)}


# -- before you sign --------------------------------------------------------------------------
def test_the_list_before_signing_names_what_is_open() -> None:
    """clinical.md 20 and 30."""
    unsupported = Finding("Alone.", "liver", origin="model", id="m2")
    map_only = Finding("Map.", "liver", (Evidence("map"),), "model", id="m3", seen=True)
    work = reviewed(model_sentence(marks=(MARK,)), unsupported, map_only)
    found = {c.key: c for c in before_signing(work.report, WORDS)}
    assert {k for k, c in found.items() if c.blocks} == {
        "identity", "marks", "unseen", "undecided", "unsupported", "impression_empty",
    }  # fmt: skip
    assert found["marks"].finding_ids == ("m1",)
    assert found["unseen"].finding_ids == ("m1", "m2")
    assert set(found["unsupported"].finding_ids) == {"m2", "m3"}
    assert "Doe, Jane" in found["identity"].text
    assert not found["typed_name"].blocks


def test_incomplete_masks_are_listed() -> None:
    liver = segment("liver", cut_edges=("upper",))
    report = draft(segments=(liver,), measurements=(measured(liver, "volume", 900.0, "ml"),))
    found = {c.key: c for c in before_signing(report, WORDS)}
    assert found["incomplete"].finding_ids == (report.findings[0].id,)


def test_rejected_sentences_are_not_open() -> None:
    work = signing.reject(reviewed(model_sentence(marks=(MARK,))), "m1", NOW)
    assert not {"marks", "unseen"} & keys(work)


# -- statuses ----------------------------------------------------------------------------------
def test_draft_preliminary_final() -> None:
    """clinical.md 20."""
    work = final()
    assert work.report.status == "final"
    assert [s.status for s in work.report.signatures] == ["preliminary", "final"]
    assert work.report.signatures[-1].identity_line == work.report.identity.line
    assert [e.action for e in work.trail][-2:] == ["sign", "sign"]


@pytest.mark.parametrize("status", ["final", "addendum", "corrected", "draft"])
def test_a_draft_is_signed_as_preliminary_first(status: Status) -> None:
    with pytest.raises(WrongUsage, match=f"draft cannot be signed as {status}"):
        sign(ready(), status)


def test_signing_is_refused_while_a_point_is_open() -> None:
    work = reviewed()
    with pytest.raises(WrongUsage, match="neither accepted, edited nor rejected") as refused:
        sign(work, "preliminary")
    assert refused.value.code == "not-signable"
    with pytest.raises(WrongUsage, match="needs a name"):
        sign(ready(), "preliminary", who=" ")


def test_signing_is_refused_while_the_identity_line_is_not_shown() -> None:
    """clinical.md 10 and 20."""
    for line in ("", "Somebody else · 4711"):
        with pytest.raises(WrongUsage, match="identity line was not shown"):
            signing.sign(ready(), "preliminary", NOW, WORDS, identity_shown=line)


def test_a_final_report_needs_an_impression() -> None:
    work = sign(signing.accept_measured(reviewed(), NOW), "preliminary")
    with pytest.raises(WrongUsage, match="impression is empty"):
        sign(work, "final")
    work = signing.reopen(work, NOW)
    work = signing.insert_impression(work, "Measured.", [work.report.findings[0].id], NOW)
    assert sign(work, "final").report.status == "final"


def test_a_signed_report_cannot_be_changed() -> None:
    work = final()
    first = work.report.findings[0].id
    steps = (
        lambda: signing.accept(work, first, NOW), lambda: signing.edit(work, first, "x", NOW),
        lambda: signing.reject(work, first, NOW), lambda: signing.add_sentence(work, "liver", "x", NOW),
        lambda: signing.insert_impression(work, "x", [first], NOW),
        lambda: signing.change_text(work, "indication", "x", NOW),
        lambda: signing.remove_impression(work, work.report.impression[0].id, NOW),
    )  # fmt: skip
    for step in steps:
        with pytest.raises(WrongUsage, match="is final and cannot be changed"):
            step()


def test_changes_after_signing_make_a_new_version_and_the_signed_one_is_kept() -> None:
    work = final()
    again = signing.reopen(work, NOW, "typing error")
    assert (again.report.version, again.report.previous, again.report.status) == (2, work.report.id, "draft")
    assert again.report.id != work.report.id
    assert again.earlier == (work.report,)
    assert again.trail[-1].note == "typing error"
    assert len(again.trail) == len(work.trail) + 1
    with pytest.raises(WrongUsage, match="draft already"):
        signing.reopen(again, NOW)


def test_after_final_come_addendum_or_corrected_only() -> None:
    again = signing.reopen(final(), NOW)
    assert signing.next_statuses(again) == ("addendum", "corrected")
    assert signing.next_statuses(final()) == ()
    with pytest.raises(WrongUsage, match="cannot be signed as final"):
        sign(again, "final")
    assert sign(again, "corrected").report.status == "corrected"


def test_an_addendum_only_adds() -> None:
    again = signing.reopen(final(), NOW)
    added = signing.add_sentence(again, "spleen", "Seen later.", NOW)
    assert sign(added, "addendum").report.status == "addendum"
    changed = signing.edit(added, again.report.findings[0].id, "Other.", NOW)
    with pytest.raises(WrongUsage, match="only adds"):
        sign(changed, "addendum")
    assert sign(changed, "corrected").report.status == "corrected"
    with pytest.raises(WrongUsage, match="a text was changed"):
        sign(signing.change_text(added, "indication", "fever", NOW), "addendum")


def test_an_edited_mask_after_signing_reopens_as_corrected() -> None:
    """clinical.md 20."""
    work = final()
    again = signing.segment_changed(work, "liver", NOW)
    assert (again.report.status, again.report.version) == ("draft", 2)
    (liver,) = (f for f in again.report.findings if f.heading == "liver")
    assert liver.changed
    assert liver.state == "draft"
    assert "changed" in keys(again)
    with pytest.raises(WrongUsage, match="numbers changed"):
        sign(again, "corrected")
    for finding in again.report.findings:  # the sentence of the impression rests on the same mask
        again = signing.accept(again, finding.id, NOW) if finding.changed else again
    corrected = sign(again, "corrected")
    assert corrected.report.status == "corrected"
    assert signing.segment_changed(work, "another", NOW) is work


def test_a_scan_without_identity_says_so_and_can_be_signed() -> None:
    report = draft()
    work = ready(Reviewed(report.with_changes(identity=replace(report.identity, **dict.fromkeys(
        ("name", "patient_id", "birth_date", "sex", "study_date", "series_description"), "")))))  # fmt: skip
    assert shown(work) == "no identity recorded"
    assert sign(work, "preliminary").report.status == "preliminary"
