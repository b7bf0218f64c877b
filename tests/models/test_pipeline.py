"""The pipeline on an untrained bundle: answers, caches, clicks, frames; no quality."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from medviewer.core.errors import Cancelled, InputRefused
from medviewer.core.prediction import Answer, BoxPrompt, PointPrompt
from medviewer.core.progress import Progress, silent
from medviewer.core.prompts import parse_prompt
from medviewer.core.terminology import Terminology
from medviewer.core.volume import Fact, Volume
from medviewer.models import embeddings, pipeline, runtime
from medviewer.models.decoding import Query, score_slices
from medviewer.models.embeddings import EmbeddingCache, content_key
from medviewer.models.pipeline import TextSegmenter
from medviewer.services import embedding_cache
from medviewer.services.embedding_cache import DiskEmbeddings

from .conftest import write_config


@pytest.fixture
def segmenter(untrained: Path) -> TextSegmenter:
    return TextSegmenter.load(untrained, "cpu")


def scan(modality: str | None = "CT", shape: tuple[int, int, int] = (40, 36, 12), **changes: object) -> Volume:
    rng = np.random.default_rng(3)
    affine = np.diag([-2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = (40, -30, 100)
    fields: dict[str, object] = {"affine": affine, "modality": modality, "units": "HU" if modality == "CT" else None}
    return Volume(rng.normal(0, 200, shape).astype(np.int16), **(fields | changes))  # type: ignore[arg-type]


def test_second_prompt_does_not_encode_again(segmenter: TextSegmenter, terminology: Terminology) -> None:
    volume = scan()
    segmenter.encode(volume)
    entry = next(iter(segmenter._runtime.cache._entries.values()))
    assert entry.encoded == 12
    for text in ("liver", "kidneys", "liver"):
        segmenter.segment(volume, parse_prompt(text, terminology))
    assert entry.encoded == 12
    assert len(segmenter._runtime.cache._entries) == 1
    copy = volume.with_changes(array=volume.array.copy(), title="the same voxels")
    segmenter.segment(copy, parse_prompt("liver", terminology))
    assert len(segmenter._runtime.cache._entries) == 1


def test_the_other_side_of_a_pair_is_not_decoded_again(
    segmenter: TextSegmenter, untrained: Path, terminology: Terminology, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    score_planes = pipeline.score_planes
    monkeypatch.setattr(pipeline, "score_planes", lambda *given: decoded.append("") or score_planes(*given))
    texts, answers = ("left kidney", "right kidney", "liver", "right kidney"), []
    for text, count in zip(texts, (1, 1, 2, 3), strict=True):
        answers.append(segmenter.segment(scan(), parse_prompt(text, terminology)))
        assert len(decoded) == count
    for text, answer in zip(texts, answers, strict=True):
        alone = TextSegmenter.load(untrained).segment(scan(), parse_prompt(text, terminology))
        assert (answer.answer, answer.presence) == (alone.answer, alone.presence)
        assert np.array_equal(answer.mask, alone.mask)


def test_slices_beyond_the_memory_limit_give_the_same_mask(untrained: Path, terminology: Terminology) -> None:
    volume, prompt = scan(shape=(40, 22, 30)), parse_prompt("liver", terminology)
    whole, part = TextSegmenter.load(untrained, "cpu"), TextSegmenter.load(untrained, "cpu")
    part._runtime.cache = EmbeddingCache(limit=1_000_000)
    first, second = whole.segment(volume, prompt), part.segment(volume, prompt)
    kept = next(iter(part._runtime.cache._entries.values()))
    assert 0 < kept.kept < 30
    np.testing.assert_array_equal(first.mask, second.mask)


def test_every_third_slice_stands_for_its_neighbours(segmenter: TextSegmenter, terminology: Terminology) -> None:
    thick = np.diag([-2.0, 2.0, 10.0, 1.0])  # so thick that neighbouring slices are not averaged
    volume = scan(affine=thick, shape=(40, 36, 11))
    segmenter.encode(volume)
    embedding = next(iter(segmenter._runtime.cache._entries.values()))
    query = Query(segmenter.network, segmenter.network.encode_texts(["liver"]), "CT")
    with torch.inference_mode():
        every, third = (score_slices(query, embedding, silent(), step) for step in (1, 3))
    assert third.logits.shape == every.logits.shape
    source = [n - n % 3 for n in range(11)]
    np.testing.assert_allclose(third.presence, every.presence[source], atol=1e-4)
    np.testing.assert_allclose(third.logits, every.logits[source], atol=1e-3)


def test_cache_forgets_the_oldest() -> None:
    class Entry:
        bytes = 60

    cache = EmbeddingCache(limit=100)
    cache.put("a", Entry())  # type: ignore[arg-type]
    cache.put("b", Entry())  # type: ignore[arg-type]
    assert cache.get("a") is None
    assert cache.get("b") is not None


def test_content_key_sees_voxels_and_place() -> None:
    volume = scan()
    changed = volume.array.copy()
    changed[3, 4, 5] += 1
    moved = volume.affine.copy()  # type: ignore[union-attr]
    moved[0, 3] += 1
    others = (volume.with_changes(array=changed), volume.with_changes(affine=moved))
    keys = {content_key(v, "w") for v in (volume, *others)}
    assert len(keys | {content_key(volume, "other weights")}) == 4


def test_cancel_while_encoding_leaves_nothing_behind(segmenter: TextSegmenter, terminology: Terminology) -> None:
    calls = []

    def cancelled() -> bool:
        calls.append(1)
        return len(calls) > 2

    volume = scan(shape=(40, 22, 30))
    with pytest.raises(Cancelled):
        segmenter.segment(volume, parse_prompt("liver", terminology), progress=Progress(is_cancelled=cancelled))
    assert not segmenter._runtime.cache._entries
    assert segmenter.segment(volume, parse_prompt("liver", terminology)).mask.shape == volume.shape


def test_progress_rises_to_the_end(segmenter: TextSegmenter, terminology: Terminology) -> None:
    seen: list[float] = []
    progress = Progress(on_report=lambda fraction, text: seen.append(fraction))
    segmenter.segment(scan(), parse_prompt("liver", terminology), progress=progress)
    assert seen == sorted(seen)
    assert seen[0] == 0.0
    assert seen[-1] > 0.55


@pytest.mark.parametrize(
    ("text", "modality", "answer"),
    [
        ("liver", "MR", Answer.NOT_TRAINED),
        ("spleen", "CT", Answer.NOT_TRAINED),
        ("unicorn horn", "CT", Answer.NOT_TRAINED),
        ("no liver", "CT", Answer.NEGATION),
        ("heart", "CT", Answer.NOT_TRAINED),
    ],
)
def test_answers_without_the_model(
    segmenter: TextSegmenter, terminology: Terminology, text: str, modality: str, answer: Answer
) -> None:
    prediction = segmenter.segment(scan(modality), parse_prompt(text, terminology))
    assert prediction.answer is answer
    assert prediction.reason
    assert prediction.presence is None
    assert not prediction.mask.any()
    assert not segmenter._runtime.cache._entries, "the scan need not be encoded for this"


def test_outside_only_where_the_source_states_the_body_part(segmenter: TextSegmenter, terminology: Terminology) -> None:
    prompt = parse_prompt("liver", terminology)
    stated = scan(facts={"body_part": Fact("HEAD", "DICOM")})
    assert segmenter.segment(stated, prompt).answer is Answer.OUTSIDE
    guessed = scan(facts={"body_part": Fact("HEAD", "file name")})
    assert segmenter.segment(guessed, prompt).answer is not Answer.OUTSIDE


def test_an_image_without_contrast_is_not_assessable(segmenter: TextSegmenter, terminology: Terminology) -> None:
    flat = Volume(np.zeros((40, 40, 3), np.int16), np.eye(4), "CT", "HU")
    assert segmenter.segment(flat, parse_prompt("liver", terminology)).answer is Answer.NOT_ASSESSABLE
    tiny = Volume(np.arange(75).reshape(5, 5, 3), np.eye(4), "CT", "HU")
    assert segmenter.segment(tiny, parse_prompt("liver", terminology)).answer is Answer.NOT_ASSESSABLE


def test_provenance_names_the_weights(segmenter: TextSegmenter, terminology: Terminology) -> None:
    prediction = segmenter.segment(scan(), parse_prompt("liver", terminology))
    assert prediction.provenance.weights_sha256 == segmenter.info.weights_sha256
    assert prediction.provenance.algorithm == "AUTOMATIC"
    assert prediction.tested == "dev Dice 0.90, n = 24"
    assert prediction.seconds > 0


@pytest.mark.parametrize(("kind", "shape"), [("picture", (40, 36, 1)), ("volume", (40, 36, 12))])
def test_the_threshold_is_for_calibrated_presence(
    untrained: Path, terminology: Terminology, kind: str, shape: tuple[int, int, int]
) -> None:
    volume, prompt = scan(shape=shape), parse_prompt("liver", terminology)
    raw = TextSegmenter.load(untrained, "cpu").segment(volume, prompt).presence
    assert raw is not None
    answers = []
    for shift in (-9.0, 9.0):
        write_config(untrained, calibration={kind: [2.0, shift]}, threshold=0.5)
        segmenter = TextSegmenter.load(untrained, "cpu")
        answer = segmenter.segment(volume, prompt)
        assert answer.presence == pytest.approx(segmenter.info.probability(raw, shape[2]))
        assert answer.extras["raw_presence"] == pytest.approx(raw)
        answers.append((answer.presence > 0.5, answer.mask.any()))  # type: ignore[operator]
    assert answers[0] == (False, False)
    assert answers[1][0]


@pytest.mark.parametrize("text", ["liver", "spleen"])
@pytest.mark.parametrize("voxel", [(10, 20, 5), (39, 0, 0), (25, 30, 11)])
def test_clicks_are_obeyed(
    segmenter: TextSegmenter, terminology: Terminology, text: str, voxel: tuple[int, int, int]
) -> None:
    volume = scan()
    lps = tuple(float(x) for x in (volume.affine @ np.array([*voxel, 1.0]))[:3])  # type: ignore[operator]
    previous = np.zeros(volume.shape, bool)
    previous[18:30, 18:34, 3:9] = True
    for positive in (True, False):
        click = PointPrompt(lps, positive)  # type: ignore[arg-type]
        prediction = segmenter.segment(volume, parse_prompt(text, terminology), points=[click], previous=previous)
        assert bool(prediction.mask[voxel]) is positive
        assert prediction.provenance.algorithm == "SEMIAUTOMATIC"


def test_a_click_outside_is_refused(segmenter: TextSegmenter, terminology: Terminology) -> None:
    with pytest.raises(InputRefused, match="outside"):
        segmenter.segment(scan(), parse_prompt("liver", terminology), points=[PointPrompt((999.0, 0.0, 0.0))])


def test_a_box_changes_nothing_outside_it(segmenter: TextSegmenter, terminology: Terminology) -> None:
    volume = scan()
    previous = np.random.default_rng(0).random(volume.shape) > 0.5
    corners = [volume.affine @ np.array([*c, 1.0]) for c in ((5, 6, 2), (20, 18, 6))]  # type: ignore[operator]
    box = BoxPrompt(*[tuple(float(x) for x in corner[:3]) for corner in corners])  # type: ignore[arg-type]
    prediction = segmenter.segment(volume, parse_prompt("liver", terminology), box=box, previous=previous)
    outside = np.ones(volume.shape, bool)
    outside[5:21, 6:19, 2:7] = False
    np.testing.assert_array_equal(prediction.mask[outside], previous[outside])


def test_pictures_colour_and_frames(segmenter: TextSegmenter, terminology: Terminology) -> None:
    rng = np.random.default_rng(1)
    prompt = parse_prompt("heart", terminology)
    colour = Volume(rng.integers(0, 255, (50, 40, 1, 3), np.uint8), None, None, kind="image")
    assert segmenter.segment(colour, prompt).mask.shape == (50, 40, 1)
    cine = Volume(rng.integers(0, 255, (50, 40, 6), np.uint8), None, None, kind="cine")
    prediction = segmenter.segment(cine, prompt, frame=4)
    assert prediction.mask.shape == (50, 40, 6)
    assert not prediction.mask[:, :, [0, 1, 2, 3, 5]].any()
    with pytest.raises(InputRefused, match="frame"):
        segmenter.segment(cine, prompt, frame=6)


# -- embeddings that outlive the process ---------------------------------------------------
def test_a_new_process_takes_embeddings_from_the_store(
    untrained: Path, tmp_path: Path, terminology: Terminology
) -> None:
    """Nothing is encoded again, and the answer is the same bit for bit."""
    store = DiskEmbeddings(tmp_path / "store", 10**9)
    volume, prompt = scan(shape=(40, 22, 30)), parse_prompt("left kidney", terminology)
    first = TextSegmenter.load(untrained, "cpu", store=store)
    cold = first.segment(volume, prompt)
    store.wait()
    second = TextSegmenter.load(untrained, "cpu", store=DiskEmbeddings(store.folder, 10**9))
    warm = second.segment(volume, prompt)
    entries = [next(iter(s._runtime.cache._entries.values())) for s in (first, second)]
    assert [entry.encoded for entry in entries] == [30, 0]
    for name in ("mask", "presence", "answer", "warnings"):
        np.testing.assert_array_equal(getattr(warm, name), getattr(cold, name))
    for one, other in zip(entries[0].arrays, entries[1].arrays, strict=True):
        assert torch.equal(one, other)


def test_a_damaged_entry_is_encoded_again(untrained: Path, tmp_path: Path, terminology: Terminology) -> None:
    store = DiskEmbeddings(tmp_path / "store", 10**9)
    volume, prompt = scan(), parse_prompt("liver", terminology)
    cold = TextSegmenter.load(untrained, "cpu", store=store).segment(volume, prompt)
    store.wait()
    (path,) = store.folder.glob("*.emb")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))
    segmenter = TextSegmenter.load(untrained, "cpu", store=store)
    np.testing.assert_array_equal(segmenter.segment(volume, prompt).mask, cold.mask)
    store.wait()
    assert next(iter(segmenter._runtime.cache._entries.values())).encoded == 12
    assert path.read_bytes() != bytes(data)


def test_embeddings_beyond_the_memory_are_mapped_from_the_disk(
    untrained: Path, tmp_path: Path, terminology: Terminology
) -> None:
    """The same bits, nothing is encoded twice, no file is left; and they may be stored and mapped again."""
    volume, prompt = scan(shape=(40, 22, 30)), parse_prompt("liver", terminology)
    reference = TextSegmenter.load(untrained, "cpu").segment(volume, prompt)
    for encoded in (30, 0):
        store = DiskEmbeddings(tmp_path / "store", 10**9)
        segmenter = TextSegmenter.load(untrained, "cpu", store=store)
        segmenter._runtime.cache = EmbeddingCache(limit=1_000_000)
        with pytest.MonkeyPatch.context() as patched:
            for module in (embeddings, runtime, embedding_cache):
                patched.setattr(module, "MAPPED_ABOVE", 500_000)
            answers = [segmenter.segment(volume, prompt) for _ in range(2)]
        entry = next(iter(segmenter._runtime.cache._entries.values()))
        assert (entry.encoded, entry.kept, entry.mapped, entry.bytes) == (encoded, 30, True, 0)
        store.wait()
        assert len(list(store.folder.iterdir())) == 1
        for answer in answers:
            assert answer.presence == reference.presence
            np.testing.assert_array_equal(answer.mask, reference.mask)


def test_no_scratch_without_a_quota_or_room(tmp_path: Path) -> None:
    assert DiskEmbeddings(tmp_path / "store", 0).scratch(1000) is None
    assert DiskEmbeddings(tmp_path / "store", 10**9).scratch(1 << 60) is None
    data = DiskEmbeddings(tmp_path / "store", 10**9).scratch(5000)
    assert data is not None
    data[:] = bytes([7]) * 5000
    assert len(data) == 5000
    assert not list((tmp_path / "store").iterdir())


@pytest.mark.parametrize(
    "arrays",
    [
        {}, {"embedding": np.zeros((12, 8, 8, 128), np.float16)},
        {"embedding": np.zeros((11, 1, 1, 1), np.float16), "features": np.zeros((11, 1, 1, 1), np.float16)},
        {"embedding": np.zeros((12, 8), np.float16), "features": np.zeros((12, 8), np.float16)},
        {"embedding": np.zeros((12, 1, 1, 1), np.float32), "features": np.zeros((12, 1, 1, 1), np.float32)},
        {"embedding": np.zeros((12, 1, 1, 1), np.float16), "features": np.zeros((12, 1, 1, 1), np.float16)},
    ],
    ids=range(6),
)  # fmt: skip
def test_a_store_that_gives_other_arrays_is_not_believed(
    untrained: Path, terminology: Terminology, arrays: dict[str, np.ndarray]
) -> None:
    class Store:
        def read(self, key: str) -> dict[str, np.ndarray]:
            return arrays

        def write(self, key: str, pieces: object) -> None: ...

        def scratch(self, size: int) -> None: ...

    segmenter = TextSegmenter.load(untrained, "cpu", store=Store())
    segmenter.segment(scan(), parse_prompt("liver", terminology))
    assert next(iter(segmenter._runtime.cache._entries.values())).encoded == 12


def test_only_whole_embeddings_are_stored(
    untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DiskEmbeddings(tmp_path / "store", 10**9)
    monkeypatch.setattr(store, "scratch", lambda size: None)
    segmenter = TextSegmenter.load(untrained, "cpu", store=store)
    segmenter._runtime.cache = EmbeddingCache(limit=1_000_000)
    segmenter.encode(scan(shape=(40, 22, 30)))
    store.wait()
    assert not store.folder.exists()
