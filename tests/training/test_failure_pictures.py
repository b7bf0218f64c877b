"""Pictures for cards: only rows whose licence lets everybody pass them on, small, with both outlines."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medviewer.core.volume import Volume
from training.data.samples import Row, read_rows
from training.failure_pictures import (
    INDEX,
    MOST,
    MOST_BYTES,
    MOST_SIDE,
    Wrong,
    draw,
    may_be_shown,
    png_of,
    read_failures,
    worst_questions,
    write_pictures,
)

GREEN, MAGENTA, WHITE = (0, 220, 90), (255, 0, 220), (255, 255, 255)


def row(name: str = "us/one", tier: str = "A", licence: str = "CC0", path: str = "1.png") -> Row:
    return {"set": name, "licence_tier": tier, "licence": licence, "source": "somewhere", "path": path}


@pytest.mark.parametrize(
    ("tier", "licence", "allowed"),
    [
        ("A", "CC BY 4.0 (stated in README)", True), ("A", "CC BY-SA 4.0 (MSD; not restated in repo)", True),
        ("A", "MIT (BHSD)", True), ("A", "Apache-2.0 (repo)", True), ("A", "BSD-3 (nilearn)", True),
        ("A", "CC0 Public Domain", True), ("A-", "CC BY 4.0 to our knowledge", False), ("B", "CC BY 4.0", False),
        ("A", "CC BY-NC 4.0", False), ("A", "CC BY-ND 4.0", False), ("A", "masks CC BY 4.0; image: not stated", False),
        ("A", "free for research with citation", False), ("A", "", False), ("A", "submitted", False),
    ],
)  # fmt: skip
def test_only_licences_that_let_everybody_pass_it_on(tier: str, licence: str, allowed: bool) -> None:
    assert may_be_shown(row(tier=tier, licence=licence)) is allowed


def test_a_set_without_derivatives_is_never_shown() -> None:
    assert not may_be_shown(row("ct/liver_ircad", licence="CC BY 4.0"))


def test_the_rows_of_the_manifest_that_may_be_shown(shared_data: Path) -> None:
    rows = read_rows(shared_data, "dev")
    shown = [one for one in rows if may_be_shown(one)]
    assert {one["set"] for one in shown} >= {"us/breast_busi", "mr3d/hippocampus_msd", "ct3d/totalsegmentator"}
    assert not {"ct/liver_ircad", "ct/abdomen_curvas", "mr/cardiac_acdc", "xray/jsrt_scr", "mr3d/brats2013"} & {
        one["set"] for one in shown
    }
    assert not any("NC" in one["licence"] or one["licence_tier"] != "A" for one in shown)


def question(name: str, key: str, structure: str, dice: float | None) -> dict[str, object]:
    return {"set": name, "key": key, "structure": structure, "dice": dice}


def test_the_worst_of_every_set_are_chosen() -> None:
    rows = [row(path=f"{n}.png") for n in range(4)] + [row("ct/closed", "B", path="closed.png")]
    rows += [row(f"us/{n}", path=f"other{n}.png") for n in range(20)]
    questions = [question("us/one", f"{n}.png", "liver", 0.1 * n) for n in (3, 1, 2)]
    questions += [question("us/one", "1.png", "spleen", 0.05), question("us/one", "0.png", "spleen", None)]
    questions += [question("ct/closed", "closed.png", "liver", 0.0)]
    chosen = worst_questions(questions, rows)
    assert [(one["path"], name) for one, name in chosen] == [("1.png", "spleen"), ("2.png", "liver")]
    many = questions + [question(f"us/{n}", f"other{n}.png", "liver", 0.5) for n in range(20)]
    assert len(worst_questions(many, rows)) == MOST


def wrong(of: Row | None = None, shape: tuple[int, int, int] = (300, 200, 1)) -> Wrong:
    rng = np.random.default_rng(0)
    array = np.asfortranarray(rng.integers(0, 255, shape).astype(np.uint8))
    truth, mask = np.zeros(shape, bool), np.zeros(shape, bool)
    truth[40:160, 40:120, shape[2] // 2] = True
    mask[150:250, 100:180, shape[2] // 2] = True
    return Wrong(of or row(), "liver", 0.1, Volume(array, None, kind="image"), truth, mask)


def test_a_picture_is_small_and_shows_both_outlines() -> None:
    data = png_of(wrong())
    assert len(data) <= MOST_BYTES
    with Image.open(io.BytesIO(data)) as picture:
        assert max(picture.size) <= MOST_SIDE
        assert abs(picture.size[0] / picture.size[1] - 1.5) < 0.02
        assert not picture.info.keys() - {"transparency"}
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert {GREEN, MAGENTA, WHITE} <= colours


def test_a_volume_is_shown_axially_as_displayed_where_the_error_is() -> None:
    affine = np.array([[0, 0, -2.0, 0], [-1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1]])  # axes are P-, S, R
    shape = (20, 30, 10)
    truth, mask = np.zeros(shape, bool), np.zeros(shape, bool)
    truth[:10, 25, :5] = True  # back (j decreases to the back), high up, the patient's left
    array = np.asfortranarray(np.full(shape, 100, np.int16))
    picture = draw(Volume(array, affine, "CT", "HU"), truth, mask, 200)
    assert picture.shape == (200, 200)  # 20 mm to the back, 10 times 2 mm to the left
    rows, cols = np.nonzero(picture == 64)
    assert rows.min() >= 98
    assert cols.min() >= 98


def test_what_may_not_be_shown_is_not_drawn(tmp_path: Path) -> None:
    failures = write_pictures(tmp_path / "out", [wrong(), wrong(of=row("ct/closed", "B"))])
    assert [failure.set for failure in failures] == ["us/one"]
    assert read_failures(tmp_path / "out") == failures
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(["1_us_one_liver.png", INDEX])
    caption = failures[0].caption
    assert all(word in caption for word in ("us/one", "liver", "0.10", "CC0", "somewhere"))
    assert json.loads((tmp_path / "out" / INDEX).read_text())[0]["licence"] == "CC0"
