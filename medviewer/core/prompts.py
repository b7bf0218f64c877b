"""From what a user types to what is asked: splitting, negation, side, structure. English, German, some French."""

from __future__ import annotations

import re
from dataclasses import dataclass

from medviewer.core.errors import WrongUsage
from medviewer.core.terminology import Side, Term, Terminology, TermMatch
from medviewer.core.terminology_text import BOTH, CARRIERS, LEFT, NEGATIONS, RIGHT, fold, tokens

MAX_CHARACTERS = 2_000
MAX_PROMPTS = 200
_SIDES = frozenset((LEFT, RIGHT, BOTH))
_JOINED_SIDES = re.compile(r"\b(and|und|et|both|beide\w*|deux|or|oder|ou|bds|bilateral\w*)\b|[&+/]")
_NEGATION_WORD = re.compile(r"w/o|[^\W\d_]+", re.IGNORECASE)


@dataclass(frozen=True)
class ParsedPrompt:
    """One prompt as it was understood.

    `term` is None for unknown wording: then `unknown_text` is that wording and `suggestions` the nearest known names.
    `side` is the asked side of a paired structure (or of one that has none: `side_not_applicable`), None for both or
    no side. `negated`: the prompt asks for an absence, which is not supported and never ignored. `corrected` is the
    wording as read where a typing error was mended.
    """

    text: str
    title: str
    term: Term | None = None
    side: Side | None = None
    negated: bool = False
    unknown_text: str = ""
    side_not_applicable: bool = False
    suggestions: tuple[str, ...] = ()
    corrected: str = ""


def split_prompts(text: str, terminology: Terminology) -> list[str]:
    """The prompts in a text, in order: one per line or semicolon.

    A comma separates only where every part is by itself a known term; a comma part that is only a side or a carrier
    word belongs to its neighbour ("kidney, right" is one prompt). Raises WrongUsage for an empty or oversized text.
    """
    lines = [line.strip(" \t\r.,") for line in re.split(r"[\n;]", text)]
    lines = [line for line in lines if line]
    if not lines:
        raise _empty()
    if len(lines) > MAX_PROMPTS:
        raise WrongUsage(f"{len(lines)} prompts at once are too many.", f"Ask for at most {MAX_PROMPTS} at a time.")
    for line in lines:
        _check_length(line)
    return [part for line in lines for part in _split_commas(line, terminology)]


def parse_prompt(text: str, terminology: Terminology) -> ParsedPrompt:
    """What one prompt asks for.

    Raises WrongUsage for an empty prompt, one of more than 2,000 characters, or one that names left and right at once.
    """
    wording = " ".join(text.split())
    if not re.search(r"\w", wording):
        raise _empty()
    _check_length(wording)
    negated = _is_negated(wording) and terminology.find(wording) is None  # "nicht anreichernder Tumor" is a name
    asked = _without_negation(wording) if negated else wording
    match = terminology.find(asked) if asked else None
    if match is None:
        hints = tuple(terminology.suggest(asked))
        return ParsedPrompt(wording, _unknown_title(wording), None, None, negated, asked, False, hints)
    _refuse_contradiction(asked, match)
    return ParsedPrompt(
        wording, title_of(match.term, match.side), match.term, match.side, negated, "", match.side_not_applicable, (),
        match.corrected,
    )  # fmt: skip


def title_of(term: Term, side: str | None = None, language: str = "en") -> str:
    """Display name: "Left kidney", "Kidney", in German "Niere links", "Niere"."""
    if language == "de":
        suffix = {"left": " links", "right": " rechts"}.get(side or "", "")
        return _capital(term.name_de) + suffix
    if side and term.laterality != "name":
        return f"{side.capitalize()} {term.name}"
    return _capital(term.name)


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _refuse_contradiction(asked: str, match: TermMatch) -> None:
    words = tokens(fold(asked))
    if match.sides_given and LEFT in words and RIGHT in words and not _JOINED_SIDES.search(fold(asked)):
        raise WrongUsage(
            "The prompt names left and right at once.", f'Write "both {match.term.name}" or one side per line.'
        )


def _empty() -> WrongUsage:
    return WrongUsage("The prompt is empty.", 'Type what you want to see, for instance "left kidney".')


def _check_length(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise WrongUsage(
            f"The prompt has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read.",
            "Name one structure per line.",
        )


def _split_commas(line: str, terminology: Terminology) -> list[str]:
    parts = [part.strip() for part in line.split(",") if part.strip()]
    if len(parts) < 2:
        return [line]
    joined = _join_qualifiers(parts)
    if len(joined) > 1 and all(_known(part, terminology) for part in joined):
        return joined
    return [line]


def _join_qualifiers(parts: list[str]) -> list[str]:
    """Give parts that are only a side or carrier words to the part before them, leading ones to the part after."""
    joined: list[str] = []
    waiting: list[str] = []
    for part in parts:
        if not _only_qualifier(part):
            joined.append(", ".join([*waiting, part]))
            waiting = []
        elif joined:
            joined[-1] += f", {part}"
        else:
            waiting.append(part)
    return joined or [", ".join(waiting)]


def _only_qualifier(part: str) -> bool:
    words = tokens(fold(part))
    return all(word in _SIDES or word in CARRIERS for word in words)


def _known(part: str, terminology: Terminology) -> TermMatch | None:
    return terminology.find(part) or terminology.find(_without_negation(part))


def _is_negated(text: str) -> bool:
    return any(fold(word) in NEGATIONS or word.lower() == "w/o" for word in _NEGATION_WORD.findall(text)) or bool(
        re.search(r"\w+n['’]t\b", text.lower())
    )


def _without_negation(text: str) -> str:
    kept = re.sub(r"\bw/o\b", " ", text, flags=re.IGNORECASE)
    kept = _NEGATION_WORD.sub(lambda m: "" if fold(m[0]) in NEGATIONS else m[0], kept)
    return " ".join(kept.split())


def _unknown_title(wording: str) -> str:
    return wording if len(wording) <= 60 else wording[:57] + "…"
