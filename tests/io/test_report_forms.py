"""Reports as text, HTML, DOCX and PDF: every sentence is there again, and nothing of a name or sentence is executed."""

from __future__ import annotations

import io
import re
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pypdf
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core" / "report"))
from report_kit import NOW, full_report, model_sentence, png, reviewed, scan, with_sentence, words_of

from medviewer.core.errors import OutputNotWritten
from medviewer.core.report import signing
from medviewer.core.report.checklist import identity_line
from medviewer.core.report.document import KeyImage, Language, Mark, Measurement, Report
from medviewer.core.volume import Patient
from medviewer.io import report_docx, report_html, report_pdf, report_text
from medviewer.io.report_layout import clean, flat, lay_out, missing_texts

FORMS = ("txt", "html", "docx", "pdf")
EVIL = "<script>alert(1)</script>\x00=cmd|' /C calc'!A0\u202e&amp;<!--]]>{\\field} (Tj) %PDF"
LONG = "A finding of many words. " * 4000  # 100,000 characters


def written(report: Report, form: str, folder: Path) -> bytes:
    writer = {"txt": report_text, "html": report_html, "docx": report_docx, "pdf": report_pdf}[form]
    path = folder / f"report.{form}"
    writer.write(path, report, words_of(report.language))  # type: ignore[attr-defined]
    assert [p.name for p in folder.iterdir()] == [path.name]
    return path.read_bytes()


def text_of(data: bytes, form: str) -> str:
    readers: dict[str, Callable[[], str]] = {
        "txt": lambda: data.decode("utf-8"), "html": lambda: report_html.text_of(data.decode("utf-8")),
        "docx": lambda: report_docx.text_of(data),
        "pdf": lambda: "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(data)).pages),
    }  # fmt: skip
    return readers[form]()


def sentences(report: Report) -> list[str]:
    """Texts that every form must hold."""
    kept = [finding.text for finding in report.findings if finding.state != "rejected"]
    return [*kept, report.technique, report.comparison, *report.limitations, report.identity.line]


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("form", FORMS)
def test_every_sentence_is_found_again(form: str, language: Language, tmp_path: Path) -> None:
    report = with_sentence(full_report(language), model_sentence("Die Größe der Leber: µ Ω Ж α ≥ 3 cm²."))
    found = flat(text_of(written(report, form, tmp_path), form))
    for sentence in sentences(report):
        assert flat(clean(sentence)) in found, sentence


@pytest.mark.parametrize("form", FORMS)
def test_a_draft_says_that_it_is_not_verified_and_every_form_what_it_is_for(form: str, tmp_path: Path) -> None:
    """clinical.md 20 and 29."""
    found = flat(text_of(written(full_report(), form, tmp_path), form))
    assert flat("AI-assisted draft, not verified") in found
    assert flat("Research use only. Not for diagnosis or treatment decisions.") in found
    german = tmp_path / "de"
    german.mkdir()
    found = flat(text_of(written(full_report("de"), form, german), form))
    assert flat("KI-gestützter Entwurf, nicht geprüft") in found
    assert flat("Research use only. Not for diagnosis or treatment decisions.") in found


def final_report() -> Report:
    words = words_of("en")
    work = signing.accept_measured(reviewed(), NOW)
    work = signing.insert_impression(work, "Measured.", [work.report.findings[0].id], NOW)
    for status in ("preliminary", "final"):
        line = identity_line(work.report, words)
        work = signing.sign(work, status, NOW, words, identity_shown=line)  # type: ignore[arg-type]
    return work.report


@pytest.mark.parametrize("form", FORMS)
def test_a_final_report_names_who_signed_and_that_it_is_no_electronic_signature(form: str, tmp_path: Path) -> None:
    """clinical.md 20."""
    found = flat(text_of(written(final_report(), form, tmp_path), form))
    assert flat("Final: Dr. Example, 2026-01-02T10:00:00Z (name entered, not an electronic signature).") in found
    assert flat("not verified") not in found


@pytest.mark.parametrize("form", FORMS)
def test_the_licence_and_the_weights_of_the_model_are_named(form: str, tmp_path: Path) -> None:
    found = flat(text_of(written(full_report(), form, tmp_path), form))
    for text in ("default 3", "non-commercial research weights", "ab" * 32):
        assert flat(text) in found


