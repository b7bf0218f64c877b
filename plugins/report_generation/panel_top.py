"""The head of the Report tab: template, language, indication, the button that drafts, and how the report stands."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from medviewer.api import reports
from medviewer.api.reports import Report

from .panel_dialogs import status_text
from .panel_draft import Draft
from .panel_parts import breakable, button, label, literal, set_property, tr

IN_DOUBT = "in doubt"


class ReportTop(QWidget):
    """Says what the user wants; shows a `Draft`. `template_chosen(key)`, `language_chosen(code)`, `wanted(what)`:
    "draft", "stop", "confirm_sides", "accept_measured", "reopen"."""

    template_chosen = Signal(str)
    language_chosen = Signal(str)
    indication_written = Signal(str)
    wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._make_choice()
        self.indication = QLineEdit()
        self.indication.setPlaceholderText(tr("Indication"))
        self.indication.setAccessibleName(tr("Indication"))
        self.indication.setToolTip(tr("Why the scan was made; goes into the report"))
        self.indication.setMaxLength(2000)
        self.indication.editingFinished.connect(lambda: self.indication_written.emit(self.indication.text()))
        self._make_buttons()
        self.progress, self.problem = label("", "muted"), label("", "warn")
        self.state, self.sides, self.recovered = label("", "muted"), label("", "warn"), label("", "warn")
        self._arrange()

    def _make_choice(self) -> None:
        self.template, self.language = QComboBox(), QComboBox()
        self.template.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.template.setMinimumContentsLength(8)
        self.template.setAccessibleName(tr("Template"))
        self.language.setAccessibleName(tr("Language of the report"))
        for code, name in (("en", "English"), ("de", "Deutsch")):
            self.language.addItem(name, code)
        self.template.activated.connect(lambda index: self.template_chosen.emit(self.template.currentData()))
        self.language.activated.connect(lambda index: self.language_chosen.emit(self.language.currentData()))

    def _make_buttons(self) -> None:
        def made(what: str, text: str, role: str, tip: str) -> None:
            self.buttons[what] = button(text, role, tip, lambda: self.wanted.emit(what))

        self.buttons: dict[str, QWidget] = {}
        made("draft", tr("Draft report"), "primary", tr("Find, measure and write; nothing is accepted for you"))
        made("stop", tr("Cancel"), "", tr("Stop; the report stays as it was"))
        tip = tr("After a comparison with the source")
        made("confirm_sides", tr("Left and right are correct…"), "link", tip)
        tip = tr("No sentence of a model is among them")
        made("accept_measured", tr("Accept all measured without a mark"), "link", tip)
        made("renew", tr("Measure again"), "link", tr("Masks were changed since the numbers were measured"))
        made("reopen", tr("Open again…"), "link", tr("A new version that can be changed"))

    def _arrange(self) -> None:
        choice = QHBoxLayout()
        choice.setSpacing(8)
        choice.addWidget(self.indication, 1)
        choice.addWidget(self.language)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.template)
        column.addLayout(choice)
        for item in (self.buttons["draft"], self.progress, self.buttons["stop"], self.problem,
                     self.recovered, self.state, self.sides):  # fmt: skip
            column.addWidget(item)
        for name in ("renew", "confirm_sides", "accept_measured", "reopen"):
            column.addWidget(self.buttons[name], 0, Qt.AlignmentFlag.AlignLeft)

    # -- showing --------------------------------------------------------------------
    def show_draft(self, draft: Draft | None) -> None:
        """Follow the report of the active scan; None without a scan."""
        report = draft.reviewed.report if draft is not None and draft.reviewed is not None else None
        self._show_choice(draft, report)
        self._show_buttons(draft, report)
        self._show_texts(draft, report)

    def _show_choice(self, draft: Draft | None, report: Report | None) -> None:
        language = draft.language if draft is not None else "en"
        known = reports.report_templates().by_key
        chosen = known[report.template].titles[language] if report is not None and report.template in known else ""
        automatic = tr("{title} (chosen by the scan)").format(title=chosen)
        first = automatic if chosen else tr("Template: chosen by the scan")
        entries = [(first, ""), *sorted((t.titles[language], key) for key, t in known.items())]
        if [(self.template.itemText(n), self.template.itemData(n)) for n in range(self.template.count())] != entries:
            self.template.clear()
            for title, key in entries:
                self.template.addItem(title, key)
        self.template.setCurrentIndex(max(self.template.findData(draft.template if draft else ""), 0))
        self.template.setToolTip(literal(self.template.currentText()))
        self.language.setCurrentIndex(self.language.findData(language))

    def _show_buttons(self, draft: Draft | None, report: Report | None) -> None:
        working = draft is not None and draft.work == "draft"
        is_open = draft is not None and draft.is_open
        free = draft is not None and not working and (is_open or report is None)
        self.indication.setEnabled(free)
        for item in (self.template, self.language, self.buttons["draft"]):  # a new draft would lose what was signed
            item.setEnabled(free and not (draft is not None and draft.was_signed))
        start = self.buttons["draft"]
        start.setText(tr("Draft again") if report is not None else tr("Draft report"))  # type: ignore[attr-defined]
        set_property(start, "role", "" if report is not None else "primary")
        findings = report.findings if report is not None and is_open else ()
        shown = {
            "draft": not working, "stop": working, "reopen": report is not None and not is_open,
            "renew": draft is not None and draft.is_stale and not draft.work,
            "confirm_sides": is_open and _is_doubtful(report),
            "accept_measured": any(f.origin == "measured" and f.state == "draft" and not f.marks for f in findings),
        }  # fmt: skip
        for name, item in self.buttons.items():
            item.setVisible(shown[name])

    def _show_texts(self, draft: Draft | None, report: Report | None) -> None:
        if draft is not None and draft.work == "draft":
            _say(self.progress, self.progress.text() or tr("Starting…"))
        else:
            _say(self.progress, tr("Measuring again…") if draft is not None and draft.work == "renew" else "")
        _say(self.problem, draft.problem if draft is not None else "")
        _say(self.state, state_text(draft))
        again = tr("Recovered after the program ended unexpectedly: look it over before you go on.")
        _say(self.recovered, again if draft is not None and draft.is_recovered else "")
        told = tr("Left and right may be flipped in this file, or situs inversus: compare with the source. "
                  "Sentences with a side were left out.")  # fmt: skip
        _say(self.sides, told if _is_doubtful(report) else "")

    def show_progress(self, fraction: float, text: str) -> None:
        """How far a draft is."""
        _say(self.progress, f"{round(100 * fraction)} % · {text}")


def _say(place: QLabel, text: str) -> None:
    place.setText(breakable(text))
    place.setVisible(bool(text))


def _is_doubtful(report: Report | None) -> bool:
    return report is not None and report.facts.get("sides") == IN_DOUBT


def state_text(draft: Draft | None) -> str:
    """How a report stands, in one line."""
    if draft is None:
        return tr("Open a scan first.")
    if draft.reviewed is None:
        told = tr("Looks for what the template names, measures it and writes sentences that point at their masks.")
        return "" if draft.work else told
    report = draft.reviewed.report
    if report.status != "draft" and report.signatures:
        last = report.signatures[-1]
        return tr("{status} · {name} · {when} · name entered, not an electronic signature").format(
            status=status_text(report.status), name=last.name, when=f"{last.when[:16].replace('T', ' ')} UTC"
        )
    kept = [f for f in report.findings if f.state != "rejected"]
    undecided, marked = sum(f.state == "draft" for f in kept), sum(bool(f.marks) for f in kept)
    parts = [tr("AI-assisted draft, not verified"), tr("{n} to decide").format(n=undecided)]
    parts += [tr("{n} to check").format(n=marked)] if marked else []
    parts += [tr("version {n}").format(n=report.version)] if report.version > 1 else []
    return " · ".join(parts)
