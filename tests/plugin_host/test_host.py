"""The plugin host: manifests, loading at first use, and what a broken plugin does."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from medviewer.api.requests import MapRequest, PluginKind, ReportRequest, SegmentRequest
from medviewer.core.errors import UserError, WrongUsage
from medviewer.core.prediction import Answer
from medviewer.core.progress import silent
from medviewer.core.volume import Volume
from medviewer.plugin_host import PluginBroken, PluginHost, read_manifest
from medviewer.plugin_host.loading import unload
from medviewer.plugin_host.segmenting import segment_with

MANIFEST = {
    "id": '"probe"',
    "name": '"Probe"',
    "version": '"1"',
    "api": "1",
    "kind": '"text-segmentation"',
    "logic": '"logic:Probe"',
}
GOOD_LOGIC = "class Probe:\n    def run(self, volume, request, progress):\n        return 'answer'\n"


@pytest.fixture(autouse=True)
def _fresh_modules():
    yield
    for plugin_id in ("probe", "helper_probe"):
        unload(plugin_id)


def write_plugin(folder: Path, code: str = GOOD_LOGIC, **changes: str | None) -> Path:
    folder.mkdir(parents=True)
    keys = {name: value for name, value in (MANIFEST | changes).items() if value is not None}
    (folder / "plugin.toml").write_text("[plugin]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()))
    (folder / "logic.py").write_text(code)
    return folder


def volume() -> Volume:
    return Volume(np.zeros((4, 3, 2), np.int16), np.eye(4), "CT", "HU")


def test_a_manifest_is_read_without_importing_the_plugin(tmp_path: Path) -> None:
    folder = write_plugin(tmp_path / "probe", "raise RuntimeError('imported')")
    manifest = read_manifest(folder)
    assert (manifest.id, manifest.kind, manifest.order) == ("probe", PluginKind.TEXT_SEGMENTATION, 100)
    assert [info.id for info in PluginHost([tmp_path]).list()] == ["probe"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"logic": None}, "lacks the key logic"),
        ({"colour": '"red"'}, "unknown key colour"),
        ({"api": '"1"'}, "api must be a whole number"),
        ({"api": "true"}, "api must be a whole number"),
        ({"api": "2"}, "plugin API 2"),
        ({"kind": '"game"'}, "kind must be one of"),
        ({"id": '"No Good"'}, "id may hold only"),
        ({"logic": '"logic.py"'}, "module:Class"),
        ({"name": "unquoted"}, "not valid TOML"),
    ],
)
def test_a_bad_manifest_is_listed_with_the_reason(
    tmp_path: Path, changes: dict[str, str | None], said: str
) -> None:
    write_plugin(tmp_path / "bad", **changes)
    write_plugin(tmp_path / "good", id='"helper_probe"')
    plugins = PluginHost([tmp_path])
    bad = next(info for info in plugins.list() if info.folder.name == "bad")
    assert said in bad.error
    assert not bad.usable
    assert plugins.logic("helper_probe").run(None, None, None) == "answer"
    with pytest.raises(PluginBroken):
        plugins.logic(bad.id)


def test_a_clash_of_ids_keeps_the_first(tmp_path: Path) -> None:
    write_plugin(tmp_path / "shipped" / "probe")
    write_plugin(tmp_path / "user" / "probe", "class Probe:\n    run = None\n")
    plugins = PluginHost([tmp_path / "shipped"], [tmp_path / "user"])
    assert plugins.logic("probe").run(None, None, None) == "answer"
    assert sum("already has" in info.error for info in plugins.list()) == 1


@pytest.mark.parametrize(
    "logic",
    [
        "import no_such_module_here",
        "raise SystemExit(3)",
        "class Other: pass",
        "Probe = 3",
        "class Probe:\n    def __init__(self):\n        raise ValueError('no')",
        "class Probe: pass",
        "def broken(:",
    ],
)
def test_a_plugin_that_fails_to_load_is_a_user_error(tmp_path: Path, logic: str) -> None:
    write_plugin(tmp_path / "probe", logic)
    with pytest.raises(PluginBroken) as caught:
        PluginHost([tmp_path]).logic("probe")
    assert "Probe" in caught.value.message
    assert caught.value.hint


def test_relative_imports_work_and_names_stay_private(tmp_path: Path) -> None:
    folder = write_plugin(tmp_path / "probe", "from .parts import Probe\n")
    (folder / "parts.py").write_text(GOOD_LOGIC)
    assert PluginHost([tmp_path]).logic("probe").run(None, None, None) == "answer"
    assert "_medviewer_plugins.probe.parts" in sys.modules
    assert "parts" not in sys.modules


def test_logic_is_made_once_and_kept(tmp_path: Path) -> None:
    write_plugin(tmp_path / "probe")
    plugins = PluginHost([tmp_path])
    assert plugins.logic("probe") is plugins.logic("probe")


def test_an_unknown_plugin_names_the_known_ones(tmp_path: Path) -> None:
    write_plugin(tmp_path / "probe")
    with pytest.raises(UserError, match="probe"):
        PluginHost([tmp_path]).logic("nothing")


@pytest.mark.parametrize("answer", ["'text'", "Prediction('x', Answer.FOUND, np.zeros((1, 1, 1), bool))"])
def test_an_impossible_answer_is_refused(tmp_path: Path, answer: str) -> None:
    head = "import numpy as np\nfrom medviewer.api import Answer, Prediction\n"
    write_plugin(tmp_path / "probe", f"{head}class Probe:\n    def run(self, v, r, p):\n        return {answer}\n")
    with pytest.raises(PluginBroken):
        segment_with("probe", volume(), SegmentRequest("x"), plugins=PluginHost([tmp_path]))


def test_an_unknown_device_is_wrong_usage(tmp_path: Path) -> None:
    write_plugin(tmp_path / "probe")
    with pytest.raises(WrongUsage):
        segment_with("probe", volume(), SegmentRequest("x", device="tpu"), plugins=PluginHost([tmp_path]))


def test_the_same_protocol_serves_a_report_and_a_map(tmp_path: Path) -> None:
    report = "class Probe:\n    def run(self, volume, request, progress):\n        return len(request.segments)\n"
    write_plugin(tmp_path / "a", report, kind='"report"')
    mapper = "class Probe:\n    def run(self, volume, request, progress):\n        return volume.array * 0.0\n"
    write_plugin(tmp_path / "b", mapper, kind='"attention-map"', id='"helper_probe"')
    plugins = PluginHost([tmp_path])
    assert [info.id for info in plugins.list(PluginKind.REPORT)] == ["probe"]
    assert plugins.logic("probe").run(volume(), ReportRequest(), silent()) == 0
    assert plugins.logic("helper_probe").run(volume(), MapRequest("liver"), silent()).shape == (4, 3, 2)
    with pytest.raises(WrongUsage):
        segment_with("probe", volume(), SegmentRequest("liver"), plugins=plugins)


def test_the_example_plugin_answers(repository: Path) -> None:
    plugins = PluginHost([], [repository / "tests" / "plugins"])
    array = np.full((4, 4, 4), -1000, np.int16)
    array[1:3, 1, 1] = 700
    scan = Volume(array, np.eye(4), "CT", "HU")
    bone = segment_with("example_threshold", scan, SegmentRequest("Bone"), plugins=plugins)
    assert bone.answer is Answer.FOUND
    assert int(bone.mask.sum()) == 2
    other = segment_with("example_threshold", scan, SegmentRequest("liver"), plugins=plugins)
    assert other.answer is Answer.NOT_TRAINED
