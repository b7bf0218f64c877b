"""`batch`: the rules of the table, one reading of each scan, going on after an interruption."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from medviewer.plugin_host import segmenting
from medviewer.services import open_data

FIELDS = ["row", "scan", "prompt", "out", "answer", "found", "presence", "volume_ml", "seconds", "error",
          "model", "licence"]


@pytest.fixture
def batch(run: Any, tmp_path: Path) -> Any:
    def call(rows: list[list[str]], *more: str, header: tuple[str, ...] = ("scan", "prompt", "out")) -> Any:
        table = tmp_path / "jobs.csv"
        with table.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
        return run("batch", table, "--out", tmp_path / "out", "--plugin", "example_threshold", "--json", *more)

    return call


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often a scan was read and a prompt was asked."""
    counts = {"open": 0, "ask": 0}
    open_volume, segment_with = open_data.open_volume, segmenting.segment_with

    def count_open(*args: Any, **kwargs: Any) -> Any:
        counts["open"] += 1
        return open_volume(*args, **kwargs)

    def count_ask(*args: Any, **kwargs: Any) -> Any:
        counts["ask"] += 1
        return segment_with(*args, **kwargs)

    monkeypatch.setattr(open_data, "open_volume", count_open)
    monkeypatch.setattr(segmenting, "segment_with", count_ask)
    return counts


def test_one_mask_per_row_and_one_reading_per_scan(
    batch: Any, scan: Path, picture: Path, tmp_path: Path, counted: dict[str, int]
) -> None:
    ran = batch(
        [
            [scan.name, "bone", "a/bone.nii.gz"],
            [picture.name, "bone", "picture.png"],
            [str(scan), "liver; spleen, left", "liver.nii.gz"],
        ]
    )
    assert ran.status == 0, ran.err
    results = ran.document["results"]
    assert [list(result) for result in results] == [FIELDS] * 3
    assert [result["row"] for result in results] == [1, 2, 3]
    assert results[0]["found"] is True
    assert results[0]["volume_ml"] == pytest.approx(18 * 12 / 1000)
    assert results[2]["prompt"] == "liver; spleen, left"
    assert [result["error"] for result in results] == [None] * 3
    assert counted == {"open": 2, "ask": 3}
    bone = np.asarray(nibabel.load(tmp_path / "out" / "a" / "bone.nii.gz").dataobj)
    assert (set(np.unique(bone)), int(bone.sum())) == ({0, 1}, 18)
    assert not np.asarray(nibabel.load(tmp_path / "out" / "liver.nii.gz").dataobj).any()


def test_a_2d_image_gives_a_png_of_its_size(batch: Any, picture: Path, tmp_path: Path) -> None:
    from PIL import Image

    ran = batch([[picture.name, "bone", "picture_mask"]])
    assert ran.document["results"][0]["out"] == "picture_mask.png"
    with Image.open(tmp_path / "out" / "picture_mask.png") as mask:
        assert mask.size == (12, 7)
        assert set(np.unique(np.asarray(mask))) <= {0, 255}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (["missing.nii.gz", "bone", "x.nii.gz"], "does not exist"),
        (["", "bone", "x.nii.gz"], "scan is empty"),
        (["ct_scan.nii.gz", "", "x.nii.gz"], "prompt is empty"),
        (["ct_scan.nii.gz", "bone", "../x.nii.gz"], "inside the folder"),
        (["ct_scan.nii.gz", "bone", "/tmp/x.nii.gz"], "inside the folder"),
        (["ct_scan.nii.gz", "bone", "x.mha"], "ending"),
        (["ct_scan.nii.gz", "bone", "good.nii.gz"], "already writes"),
        (["ct_scan.nii.gz", "kidney", "right", "x.nii.gz"], "more cells"),
        (["jobs.csv", "bone", "x.nii.gz"], ""),
    ],
)
def test_a_bad_row_is_reported_and_the_rest_goes_on(
    batch: Any, scan: Path, tmp_path: Path, row: list[str], said: str
) -> None:
    ran = batch([[scan.name, "bone", "good.nii.gz"], row, [scan.name, "liver", "last.nii.gz"]])
    assert ran.status == 0, ran.err
    first, bad, last = ran.document["results"]
    assert bad["error"]
    assert said in bad["error"]
    assert bad["answer"] is None
    assert (first["error"], last["error"]) == (None, None)
    assert (tmp_path / "out" / "last.nii.gz").is_file()
    assert not (tmp_path / "x.nii.gz").exists()


