"""What a second look adds to the decoder's answer: to clicks, and to text on single pictures."""

from __future__ import annotations

import torch

from medviewer.models.mask_decoder import DRAWN, POSITIVE, draw_prompts
from medviewer.models.mask_refiner import MaskRefiner
from medviewer.models.text_sam import NetworkConfig, SparsePrompts, TextSam

SMALL = NetworkConfig(size=64)


def inputs(pairs: int, side: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(pairs, side, side), torch.randn(pairs, 32, side, side), torch.randn(pairs, 128)


def test_a_new_refiner_changes_nothing() -> None:
    logits, features, text = inputs(2, 32)
    refiner = MaskRefiner(128, 32, DRAWN)
    torch.testing.assert_close(refiner(logits, features, torch.rand(2, DRAWN, 32, 32), text), logits)


def test_a_click_reaches_far_beyond_its_disc() -> None:
    torch.manual_seed(0)
    refiner = MaskRefiner(128, 32, DRAWN)
    torch.nn.init.normal_(refiner.out.weight)
    logits, features, text = inputs(1, 64)
    none = torch.zeros(1, 1, 64, 64)
    place = torch.tensor([[[20.0, 20.0]]])
    drawn = [draw_prompts(place, torch.tensor([[label]]), none, 64) for label in (-1, POSITIVE)]
    without, clicked = (refiner(logits, features, picture, text) for picture in drawn)
    changed = (without - clicked)[0].abs() > 1e-6
    assert changed[10, 10]
    assert changed[30, 30]  # 20 cells from the click, whose disc has a radius of 2.5


def test_pairs_of_text_alone_are_left_to_the_decoder() -> None:
    torch.manual_seed(0)
    network = TextSam(SMALL).eval()
    torch.nn.init.normal_(network.click_refiner.out.weight)
    features = [part.expand(2, -1, -1, -1) for part in network.encode_images(torch.rand(1, 4, 64, 64))]
    text, modality = network.encode_texts(["liver", "liver"]), torch.zeros(2, dtype=torch.long)
    points = torch.tensor([[[20.0, 20.0]], [[0.0, 0.0]]])
    given = SparsePrompts(points, torch.tensor([[POSITIVE], [-1]]))
    refined = network.decode(*features, text, modality, given).logits
    torch.nn.init.zeros_(network.click_refiner.out.weight)
    plain = network.decode(*features, text, modality, given).logits
    assert not torch.equal(refined[0], plain[0])
    torch.testing.assert_close(refined[1], plain[1])


def network_with_a_second_look() -> TextSam:
    torch.manual_seed(0)
    network = TextSam(SMALL).eval()
    torch.nn.init.normal_(network.text_refiner.out.weight)
    return network


def test_only_pairs_that_are_looked_at_again_change() -> None:
    network = network_with_a_second_look()
    features = [part.expand(2, -1, -1, -1) for part in network.encode_images(torch.rand(1, 4, 64, 64))]
    text, modality = network.encode_texts(["liver", "liver"]), torch.zeros(2, dtype=torch.long)
    again = network.decode(*features, text, modality, SparsePrompts(), torch.tensor([True, False])).logits
    plain = network.decode(*features, text, modality, SparsePrompts()).logits
    assert not torch.allclose(again[0], plain[0])
    torch.testing.assert_close(again[1], plain[1])


def test_training_and_asking_take_the_same_second_look() -> None:
    network = network_with_a_second_look()
    features = network.encode_images(torch.rand(1, 4, 64, 64))
    text, modality = network.encode_texts(["liver"]), torch.zeros(1, dtype=torch.long)
    trained = network.decode(*features, text, modality, SparsePrompts(), torch.tensor([True])).logits
    asked = [network.decode_visible(*features, text, modality, 0.0, second)[1] for second in (True, False)]
    torch.testing.assert_close(asked[0], trained)
    assert not torch.allclose(asked[1], trained)
