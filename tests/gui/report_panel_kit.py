"""Windows with the Report tab: the real logic of the report over the stand-in for the model."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from fakes import FakeLogic
from PySide6.QtCore import Qt

from medviewer.api import Answer, Prediction
from medviewer.core.prompts import ParsedPrompt
from medviewer.core.report.document import Finding, Report
from medviewer.core.volume import Fact, Patient, Volume
from medviewer.plugin_host.host import host


@dataclass
class WholeModel(FakeLogic):
    """The stand-in, complete: what it was not trained for is told, never missing."""

    def _by_term(self, prompt: ParsedPrompt, volume: Volume) -> Prediction:
        if prompt.term is not None and prompt.term.id == "aorta":
            return self._answer(prompt, volume, Answer.NOT_TRAINED)
        return super()._by_term(prompt, volume)


@dataclass
class ReportLogic:
    """Answers in the window's own process; `changes` are made to a draft before it is handed over."""

    fake: FakeLogic
    changes: list[Any] = field(default_factory=list)
    redrafts: int = 0

    def __post_init__(self) -> None:
        made = type(host().logic("report_generation"))
        self._real = made(ask=self.fake.run)

    def run(self, volume: Volume, request: Any, progress: Any) -> Any:
        drafted = self._real.run(volume, request, progress)
        for change in self.changes:
            drafted = replace(drafted, report=change(drafted.report))
        return drafted

    def describe(self, *values: Any) -> Any:
        return self._real.describe(*values)

    def prior_masks(self, *values: Any) -> Any:
        return self._real.prior_masks(*values)

    def compare(self, *values: Any) -> Any:
        return self._real.compare(*values)

    def compare_again(self, *values: Any) -> Any:
        return self._real.compare_again(*values)

    def redraft(self, *values: Any) -> Any:
        self.redrafts += 1
        return self._real.redraft(*values)


@dataclass
class ReportHost:
    """Both shipped plugins, the model replaced by the stand-in."""

    fake: FakeLogic
    report: ReportLogic

    def list(self) -> list[object]:
        return [info for info in host().list() if info.id in ("text_segmentation", "report_generation")]

    def panel_class(self, plugin_id: str) -> type | None:
        return host().panel_class(plugin_id)

    def logic(self, plugin_id: str) -> Any:
        return self.report if plugin_id == "report_generation" else self.fake


def abdomen(shape: tuple[int, int, int] = (48, 40, 30)) -> Volume:
    """A tiny CT of the abdomen of a person with a name."""
    rng = np.random.default_rng(1)
    array = np.asfortranarray(rng.normal(40, 10, shape).astype(np.int16))
    facts = {"modality": Fact("CT", "DICOM"), "body_part": Fact("ABDOMEN", "DICOM")}
    patient = Patient(name="Doe^Jane", id="4711", sex="F")
    return Volume(
        array, np.diag([3.0, 3.0, 5.0, 1.0]), "CT", "HU", title="Small CT", id="small", facts=facts, patient=patient
    )


def draft(qtbot, panel) -> None:
    qtbot.mouseClick(panel.top.buttons["draft"], Qt.MouseButton.LeftButton)
    idle(qtbot, panel)
    assert panel.desk.draft.problem == ""


def idle(qtbot, panel) -> None:
    qtbot.waitUntil(lambda: panel.desk.draft.work == "", timeout=20000)


def row_of(panel, words: str):
    return next(row for row in panel.page.rows.values() if words in row.finding.text)


def press(qtbot, row, key) -> None:
    row.setFocus()
    qtbot.waitUntil(row.hasFocus)
    qtbot.keyClick(row, key)


def add_model_sentence(text: str, segment: bool = True) -> Any:
    """A change of a draft: one sentence of a model, with the evidence of the first one."""

    def change(report: Report) -> Report:
        evidence = tuple(e for e in report.findings[0].evidence if segment)
        finding = Finding(text, "liver", evidence, "model", model="vision 1", id="of-a-model")
        sections = tuple(
            s if s.key != "liver" else type(s)(s.key, s.title, (*s.findings, finding), False) for s in report.sections
        )
        return report.with_changes(sections=sections)

    return change


def sign_dialog(panel):
    dialogs = sys.modules[type(panel).__module__.rsplit(".", 1)[0] + ".panel_dialogs"]
    return dialogs.SignDialog(panel.desk.reviewed, "", panel)
