"""Reports as JSON: nothing lost, damage refused."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core" / "report"))
from report_kit import NOW, full_report, model_sentence, png, with_sentence

from medviewer.core.errors import InputRefused, OutputNotWritten
from medviewer.core.provenance import Provenance
from medviewer.core.report import signing
from medviewer.core.report.audit import Reviewed
from medviewer.core.report.document import Evidence, Finding, KeyImage, Mark, Measurement
from medviewer.io import report_json

STRANGE = "Zoë \u05e9\u05dc\u05d5\u05dd <b>&\"'\\ \n\t\u202e 𝔸 \x07 ="


def rich() -> Reviewed:
    """A report in which every field of the contract has a value that is not its default."""
    report = with_sentence(full_report(), model_sentence(STRANGE, marks=(Mark("prior", "No prior.", (2, 5)),)))
    measurement = Measurement(
        "long_axis", 12.3456789012345678, "mm", STRANGE, ("a", "b"), "liver", "left", ((1.0, -2.5, 1e-9),), 7, "why",
        ("incomplete",), "1-2 mm (A 2020)", "m",
    )  # fmt: skip
    evidence = Evidence("box", "a", "m", (1.0, 2.0, 3.0), False, ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), 3, "v")
    provenance = Provenance("MANUAL", "x", "1", "ff", STRANGE, {"steps": [1, 2.5, None, {"a": True}]}, "0.1", "now",
                            ("cut",), ("below threshold",), "CC")  # fmt: skip
    report = with_sentence(report, Finding("Box.", "liver", (evidence,), changed=True, linked=("z",), side="left"))
    report = report.with_changes(
        measurements=(*report.measurements, measurement, Measurement("volume", None, "ml", "", reason="cut")),
        provenance=(*report.provenance, provenance), key_images=(KeyImage(png(), STRANGE, ("f",), "1.2.3"),),
        facts={"projection": "PA (DICOM)", STRANGE: STRANGE},
    )  # fmt: skip
    work = signing.edit(Reviewed(report), report.findings[0].id, STRANGE, NOW)
    return Reviewed(work.report, work.trail, (full_report(),))


def saved(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    path = tmp_path / "report.json"
    report_json.write(path, rich())
    return path, json.loads(path.read_text("utf-8"))


def test_nothing_is_lost(tmp_path: Path) -> None:
    work, path = rich(), tmp_path / "r.json"
    report_json.write(path, work)
    found = report_json.read(path)
    assert found == work
    assert type(found.report.measurements[0].value) is float
    assert found.report.key_images[0].png == work.report.key_images[0].png


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    work = rich()
    assert report_json.render(work) == report_json.render(work)


def test_the_file_names_format_and_schema(tmp_path: Path) -> None:
    _, document = saved(tmp_path)
    assert (document["format"], document["schema"]) == ("medviewer report", 1)


def test_a_report_that_was_not_yet_linked_is_read(tmp_path: Path) -> None:
    """A field that a later version added has its default."""
    path, document = saved(tmp_path)
    for section in document["content"]["report"]["sections"]:
        for finding in section["findings"]:
            del finding["linked"]
    rewrite(path, document)
    assert report_json.read(path).report.findings[0].linked == ()


def rewrite(path: Path, document: dict[str, Any], *, honest: bool = True) -> None:
    if honest:
        document["sha256"] = report_json._checksum(document["content"])
    path.write_text(json.dumps(document), "utf-8")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("report", "status"), "verified"), (("report", "status"), 3), (("report", "version"), "1"),
        (("report", "version"), True), (("report", "sections"), {}), (("report", "identity"), None),
        (("report", "unknown"), 1), (("report", "facts"), {"a": 1}), (("report", "key_images", 0, "png"), "no base64!"),
        (("report", "measurements", 0, "value"), "12"), (("report", "measurements", 0, "points"), [[1, 2]]),
        (("trail", 0, "action"), "forge"), (("report", "signatures"), [{"name": "x"}]), (("report",), None),
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_refused(tmp_path: Path, place: tuple[Any, ...], value: Any) -> None:
    path, document = saved(tmp_path)
    target = document["content"]
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    rewrite(path, document)
    with pytest.raises(InputRefused, match="damaged"):
        report_json.read(path)


def test_a_number_changed_by_hand_is_noticed(tmp_path: Path) -> None:
    path, document = saved(tmp_path)
    document["content"]["report"]["measurements"][0]["value"] = 1.0
    rewrite(path, document, honest=False)
    with pytest.raises(InputRefused, match="changed by hand"):
        report_json.read(path)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", "{\"format\": \"medviewer report\"}", "[" * 100_000, "\x00\xff", "NaN",
     '{"format": "medviewer report", "schema": 1, "schema": 1}', '{"format": "medviewer report", "schema": true}'],
)  # fmt: skip
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text, "latin-1")
    with pytest.raises(InputRefused, match=r"r\.json is damaged"):
        report_json.read(path)


def test_any_cut_or_flipped_byte_is_refused(tmp_path: Path) -> None:
    path, _ = saved(tmp_path)
    data = path.read_bytes()
    drawn = random.Random(5)
    for _ in range(40):
        place = drawn.randrange(len(data) - 200)
        for bad in (data[:place], data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]):
            path.write_bytes(bad)
            try:
                found = report_json.read(path)
            except InputRefused:
                continue
            assert found == report_json.parse(data, "r.json")  # only the white space or the name of a key differs


def test_a_newer_schema_is_named(tmp_path: Path) -> None:
    path, document = saved(tmp_path)
    rewrite(path, document | {"schema": 99})
    with pytest.raises(InputRefused, match="newer medviewer"):
        report_json.read(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_hold_is_refused_and_the_old_file_kept(tmp_path: Path, value: float) -> None:
    path, _ = saved(tmp_path)
    before = path.read_bytes()
    report = full_report().with_changes(measurements=(Measurement("volume", value, "ml", "x"),))
    with pytest.raises(OutputNotWritten, match="number or a character"):
        report_json.write(path, Reviewed(report))
    assert path.read_bytes() == before


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="cannot be read"):
        report_json.read(tmp_path / "none.json")