@pytest.mark.parametrize("form", FORMS)
def test_rejected_sentences_are_left_out_and_marks_are_shown(form: str, tmp_path: Path) -> None:
    report = with_sentence(full_report(), model_sentence("Rejected words.", state="rejected"))
    marked = model_sentence("Right liver.", id="m9", marks=(Mark("laterality", "There is no side."),))
    found = flat(text_of(written(with_sentence(report, marked), form, tmp_path), form))
    assert flat("Rejected words.") not in found
    assert flat("CHECK: There is no side.") in found
    assert flat("written by writer 1; not yet accepted") in found


@pytest.mark.parametrize("form", FORMS)
def test_headings_without_a_mask_read_not_assessed(form: str, tmp_path: Path) -> None:
    """clinical.md 14."""
    found = text_of(written(full_report(), form, tmp_path), form)
    assert len(re.findall(r"Not assessed by the\s+program", found)) >= 10
    assert "normal" not in found.lower()


# -- injection -------------------------------------------------------------------------------
def evil_report() -> Report:
    patient = Patient(EVIL, "=1+1\x1b[2J", "19500101\u2028", "F", "20260102")
    report = with_sentence(full_report(volume=scan(patient=patient)), model_sentence(EVIL))
    report = report.with_changes(indication=EVIL, key_images=(KeyImage(png(), EVIL),), limitations=(EVIL,))
    return report.with_changes(identity=report.identity.__class__(name=EVIL, patient_id="=1+1\x1b[2J"))


@pytest.mark.parametrize("form", FORMS)
def test_no_control_or_direction_character_reaches_a_file(form: str, tmp_path: Path) -> None:
    text = text_of(written(evil_report(), form, tmp_path), form)
    assert not set(text) & {*map(chr, range(9)), "\x0b", "\x1b", "\u202e", "\u2028", "\u200f"}


@pytest.mark.parametrize("form", FORMS)
def test_strange_names_are_shown_as_they_are(form: str, tmp_path: Path) -> None:
    found = flat(text_of(written(evil_report(), form, tmp_path), form))
    assert flat(clean(EVIL)) in found
    assert flat("<script>alert(1)</script>") in found


