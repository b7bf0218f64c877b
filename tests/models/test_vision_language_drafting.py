"""From a scan with masks to the sentences of a model, with a small model that says what it was made to say."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers")

from medviewer.core.errors import Cancelled, InputRefused
from medviewer.core.guards import GuardContext, KnownSegment, check_sentence
from medviewer.core.progress import Progress
from medviewer.core.report.document import Measurement
from medviewer.core.report.drafting import DraftSource
from medviewer.core.report.model_prompt import ModelInputs
from medviewer.core.report.model_text import ModelDraft
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Fact, Patient, Source, Volume
from medviewer.models.vision_language.drafting import findings_of_model
from medviewer.models.vision_language.folder import read_model_folder
from medviewer.models.vision_language.generation import GenerationSettings
from medviewer.models.vision_language.loading import VisionLanguageModel
from medviewer.services.guard_words import guard_structures, guard_words
from medviewer.services.model_prompts import model_prompts
from medviewer.services.report_templates import report_templates, report_words
from medviewer.services.resources import presets, terminology

from .vision_language_kit import save_llava

SAYS = (
    "**Findings:**\n", "Liver: Enlarged, ca. 19.5 cm.\n", "The left kidney shows a cyst.\n",
    "The spleen measures 13 cm.\n", "The bowel gas pattern is unremarkable.\n", "## Impression\n1. Renal cyst.\n",
)  # fmt: skip
EXAMPLE = "The patient's liver is seen. "


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("vision-language-drafts")
    return {
        "reports": save_llava(root / "reports", SAYS), "short": save_llava(root / "short", SAYS, longest=1_650),
        "loops": save_llava(root / "loops", (EXAMPLE, "And the spleen. ", EXAMPLE)),
    }  # fmt: skip


@pytest.fixture(scope="module")
def reports(folders: dict[str, Path]) -> VisionLanguageModel:
    """The model that says `SAYS`, loaded."""
    key = read_model_folder(folders["reports"]).licence.key
    return VisionLanguageModel.load(folders["reports"], "cpu", accepted={key})


def source(language: Any = "en", **changes: Any) -> DraftSource:
    """An axial CT of 30 slices with a liver and both kidneys."""
    facts = {"slice_thickness_mm": Fact(5.0), "contrast_agent": Fact(None, "unknown")}
    volume = Volume(
        np.zeros((32, 32, 30), np.int16), np.diag([4.0, 4.0, 5.0, 1.0]), modality="CT", units="HU", facts=facts,
        patient=Patient("Doe^Jane", "4711", "19500101", "F", "20260102"), id="scan",
        source=Source("dicom", Path("scan"), instance_numbers=tuple(range(1, 31))),
    )  # fmt: skip
    segments = tuple(_box(term, side, k) for term, side, k in
                     (("liver", None, 20), ("kidney", "left", 8), ("kidney", "right", 6)))  # fmt: skip
    measured = Measurement("volume", 1450.0, "ml", "voxel_count", (segments[0].id,), "liver")
    values = {"volume": volume, "segments": segments, "measurements": (measured,)} | changes
    return DraftSource(report_templates().get("ct_abdomen"), report_words(language), terminology(), **values)


def _box(term_id: str, side: str | None, k: int) -> Segment:
    mask = np.zeros((32, 32, 30), bool)
    mask[4:10, 4:10, k : k + 4] = True
    return Segment(term_id, mask, term_id=term_id, side=side, id=f"{side or ''}{term_id}")


def draft(folder: Path | VisionLanguageModel, given: DraftSource | None = None, **changes: Any) -> ModelDraft:
    accepted = {read_model_folder(folder).licence.key} if isinstance(folder, Path) else set()
    settings = GenerationSettings("cpu", max_tokens=40)
    values = {
        "prompts": model_prompts(), "structures": guard_structures(), "guard_words": guard_words(),
        "presets": presets(), "accepted": accepted, "settings": settings,
    } | changes  # fmt: skip
    return findings_of_model(folder, given or source(), **values)


def test_sentences_of_a_model_are_drafts_under_headings_with_the_masks_they_name(folders: dict[str, Path]) -> None:
    found = draft(folders["reports"])
    told = [(f.heading, f.text, [e.segment_id for e in f.evidence]) for f in found.findings]
    assert told == [
        ("liver", "Liver: Enlarged, ca. 19.5 cm.", ["liver"]),
        ("kidneys", "The left kidney shows a cyst.", ["leftkidney"]),
        ("spleen", "The spleen measures 13 cm.", []),
        ("bowel", "The bowel gas pattern is unremarkable.", []),
    ]
    assert {(f.origin, f.state, f.model) for f in found.findings} == {("model", "draft", "reports")}
    assert [f.text for f in found.suggestions] == ["Renal cyst."]
    assert [(one.wording, one.finding_id) for one in found.groundable] == [("spleen", found.findings[2].id)]
    evidence = found.findings[0].evidence[0]
    assert (evidence.kind, evidence.volume_id, evidence.in_patient) == ("segment", "scan", True)
    assert found.notices == ("Sentences of the model reports are drafts: each must be compared with the images.",)


def test_the_guards_mark_what_a_model_may_not_say(reports: VisionLanguageModel) -> None:
    given = source()
    segments = {s.id: KnownSegment(s.id, s.term_id or "", s.side) for s in given.segments}
    context = GuardContext(guard_structures(), modality="CT", template="ct_abdomen", sex="F", segments=segments)
    findings = draft(reports, given).findings
    marks = [{mark.guard for mark in check_sentence(finding, context, guard_words())} for finding in findings]
    assert "no evidence" not in marks[1]
    assert "no evidence" in marks[2]
    assert {"no evidence", "normal"} <= marks[3]


def test_the_model_its_weights_and_its_licence_are_recorded_without_patient_data(folders: dict[str, Path]) -> None:
    inputs = ModelInputs("Pain of Doe^Jane", "Prior of Doe^Jane")
    origin = draft(folders["reports"], inputs=inputs).provenance
    files = read_model_folder(folders["reports"])
    assert (origin.model_id, origin.licence) == ("reports", "small-model-terms")
    assert origin.weights_sha256 == files.weights_sha256()
    assert origin.parameters["given"]["prior report"] is True
    assert (origin.parameters["decoding"], origin.parameters["ended"]) == ("greedy", "end")
    assert "Doe" not in str(origin.as_dict())


def test_what_is_absent_is_stated_as_absent_and_what_is_given_is_given(reports: VisionLanguageModel) -> None:
    absent = draft(reports).prompt
    for line in ("Indication: not given.", "Prior report: none.", "Similar cases: none.", "mention no change"):
        assert line in absent
    assert "Liver: volume 1450 ml" in absent
    inputs = ModelInputs("Pain\nin the back", "Liver: 15 cm.", ("A cyst.",))
    given = draft(reports, inputs=inputs).prompt
    for line in ("Indication: Pain in the back", "Prior report: Liver: 15 cm.", "(1): A cyst."):
        assert line in given
    german = draft(reports, source("de")).prompt
    assert "Vorbefund: keiner." in german
    assert "auf Deutsch" in german
    assert "Doe" not in absent + given + german


def test_the_slices_shown_go_through_the_masks(reports: VisionLanguageModel) -> None:
    found = draft(reports, settings=GenerationSettings("cpu", 40, pictures=2))
    assert len(found.slices) == 2
    assert 20 <= found.slices[1] < 24
    assert 6 <= found.slices[0] < 12


def test_fewer_pictures_are_shown_to_a_model_that_cannot_read_them_all(folders: dict[str, Path]) -> None:
    found = draft(folders["short"], settings=GenerationSettings("cpu", 40, pictures=8), inputs=ModelInputs())
    assert any("pictures fit into" in notice for notice in found.notices), found.provenance.parameters
    assert len(found.findings) == 4
    with pytest.raises(InputRefused, match="reads at most"):
        draft(folders["short"], inputs=ModelInputs(prior_report="The liver is large. " * 200))


def test_masks_that_may_not_be_used_are_no_evidence_and_nothing_to_look_at(reports: VisionLanguageModel) -> None:
    """Below the threshold and not accepted by a person (clinical rule 5); sides in doubt (rule 8)."""
    given = source()
    liver = given.segments[0]
    below = liver.changed(provenance=dataclasses.replace(liver.provenance, tags=("below threshold",)))
    found = draft(reports, source(segments=(below, *given.segments[1:])))
    assert found.findings[0].evidence == ()
    assert all(n < 20 for n in found.slices)
    found = draft(reports, source(sides_doubtful=True))
    assert found.findings[1].evidence == ()


def test_a_model_that_loops_is_stopped_and_every_sentence_stands_once(folders: dict[str, Path]) -> None:
    found = draft(folders["loops"], settings=GenerationSettings("cpu", 400))
    assert [f.text for f in found.findings] == [EXAMPLE.strip(), "And the spleen."]
    assert found.provenance.parameters["ended"] == "repeats"
    assert any("repeat" in notice for notice in found.notices)


def test_a_text_that_was_cut_off_loses_its_unfinished_sentence_and_says_so(reports: VisionLanguageModel) -> None:
    found = draft(reports, settings=GenerationSettings("cpu", 3))
    assert [f.heading for f in found.findings] == ["liver", "kidneys"]
    assert any("stopped after 3 tokens" in notice for notice in found.notices)


def test_the_draft_can_be_cancelled_and_shows_what_is_written(folders: dict[str, Path]) -> None:
    told: list[tuple[float, str]] = []
    texts: list[str] = []
    draft(folders["reports"], progress=Progress(lambda *one: told.append(one)), on_text=texts.append)
    assert texts[-1].startswith("**Findings:**")
    assert any("liver" in text.lower() for _, text in told)
    assert [fraction for fraction, _ in told] == sorted(fraction for fraction, _ in told)
    with pytest.raises(Cancelled):
        draft(folders["reports"], progress=Progress(is_cancelled=lambda: True))
    with pytest.raises(InputRefused, match="terms were not accepted"):
        draft(folders["reports"], accepted=())


def test_an_x_ray_is_shown_as_one_picture_and_without_recorded_sides_no_side_is_asked_for(
    reports: VisionLanguageModel,
) -> None:
    array = np.zeros((40, 30, 1), np.uint16)
    array[10:20] = 900
    volume = Volume(array, None, modality="DX", kind="image", spacing_mm=(0.2, 0.2, 0.0), id="x-ray")
    given = DraftSource(report_templates().get("chest_xray"), report_words("en"), terminology(), volume)
    found = draft(reports, given)
    assert (found.slices, found.provenance.parameters["pictures"]) == ((0,), 1)
    assert "name no side" in found.prompt
    assert all(f.evidence == () for f in found.findings)
    assert {f.heading for f in found.findings} <= {h.key for h in given.template.headings}
