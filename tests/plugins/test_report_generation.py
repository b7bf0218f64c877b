"""The report plugin: what it asks of the model, which template it takes, and what comes back. A stand-in answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from medviewer.api.reports import DraftedReport, Reviewed, accept_measured, check_again, dismiss_mark, edit, now
from medviewer.api.requests import ReportRequest, SegmentRequest
from medviewer.core.errors import Cancelled, WrongUsage
from medviewer.core.prediction import Answer, Prediction
from medviewer.core.progress import Progress, silent
from medviewer.core.prompts import parse_prompt
from medviewer.core.provenance import Provenance
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Fact, Patient, Source, Volume
from medviewer.plugin_host import host
from medviewer.services import message_pipe
from medviewer.services.resources import terminology
from plugins.report_generation.logic import ReportGeneration

SHAPE = (24, 20, 16)
# where organs lie in the little patient (i to the left, j to the back, k to the head)
PLACES = {
    ("liver", None): (3, 9), ("spleen", None): (18, 21), ("kidney", "right"): (4, 7), ("kidney", "left"): (16, 19),
    ("lung", "right"): (3, 9), ("lung", "left"): (14, 20), ("heart", None): (13, 17), ("aorta", None): (11, 13),
    ("cerebellum", "right"): (4, 9), ("cerebellum", "left"): (13, 18), ("hippocampus", "right"): (6, 8),
    ("brain_tumor", None): (4, 9), ("enhancing_tumor", None): (5, 8),
}  # fmt: skip


@dataclass
class Model:
    """Answers prompts with boxes; notes what it was asked."""

    knows: Iterable[tuple[str, str | None]] = tuple(PLACES)
    asked: list[str] = field(default_factory=list)
    sides_known: bool = True

    def __call__(self, volume: Volume, request: SegmentRequest, progress: Progress) -> Prediction:
        progress.check_cancelled()
        self.asked.append(request.prompt)
        prompt = parse_prompt(request.prompt, terminology())
        assert prompt.term is not None
        key, mask = (prompt.term.id, prompt.side), np.zeros(volume.shape, bool, order="F")
        origin = Provenance(model_id="stand-in", model_version="1", prompt=request.prompt)
        if prompt.side and not self.sides_known:
            return Prediction(request.prompt, Answer.SIDE_UNKNOWN, mask, term_id=key[0], side=key[1], provenance=origin)
        if key[1] is None and (key[0], "left") in PLACES:
            key = (key[0], "left")
        kind = Answer.FOUND if key in set(self.knows) else Answer.NOT_FOUND
        if kind is Answer.FOUND:
            first, last = PLACES[key]
            mask[first:last, 4:12, 4:12] = True
        return Prediction(request.prompt, kind, mask, 0.9, title=prompt.title, term_id=prompt.term.id,
                          side=prompt.side, provenance=origin)  # fmt: skip


def scan(modality: str | None = "CT", body_part: str = "ABDOMEN", **facts: str) -> Volume:
    array = np.zeros(SHAPE, np.int16, order="F")
    array[1:-1, 1:-1] = 50
    affine = np.diag([10.0, 10.0, 10.0, 1.0])
    affine[0, 3] = -115.0
    known = {name: Fact(value) for name, value in ({"body_part": body_part} if body_part else {}).items()}
    known |= {name: Fact(value) for name, value in facts.items()}
    units = "HU" if modality == "CT" else None
    return Volume(array, affine, modality, units, facts=known, id="scan", patient=Patient(sex="F"),
                  source=Source("dicom", Path("scan")))  # fmt: skip


def drafted(model: Model, volume: Volume, **request: object) -> DraftedReport:
    return ReportGeneration(ask=model).run(volume, ReportRequest(**request), silent())  # type: ignore[arg-type]


def texts(result: DraftedReport) -> list[str]:
    return [finding.text for finding in result.report.findings]


def test_one_click_asks_measures_and_writes() -> None:
    model = Model()
    result = drafted(model, scan(), indication="Staging")
    assert result.report.template == "ct_abdomen"
    assert {"liver", "right kidney", "left kidney"} <= set(model.asked)
    assert "prostate" not in model.asked  # a woman
    assert "Liver: volume 384 ml." in texts(result)
    assert any(t.startswith("Right kidney:") and "volume 192 ml" in t for t in texts(result))
    assert result.report.indication == "Staging"
    assert any("Not found by the model (this does not exclude it)" in line and "Pancreas" in line
               for line in result.report.limitations)  # fmt: skip
    assert set(result.seconds) == {"segment", "measure", "draft"}
    assert not any(finding.marks for finding in result.report.findings)
    assert all(answer.mask.size == 0 for answer in result.answers)  # they would double the memory


def test_every_sentence_points_at_a_mask_that_comes_back() -> None:
    result = drafted(Model(), scan())
    known = {segment.id for segment in result.segments}
    for finding in result.report.findings:
        assert finding.evidence
        assert {e.segment_id for e in finding.evidence if e.segment_id} <= known


def test_missing_structures_are_not_assessed_never_normal() -> None:
    """clinical.md 14."""
    result = drafted(Model(knows=()), scan())
    assert result.segments == ()
    assert texts(result) == []
    assert all(section.not_assessed for section in result.report.sections)
    assert "No structure was outlined on this scan." in result.report.limitations


def test_what_has_a_mask_is_not_asked_for_again() -> None:
    model, first = Model(), drafted(Model(), scan())
    mine = next(s for s in first.segments if s.term_id == "liver")
    both = Segment("kidneys", first.segments[0].mask, term_id="kidney")
    result = drafted(model, scan(), segments=(mine, both))
    assert not {"liver", "right kidney", "left kidney"} & set(model.asked)
    assert result.segments[:2] == (mine, both)
    again = Model()
    drafted(again, scan(), segments=result.segments, answers=result.answers)
    assert again.asked == []


def test_without_asking_only_what_is_there_is_written() -> None:
    model = Model()
    first = drafted(Model(), scan())
    german = drafted(model, scan(), segments=first.segments, answers=first.answers, ask=False, language="de")
    assert model.asked == []
    assert "Leber: Volumen 384 ml." in texts(german)
    assert len(texts(german)) == len(texts(first))


def test_an_unknown_template_or_language_is_refused_before_anything_is_asked() -> None:
    model = Model()
    with pytest.raises(WrongUsage, match="no report template 'knee'"):
        drafted(model, scan(), template="knee")
    with pytest.raises(WrongUsage, match="not written in 'fr'"):
        drafted(model, scan(), language="fr")
    assert model.asked == []


def test_a_scan_that_names_no_body_part_gets_the_template_of_what_is_seen() -> None:
    belly = Model(knows=[("liver", None), ("spleen", None), ("kidney", "left")])
    assert drafted(belly, scan(body_part="")).report.template == "ct_abdomen"
    chest = Model(knows=[("lung", "right"), ("lung", "left"), ("heart", None)])
    assert drafted(chest, scan(body_part="")).report.template == "ct_chest"
    brain = Model(knows=[("cerebellum", "right"), ("hippocampus", "right"), ("aorta", None)])
    result = drafted(brain, scan("MR", ""))
    assert result.report.template == "brain_mr"
    assert "aorta" not in {s.term_id for s in result.segments}


def test_a_report_names_no_modality_that_nobody_stated() -> None:
    """clinical.md 18: the structures of the body part that is seen are asked for, the general template is written."""
    model = Model(knows=[("cerebellum", "right"), ("cerebellum", "left"), ("hippocampus", "right")])
    result = drafted(model, scan(None, ""))
    assert result.report.template == "general"
    assert "brainstem" in model.asked
    assert "The file does not record the modality." in result.report.limitations
    assert any(line.startswith("The general template was used") for line in result.report.limitations)


def test_where_sides_are_unknown_both_are_asked_for_together() -> None:
    model = Model(sides_known=False)
    result = drafted(model, scan(), template="ct_abdomen")
    assert "right kidney" in model.asked
    assert "left kidney" not in model.asked
    assert [s.side for s in result.segments if s.term_id == "kidney"] == [None]


def test_what_shows_through_contrast_alone_is_only_asked_for_where_contrast_is_a_fact() -> None:
    """clinical.md 18."""
    for facts, expected in (({}, False), ({"contrast_agent": "Gadovist"}, True)):
        model = Model()
        drafted(model, scan("MR", "BRAIN", **facts))
        assert ("enhancing tumor" in model.asked) is expected


def test_a_lesion_that_may_cross_the_middle_is_asked_for_as_a_whole() -> None:
    model = Model()
    drafted(model, scan("MR", "BRAIN"))
    assert "brain tumor" in model.asked
    assert not [prompt for prompt in model.asked if prompt.endswith(" brain tumor")]


def test_a_mask_on_flair_is_named_an_abnormality_including_edema() -> None:
    """clinical.md 19."""
    result = drafted(Model(), scan("MR", "BRAIN", weighting="FLAIR"))
    told = [text for text in texts(result) if "volume" in text and "umor" in text]
    assert told == []
    assert any(text.startswith("FLAIR abnormality including edema: volume") for text in texts(result))
    assert {m.term_id for m in result.report.measurements} == {"flair_abnormality", "cerebellum", "hippocampus"}
    assert not any(finding.marks for finding in result.report.findings)


def test_a_cancelled_draft_ends_between_two_prompts() -> None:
    model = Model()
    progress = Progress(is_cancelled=lambda: len(model.asked) >= 3)
    with pytest.raises(Cancelled):
        ReportGeneration(ask=model).run(scan(), ReportRequest(), progress)
    assert len(model.asked) == 3


def test_progress_grows_and_names_what_is_looked_for() -> None:
    heard: list[tuple[float, str]] = []
    ReportGeneration(ask=Model()).run(scan(), ReportRequest(), Progress(lambda f, text: heard.append((f, text))))
    fractions = [fraction for fraction, _ in heard]
    assert fractions == sorted(fractions)
    assert {"Looking for: Liver", "Measuring"} <= {text for _, text in heard}


def test_a_changed_mask_renews_its_numbers_and_marks_its_sentence() -> None:
    logic, result = ReportGeneration(ask=Model()), drafted(Model(), scan())
    reviewed = accept_measured(Reviewed(result.report), now("Dr. Example"))
    liver = next(s for s in result.segments if s.term_id == "liver")
    mask = liver.mask.copy(order="K")
    mask[3:6] = False
    masks = tuple(s.changed(mask=mask) if s is liver else s for s in result.segments)
    request = ReportRequest(segments=masks, answers=result.answers)
    again = logic.redraft(scan(), reviewed, request, now("Dr. Example"), silent())
    before, after = ({f.id: f for f in r.findings} for r in (reviewed.report, again.report))
    changed = [after[id_] for id_ in before if after[id_].changed]
    assert "Liver: volume 192 ml." in [f.text for f in changed]
    assert all(f.term_ids == ("liver",) for f in changed)
    untouched = [f for f in again.report.findings if f.term_ids == ("kidney",)]
    assert untouched
    assert all(f.state == "accepted" for f in untouched)


def test_the_host_hands_the_text_segmentation_over() -> None:
    """One loaded model for both: the report's logic asks through the plugin host."""
    logic = host().logic("report_generation")
    assert logic._ask is not ReportGeneration()._ask
    assert logic._ask.args == ("text_segmentation",)


