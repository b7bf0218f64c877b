"""From answers to bars, files and plots; which scans are measured; the record of looks."""

from __future__ import annotations

import csv
import json
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medviewer.core.errors import InputRefused, ModelMissing, WrongUsage
from medviewer.core.prediction import Answer, Prediction
from medviewer.core.prompts import ParsedPrompt
from medviewer.core.volume import Volume
from training import evaluate
from training.data.dev_cases import Case, chosen_rows, manifest_cases
from training.data.samples import in_validation, read_rows
from training.data.terms import load_terminology
from training.evaluation import jobs, looks, more_tables
from training.evaluation.bars import Bar, bar_table, click_bars, judged, side_bar
from training.evaluation.clicks import CASES_PER_SET, ClickRun
from training.evaluation.intervals import Interval
from training.evaluation.jobs import Job, Measured, plan_jobs
from training.evaluation.options import SHIPPED, Options
from training.evaluation.scores import Score, overall, summarise
from training.evaluation.sides import SideAnswer
from training.evaluation.writing import csv_text, screen_table


def score(dice: float | None, unit: str, *, set_name: str = "xray/jsrt_scr", structure: str = "lung", key: str = "k",
          found: bool = True, presence: float | None = 0.9, answer: str = "found") -> Score:  # fmt: skip
    return Score(set_name, "XR", structure, dice, presence, found, answer, key, unit, "patients", "picture",
                 dice, 2.0 if found else None, "px")


# -- bars --------------------------------------------------------------------------------------------------------------
def verdicts(result: float | None, units: int, **changes: Any) -> str:
    wide = Interval(0.1, 0.99, units) if units >= 5 else Interval(None, None, units)
    return judged("x", 0.9, result, units, wide, "patients", **changes).verdict


def test_verdicts() -> None:
    assert verdicts(0.9, 5) == "pass"
    assert verdicts(0.899, 5) == "fail"
    assert verdicts(0.95, 4) == "n < 5"
    assert verdicts(None, 0) == "no cases"
    assert verdicts(0.1, 9, at_least=False) == "pass"
    assert verdicts(0.95, 9, at_least=False) == "fail"
    assert verdicts(0.95, 9, reported=True) == "reported"
    assert judged("x", 0.9, 0.95, 4, Interval(None, None, 4), "patients").note == "at target"
    assert judged("x", 0.9, 0.95, 9, Interval(0.91, 0.97, 9), "patients").clear
    assert judged("x", 0.9, 0.95, 9, Interval(0.89, 0.97, 9), "patients").clear is False


def bars_of(scores: Sequence[Score], **extra: Any) -> dict[str, Bar]:
    return {bar.what: bar for bar in bar_table(Measured(list(scores)), extra)}


def test_every_bar_of_the_file_is_in_the_table() -> None:
    bars = bars_of([])
    assert len(bars) == 17 + 9
    assert {bar.verdict for bar in bars.values()} == {"no cases"}
    assert "no cases" in screen_table(list(bars.values()))


def test_slices_of_few_patients_are_not_judged() -> None:
    scores = [score(0.96, f"p{n % 3}", set_name="ct/abdomen_curvas", structure="liver") for n in range(17)]
    bar = bars_of(scores)["abdominal CT slices CURVAS: liver: Dice"]
    assert (bar.n, bar.units, bar.low, bar.verdict, bar.note) == (17, 3, None, "n < 5", "at target")


def test_the_bar_of_brats_takes_flair_only() -> None:
    base = {"set_name": "mr3d/brats2013", "structure": "brain tumor"}
    scores = [score(0.8, "a", key="x_Flair.nii.gz", **base), score(0.1, "a", key="x_T1c.nii.gz", **base)]  # type: ignore[arg-type]
    bar = bars_of(scores)["BraTS volume, FLAIR: whole tumour (3D): Dice"]
    assert (bar.n, bar.result) == (1, 0.8)