def test_html_holds_no_element_of_a_name(tmp_path: Path) -> None:
    class Tags(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.tags: set[str] = set()
            self.outside: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.add(tag)
            links = [value or "" for name, value in attrs if name in ("src", "href", "style", "onload")]
            self.outside += [value for value in links if not value.startswith("data:image/png;base64,")]

    page = written(evil_report(), "html", tmp_path).decode("utf-8")
    reader = Tags()
    reader.feed(page)
    assert "script" not in reader.tags
    assert reader.outside == []
    assert reader.tags <= {
        "html", "head", "meta", "title", "style", "body", "p", "h1", "h2", "h3", "table", "tr", "th", "td", "figure",
        "img", "figcaption", "bdi", "span",
    }  # fmt: skip
    assert "default-src 'none'" in page
    assert "http:" not in page
    assert "https:" not in page


def test_docx_holds_no_field_link_or_macro(tmp_path: Path) -> None:
    archive = zipfile.ZipFile(io.BytesIO(written(evil_report(), "docx", tmp_path)))
    names = set(archive.namelist())
    assert not [name for name in names if "vba" in name.lower() or "embed" in name.lower()]
    body = archive.read("word/document.xml").decode("utf-8")
    assert "instrText" not in body
    assert "fldSimple" not in body
    assert "hyperlink" not in body
    links = archive.read("word/_rels/document.xml.rels").decode("utf-8")
    assert 'TargetMode="External"' not in links


def test_pdf_holds_no_action_script_or_attachment(tmp_path: Path) -> None:
    reader = pypdf.PdfReader(io.BytesIO(written(evil_report(), "pdf", tmp_path)))
    root = reader.trailer["/Root"].get_object()
    assert not {"/OpenAction", "/AA", "/Names", "/AcroForm"} & set(root)
    assert all("/Annots" not in page for page in reader.pages)
    assert EVIL not in str(reader.metadata)
    assert "Doe" not in str(reader.metadata)


def test_text_lines_do_not_start_like_a_formula(tmp_path: Path) -> None:
    lines = written(evil_report(), "txt", tmp_path).decode("utf-8").splitlines()
    assert not [line for line in lines if re.match(r"[=+@\-]\w", line)]


FORMULAS = (
    "=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", '= HYPERLINK("http://a")', "\t=1+1", "==1", "Fine.\n=1+1",
)  # fmt: skip


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_sentence_like_a_formula_stays_text_in_every_form(formula: str, tmp_path: Path) -> None:
    report = with_sentence(full_report(indication=formula), model_sentence(formula))
    report = report.with_changes(comparison=formula, identity=replace(report.identity, name=formula))
    for form in FORMS:
        found = text_of(written(report, form, tmp_path), form)
        told = re.sub(r"^'(?=[=+@\-])", "", found, flags=re.MULTILINE)
        assert flat(told).count(flat(clean(formula))) >= 3
        (tmp_path / f"report.{form}").unlink()
    lines = text_of(written(report, "txt", tmp_path), "txt").splitlines()
    assert not [line for line in lines if re.match(r"[=+@\-]\s*[\w'\"(]", line)]
    assert "'" + clean(formula).splitlines()[-1] in lines


def test_a_list_of_a_person_and_the_lines_under_headings_are_no_formulas(tmp_path: Path) -> None:
    text = written(full_report(indication="- pain\n-- left"), "txt", tmp_path).decode("utf-8")
    assert "\n- pain\n-- left\n" in text
    assert "\nFindings\n========\n" in text


@pytest.mark.parametrize("form", FORMS)
def test_every_group_of_a_name_is_shown_for_people(form: str, tmp_path: Path) -> None:
    """clinical.md 10: as words, not as DICOM writes it; the ideographs, too."""
    names = {
        "Doe^Jane^^Dr.": "Doe, Jane, Dr. · 4711",
        "Müller^Jörg=מולר^יורג": "Müller, Jörg = מולר, יורג",
        "Yamada^Tarou=山田^太郎=やまだ^たろう": "Yamada, Tarou = 山田, 太郎 = やまだ, たろう",
        "D\x1b[2Joe\x00^Ja\u202ene": "D [2Joe, Ja ne · 4711",
    }
    for name, shown in names.items():
        report = full_report()
        report = report.with_changes(identity=replace(report.identity, name=name))
        found = text_of(written(report, form, tmp_path), form)
        (tmp_path / f"report.{form}").unlink()
        assert not set(found) & {"^", "\x00", "\x1b", "\u202e"}
        if form == "pdf" and not shown.isascii():  # its font lacks ideographs, and turns what is read from the right
            assert flat(shown.split(" = ")[0]) in flat(found)
        else:
            assert flat(shown) in flat(found)


# -- size, scripts, pictures ---------------------------------------------------------------------
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", [LONG, "x" * 100_000], ids=["words", "one word"])
def test_a_text_of_100_000_characters_is_written_whole(form: str, text: str, tmp_path: Path) -> None:
    report = full_report().with_changes(indication=text)
    found = text_of(written(report, form, tmp_path), form)
    letters = "x" if text[0] == "x" else "findg"
    assert sum(flat(found).count(letter) for letter in letters) >= sum(text.count(letter) for letter in letters)


@pytest.mark.parametrize("form", FORMS)
def test_hebrew_and_arabic_are_found_again(form: str, tmp_path: Path) -> None:
    hebrew, arabic = "שלום עולם", "مرحبا"
    report = full_report(indication=f"{hebrew} 12 ml.").with_changes(comparison=arabic)
    found = flat(text_of(written(report, form, tmp_path), form))
    for word in (*hebrew.split(), arabic):
        assert flat(word) in found or flat(word[::-1]) in found


@pytest.mark.parametrize("text", ["שלום " * 20_000, "ש" * 100_000], ids=["words", "one word"])
def test_a_long_text_read_from_the_right_is_written_whole(text: str, tmp_path: Path) -> None:
    found = text_of(written(full_report(indication=text), "pdf", tmp_path), "pdf")
    assert found.count("ש") == text.count("ש")


def test_pdf_tells_of_characters_that_its_font_lacks(tmp_path: Path) -> None:
    found = text_of(written(full_report(indication="山田"), "pdf", tmp_path), "pdf")
    assert "[U+5C71][U+7530]" in found
    assert "Characters that this font cannot show" in found
    (tmp_path / "report.pdf").unlink()
    assert "cannot show" not in text_of(written(full_report(), "pdf", tmp_path), "pdf")


def test_every_page_of_the_pdf_has_its_number_and_the_identity(tmp_path: Path) -> None:
    data = written(full_report().with_changes(indication=LONG[:20_000]), "pdf", tmp_path)
    pages = [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(data)).pages]
    assert len(pages) > 3
    for number, page in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in page
        assert "Doe, Jane · 4711" in page
        assert "not verified" in page


