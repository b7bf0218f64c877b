"""A language model's text as plain sentences under labels: no markdown, no control characters, no thinking aloud.

Everything is linear in the length of the text. Numbers are never touched: "5*3 cm" keeps its star.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from medviewer.core.plain_text import one_line

LONGEST_TEXT = 20_000  # characters that are read
LONGEST_SENTENCE = 1_000
_WRAPPED = 60  # characters of a line that may go on in the next
_LABEL = re.compile(r"([^\W\d_][^:.!?\n]{0,79}?)\s*:(?=\s|$)")
_THINKING = (("<think>", "</think>"), ("<unused94>", "<unused95>"), ("<|thinking|>", "<|/thinking|>"))
_RULES = re.compile(r"^[ \t]*(?:[-*_=~][ \t]*){3,}$", re.MULTILINE)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n]*$", re.MULTILINE)
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]+([^\n]*?)[ \t#]*$", re.MULTILINE)
_BOLD_LINE = re.compile(r"^[ \t]*(?:\*\*|__)([^*_\n]+?)(?:\*\*|__)[ \t]*:?[ \t]*$", re.MULTILINE)
_STARS = re.compile(r"(?<![\w*])(\*{1,3})(?=[^\s*])([^*\n]+)\1(?![\w*])")
_LINES = re.compile(r"(?<![\w_])(_{1,3})(?=[^\s_])([^_\n]+)\1(?![\w_])")
_IMAGE_OR_LINK = re.compile(r"!?\[([^\]\[\n]*)\]\([^()\n]*\)")
_TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,200}>")
_BULLET = re.compile(r"[ \t]*(?:[-*+•‣–]|(?P<number>\d{1,2})[.)]|\(\d{1,2}\))[ \t]+(?=\S)")
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_JOINERS = "\u200c\u200d\t"  # marks that join letters of real scripts
_TABLE_LINE = re.compile(r"[ \t]*\|[ \t:|-]*\|?[ \t]*$")


@dataclass(frozen=True)
class Sentence:
    """One sentence as a single line. `section`: the part of the report it is in ("Findings"), `label`: the structure
    or heading it stands under ("Liver"); empty without one. `is_first`: it follows its label on the same line."""

    text: str
    section: str = ""
    label: str = ""
    is_first: bool = False


LabelKind = Literal["", "section", "label"]


def clean_text(text: str) -> str:
    """The text without markdown, tags, control and direction characters; lines stay lines."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    for pattern in (_FENCE, _RULES):
        text = pattern.sub("", text)
    text = _BOLD_LINE.sub(_as_label, _HEADING.sub(_as_label, text))
    text = _IMAGE_OR_LINK.sub(r"\1", text)
    text = _LINES.sub(r"\2", _STARS.sub(r"\2", text))
    text = _TAG.sub(" ", text).replace("`", "").replace("**", "")
    return "\n".join(_clean_line(line) for line in text.split("\n")).strip("\n")


def without_thinking(text: str) -> tuple[str, bool]:
    """The text without what a model thinks aloud before it answers; whether it never got beyond that."""
    for start, end in _THINKING:
        head, opened, rest = text.partition(start)
        if opened:
            _, closed, answer = rest.partition(end)
            return (f"{head}{answer}", False) if closed else (head, not head.strip())
    return text, False


def _as_label(match: re.Match[str]) -> str:
    return f"\n{match[1].strip().rstrip(':').rstrip()}:"


def _clean_line(line: str) -> str:
    if line.lstrip().startswith("|"):
        line = "" if _TABLE_LINE.match(line) else line.strip(" \t|").replace("|", ", ")
    if line.isascii() and line.isprintable():
        return line.rstrip()
    shown = (char if char in _JOINERS or unicodedata.category(char) not in _HIDDEN else " " for char in line)
    return "".join(shown).rstrip()


def sentences_of(text: str, kind_of: Callable[[str], LabelKind]) -> Iterator[Sentence]:
    """The sentences of a cleaned text in order. `kind_of` tells what words before a colon at the beginning of a
    sentence are: a section holds until the next one, a label for the rest of its line, or until the next one where it
    stands alone; others stay in their sentence."""
    section = label = ""
    alone = False  # the label stood on a line of its own
    for block in _blocks(text):
        label = label if alone else ""
        for part in split_sentences(block):
            inline = False
            while (found := _LABEL.match(part)) and (kind := kind_of(found[1])):
                part = part[found.end() :].lstrip()
                section = one_line(found[1]) if kind == "section" else section
                label = one_line(found[1]) if kind == "label" else ""
                inline, alone = kind == "label", not part
            line = one_line(part, LONGEST_SENTENCE)
            if any(char.isalnum() for char in line):
                yield Sentence(line, section, label, inline)


def _blocks(text: str) -> Iterator[str]:
    """Paragraphs: lines that go on are joined, bullets and labels begin anew."""
    block = ""
    for line in text.split("\n"):
        start = _bullet_end(line)
        bare = line[start:].strip()
        if not start and bare and _goes_on(block, bare):
            block = f"{block} {bare}"
            continue
        if block:
            yield block
        block = bare
    if block:
        yield block