def test_a_term_that_was_not_trained_says_so() -> None:
    scores = [score(0.0, f"{n}", found=False, presence=None, answer="not trained for this term") for n in range(6)]
    bar = bars_of(scores)["chest X-ray JSRT: lungs: Dice"]
    assert (bar.verdict, bar.note) == ("fail", "not trained in 6")


def test_bars_of_wordings_and_terms() -> None:
    drops = {"lung": 0.0, "heart": 0.02, "liver": 0.0, "kidney": 0.0, "pancreas": 0.08, "thalamus": 1.0}
    wordings = [{"structure": name, "drop": drop, "read_as": name} for name, drop in drops.items() for _ in range(5)]
    unknown = [{"trained": False, "refused": n > 0} for n in range(50)]
    unknown += [{"trained": True, "refused": n == 0} for n in range(20)]
    bars = bars_of([], wordings=wordings, unknown=unknown)
    drop = bars["unseen wordings: mean drop of Dice"]
    assert drop.result == pytest.approx(0.02), "only structures of the Dice bars count"
    assert (drop.verdict, drop.n, drop.units) == ("pass", 25, 5)
    assert bars['untrained terms answered "not trained for this term"'].result == pytest.approx(0.98)
    assert bars['trained terms wrongly answered "not trained"'].verdict == "fail"


def test_bars_of_clicks_and_sides() -> None:
    run = ClickRun("a", "liver", "k", "1", "patients", (0.5, 0.8, 0.9, 0.9, 0.9, 1.0), (100, 50, 40, 30, 20, 0))
    other = replace(run, set="b", unit="2", dice=(0.5, 0.5, 0.5, 0.5, 0.5, 0.6), errors=(100,) * 6)
    many = [replace(run, unit=f"{n}", key=f"{n}") for n in range(8)]
    fall, five = click_bars(Measured(clicks=[*many, other]), {"one_click_fall": 0.3, "five_clicks_dice": 0.9})
    assert fall.result == pytest.approx(8 * 0.5 / 9)
    assert five.result == pytest.approx((1.0 + 0.6) / 2), "sets count alike"
    assert five.verdict == "fail"
    right = [SideAnswer("a", "lung", "left", f"{n}", True, "found", 100, 3) for n in range(6)]
    assert side_bar(right, 0).verdict == "pass"
    assert side_bar([*right, replace(right[0], named=3, other=100)], 0).verdict == "fail"


def test_rows_keep_the_layout_that_bundles_are_described_with() -> None:
    scores = [score(0.9, f"{n}") for n in range(5)] + [score(0.0, "6", found=False, presence=0.1)]
    scores += [score(None, "7", structure="liver", found=False, presence=0.2)]
    report = summarise(scores)
    row = report["rows"][0]
    assert (row["set"], row["structure"], row["n"], row["found"], row["no_mask"]) == ("xray/jsrt_scr", "lung", 6, 5, 1)
    assert row["dice"] == pytest.approx(0.75)
    assert row["low"] < 0.75 < row["high"]
    assert (row["units"], row["unit"], row["hd95"], row["hd95_n"], row["length"]) == (6, "patients", 2.0, 5, "px")
    assert report["terms"] == {"lung": {"XR": {"dice": 0.75, "n": 6}}}
    assert report["absent"] == {"n": 1, "found": 0}
    assert overall(report, {"lung": 12})["mean_dice"] == pytest.approx(0.75)
    assert overall(report, {"lung": 2})["mean_dice"] is None


# -- which scans -------------------------------------------------------------------------------------------------------
def test_held_rows_are_train_rows_that_training_leaves_out(shared_data: Path) -> None:
    held = {row["path"] for row in chosen_rows(shared_data, "held")}
    train = read_rows(shared_data, "train")
    counts: dict[str, int] = {}
    for row in train:
        counts[row["set"]] = counts.get(row["set"], 0) + 1
    assert held
    assert held <= {row["path"] for row in train if in_validation(row["path"], counts[row["set"]])}
    assert not held & {row["path"] for row in chosen_rows(shared_data, "dev")}
    assert {row["licence_tier"] for row in chosen_rows(shared_data, "held", tiers=["A"])} == {"A"}