def test_the_key_images_are_in_the_files(tmp_path: Path) -> None:
    report = full_report()
    page = written(report, "html", tmp_path).decode("utf-8")
    assert page.count("data:image/png;base64,") == 1
    (tmp_path / "report.html").unlink()
    reader = pypdf.PdfReader(io.BytesIO(written(report, "pdf", tmp_path)))
    assert sum(len(page.images) for page in reader.pages) == 1
    (tmp_path / "report.pdf").unlink()
    names = zipfile.ZipFile(io.BytesIO(written(report, "docx", tmp_path))).namelist()
    assert len([name for name in names if name.startswith("word/media/")]) == 1


@pytest.mark.parametrize("form", FORMS)
def test_the_table_holds_the_numbers_that_sentences_rest_on(form: str, tmp_path: Path) -> None:
    spare = Measurement("volume", 777.0, "ml", "voxel_count", ("liver",), "liver")
    report = full_report()
    report = report.with_changes(measurements=(*report.measurements, spare))
    found = text_of(written(report, form, tmp_path), form)
    assert "777 ml" not in found
    assert "1450 ml" in found


@pytest.mark.parametrize("form", FORMS)
def test_a_long_cell_of_a_table_is_written_whole(form: str, tmp_path: Path) -> None:
    report = full_report()
    numbers = (replace(report.measurements[0], method="A long method. " * 800), *report.measurements[1:])
    found = text_of(written(report.with_changes(measurements=numbers), form, tmp_path), form)
    assert flat(found).count("Alongmethod.") >= 790  # a foot of a page may stand within one


def test_the_fonts_are_embedded(tmp_path: Path) -> None:
    reader = pypdf.PdfReader(io.BytesIO(written(full_report(), "pdf", tmp_path)))
    fonts = [font.get_object() for page in reader.pages for font in page["/Resources"]["/Font"].values()]
    used = [font for font in fonts if "DejaVu" in str(font["/BaseFont"])]
    assert used
    assert all("/FontFile2" in font["/FontDescriptor"] and "/ToUnicode" in font for font in used)


@pytest.mark.parametrize("form", ["html", "docx", "pdf"])
def test_a_key_image_that_is_no_picture_is_refused_and_the_old_file_kept(form: str, tmp_path: Path) -> None:
    before = written(full_report(), form, tmp_path)
    with pytest.raises(OutputNotWritten, match="no PNG"):
        written(full_report().with_changes(key_images=(KeyImage(b"<svg onload=x>", "x"),)), form, tmp_path)
    assert (tmp_path / f"report.{form}").read_bytes() == before


@pytest.mark.parametrize("form", ["html", "docx", "pdf"])
def test_a_damaged_picture_is_refused(form: str, tmp_path: Path) -> None:
    with pytest.raises(OutputNotWritten, match="damaged"):
        written(full_report().with_changes(key_images=(KeyImage(png()[:40], "x"),)), form, tmp_path)


def test_a_lost_sentence_is_noticed() -> None:
    blocks = lay_out(full_report(), words_of("en"))
    whole = "\n".join(text for block in blocks for text in block.texts)
    assert missing_texts(blocks, whole) == []
    lost = whole.replace("Left kidney", "Right kidney")
    assert any("Left kidney" in text for text in missing_texts(blocks, lost))


def test_an_empty_identity_says_so(tmp_path: Path) -> None:
    report = full_report(volume=scan(patient=Patient(), facts={}))
    assert "Patient: no identity recorded" in written(report, "txt", tmp_path).decode("utf-8")


def test_what_most_sentences_are_is_told_once() -> None:
    blocks = lay_out(full_report(), words_of("en"))
    assert [b.text for b in blocks].count(words_of("en").phrase("sentences")) == 1
    assert all(b.note == "" for b in blocks if b.kind == "sentence" and "volume" in b.text)
    marked = with_sentence(full_report(), model_sentence("A sentence of a model."))
    (note,) = [b.note for b in lay_out(marked, words_of("en")) if b.text == "A sentence of a model."]
    assert "written by" in note


def test_the_masks_of_one_model_stand_together_in_the_provenance() -> None:
    origin = full_report().provenance[0]
    others = tuple(replace(origin, prompt=prompt, created=prompt) for prompt in ("liver", "spleen"))
    by_hand = replace(origin, model_id="", prompt="")
    blocks = lay_out(full_report().with_changes(provenance=(*others, by_hand)), words_of("en"))
    tables = [b.rows for b in blocks if b.kind == "rows" and b.rows[0][0] == "Model"]
    assert len(tables) == 2
    assert ("Prompt", "liver; spleen") in tables[0]