def test_the_window_process_shares_the_logic_of_shipped_plugins(repository: Path) -> None:
    from medviewer.plugin_host.logic_factory import logic_in

    named = logic_in(str(repository / "plugins" / "text_segmentation"))
    assert named._logic is host().logic("text_segmentation")


def test_a_draft_travels_between_the_windows_two_processes() -> None:
    result = drafted(Model(), scan())
    blocks = message_pipe.pack_objects((Reviewed(result.report), result))
    reviewed, again = message_pipe.unpack_objects([bytearray(memoryview(block)) for block in blocks])
    assert reviewed.report == result.report
    assert np.array_equal(again.segments[0].mask, result.segments[0].mask)


def test_a_dismissed_mark_stays_dismissed_until_the_sentence_changes() -> None:
    result, moment = drafted(Model(), scan()), now("Dr. Example")
    liver = next(f for f in result.report.findings if f.text.startswith("Liver: volume")).id
    worse = edit(Reviewed(result.report), liver, "Liver: volume 999 ml, unlike on the previous scan.", moment)
    marked = check_again(scan(), worse, result.segments)
    assert guards(marked, liver) == {"measurement", "prior"}
    for mark in marked.finding(liver).marks:
        if mark.guard == "prior":
            marked = dismiss_mark(marked, liver, mark, "seen on film", moment)
    kept = check_again(scan(), marked, result.segments)
    assert guards(kept, liver) == {"measurement"}
    changed = edit(kept, liver, "Liver: unlike on the previous scan.", moment)
    assert "prior" in guards(check_again(scan(), changed, result.segments), liver)


def guards(reviewed: Reviewed, finding_id: str) -> set[str]:
    return {mark.guard for mark in reviewed.finding(finding_id).marks}
