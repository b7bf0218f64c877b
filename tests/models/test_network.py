"""Shapes, batches, texts."""

from __future__ import annotations

import pytest
import torch

from medviewer.models.mask_decoder import NOT_A_POINT, POSITIVE
from medviewer.models.text_encoder import hashed_ngrams, normalise
from medviewer.models.text_sam import NetworkConfig, SparsePrompts, TextSam


@pytest.fixture(scope="module")
def network() -> TextSam:
    torch.manual_seed(1)
    return TextSam(NetworkConfig(size=64)).eval()


def test_shapes(network: TextSam) -> None:
    embedding, features = network.encode_images(torch.randn(2, 4, 64, 64))
    assert embedding.shape[1:] == network.config.embedding_shapes(64)[0] == (128, 4, 4)
    assert features.shape[1:] == network.config.embedding_shapes(64)[1] == (32, 32, 32)
    text = network.encode_texts(["liver", None])
    decoded = network.decode(embedding, features, text, torch.tensor([1, 0]), SparsePrompts())
    assert decoded.logits.shape == (2, 32, 32)
    assert decoded.presence.shape == decoded.iou.shape == (2,)


def test_a_batch_equals_single_pairs(network: TextSam) -> None:
    with torch.inference_mode():
        embedding, features = network.encode_images(torch.randn(3, 4, 64, 64))
        text = network.encode_texts(["liver", "spleen", None])
        modality = torch.tensor([1, 2, 0])
        points = torch.rand(3, 2, 2) * 64
        labels = torch.tensor([[POSITIVE, NOT_A_POINT]] * 3)
        masks, has_mask = torch.randn(3, 1, 32, 32), torch.tensor([True, False, True])
        whole = network.decode(embedding, features, text, modality, SparsePrompts(points, labels, masks, has_mask))
        for n in range(3):
            part = slice(n, n + 1)
            prompts = SparsePrompts(points[part], labels[part], masks[part], has_mask[part])
            single = network.decode(embedding[part], features[part], text[part], modality[part], prompts)
            torch.testing.assert_close(single.logits, whole.logits[part], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(single.presence, whole.presence[part], atol=1e-4, rtol=1e-4)


def test_drawing_only_visible_slices_equals_full_decoding(network: TextSam) -> None:
    with torch.inference_mode():
        embedding, features = network.encode_images(torch.randn(4, 4, 64, 64))
        text, modality = network.encode_texts(["liver"] * 4), torch.zeros(4, dtype=torch.long)
        full = network.decode(embedding, features, text, modality, SparsePrompts())
        middle = float(full.presence.sigmoid().median())
        presence, logits = network.decode_visible(embedding, features, text, modality, middle)
        shown = presence.sigmoid() >= middle
        assert 0 < int(shown.sum()) < 4
        torch.testing.assert_close(logits[shown], full.logits[shown], atol=1e-4, rtol=1e-4)
        assert bool((logits[~shown] == -10).all())


def test_text_hash_is_stable_and_ignores_case_and_accents() -> None:
    assert normalise("Wirbelsäule,  RECHTS") == "wirbelsaule rechts"
    assert hashed_ngrams("Liver", 8192) == hashed_ngrams(" liver ", 8192)
    assert hashed_ngrams("liver", 8192)[:3] == (6673, 6321, 4017)
    assert hashed_ngrams("", 8192) == hashed_ngrams("??", 8192)
