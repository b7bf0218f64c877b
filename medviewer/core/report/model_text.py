"""From the text of a vision-language model to sentences of a report: cleaned, split, placed under the template's
headings, and grounded where they name a structure that has a mask.

Nothing here judges a sentence; that is for the guards. A sentence that names no mask keeps no evidence, and the guard
"no evidence" marks it. The model's own impression never becomes the report's: it is offered, one sentence at a time.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from medviewer.core.guards.context import GuardContext
from medviewer.core.guards.sentence import Reading, read_sentence
from medviewer.core.guards.structures import Mention, Structures
from medviewer.core.guards.words import GuardWords
from medviewer.core.provenance import Provenance
from medviewer.core.report.document import Evidence, Finding
from medviewer.core.report.drafting import HELPERS, DraftSource, place_of
from medviewer.core.report.model_prompt import ModelPrompts
from medviewer.core.report.model_sentences import (
    LONGEST_TEXT,
    LabelKind,
    Sentence,
    clean_text,
    sentences_of,
    without_thinking,
)
from medviewer.core.report.template import OTHER
from medviewer.core.segmentation import Segment
from medviewer.core.terminology import Term
from medviewer.core.terminology_text import stem

MOST_SENTENCES = 200
IMPRESSION = "impression"  # heading of suggestions
_SECTION_WORDS = """
findings: findings, finding, report, befund, befunde, bericht
conclusion: impression, impressions, conclusion, conclusions, assessment, diagnosis, summary, opinion, recommendation,
    recommendations, beurteilung, zusammenfassung, diagnose, fazit, empfehlung, empfehlungen, bewertung,
    category, kategorie, bi rads category
filled: technique, comparison, indication, history, clinical history, clinical information, reason for exam,
    reason for examination, examination, exam, procedure, limitations, patient, date, prior report, technik, vergleich,
    voraufnahme, voraufnahmen, indikation, anamnese, klinische angaben, untersuchung, fragestellung, einschränkungen,
    datum, vorbefund, disclaimer, haftungsausschluss
"""
_SECTIONS = {
    word.strip(): line.partition(":")[0]
    for line in _SECTION_WORDS.replace("\n    ", " ").strip().splitlines()
    for word in line.partition(":")[2].split(",")
}
# A category of such a scheme is given by a person only; a model's is offered like its impression.
_CATEGORY = re.compile(r"\b(?:bi|li|pi|ti|o|lung|cad)[ -]?rads\b|\brecist\b", re.IGNORECASE)
_VAGUE_WORDS = """
lower upper large great further structures including findings features untere obere große weitere strukturen
einschließlich befunde patient right left rechts links person quality volumes distance
"""
_VAGUE = frozenset(map(stem, _VAGUE_WORDS.split()))
_SHORTEST_TITLE_WORD = 4
_MOST_LABEL_WORDS = 6
Named = tuple[str, str | None]  # term id and side


@dataclass(frozen=True)
class Groundable:
    """A structure that a sentence names and that has no mask, but may get one by asking for `wording`."""

    finding_id: str
    term_id: str
    side: str | None
    wording: str


@dataclass(frozen=True)
class ModelDraft:
    """What a model said about a scan. `findings` are sentences for the report's sections, `suggestions` those of the
    model's own impression, for a person to take or leave. `text` is the cleaned text. `notices` are for the reader.
    `prompt` is what was asked; an indication or a prior report in it may name the patient, so it is never exported.
    `slices`: which the model was shown (numbers along the acquisition axis from 0; frames of a cine loop)."""

    findings: tuple[Finding, ...] = ()
    suggestions: tuple[Finding, ...] = ()
    groundable: tuple[Groundable, ...] = ()
    text: str = ""
    notices: tuple[str, ...] = ()
    provenance: Provenance = Provenance()
    prompt: str = ""
    slices: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class TextGrounding:
    """What sentences are grounded in. `model`: its name and version as findings record it. `askable`: ids of the
    structures that a mask can be asked for; None: those that the template asks for."""

    source: DraftSource
    structures: Structures
    guard_words: GuardWords
    prompts: ModelPrompts
    model: str = ""
    askable: Collection[str] | None = None

    @property
    def can_ask(self) -> Collection[str]:
        """The structures that a mask can be asked for."""
        sex = self.source.volume.patient.sex
        return self.source.template.prompts_for(sex) if self.askable is None else self.askable

    def read(self, text: str) -> Reading:
        """The words, structures and sides of a text, as the guards read them."""
        return read_sentence(text, GuardContext(self.structures), self.guard_words)

    def notice(self, key: str, **values: str) -> str:
        """A sentence for the reader, in the report's language."""
        return self.prompts.notice(self.source.words.language, key, **values)


def draft_of_text(text: str, grounding: TextGrounding, *, complete: bool = True) -> ModelDraft:
    """The draft of a model's text. `complete`: the model ended by itself; else its last sentence is unfinished and is
    left out unless it has an end. Linear in the length of the text; any thread."""
    return _Drafting(grounding).draft(text, complete)


