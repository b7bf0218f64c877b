"""Editing a mask updates the number and marks the sentence as changed."""

from __future__ import annotations

from dataclasses import replace

from report_kit import NOW, measured, model_sentence, section, segment, source_of, with_sentence, words_of

from medviewer.core.report import signing
from medviewer.core.report.audit import Reviewed
from medviewer.core.report.checklist import before_signing, identity_line
from medviewer.core.report.document import Measurement
from medviewer.core.report.drafting import DraftSource, draft_report
from medviewer.core.report.updating import updated

SOURCE = source_of()


def work() -> Reviewed:
    return Reviewed(draft_report(SOURCE))


def other(value: float, quantity: str = "volume", of: str = "liver") -> DraftSource:
    """The same scan, one number different; its measurements have new names, as after measuring again."""
    numbers = tuple(
        replace(m, id=f"new-{m.id}", value=value if m.quantity == quantity and m.segment_ids == (of,) else m.value)
        for m in SOURCE.measurements
    )
    return replace(SOURCE, measurements=numbers, places={})


def test_the_number_is_updated_and_the_sentence_marked_and_undecided() -> None:
    before = signing.accept_measured(work(), NOW)
    after = updated(before, other(1500.0), NOW)
    (old,), (new,) = section(before.report, "liver"), section(after.report, "liver")
    assert new.text == old.text.replace("1450", "1500")
    assert (new.id, new.changed, new.state) == (old.id, True, "draft")
    assert {e.measurement_id for e in new.evidence} == {e.measurement_id for e in old.evidence}
    assert [m.value for m in after.report.measurements if m.segment_ids == ("liver",)] == [1500.0]
    entry = after.trail[-1]
    assert (entry.action, entry.before, entry.after) == ("numbers_changed", old.text, new.text)


def test_sentences_of_other_masks_stay_as_they_are() -> None:
    before = signing.accept_measured(work(), NOW)
    after = updated(before, other(1500.0), NOW)
    assert section(after.report, "kidneys") == section(before.report, "kidneys")


def test_nothing_changes_where_no_number_changed() -> None:
    before = work()
    assert updated(before, other(1450.4), NOW) is before


def test_words_of_a_person_and_of_a_model_are_marked_but_never_rewritten() -> None:
    before = Reviewed(
        with_sentence(work().report, model_sentence(evidence=section(work().report, "liver")[0].evidence))
    )
    liver = section(before.report, "liver")[0]
    before = signing.edit(before, liver.id, "Liver 1450 ml, large.", NOW)
    before = signing.insert_impression(before, "Large liver.", [liver.id], NOW)
    after = updated(before, other(1500.0), NOW)
    found = {f.text: f for f in after.report.findings}
    for text in ("Liver 1450 ml, large.", "Large liver.", "The liver is large."):
        assert found[text].changed
        assert found[text].state == "draft"
    assert "changed" in {c.key for c in before_signing(after.report, words_of("en"))}


def test_a_new_mask_gives_a_new_sentence() -> None:
    spleen = segment("spleen", at=12)
    source = replace(
        SOURCE, segments=(*SOURCE.segments, spleen), places={},
        measurements=(*SOURCE.measurements, measured(spleen, "volume", 200.0, "ml")),
    )  # fmt: skip
    after = updated(work(), source, NOW)
    assert section(after.report, "spleen")[0].text.startswith("Spleen: volume 200 ml")
    assert not next(s for s in after.report.sections if s.key == "spleen").not_assessed


def test_a_mask_without_a_heading_brings_its_heading() -> None:
    brain = segment("brain", at=12)
    numbers: tuple[Measurement, ...] = (*SOURCE.measurements, measured(brain, "volume", 200.0, "ml"))
    source = replace(SOURCE, segments=(*SOURCE.segments, brain), measurements=numbers, places={})
    assert updated(work(), source, NOW).report.sections[-1].key == "other"


def test_a_sentence_whose_mask_is_gone_is_marked() -> None:
    source = replace(
        SOURCE, segments=tuple(s for s in SOURCE.segments if s.id != "liver"), places={},
        measurements=tuple(m for m in SOURCE.measurements if "liver" not in m.segment_ids),
    )  # fmt: skip
    (liver,) = section(updated(work(), source, NOW).report, "liver")
    assert liver.changed


def test_a_signed_report_opens_again_as_a_new_version() -> None:
    """clinical.md 20: an edited mask after signing reopens as Corrected."""
    words = words_of("en")
    signed = signing.accept_measured(work(), NOW)
    signed = signing.insert_impression(signed, "Measured.", [signed.report.findings[0].id], NOW)
    for status in ("preliminary", "final"):
        line = identity_line(signed.report, words)
        signed = signing.sign(signed, status, NOW, words, identity_shown=line)  # type: ignore[arg-type]
    again = updated(signed, other(1500.0), NOW)
    assert (again.report.status, again.report.version) == ("draft", 2)
    assert again.earlier == (signed.report,)
    assert signing.next_statuses(again) == ("addendum", "corrected")


def test_measurements_by_hand_stay_apart_and_as_they_are() -> None:
    drawn = tuple(
        Measurement("length", 10.0 + n, "mm", "by_hand_length", points=((0.0, 0.0, n), (0.0, 10.0 + n, n)))
        for n in (0.0, 5.0)
    )
    source = replace(SOURCE, measurements=(*SOURCE.measurements, *drawn[:1]), places={})
    before = signing.accept_measured(Reviewed(draft_report(source)), NOW)
    after = updated(before, replace(SOURCE, measurements=(*SOURCE.measurements, *drawn), places={}), NOW)
    told = {f.text: f for f in after.report.findings if "by hand" in f.text}
    assert [text.split("by hand: ")[1] for text in told] == ["length 10 mm.", "length 15 mm."]
    assert [f.state for f in told.values()] == ["accepted", "draft"]
    assert not any(f.changed for f in after.report.findings)