def test_truth_absence_and_patients_of_real_rows(shared_data: Path) -> None:
    rows = chosen_rows(shared_data, "held", ["ct/abdomen_curvas", "xray/jsrt_scr", "us/breast_busi"], 4)
    for case in manifest_cases(shared_data, rows):
        assert not set(case.absent) & set(case.truths)
        assert all(mask.shape == case.volume.shape and mask.any() for mask in case.truths.values())
        assert (case.unit_kind == "images") == (case.set == "us/breast_busi")
        if case.set == "xray/jsrt_scr":
            left, right = case.sides["lung"]
            assert np.argwhere(left)[:, 0].mean() > np.argwhere(right)[:, 0].mean(), "as chest X-rays are displayed"
            assert np.array_equal(left | right, case.truths["lung"])
        trunk = {"rib", "aorta", "vertebra", "upper vertebrae", "spine"}
        assert case.set == "us/breast_busi" or not trunk & set(case.absent), "a chest or an abdomen may show them"
    rows = chosen_rows(shared_data, "dev", ["ct/abdomen_curvas"])
    assert len({case.patient for case in manifest_cases(shared_data, rows)}) == 3


def test_clicks_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"set": "many", "path": f"{n}"} for n in range(30)] + [{"set": "few", "path": f"f{n}"} for n in range(2)]
    monkeypatch.setattr(jobs, "chosen_rows", lambda *_: rows)
    monkeypatch.setattr(Options, "is_own", False)
    planned = plan_jobs(Options(Path("none")))
    many = [job.clicks for job in planned if job.row and job.row["set"] == "many"]
    assert sum(many) == CASES_PER_SET
    assert [job.clicks for job in planned if job.row and job.row["set"] == "few"] == [4, 4]
    assert [job.phantom for job in planned if job.phantom is not None] == [0, 9101]
    assert [job for job in plan_jobs(Options(Path("none"), sets=("many",))) if job.phantom is not None] == []


