"""Under which terms a model may be used, as its folder says; to be accepted by a person before the first use."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from medviewer.core.plain_text import one_line, printable
from medviewer.models.vision_language.shards import within
from medviewer.models.weights import Unsafe, read_confined

_FILES = (
    "LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "LICENCE.md", "COPYING", "NOTICE", "NOTICE.txt",
    "USE_POLICY.md", "TERMS.md",
)  # fmt: skip
_CARD = "README.md"
_MOST = 1_000_000  # bytes of one text
_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_ENTRY = re.compile(
    r"^(license|license_name|license_link|base_model|extra_gated_heading)[ \t]*:[ \t]*(.+)$", re.MULTILINE
)
NOT_STATED = "licence not stated"


@dataclass(frozen=True)
class Licence:
    """`name` is short ("health-ai-developer-foundations", "licence not stated"); `text` is all that the folder says;
    `key` stands for exactly this text: remember it when a person accepts, and ask again when it changes."""

    name: str
    text: str
    key: str


def read_licence(path: Path) -> Licence:
    """What the folder says: the front matter of README.md, then licence files. Never raises for what is unreadable."""
    front = _front_matter(_text(path, _CARD))
    texts = [(name, _text(path, name)) for name in _FILES]
    parts = [f"{key}: {value}" for key, value in front.items()]
    parts += [f"\n{name}\n\n{text.strip()}" for name, text in texts if text.strip()]
    name = front.get("license_name") or front.get("license") or _first_line([text for _, text in texts])
    if name == "other" and front.get("license_link"):
        name = f"other ({front['license_link']})"
    text = "\n".join(parts).strip() or (
        "The folder of this model says nothing about its licence. Find out from its publisher what it may be used for."
    )
    key = hashlib.sha256(f"{path.name}\n{text}".encode()).hexdigest()
    return Licence(name or NOT_STATED, text, key)


def _text(path: Path, name: str) -> str:
    target = path / name
    try:
        return printable(read_confined(target, within(target, path), _MOST).decode("utf-8", "replace"))
    except (OSError, Unsafe):
        return ""


def _front_matter(card: str) -> dict[str, str]:
    """The entries about the licence at the head of a model card; values as single lines without quotes."""
    found = _FRONT.match(card.replace("\r\n", "\n").lstrip("\ufeff"))
    if found is None:
        return {}
    return {match[1]: one_line(match[2].strip().strip("'\"")) for match in _ENTRY.finditer(found[1])}


def _first_line(texts: list[str]) -> str:
    lines = [line.strip(" #*") for text in texts for line in text.splitlines()]
    return next((one_line(line, 80) for line in lines if line), "")
