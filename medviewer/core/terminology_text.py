"""How the words of a prompt are compared: folding, sides, levels, plurals, small typing errors; English and German."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from medviewer.core.terminology_words import IRREGULAR

LEFT, RIGHT, BOTH = "left", "right", "both"
_SIDES = {
    LEFT: "left l lt lft links li linke linker linkes linken linkem lhs sinister sinistra sinistrum sin lfet letf "
    "gauche gauches",
    RIGHT: "right r rt rght rechts re rechte rechter rechtes rechten rechtem rhs dexter dextra "
    "dextrum dext rigth rihgt droit droite droits droites",
    BOTH: "both beide beiden beider beides beidem beidseits beidseitig beidseitige beidseitiger bds "
    "bilateral bilaterally bilaterale bilateraler bilaterales bilateralen bilat deux two zwei beiderseits",
}
SIDE_OF = {word: side for side, words in _SIDES.items() for word in words.split()}
_SIDED = re.compile(r"(left|links|right|rechts)(sided?|seitig\w*|hand)$")

_CARRIER_WORDS = """
show me the a an of please segment segmentation segmented find where is are was display mark highlight outline draw
can you
could would see view want i to look looking at for locate give detect identify extract get need let us this that
these those
it its my our his her patient patients scan image picture ct mr mri here there now and in on from s side sided
hand mask
contour whole entire complete all any do does have has visible structure structures
each every only just also again help know like label trace delineate annotate visualize visualise color colour
overlay isolate present reveal measure compute calculate size volume within inside thanks thank sides
lie lies located location position situated seen shown appears depict radiograph xray film
slice slices study ultrasound sonogram
zeige zeig zeigen mir die der das den dem des bitte wo ist sind finde finden suche suchen markiere
markieren segmentiere
segmentieren segmentier stelle stell dar darstellen einen eine ein einem einer eines kannst kann du sie ich
moechte mochte
will sehen und im am an auf vom von zur zum bild seite seitig ganze ganzen ganzer ganzes gesamte gesamten
gesamter gesamtes
komplette umrande umreisse hervorheben bei diesem dieser dieses hier mal patienten patientin
anzeigen anzeige alle aller allen jede jeder jedes jeden nur auch visualisiere visualisieren einzeichnen abgrenzen
roentgenbild aufnahme ultraschall schnitt seiten einfaerben zeichne messe messen groesse volumen innerhalb danke
"""
_NEGATION_WORDS = """
no not without none never absent excluding except kein keine keinen keinem keiner keines ohne nicht ausser
absence lacking lacks missing exclude nor neither cannot nichts nie niemals weder fehlend fehlende fehlender fehlendes
sans pas aucun aucune sauf
"""
CARRIERS = frozenset(_CARRIER_WORDS.split())
NEGATIONS = frozenset(_NEGATION_WORDS.split())
_BRITISH = (
    ("haem", "hem"), ("oedem", "edem"), ("tumour", "tumor"), ("oesoph", "esoph"), ("grey", "gray"), ("foet", "fet"),
    ("coel", "cel"), ("caec", "cec"), ("centre", "center"), ("disk", "disc"), ("anaes", "anes"),
)  # fmt: skip
_OPPOSITES = ("inter", "intra", "hypo", "hyper", "supra", "infra", "sub", "super", "epi", "endo",
              "pre", "post", "ab", "ad",
              "ante", "retro", "peri", "para", "extra", "non")  # fmt: skip
_REGION = {
    "c": "c", "hwk": "c", "hw": "c", "t": "t", "th": "t", "bwk": "t", "bw": "t", "d": "t",
    "l": "l", "lwk": "l", "lw": "l", "s": "s", "swk": "s",
}  # fmt: skip
_LAST = {"c": 8, "t": 13, "l": 6, "s": 5}
_NAME = r"(hwk|hw|c|bwk|bw|th|t|d|lwk|lw|l|swk|s)"
_DISC = re.compile(rf"\b{_NAME}\s*(\d{{1,2}})\s*[/\-–]\s*{_NAME}?\s*(\d{{1,2}})\b")
_LEVEL = re.compile(rf"\b{_NAME}\s*(\d{{1,2}})\b")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "ß": "ss"})
_XRAY = re.compile(r"\bx[ -]rays?\b")
_ELIDED = re.compile(r"\b[ld]'(?=[a-z])")  # French "l'aorte" names no side


def fold(text: str, spell_umlauts: bool = True) -> str:
    """Lower case without diacritics; umlauts as ae, oe, ue (or as a, o, u)."""
    text = unicodedata.normalize("NFC", text).lower().translate(_LIGATURES)
    if spell_umlauts:
        text = text.translate(_UMLAUTS)
    stripped = unicodedata.normalize("NFKD", text)
    return "".join(c for c in stripped if not unicodedata.combining(c))


def spellings(text: str) -> tuple[str, ...]:
    """The foldings worth trying: one, or two where umlauts occur."""
    first, second = fold(text), fold(text, spell_umlauts=False)
    return (first,) if first == second else (first, second)


def tokens(folded: str) -> tuple[str, ...]:
    """Words of a folded text in order, with levels ("l3", "l4l5") and sides ("left", "right", "both") made uniform."""
    text = _ELIDED.sub(" ", folded.replace("w/o", " without ").replace("’", "'"))
    text = _XRAY.sub("xray", text)
    text = _LEVEL.sub(_level, _DISC.sub(_disc, text))
    return tuple(_uniform(word) for word in re.findall(r"[a-z0-9]+", text))


def _disc(match: re.Match[str]) -> str:
    upper, lower = _REGION[match[1]], _REGION[match[3] or match[1]]
    first, second = int(match[2]), int(match[4])
    if match[3] is None and second < first:  # "L5/1" is L5/S1, "T12/1" is T12/L1, "C7/1" is C7/T1
        lower = {"c": "t", "t": "l", "l": "s"}.get(upper, upper)
    return f" {upper}{first}{lower}{second} "


def _level(match: re.Match[str]) -> str:
    region, number = _REGION[match[1]], int(match[2])
    return f" {region}{number} " if 1 <= number <= _LAST[region] else match[0]


def _uniform(word: str) -> str:
    if word in SIDE_OF:
        return SIDE_OF[word]
    sided = _SIDED.match(word)
    if sided:
        return SIDE_OF[sided[1]]
    for british, american in _BRITISH:
        if british in word:
            word = word.replace(british, american)
    return word


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """A word without plural and case endings, the same for singular and plural; not itself a word."""
    if any(c.isdigit() for c in word):
        return word
    if word in IRREGULAR:
        return stem(IRREGULAR[word])
    if word.endswith("ae") and len(word) > 4:
        word = word[:-1]
    if word.endswith("i") and len(word) > 4:  # nuclei, thalami
        return word[:-1] + "us"
    while True:
        shorter = _shorten(word)
        if shorter == word:
            return word
        word = shorter


def _shorten(word: str) -> str:
    size = len(word)
    if size >= 5 and word.endswith("ies"):
        return word[:-3] + "y"
    if size >= 5 and word.endswith(("es", "en")):
        return word[:-2]
    if size >= 4 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    if size >= 4 and word.endswith("e"):
        return word[:-1]
    if size >= 6 and word.endswith(("ern", "eln", "em")):
        return word[:-1] if word.endswith("n") else word[:-2]
    return word


def key_of(words: tuple[str, ...]) -> tuple[str, ...]:
    """Order-free key of a wording: sorted stems without carrier words (with them if there is nothing else)."""
    content = [w for w in words if w not in CARRIERS] or words
    return tuple(sorted({stem(w) for w in content}))


def distance(a: str, b: str, limit: int) -> int:
    """Edit distance with neighbouring letters swapped counting one; `limit` + 1 where it is larger."""
    if abs(len(a) - len(b)) > limit:
        return limit + 1
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, ca in enumerate(a, 1):
        row = [i]
        for j, cb in enumerate(b, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (ca != cb))
            if i > 1 and j > 1 and ca == b[j - 2] and a[i - 2] == cb:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
        before, last = last, row
    return last[-1]


def is_typo(word: str, known: str) -> bool:
    """Whether `word` may be a slip for `known`: one edit from 5 letters, two from 9, in 4 only two inner letters
    swapped, or written as it sounds; never inter- for intra-."""
    if abs(len(word) - len(known)) > 2 or min(len(word), len(known)) < 4 or not (word + known).isalpha():
        return False
    limit = 2 if min(len(word), len(known)) >= 9 else 1
    if len(known) == 4:
        return word[0] == known[0] and sorted(word) == sorted(known) and distance(word, known, 1) <= 1
    if word[0] != known[0] and word[:2] != known[1::-1]:
        return False
    if _prefix(word) != _prefix(known):
        limit = 1 if "" in (_prefix(word), _prefix(known)) and word[:3] == known[:3] else 0
    if len(known) >= 6 and _sound(word) == _sound(known):
        return True
    edits = distance(word, known, limit)
    two_others = len(word) == len(known) and sum(a != b for a, b in zip(word, known, strict=True)) == 2 == edits
    return edits <= limit and not two_others  # two letters for two others is another word: Femurkopf, Fetuskopf


def _sound(word: str) -> str:
    """A word as it is heard: no doubled letters, ph as f, y as i, k as c, a final -le, -el, -al alike."""
    for written, heard in (("ph", "f"), ("th", "t"), ("rh", "r"), ("y", "i"), ("k", "c"), ("ae", "e"), ("oe", "e")):
        word = word.replace(written, heard)
    word = re.sub(r"(.)\1", r"\1", word)
    return re.sub(r"(le|al|el)$", "l", word)


def _prefix(word: str) -> str:
    return max((p for p in _OPPOSITES if word.startswith(p)), key=len, default="")