def _bullet_end(line: str) -> int:
    """Where the text behind a bullet or the number of a list begins; 0 without one ("3. Rippe" is none)."""
    bullet = _BULLET.match(line)
    if bullet is None or (bullet["number"] and not _is_numbering(line[bullet.end() :])):
        return 0
    return bullet.end()


def _is_numbering(following: str) -> bool:
    return following[0].isupper() and not _ORDINAL_NOUNS.match(following)


def _goes_on(block: str, line: str) -> bool:
    """Whether a line continues the one before: that has no end, and was either broken for its length or is followed by
    a small letter."""
    if not block or block[-1] in ".!?:;" or _LABEL.match(line):
        return False
    return len(block) >= _WRAPPED or line[0].islower()


# -- sentences -------------------------------------------------------------------------
def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)")
_INITIALS = re.compile(r"\b[^\W\d_]\. ?[^\W\d_]\Z")  # "z. B"
_WORD_BEFORE = re.compile(r"[^\s(\[\"'„“]*\Z")
_ABBREVIATIONS = _set(
    """
    approx resp incl excl vs cf fig figs nos vol ca dr mr mrs ms prof st dept i.e e.g i.v p.o a.p p.a l.a ant post sup
    inf lat med max min avg est diam seg bzw ggf ggfs evtl evt inkl exkl z.b u.a d.h v.a i.s o.g s.o s.u u.u z.n z.t
    zt i.d.r sog vgl abb nr tab dd vd zn dir durchm mind höchst insb insbes ggü entspr div bes gem allg abd thor zerv
    lumb kaud kran dors ventr prox dist
    """
)
_SIDES = frozenset(("li", "re", "bds", "beids", "lt", "rt", "bilat"))  # may end a sentence: "Niere re. Die Milz ..."
_MAY_END = frozenset(("etc", "usw", "u.ä", "o.ä", "al"))  # a capital letter after them begins a sentence
_DETERMINERS = _set(
    """
    der die das den dem des am im vom zum zur beim ins ans bis ein eine einer einem einen ab linke linken linker
    rechte rechten rechter und oder sowie auf in
    """
)
_STARTERS = _set(
    """
    the there this these no a an in on at it its both bilateral mild moderate small large right left normal within
    mildly der die das es kein keine keinerlei im am bei beide beidseits rechts links nach ohne mit auch sonst
    weiterhin zusätzlich dort hier ein eine einzelne geringe deutliche mäßige
    """
)
_ORDINAL_NOUNS = re.compile(
    r"(?:rippe|wirbel|brustwirbel|lendenwirbel|halswirbel|bwk|lwk|hwk|segment|ventrikel|metatars|metakarp|zehe|finger|"
    r"strahl|grad|ordnung|tag|woche|monat|jahr|januar|februar|märz|april|mai|juni|juli|august|september|oktober|november|"
    r"dezember|lebens|schwangerschafts|quartal|hälfte|drittel|viertel|abschnitt|band|icr|interkostal|zwischenrippen)",
    re.IGNORECASE,
)  # fmt: skip


def split_sentences(text: str) -> list[str]:
    """The sentences of one paragraph. Abbreviations ("ca. 3 cm", "z. B."), decimals, initials and German ordinals
    ("der 3. Rippe") end nothing."""
    lower = not any(char.isupper() for char in text)  # reports of some models have no capitals at all
    parts: list[str] = []
    start = 0
    for match in _END.finditer(text):
        if _ends(text, start, match, lower):
            parts.append(text[start : match.end()].strip())
            start = match.end()
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def _ends(text: str, start: int, match: re.Match[str], lower: bool) -> bool:
    """Whether a sentence ends at these marks."""
    following = text[match.end() : match.end() + 40].lstrip()
    if not following:
        return True
    if not lower and following[0].islower():
        return False
    if match[0][0] != "." or match[0].startswith(".."):
        return True
    head = text[max(start, match.start() - 60) : match.start()].rstrip()  # "1 . 5 cm" is one number
    return _word_ends(head, following, lower)


def _word_ends(head: str, following: str, lower: bool) -> bool:
    """Whether a full stop behind a word ends a sentence."""
    found = _WORD_BEFORE.search(head)
    before = (found[0] if found else "").casefold().lstrip("-–+±~<>")
    begins = following[0].isupper() and _first_word(following) in _STARTERS
    if before.isdigit():
        return _number_ends(head, before, following)
    if before in _MAY_END:
        return following[0].isupper()
    if before == "no":
        return not following[0].isdigit()
    if before in _SIDES:
        return begins
    if len(before) == 1 and before.isalpha():
        return begins and not _INITIALS.search(head)
    return before not in _ABBREVIATIONS


def _first_word(text: str) -> str:
    return re.split(r"[\s,.;:]", text, maxsplit=1)[0].casefold()


def _number_ends(head: str, number: str, following: str) -> bool:
    """Whether a full stop behind a whole number ends a sentence ("in segment 4. The ...") or makes it an ordinal
    ("der 3. Rippe")."""
    if following[0].isdigit():
        return False
    next_word = _first_word(following)
    if next_word in _STARTERS:
        return True
    if len(number) > 2 or _ORDINAL_NOUNS.match(next_word):
        return len(number) > 2
    words = head[: len(head) - len(number)].casefold().split()
    return not (words and words[-1].strip("(") in _DETERMINERS)
