"""The body of the Report tab: fields, headings with their sentences, impression, limitations, key images."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QApplication, QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from medviewer.api.reports import IMPRESSION, KeyImage, Report, Words

from .panel_parts import TextField, button, label, literal, remove, sign_button, tr
from .panel_rows import SentenceRow

FIELDS = ("technique", "comparison")  # the indication is written at the top of the tab
_IMAGE_PX = 132


@dataclass(frozen=True)
class Item:
    """One thing of the page, in order. `key`: a heading's key, a sentence's id, a field's name, an image's number."""

    kind: Literal["heading", "row", "line", "field", "image", "add_image"]
    key: str
    text: str = ""


def items_of(report: Report, words: Words, notes: Sequence[str]) -> Iterator[Item]:
    """What the page shows, in order."""
    for name in FIELDS:
        yield Item("heading", name, words.phrase(name))
        yield Item("field", name, getattr(report, name) or words.phrase("not_stated"))
    for section in report.sections:
        yield Item("heading", section.key, section.title)
        if section.not_assessed:
            yield Item("line", section.key, words.phrase("not_assessed"))
        yield from (Item("row", f.id) for f in section.findings)
    yield Item("heading", IMPRESSION, words.phrase("impression"))
    yield from (Item("row", f.id) for f in report.impression)
    if not report.impression:
        yield Item("line", IMPRESSION, words.phrase("impression_empty"))
    yield Item("heading", "limitations", words.phrase("limitations"))
    yield from (Item("line", "limitations", text) for text in report.limitations)
    yield Item("heading", "key_images", words.phrase("key_images"))
    yield from (Item("image", str(id(image)), image.caption) for image in report.key_images)
    yield Item("add_image", "key_images")
    if notes:
        yield Item("heading", "notes", tr("Notes on the answers, not part of the report"))
    yield from (Item("line", "notes", text) for text in dict.fromkeys(notes))


class ImageRow(QFrame):
    """A key image, small, with what it shows."""

    def __init__(self, image: KeyImage, can_change: bool) -> None:
        super().__init__()
        self.setProperty("role", "card")
        picture, pixmap = QLabel(), QPixmap()
        pixmap.loadFromData(image.png)
        smooth = Qt.TransformationMode.SmoothTransformation
        picture.setPixmap(pixmap.scaledToWidth(_IMAGE_PX, smooth))
        picture.setAccessibleName(image.caption)
        self.remove = sign_button("✕", tr("Take this image out"), lambda: None)
        self.remove.setVisible(can_change)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 8, 6, 8)
        row.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(label(image.caption, "muted"), 1)
        row.addWidget(self.remove, 0, Qt.AlignmentFlag.AlignTop)


class ReportPage(QWidget):
    """Rows live as long as their sentences, so that the keyboard and a text being written stay where they are.

    `row_asked(action, id)` and `edited`, `dismissed` come from the rows; `added(heading, text)`: a new sentence;
    `written(field, text)`; `conclude_wanted(button)`: the plus sign of the impression.
    """

    row_asked = Signal(str, str)
    edited = Signal(str, str)
    dismissed = Signal(str, str)
    added = Signal(str, str)
    written = Signal(str, str)
    conclude_wanted = Signal(object)
    image_wanted = Signal()
    image_removed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, SentenceRow] = {}
        self._items: list[Item] = []
        self._others: dict[Item, QWidget] = {}
        self._can_change = True
        self._report: Report | None = None
        self._writing: TextField | None = None  # a new sentence or a field
        self._writing_at = ("", "")  # its kind and key
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(6)

    def event(self, event: QEvent) -> bool:
        done = super().event(event)
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize):
            self._fit()  # never squeezed, not even for a moment
        return done

    def clear(self) -> None:
        """No report."""
        self._end_writing()
        self._fill([])
        self._report = None

    def show_report(self, report: Report, words: Words, active: Collection[str], notes: Sequence[str] = ()) -> None:
        """Follow the report. `active`: the sentences that rest on the selected segment. `notes`: what the model's
        answers and the templates give to note."""
        if self._report is not None and self._report.id != report.id:
            self._end_writing()  # what is being written belongs to another report, maybe of another patient
        can_change, self._report = report.status == "draft", report
        items = list(items_of(report, words, notes))
        if items != self._items or can_change != self._can_change:
            anew, self._can_change = can_change != self._can_change, can_change
            self._fill(items, anew=anew)
        concluded = {id_ for f in report.impression if f.state != "rejected" for id_ in f.linked}
        impression = {f.id for f in report.impression}
        for finding in report.findings:
            row = self.rows[finding.id]
            row.show_finding(
                finding, can_change=can_change, concluded=finding.id in concluded,
                in_impression=finding.id in impression,
            )  # fmt: skip
            row.mark_active(finding.id in active)
        self.settle()

    def ordered_rows(self) -> list[SentenceRow]:
        """The rows from top to bottom."""
        return [self.rows[item.key] for item in self._items if item.kind == "row"]

    def next_row(self, finding_id: str, step: int) -> SentenceRow | None:
        """The row before or after another one."""
        ids = [item.key for item in self._items if item.kind == "row"]
        place = ids.index(finding_id) + step if finding_id in ids else -1
        return self.rows[ids[place]] if 0 <= place < len(ids) else None

    # -- building ------------------------------------------------------------------
    def _fill(self, items: list[Item], *, anew: bool = False) -> None:
        """Lay the page out; what is still there is kept, and so is the keyboard's place. `anew`: only rows are kept."""
        focus = QApplication.focusWidget()
        if self._writing is not None:
            self._column.removeWidget(self._writing)
        for widget in (*self.rows.values(), *self._others.values()):
            self._column.removeWidget(widget)  # with takeAt, the row's height would be remembered for good
        for id_ in self.rows.keys() - {item.key for item in items if item.kind == "row"}:
            remove(self.rows.pop(id_))
        before, self._others, self._items = self._others, {}, items
        kept = {} if anew else {item: before.pop(item) for item in items if item in before}
        for widget in before.values():
            remove(widget)
        for item in items:
            widget = kept.get(item) or self._widget(item)
            if item.kind != "row":
                self._others[item] = widget
            self._column.addWidget(widget)
            widget.show()  # now, not with the next turn of the event loop: then the height is right at once
        self._place_writing()
        if focus is not None and self.isAncestorOf(focus):
            focus.setFocus(Qt.FocusReason.OtherFocusReason)

    def _widget(self, item: Item) -> QWidget:
        if item.kind == "row":
            return self.rows.get(item.key) or self._new_row(item.key)
        made = {"heading": self._heading, "field": self._field, "image": self._image, "add_image": self._add_image}
        return made[item.kind](item) if item.kind in made else label(item.text, "muted")

    def settle(self) -> None:
        """Give every part its height now, so that nothing is squeezed until the event loop comes to it."""
        for widget in (*self.rows.values(), *self._others.values()):
            layout = widget.layout()
            if layout is not None:
                layout.activate()
        self._column.activate()
        self._fit()

    def _fit(self) -> None:
        self.setMinimumHeight(max(self._column.totalHeightForWidth(self.width()), 0))  # -1 without anything in it

    def _new_row(self, finding_id: str) -> SentenceRow:
        assert self._report is not None
        row = SentenceRow(next(f for f in self._report.findings if f.id == finding_id))
        row.asked.connect(self.row_asked)
        row.edited.connect(self.edited)
        row.dismissed.connect(self.dismissed)
        self.rows[finding_id] = row
        return row

    def _heading(self, item: Item) -> QWidget:
        line = QWidget()
        row = QHBoxLayout(line)
        row.setContentsMargins(0, 8, 6, 0)
        row.addWidget(label(item.text.upper(), "heading"), 1)
        assert self._report is not None
        if self._can_change and item.key == IMPRESSION:
            tip = tr("Put an accepted finding into the impression")
            plus = sign_button("+", tip, lambda: self.conclude_wanted.emit(plus))
            row.addWidget(plus)
        elif self._can_change and item.key in {section.key for section in self._report.sections}:
            tip = literal(tr("Write a sentence under “{title}”").format(title=item.text))
            row.addWidget(sign_button("+", tip, lambda: self.write_sentence(item.key)))
        elif self._can_change and item.key in FIELDS:
            tip = tr("Change this text")
            row.addWidget(sign_button("✎", tip, lambda: self.write_field(item.key)))
        return line

    def _field(self, item: Item) -> QWidget:
        return label(item.text)

    def _image(self, item: Item) -> QWidget:
        assert self._report is not None
        image = next(one for one in self._report.key_images if str(id(one)) == item.key)
        row = ImageRow(image, self._can_change)
        row.remove.clicked.connect(lambda checked=False: self.image_removed.emit(image))
        return row

    def _add_image(self, item: Item) -> QWidget:
        tip = tr("Put what the views show now, with its masks, into the report")
        made = button(tr("Add the views as a key image"), "link", tip, self.image_wanted.emit)
        made.setVisible(self._can_change)
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(made)
        row.addStretch(1)
        return holder

    # -- writing ---------------------------------------------------------------------
    def write_sentence(self, heading: str) -> None:
        """Open a field at the end of a heading for a person's own sentence."""
        field = self._begin_writing("", tr("New sentence"), ("heading", heading))
        field.done.connect(lambda text: self.added.emit(heading, text) if text else None)

    def write_field(self, name: str) -> None:
        """Open a field for the technique or the comparison."""
        field = self._begin_writing(getattr(self._report, name), tr("Text"), ("field", name))
        field.done.connect(lambda after: self.written.emit(name, after))

    def _heading_at(self, place: int) -> str:
        return next(item.key for item in reversed(self._items[: place + 1]) if item.kind == "heading")

    def _place_writing(self) -> None:
        """What is being written stays while the report changes around it, as long as its place is there."""
        if self._writing is None:
            return
        kind, key = self._writing_at
        if kind == "field":
            places = [n for n, item in enumerate(self._items) if item.kind == "field" and item.key == key]
        else:
            places = [n for n in range(len(self._items)) if self._heading_at(n) == key]
        if not places or not self._can_change:
            self._end_writing()
            return
        self._column.insertWidget(places[-1] + 1, self._writing)

    def _begin_writing(self, text: str, name: str, at: tuple[str, str]) -> TextField:
        self._end_writing()
        field = self._writing = TextField(text, name)
        self._writing_at = at
        field.done.connect(lambda _: self._end_writing())
        field.given_up.connect(self._end_writing)
        self._place_writing()
        field.edit.setFocus(Qt.FocusReason.OtherFocusReason)
        return field

    def _end_writing(self) -> None:
        if self._writing is not None:
            remove(self._writing)
            self._writing = None