def test_resume_skips_what_is_valid_and_repeats_what_is_not(
    batch: Any, scan: Path, tmp_path: Path, counted: dict[str, int]
) -> None:
    rows = [[scan.name, "bone", f"{name}.nii.gz"] for name in "abcd"]
    before = batch(rows).document
    out = tmp_path / "out"
    (out / "a.nii.gz").write_bytes((out / "a.nii.gz").read_bytes()[:60])
    (out / "b.nii.gz").unlink()
    rows[2][1] = "liver"
    counted.update(open=0, ask=0)
    after = batch(rows, "--resume").document
    assert counted == {"open": 1, "ask": 3}
    assert after["results"][3] == before["results"][3]
    assert after["results"][0]["found"] is True
    assert after["results"][2]["found"] is False
    counted.update(open=0, ask=0)
    assert batch(rows, "--resume").document == after
    assert counted == {"open": 0, "ask": 0}


@pytest.mark.parametrize("kind", ["volume", "picture"])
def test_resume_keeps_a_fitting_mask_that_another_run_left(
    batch: Any, scan: Path, picture: Path, tmp_path: Path, counted: dict[str, int], kind: str
) -> None:
    row = [[scan.name, "bone", "a.nii.gz"]] if kind == "volume" else [[picture.name, "bone", "a.png"]]
    batch(row)
    (tmp_path / "out" / ".medviewer-batch.jsonl").unlink()
    counted.update(open=0, ask=0)
    (result,) = batch(row, "--resume").document["results"]
    assert counted["ask"] == 0
    assert result["error"] is None
    shutil.copy(picture if kind == "picture" else scan, tmp_path / "out" / row[0][2])
    batch(row, "--resume")
    assert counted["ask"] == 1  # what lay there is no mask


def test_an_interrupted_batch_goes_on_where_it_stopped(
    batch: Any, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [[scan.name, "bone", f"{name}.nii.gz"] for name in "abc"]
    asked: list[str] = []
    segment_with = segmenting.segment_with

    def interrupted(plugin: str, volume: Any, request: Any, *rest: Any) -> Any:
        asked.append(request.prompt)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return segment_with(plugin, volume, request, *rest)

    monkeypatch.setattr(segmenting, "segment_with", interrupted)
    first = batch(rows)
    assert (first.status, first.document["error"]["code"]) == (130, "cancelled")
    assert sorted(path.name for path in (tmp_path / "out").glob("*.nii.gz")) == ["a.nii.gz"]
    second = batch(rows, "--resume")
    assert second.status == 0
    assert len(asked) == 4
    assert "row 3: bone: found" in second.err


@pytest.mark.parametrize("content", ["", "scan,prompt\n", "scan;prompt;out\n", "\x00\xff"])
def test_a_table_that_is_none_is_refused(run: Any, tmp_path: Path, content: str) -> None:
    table = tmp_path / "jobs.csv"
    table.write_text(content, encoding="latin-1")
    ran = run("batch", table, "--out", tmp_path / "out", "--plugin", "example_threshold", "--json")
    assert (ran.status, ran.document["error"]["code"]) == (3, "input-refused")


def test_a_table_with_a_byte_order_mark_and_series(run: Any, scan: Path, tmp_path: Path) -> None:
    table = tmp_path / "jobs.csv"
    table.write_text(f"\ufeffScan,Prompt,Out,Series\n{scan.name},bone,a.nii.gz,{scan.name}\n", encoding="utf-8")
    ran = run("batch", table, "--out", tmp_path / "out", "--plugin", "example_threshold", "--json")
    assert ran.document["results"][0]["error"] is None


def test_an_output_folder_that_cannot_be_made(run: Any, scan: Path, tmp_path: Path) -> None:
    table = tmp_path / "jobs.csv"
    table.write_text(f"scan,prompt,out\n{scan.name},bone,a.nii.gz\n")
    ran = run("batch", table, "--out", scan / "inside", "--plugin", "example_threshold", "--json")
    assert ran.status == 5


def test_the_table_for_people(run: Any, scan: Path, tmp_path: Path) -> None:
    table = tmp_path / "jobs.csv"
    table.write_text(f"scan,prompt,out\n{scan.name},bone,a.nii.gz\nnone.nii,bone,b.nii.gz\n")
    ran = run("batch", table, "--out", tmp_path / "out", "--plugin", "example_threshold")
    assert ran.status == 0
    assert ran.out.splitlines()[-1] == "2 rows: 1 done, 0 kept, 1 failed"
