"""Hebrew and Arabic for a writer that draws characters from left to right as they come (PDF): the order and the shapes
in which they are seen. A small part of the Unicode bidirectional algorithm (UAX 9): no embeddings, no overrides."""

from __future__ import annotations

import unicodedata
from functools import cache

_MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")
_FORMS = ("isolated", "final", "initial", "medial")


def has_right_to_left(text: str) -> bool:
    """Whether any letter is read from the right."""
    return not text.isascii() and any(unicodedata.bidirectional(char) in ("R", "AL") for char in text)


def visual(line: str) -> str:
    """One line as it is seen from left to right, Arabic letters in their joined forms."""
    if not has_right_to_left(line):
        return line
    clusters = _clusters(joined(line))
    levels = _levels([cluster[0] for cluster in clusters])
    order = list(range(len(clusters)))
    for level in range(max(levels), 0, -1):
        order = _reversed_runs(order, levels, level)
    return "".join(_shown(clusters[n], levels[n]) for n in order)


def _clusters(text: str) -> list[str]:
    """Letters with the marks that stand on them."""
    found: list[str] = []
    for char in text:
        if found and unicodedata.bidirectional(char) == "NSM":
            found[-1] += char
        else:
            found.append(char)
    return found


def _levels(chars: list[str]) -> list[int]:
    """Even: read from the left; odd: from the right. The first letter decides about the line."""
    kinds = [_kind(char) for char in chars]
    base = 1 if next((kind for kind in kinds if kind in "LR"), "L") == "R" else 0
    kinds = _resolved(kinds, "R" if base else "L")
    return [{"L": 2 * base, "R": 1, "E": 2}[kind] for kind in kinds]


def _kind(char: str) -> str:
    kind = unicodedata.bidirectional(char)
    if kind in ("R", "AL"):
        return "R"
    return "L" if kind == "L" else "E" if kind in ("EN", "AN") else "N"


def _resolved(kinds: list[str], base: str) -> list[str]:
    """Digits after letters read from the right are numbers within them; what is neutral goes with its neighbours where
    both agree, else with the line. Signs between two digits belong to the number."""
    strong, found = base, list(kinds)
    for n, kind in enumerate(kinds):
        if kind in "LR":
            strong = kind
        elif kind == "E":
            found[n] = "E" if strong == "R" else "L"
    for n, kind in enumerate(found):
        if kind != "N":
            continue
        before = next((k for k in reversed(found[:n]) if k != "N"), base)
        after = next((k for k in found[n + 1 :] if k != "N"), base)
        inside = before == after == "E" and 0 < n < len(found) - 1 and kinds[n - 1] == kinds[n + 1] == "E"
        sides = {"L" if k == "L" else "R" for k in (before, after)}
        found[n] = "E" if inside else sides.pop() if len(sides) == 1 else base
    return found


def _reversed_runs(order: list[int], levels: list[int], level: int) -> list[int]:
    result: list[int] = []
    run: list[int] = []
    for n in order:
        if levels[n] >= level:
            run.append(n)
            continue
        result += [*reversed(run), n]
        run = []
    return [*result, *reversed(run)]


def _shown(cluster: str, level: int) -> str:
    return cluster.translate(_MIRRORED) if level % 2 else cluster


# -- Arabic ------------------------------------------------------------------------------
@cache
def _shapes() -> dict[str, dict[str, str]]:
    """Letter (or lam and alef) -> form -> the character of that form, from the Unicode data of Python."""
    shapes: dict[str, dict[str, str]] = {}
    for code in (*range(0xFB50, 0xFBB2), *range(0xFE80, 0xFEFD)):
        form, _, letters = unicodedata.decomposition(chr(code)).partition("> ")
        if form[1:] in _FORMS and letters:
            letter = "".join(chr(int(part, 16)) for part in letters.split())
            shapes.setdefault(letter, {}).setdefault(form[1:], chr(code))
    return shapes


def joined(text: str) -> str:
    """Arabic letters in the form that their neighbours give them; lam and alef become one."""
    shapes = _shapes()
    letters = _units(text, shapes)
    return "".join(_form(letters, n, shapes) for n in range(len(letters)))


def _units(text: str, shapes: dict[str, dict[str, str]]) -> list[str]:
    units: list[str] = []
    for char in text:
        if units and len(units[-1]) == 1 and units[-1] + char in shapes and "final" in shapes[units[-1] + char]:
            units[-1] += char
        else:
            units.append(char)
    return units


def _form(units: list[str], n: int, shapes: dict[str, dict[str, str]]) -> str:
    forms = shapes.get(units[n])
    if not forms:
        return units[n]
    before = "initial" in shapes.get(_neighbour(units, n, -1), {})  # it joins to what follows it
    after = "initial" in forms and "final" in shapes.get(_neighbour(units, n, 1), {})
    before = before and "final" in forms
    name = "medial" if before and after else "final" if before else "initial" if after else "isolated"
    return forms.get(name, units[n])


def _neighbour(units: list[str], n: int, step: int) -> str:
    """The next letter, marks passed over."""
    n += step
    while 0 <= n < len(units) and unicodedata.bidirectional(units[n][0]) == "NSM":
        n += step
    return units[n] if 0 <= n < len(units) else ""