class _Drafting:
    """One text."""

    def __init__(self, grounding: TextGrounding) -> None:
        self._grounding = grounding
        source = grounding.source
        self._titles: dict[str, str] = {}
        for heading in source.template.headings_for(source.volume.patient.sex):
            for title in heading.titles.values() if heading.key != "category" else ():  # for a person to give
                self._titles.setdefault(_key(title), heading.key)
        self._title_words = _title_words(self._titles)
        self._notices: list[str] = []
        self._readings: dict[str, Reading] = {}
        self._masks: dict[Named, list[Segment]] = {}
        for segment in source.segments:
            if source.usable(segment) and segment.term_id and segment.term_id not in HELPERS:
                self._masks.setdefault((segment.term_id, segment.side), []).append(segment)

    def draft(self, text: str, complete: bool) -> ModelDraft:
        cleaned, complete = self._cleaned(text, complete)
        kept = self._limited(self._unrepeated(self._sentences(cleaned, complete)))
        findings: list[Finding] = []
        suggestions: list[Finding] = []
        groundable: list[Groundable] = []
        for sentence in kept:
            finding, open_ = self._finding(sentence)
            concludes = self._section(sentence) == "conclusion"
            (suggestions if concludes else findings).append(finding)
            groundable += [] if concludes else open_
        if not kept and not self._notices:
            self._notices.append(self._grounding.notice("empty"))
        return ModelDraft(tuple(findings), tuple(suggestions), tuple(groundable), cleaned, tuple(self._notices))

    # -- which sentences -------------------------------------------------------------
    def _cleaned(self, text: str, complete: bool) -> tuple[str, bool]:
        text, thought_only = without_thinking(text)
        if thought_only:
            self._notices.append(self._grounding.notice("thought_only"))
        if len(text) > LONGEST_TEXT:
            text, complete = text[:LONGEST_TEXT], False
            self._notices.append(self._grounding.notice("too_long", characters=f"{LONGEST_TEXT}"))
        return clean_text(text), complete

    def _sentences(self, text: str, complete: bool) -> list[Sentence]:
        """Those that belong into the report."""
        found = list(sentences_of(text, self._kind))
        if found and not complete and found[-1].text[-1] not in ".!?…":
            found.pop()
        filled = [s for s in found if self._section(s) == "filled"]
        if filled:
            self._notices.append(self._grounding.notice("left_out", count=str(len(filled))))
        return [s for s in found if s not in filled and not self._announces(s.text)]

    def _announces(self, text: str) -> bool:
        """Words like "Here is the report:" that say nothing about the scan."""
        return text.endswith(":") and not self._read(text).mentions

    def _unrepeated(self, sentences: list[Sentence]) -> list[Sentence]:
        """Each sentence once under each label."""
        kept: dict[tuple[str, ...], Sentence] = {}
        for s in sentences:
            kept.setdefault((_key(s.text), _key(s.label), _key(s.section)), s)
        if len(kept) < len(sentences):
            self._notices.append(self._grounding.notice("repeated", count=str(len(sentences) - len(kept))))
        return list(kept.values())

    def _limited(self, sentences: list[Sentence]) -> list[Sentence]:
        if len(sentences) > MOST_SENTENCES:
            self._notices.append(self._grounding.notice("too_many", count=str(MOST_SENTENCES)))
        return sentences[:MOST_SENTENCES]

    # -- labels ------------------------------------------------------------------------
    def _kind(self, label: str) -> LabelKind:
        """What words before a colon are: a part of the report; a heading, a structure or what the program fills itself;
        or just words."""
        key = _key(label)
        if key in _SECTIONS:
            return "label" if _SECTIONS[key] == "filled" else "section"
        if not key or key in self._titles:
            return "label" if key else ""
        return "label" if len(key.split()) <= _MOST_LABEL_WORDS and self._read(label).mentions else ""

    def _section(self, sentence: Sentence) -> str:
        """ "findings", "conclusion" or "filled" (by the program itself)."""
        if _SECTIONS.get(_key(sentence.label)) == "filled":
            return "filled"
        section = _SECTIONS.get(_key(sentence.section), "findings")
        return "conclusion" if section == "findings" and _CATEGORY.search(sentence.text) else section

    # -- one sentence ------------------------------------------------------------------
    def _finding(self, sentence: Sentence) -> tuple[Finding, list[Groundable]]:
        text, named = sentence.text, self._named(sentence.text)
        if self._needs_label(sentence, named):
            text = f"{sentence.label}: {text}"
            named = list(dict.fromkeys([*self._named(sentence.label), *named]))
        sides = {side for term, side in named if self._is_paired(term)}
        finding = Finding(
            text, self._heading(sentence, named), tuple(self._evidence(named)), "model",
            term_ids=tuple(dict.fromkeys(term for term, _ in named)), side=sides.pop() if len(sides) == 1 else None,
            model=self._grounding.model,
        )  # fmt: skip
        return finding, list(self._open(finding, named))

    def _is_paired(self, term_id: str) -> bool:
        terms = self._grounding.source.terminology
        return term_id in terms and terms.get(term_id).laterality == "paired"

    def _needs_label(self, sentence: Sentence, named: list[Named]) -> bool:
        """Whether the sentence would lose its subject or side without its label ("Left kidney: cyst of 2 cm")."""
        if not sentence.label:
            return False
        if not self._read(sentence.text).organs:
            return True
        is_title = _key(sentence.label) in self._titles
        return sentence.is_first and not is_title and not set(self._named(sentence.label)) <= set(named)

    def _read(self, text: str) -> Reading:
        if text not in self._readings:
            self._readings[text] = self._grounding.read(text)
        return self._readings[text]

    def _named(self, text: str) -> list[Named]:
        """The structures of a text with their sides, each once, in order."""
        reading = self._read(text)
        pairs = [(m.term.id, _side_of(m, reading)) for m in reading.mentions if m.term.id not in HELPERS]
        return list(dict.fromkeys(pairs))

    def _heading(self, sentence: Sentence, named: list[Named]) -> str:
        """That of the label; else of the first structure that the template lists; else the only one whose title shares
        a word with the sentence ("free fluid")."""
        if self._section(sentence) == "conclusion":
            return IMPRESSION
        if _key(sentence.label) in self._titles:
            return self._titles[_key(sentence.label)]
        template, known = self._grounding.source.template, set(self._titles.values())
        for term_id, _ in named:
            heading = template.heading_of(term_id)
            if heading != OTHER and heading in known:
                return heading
        shared = {self._title_words.get(stem(word)) for word in _key(sentence.text).split()} - {None, ""}
        return shared.pop() or OTHER if len(shared) == 1 else OTHER

    def _evidence(self, named: list[Named]) -> Iterator[Evidence]:
        source = self._grounding.source
        segments = {s.id: s for one in named for s in self._masks_of(one)}
        for segment in segments.values():
            if segment.id not in source.places:
                source.places[segment.id] = place_of(segment.mask, source.volume)
            place = source.places[segment.id]
            yield Evidence(
                "segment", segment.id, "", place.position, source.volume.affine is not None, place.box, segment.frame,
                source.volume.id,
            )  # fmt: skip

    def _masks_of(self, named: Named) -> list[Segment]:
        """The masks of a structure on that side (both sides where none is said); of its parts where it has none itself.
        A mask of unknown side holds both."""
        term_id, side = named
        own = self._on_side(term_id, side)
        if own or term_id not in self._grounding.source.terminology:
            return own
        parts = self._grounding.source.terminology.get(term_id).parts
        return [segment for part in parts for segment in self._on_side(part, side)]

    def _on_side(self, term_id: str, side: str | None) -> list[Segment]:
        if side is None:
            return [s for (one, _), found in self._masks.items() if one == term_id for s in found]
        return self._masks.get((term_id, side)) or self._masks.get((term_id, None), [])

    def _open(self, finding: Finding, named: list[Named]) -> Iterator[Groundable]:
        """What could get a mask and has none: both sides of a pair where no side is said."""
        for term_id, side in named:
            if term_id not in self._grounding.can_ask or self._masks_of((term_id, side)):
                continue
            term = self._grounding.source.terminology.get(term_id)
            sides = ["right", "left"] if term.laterality == "paired" and side is None else [side]
            for one in sides:
                yield Groundable(finding.id, term_id, one, wording_of(term, one))


def _title_words(titles: dict[str, str]) -> dict[str, str]:
    """The heading that a word stands in the title of; empty where it stands in several."""
    found: dict[str, str] = {}
    for title, heading in titles.items():
        for word in {stem(word) for word in title.split() if len(word) >= _SHORTEST_TITLE_WORD} - _VAGUE:
            found[word] = heading if found.get(word, heading) == heading else ""
    return found


def wording_of(term: Term, side: str | None) -> str:
    """How a mask is asked for: "left kidney"."""
    return f"{side} {term.name}" if side and term.laterality == "paired" else term.name


def _side_of(mention: Mention, reading: Reading) -> str | None:
    """The side that is said of a structure of a pair: its own ("RUL"), the only one of its clause, else the last one
    before it. None for both, and for structures that come once."""
    if mention.term.laterality != "paired":
        return None
    if mention.side:
        return mention.side
    told = reading.sides_by_clause.get(reading.tokens[mention.first].clause, [])
    side = told[0] if len(set(told)) == 1 else reading.side_before(mention.first)
    return side if side in ("left", "right") else None


def _key(text: str) -> str:
    """For comparing labels and sentences: words alone, in small letters."""
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))