# -- a run -------------------------------------------------------------------------------------------------------------
class Bright:
    """Finds what is bright, in every picture, whatever it is asked."""

    @classmethod
    def load(cls, *_: object) -> Bright:
        return cls()

    def segment(self, volume: Volume, prompt: ParsedPrompt, **_: object) -> Prediction:
        mask = volume.luminance() > 128
        found = Answer.FOUND if mask.any() else Answer.NOT_FOUND
        return Prediction(prompt.text, found, mask, presence=0.9 if mask.any() else 0.1)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Seven pictures with a bright disc, outlined; the last one shows nothing."""
    for part in ("images", "masks"):
        (tmp_path / "own" / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(8):
        picture = rng.integers(0, 90, (48, 40), np.uint8)
        mask = np.zeros((48, 40), np.uint8)
        if number < 7:
            mask[10:30, 8 : 20 + number] = 255
            picture[10:30, 8:24] = 220
        Image.fromarray(picture).save(tmp_path / "own" / "images" / f"case{number}.png")
        Image.fromarray(mask).save(tmp_path / "own" / "masks" / f"case{number}.png")
    return tmp_path / "own"


@pytest.fixture
def bright(monkeypatch: pytest.MonkeyPatch) -> None:
    info = SimpleNamespace(
        id="bright", version="1", weights_sha256="0" * 64, threshold=0.5, slice_threshold=0.5, terms={}
    )
    monkeypatch.setattr(jobs, "TextSegmenter", Bright)
    monkeypatch.setattr(evaluate, "read_info", lambda _: info)
    monkeypatch.setattr(more_tables, "TextSegmenter", Bright)


@pytest.mark.usefixtures("bright")
def test_a_users_folder_is_measured_and_written(own: Path, tmp_path: Path) -> None:
    said: list[str] = []
    out = tmp_path / "figures"
    report = evaluate.run(Options(own, out=out, prompt="bright disc", say=said.append))
    (row,) = report["rows"]
    assert (row["structure"], row["n"], row["absent_n"], row["absent_found"]) == ("bright disc", 7, 1, 0)
    wanted = [2 * 16 * min(12 + n, 16) / 16 / (16 + 12 + n) for n in range(7)]
    assert row["dice"] == pytest.approx(np.mean(wanted), abs=1e-3)
    assert row["low"] < row["dice"] < row["high"]
    assert "bright disc" in said[0]
    read = json.loads((out / "results.json").read_text())
    assert read["rows"] == report["rows"]
    assert {"rows", "terms", "absent", "overall", "presence", "clicks"} <= set(read)
    assert read["presence"][0]["auc"] == 1.0
    assert read["overall"]["mean_dice"] is None
    assert "bright disc" in (out / "report.md").read_text()
    with (out / "rows.csv").open(newline="") as file:
        assert float(next(csv.DictReader(file))["dice"]) == row["dice"]
    for name in ("dice.png", "reliability.png", "clicks.png"):
        with Image.open(out / name) as picture:
            assert min(picture.size) > 100


@pytest.mark.usefixtures("bright")
def test_wrong_options_are_told(own: Path, shared_data: Path) -> None:
    with pytest.raises(WrongUsage, match="colours"):
        evaluate.run(Options(own, tables=("colours",), prompt="disc"))
    with pytest.raises(WrongUsage, match="purpose"):
        evaluate.run(Options(shared_data))
    with pytest.raises(InputRefused):
        evaluate.run(Options(own.parent / "nothing", prompt="disc"))
    with pytest.raises(ModelMissing, match="no model"):
        evaluate.run(Options(own, bundle=Path("no-such-model"), prompt="disc"))


def test_the_command_line(tmp_path: Path) -> None:
    text = f"--data {tmp_path} --tables bars,sides --split held --sets a,b --parts 2"
    options = evaluate.parse(text.split())
    assert (options.tables, options.split, options.sets, options.parts) == (("bars", "sides"), "held", ("a", "b"), 2)
    assert options.is_own
    assert replace(options, bundle=Path("default")).checked().bundle == SHIPPED


def scan_of_one_lung() -> Case:
    picture = np.zeros((40, 30, 1), np.uint8)
    picture[20:30, 5:20] = 200
    left, right = picture > 128, picture > 255
    volume = Volume(picture, None, "DX", kind="image")
    return Case("xray/some", "XR", volume, {"lung": left}, ["hippocampus"], "k", "p", {"lung": (left, right)})


@pytest.mark.parametrize(
    ("tables", "counts"),
    [(("bars",), (1, 0, 0)), (("absent",), (2, 0, 0)), (("clicks",), (0, 1, 0)), (("sides",), (0, 0, 1))],
)
def test_only_what_is_wanted_is_asked(tables: tuple[str, ...], counts: tuple[int, int, int]) -> None:
    found, options = Measured(), Options(Path("none"), tables=tables)
    jobs.measure_case(found, options, Bright(), load_terminology(), scan_of_one_lung(), Job(clicks=3))
    assert (len(found.scores), len(found.clicks), len(found.sides)) == counts


def test_looks_are_kept_on_record(tmp_path: Path) -> None:
    path = tmp_path / "dev_looks.toml"
    path.write_text(looks.LOOKS.read_text(encoding="utf-8"), encoding="utf-8")
    before = looks.count_looks(path)
    looks.record_look("ab" * 32, ["bars", "absent"], 'final figures of "default"', path)
    assert looks.count_looks(path) == before + 1
    with path.open("rb") as file:
        entry = tomllib.load(file)["look"][-1]
    assert (entry["bundle"], entry["tables"]) == ("ab" * 8, ["bars", "absent"])
    assert entry["purpose"] == 'final figures of "default"'
    with pytest.raises(WrongUsage, match="purpose"):
        looks.record_look("ab" * 32, ["bars"], "  ", path)
    assert looks.count_looks(path) == before + 1


def test_csv_of_nothing_is_a_line() -> None:
    assert csv_text([]) == "\n"
    assert csv_text([{"a": 1, "b": None}]) == "a,b\n1,\n"
