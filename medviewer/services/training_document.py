"""The `dataset.json` of a training set while cases are added: labels that agree, and one entry per case."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medviewer.core.errors import OutputNotWritten
from medviewer.core.plain_text import one_line
from medviewer.io import training_set as file
from medviewer.io.label_sidecar import NOTICE
from medviewer.services.training_case import Item, label_of, title_of

_MOST_TEXT = 200


@dataclass
class SetDocument:
    """A data set as it is on the disk. `labels`: name to value; `entries`: id to what is known of a case now."""

    folder: Path
    document: dict[str, Any]
    labels: dict[str, int]
    terms: dict[str, str]
    entries: dict[str, dict[str, Any]]
    unborn: dict[str, dict[str, Any]]  # cases whose files a killed export never finished

    @classmethod
    def of(cls, document: dict[str, Any], folder: Path) -> SetDocument:
        """Of what was read; {} is a new set. Raises InputRefused where it is damaged."""
        where = str(folder / file.FILE)
        table = file.labels_of(document.get("labels"), where) if document else {}
        terms: Any = document.get("terms")
        known = {str(k): str(v) for k, v in terms.items()} if isinstance(terms, dict) else {}
        entries = file.entries_of(document, folder)
        unborn = {entry["id"]: entry for entry in file.stored_entries(document, folder) if entry["id"] not in entries}
        return cls(folder, dict(document), {name: value for value, name in table.items()}, known, entries, unborn)

    def describe(self, name: str, licence: str) -> None:
        """Set name and licence, where given; a new set is called after its folder."""
        for key, text in (("name", name), ("licence", licence)):
            plain = one_line(text, _MOST_TEXT)
            if plain:
                self.document[key] = plain
        self.document.setdefault("name", self.folder.name)
        self.document.setdefault("licence", "")

    def agree(self, item: Item) -> None:
        """Give the labels of a case their values. Raises OutputNotWritten where a label means something else here."""
        for segment in item.segments:
            label = self.spelling(label_of(segment))
            known = self.terms.get(label)
            if known is not None and segment.term_id is not None and known != segment.term_id:
                raise OutputNotWritten(
                    f'The label "{label}" means {known} in this training set and {segment.term_id} on '
                    f"{title_of(item.volume)}.",
                    "Rename the segment, or choose another folder.",
                )
            self.labels.setdefault(label, max(self.labels.values(), default=0) + 1)
            if segment.term_id is not None:
                self.terms[label] = segment.term_id
        if max(self.labels.values()) > file.LARGEST_LABEL:
            raise OutputNotWritten("The training set has too many labels.", "Choose another folder.")

    def spelling(self, label: str) -> str:
        """A label as the set spells it; case does not count."""
        return next((known for known in self.labels if known.casefold() == label.casefold()), label)

    def announce(self, entry: dict[str, Any]) -> None:
        """Write that the files of a case are being replaced; until `put` both its old and its new mask are known."""
        before = self.entries.get(entry["id"], {"id": entry["id"]})
        self._write({**self._raw(), entry["id"]: {**before, "pending": entry}})

    def put(self, entry: dict[str, Any]) -> None:
        """The files of a case are in place."""
        self.entries[entry["id"]] = entry
        self.unborn.pop(entry["id"], None)
        self._write(self._raw())

    def _raw(self) -> dict[str, dict[str, Any]]:
        return {**self.unborn, **self.entries}

    def _write(self, entries: dict[str, dict[str, Any]]) -> None:
        import medviewer

        kinds = {str(entry.get("modality") or "") for entry in self.entries.values()}
        endings = {_ending(str(entry.get("image"))) for entry in self.entries.values()}
        own = {key: value for key, value in self.document.items() if key not in ("channel_names", "file_ending")}
        told: dict[str, Any] = {
            "format": file.FORMAT, "version": file.VERSION, "name": own["name"], "licence": own["licence"],
            "description": NOTICE, "program": f"medviewer {medviewer.__version__}",
        }  # fmt: skip
        if len(kinds) == 1 and kinds != {""}:
            told["channel_names"] = {"0": next(iter(kinds))}
        if len(endings) == 1:
            told["file_ending"] = next(iter(endings))
        told |= {
            "labels": {"background": 0, **self.labels}, "terms": self.terms, "numTraining": len(self.entries),
            "encoding": "index",
        }  # fmt: skip
        others = {key: value for key, value in own.items() if key not in told and key != "cases"}
        self.document = told | others | {"cases": list(entries.values())}
        file.write_document(self.folder, self.document)


def _ending(name: str) -> str:
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix
