"""Finds report templates and the words of reports: the shipped ones, and the user's own in the folder
"report_templates" of the user's data. A template of the user replaces the shipped one with its key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from medviewer.core.errors import UserError, WrongUsage
from medviewer.core.report.document import Language
from medviewer.core.report.template import Template, choose_template
from medviewer.core.report.template_reading import read_template, refused
from medviewer.core.report.words import Words, read_words
from medviewer.core.volume import Volume
from medviewer.services.folders import user_folder
from medviewer.services.resources import report_quantities, resource_path, terminology

_parsed = lru_cache(maxsize=64)(read_template)  # the same text gives the same frozen template
_LARGEST = 1 << 20  # bytes of a template


@dataclass(frozen=True)
class Templates:
    """All templates by key. `problems`: a sentence for every file of the user that was skipped; `own`: keys that come
    from the user's folder."""

    by_key: Mapping[str, Template]
    own: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()

    def get(self, key: str) -> Template:
        """The template with this key. Raises WrongUsage naming those that there are."""
        if key not in self.by_key:
            raise WrongUsage(
                f"There is no report template {key!r}.", f"Choose one of {', '.join(sorted(self.by_key))}."
            )
        return self.by_key[key]

    def choose(self, volume: Volume, found: Collection[str] = ()) -> Template:
        """The template for a scan in which these structures (term ids) were found."""
        return choose_template(self.by_key.values(), volume, found)


def user_template_folder() -> Path:
    """Where the user's own templates lie (not created)."""
    return user_folder("data") / "report_templates"


def report_templates() -> Templates:
    """The templates as they are on the disk now; any thread. A damaged file of the user is told of and skipped; a
    damaged shipped one raises InputRefused."""
    known = frozenset(term.id for term in terminology())
    found = {template.key: template for template in (_read(path, known) for path in _files(_shipped_folder()))}
    own: dict[str, Template] = {}
    problems: list[str] = []
    for path in _files(user_template_folder()):
        try:
            template = _read(path, known)
            if template.key in own:
                raise refused(str(path), 1, f"the key {template.key!r} is that of another file in this folder")
            own[template.key] = template
        except UserError as error:
            problems.append(f"This report template was skipped. {error}")
    return Templates({**found, **own}, frozenset(own), tuple(problems))


def report_words(language: Language) -> Words:
    """The words that reports share, in a language, with those of measurements and the names of structures."""
    german = language == "de"
    words = _words()[language].with_texts(report_quantities())
    return words.with_structures({term.id: term.name_de if german else term.name for term in terminology()})


@cache
def _words() -> Mapping[Language, Words]:
    path = resource_path("report/words.toml")
    return read_words(path.read_text(encoding="utf-8"), path.name)


def _shipped_folder() -> Path:
    return resource_path("report/templates")


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.toml")) if folder.is_dir() else []


def _read(path: Path, known: Collection[str]) -> Template:
    try:
        if path.stat().st_size > _LARGEST:
            raise refused(str(path), 1, "it is larger than a template can be (1 MB)")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise refused(str(path), 1, f"it cannot be read ({error.strerror or 'the drive does not answer'})") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise refused(str(path), line, "it is not in UTF-8") from error
    return _parsed(text, frozenset(known), str(path))
