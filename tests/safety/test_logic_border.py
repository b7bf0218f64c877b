"""The shipped model gives the same answers in the window's process and in the caller's, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from medviewer.api import PointPrompt, Prediction, SegmentRequest, silent, voxel_to_lps
from medviewer.core.phantom import Phantom, torso_phantom
from medviewer.plugin_host.host import host
from medviewer.plugin_host.logic_factory import FACTORY
from medviewer.services.logic_process import LogicProcess, RemoteLogic

PLUGIN = "text_segmentation"


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return torso_phantom(0, shape=(80, 64, 48), spacing=(5.0, 5.0, 8.0))


@pytest.fixture(scope="module")
def remote() -> Iterator[RemoteLogic]:
    process = LogicProcess()
    yield RemoteLogic(process, FACTORY, (str(host().manifest(PLUGIN).folder),))
    process.close()


def same(first: Prediction, second: Prediction) -> None:
    assert np.array_equal(first.mask, second.mask)
    assert first.mask.dtype == second.mask.dtype
    for name in ("prompt", "answer", "presence", "title", "term_id", "side", "side_note", "cut_edges", "warnings"):
        assert getattr(first, name) == getattr(second, name), name
    assert first.provenance.weights_sha256 == second.provenance.weights_sha256
    assert first.provenance.parameters == second.provenance.parameters


@pytest.mark.parametrize("text", ["liver", "left kidney", "pancreas", "no liver", "xyzzy"])
def test_answers_to_text_are_equal(remote: RemoteLogic, phantom: Phantom, text: str) -> None:
    request = SegmentRequest(text, device="cpu")
    here = host().logic(PLUGIN).run(phantom.volume, request, silent())
    same(remote.run(phantom.volume, request, silent()), here)


def test_answers_to_clicks_on_a_mask_are_equal(remote: RemoteLogic, phantom: Phantom) -> None:
    volume, previous = phantom.volume, phantom.mask("liver", None)
    assert volume.affine is not None
    x, y, z = voxel_to_lps(volume.affine, np.argwhere(previous)[len(np.argwhere(previous)) // 2])
    click = PointPrompt((float(x), float(y), float(z)), positive=False)
    request = SegmentRequest("liver", points=(click,), previous=previous, device="cpu")
    here = host().logic(PLUGIN).run(volume, request, silent())
    assert not np.array_equal(here.mask, previous)
    same(remote.run(volume, request, silent()), here)
