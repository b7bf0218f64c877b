"""Plugins that fail in every way: each is named with the reason and switched off, and the rest works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from medviewer.api.requests import SegmentRequest
from medviewer.core.volume import Volume
from medviewer.plugin_host import PluginBroken, PluginHost, trial
from medviewer.plugin_host.fitness import content_key
from medviewer.plugin_host.loading import unload
from medviewer.plugin_host.segmenting import segment_with
from medviewer.services.folders import user_folder
from medviewer.services.resources import shipped_folder

GOOD = (
    "import numpy as np\nfrom medviewer.api import Answer, Prediction\n"
    "class Probe:\n    def run(self, volume, request, progress):\n"
    "        return Prediction(request.prompt, Answer.FOUND, np.ones(volume.shape, bool))\n"
)
SHORT = 3.0  # seconds for the trials here, instead of 10
# what logic.py does, and what the reason must say
FAILING: dict[str, tuple[str, str]] = {
    "raises": ("raise ValueError('no such thing')", "ValueError: no such thing"),
    "raises_oddly": ("raise BaseException('odd')", "BaseException: odd"),
    "exits": ("import sys\nsys.exit(0)", "SystemExit"),
    "exits_at_once": ("import os\nos._exit(0)", "ended the process"),
    "hangs": ("while True:\n    pass", "did not finish loading within"),
    "hangs_deaf_with_child": (
        "import signal, subprocess, sys, time\nfor n in (signal.SIGTERM, signal.SIGINT):\n"
        "    signal.signal(n, signal.SIG_IGN)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\ntime.sleep(600)",
        "did not finish loading within",
    ),
    "leaves_a_thread": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\nraise KeyError('left')",
        "KeyError",
    ),
    "crashes": ("import ctypes\nctypes.string_at(0)", "crashed while it was imported"),
    "is_killed": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "crashed while it was imported"),
    "recurses": ("def f():\n    f()\nf()", "RecursionError"),
    "wants_all_memory": ("x = bytearray(1 << 62)", "MemoryError"),
    "is_no_python": ("def broken(:", "SyntaxError"),
    "is_binary": ("\0\1\2", "SyntaxError"),
    "lacks_a_library": ("import no_such_module_here", "ModuleNotFoundError"),
    "has_no_class": ("pass", "AttributeError"),
    "fails_when_made": ("class Probe:\n    def __init__(self):\n        raise OSError('disk')", "OSError: disk"),
    "exits_when_made": ("class Probe:\n    def __init__(self):\n        raise SystemExit(4)", "SystemExit"),
    "cannot_run": ("class Probe:\n    run = 3", "has no run"),
    "talks": ("import sys\nsys.stdout.write('{}\\n' * 99999)\nraise KeyError('after talking')", "KeyError"),
}
# what plugin.toml holds
_TOML = (
    '[plugin]\nid = "{id}"\nname = "{id}"\nversion = "1"\napi = 1\nkind = "text-segmentation"\n'
    'logic = "logic:Probe"\n'
)
MANIFESTS: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "no [plugin] table"),
    "no_toml": ("{not toml", "not valid TOML"),
    "no_text": (b"\xff\xfe\0\0", "cannot be read"),
    "huge": ("#" * (1 << 20), "larger than 64 KB"),
    "deep": ("x = " + "[" * 9000, "plugin.toml"),
    "missing_keys": ('[plugin]\nid = "missing_keys"\n', "lacks the key name"),
    "newer_api": (_TOML.format(id="newer_api").replace("api = 1", "api = 99"), "plugin API 99"),
    "climbs": (_TOML.format(id="climbs").replace("logic:Probe", "../../evil:Probe"), "module:Class"),
    "climbs_by_dots": (_TOML.format(id="climbs_by_dots").replace("logic:Probe", "..evil:Probe"), "module:Class"),
    "foreign_icon": (_TOML.format(id="foreign_icon") + 'icon = "../../../etc/passwd"\n', "icon must be a file"),
    "two_lines": (_TOML.format(id="two_lines").replace('name = "two_lines"', 'name = "a\\nb"'), "name must be one"),
    "long_name": (_TOML.format(id="long_name").replace('name = "long_name"', f'name = "{"x" * 999}"'), "name must be"),
    "shipped_id": (_TOML.format(id="text_segmentation"), "already has"),
    "twin": (_TOML.format(id="good"), "already has"),
}


def plugin(folder: Path, code: str = GOOD, manifest: str | bytes | None = None) -> Path:
    """A plugin folder; its id is the folder's name."""
    folder.mkdir(parents=True)
    text = _TOML.format(id=folder.name) if manifest is None else manifest
    (folder / "plugin.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "logic.py").write_text(code)
    return folder


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(trial, "IMPORT_SECONDS", SHORT)
    yield
    for name in ("good", "probe", *FAILING):
        unload(name)


def scan() -> Volume:
    return Volume(np.zeros((4, 3, 2), np.int16), np.eye(4), "CT", "HU")


def works(plugins: PluginHost) -> bool:
    """Whether the good one beside them answers, and the program's own is there."""
    answer = segment_with("good", scan(), SegmentRequest("bone"), plugins=plugins)
    return bool(answer.mask.all()) and plugins.manifest("text_segmentation").name == "Text segmentation"


def test_every_failing_plugin_is_named_and_the_rest_works(tmp_path: Path) -> None:
    plugin(tmp_path / "mine" / "good")
    for name, (code, _) in FAILING.items():
        plugin(tmp_path / "mine" / name, code)
    plugins = PluginHost([shipped_folder("plugins")], [tmp_path / "mine"])
    reasons = {info.id: info.error for info in plugins.checked()}
    for name, (_, said) in FAILING.items():
        assert said in reasons[name], name
        assert f'"{name}"' in reasons[name]
        for ask in (plugins.logic, plugins.panel_class, plugins.parameters_class):
            with pytest.raises(PluginBroken):
                ask(name)
        assert f"_medviewer_plugins.{name}.logic" not in sys.modules  # it never came into this process
    assert reasons["good"] == ""
    assert works(plugins)
    assert not [p for p in psutil.Process().children(recursive=True) if "trial_process" in " ".join(p.cmdline())]


def test_every_broken_manifest_is_named_and_the_rest_works(tmp_path: Path) -> None:
    plugin(tmp_path / "mine" / "good")
    for name, (manifest, _) in MANIFESTS.items():
        plugin(tmp_path / "mine" / name, manifest=manifest)
    plugins = PluginHost([shipped_folder("plugins")], [tmp_path / "mine"])
    reasons = {info.folder.name: info.error for info in plugins.checked()}
    for name, (_, said) in MANIFESTS.items():
        assert said in reasons[name], name
        assert name in reasons[name], name
    assert works(plugins)


def test_a_plugin_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    plugin(tmp_path / "mine" / "good")
    (plugin(tmp_path / "mine" / "pipe") / "plugin.toml").unlink()
    os.mkfifo(tmp_path / "mine" / "pipe" / "plugin.toml")
    (plugin(tmp_path / "mine" / "device") / "plugin.toml").unlink()
    (tmp_path / "mine" / "device" / "plugin.toml").symlink_to("/dev/zero")
    plugins = PluginHost([shipped_folder("plugins")], [tmp_path / "mine"])
    reasons = {info.folder.name: info.error for info in plugins.list()}
    assert "no file" in reasons["pipe"]
    assert "no file" in reasons["device"]
    assert works(plugins)


def test_a_trial_costs_once_and_again_when_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    real = trial.try_plugin
    monkeypatch.setattr(
        "medviewer.plugin_host.fitness.try_plugin", lambda folder, name: tried.append(name) or real(folder, name)
    )
    folder = plugin(tmp_path / "mine" / "probe", "raise ValueError('first')")
    for _ in range(2):
        assert "first" in PluginHost([], [tmp_path / "mine"]).checked()[0].error
    assert tried == ["probe"]
    (folder / "logic.py").write_text(GOOD)
    assert PluginHost([], [tmp_path / "mine"]).checked()[0].error == ""
    assert tried == ["probe"] * 2


def test_nobody_who_asks_what_is_known_waits_for_a_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The window asks on its own thread while another plugin is tried."""
    began, end = threading.Event(), threading.Event()
    monkeypatch.setattr(
        "medviewer.plugin_host.fitness.try_plugin", lambda folder, name: "" if began.set() or end.wait(20) else "late"
    )
    plugin(tmp_path / "mine" / "probe")
    plugin(tmp_path / "mine" / "good")
    plugins = PluginHost([], [tmp_path / "mine"])
    trial_of_probe = threading.Thread(target=plugins.try_out, args=("probe",))
    trial_of_probe.start()
    answers: list[bool] = []
    window = threading.Thread(target=lambda: answers.append(plugins.ready("good")))
    try:
        assert began.wait(20)
        window.start()
        window.join(10)
        assert answers == [False]
    finally:
        end.set()
        trial_of_probe.join()
        window.join()
    assert plugins.ready("probe")


def test_a_plugin_that_was_switched_off_can_be_tried_again(tmp_path: Path) -> None:
    flag = tmp_path / "ready"
    code = f"import pathlib\nif not pathlib.Path({str(flag)!r}).exists():\n    raise OSError('not yet')\n" + GOOD
    plugin(tmp_path / "mine" / "probe", code)
    plugins = PluginHost([], [tmp_path / "mine"])
    assert "not yet" in plugins.checked()[0].error
    flag.touch()
    assert "not yet" in plugins.checked()[0].error
    assert plugins.checked(retry=True)[0].error == ""
    assert segment_with("probe", scan(), SegmentRequest("x"), plugins=plugins).mask.all()


def test_a_plugin_that_brought_the_program_down_is_off_at_the_next_start(tmp_path: Path) -> None:
    """It behaves in its trial, and kills the program in which it is used."""
    code = (
        "import os, sys\n"
        "if not any('trial' in a for a in sys.orig_argv):\n    import ctypes\n    ctypes.string_at(0)\n" + GOOD
    )
    plugin(tmp_path / "mine" / "probe", code)
    plugin(tmp_path / "mine" / "good")
    start = (
        "import sys; from pathlib import Path; from medviewer.plugin_host import PluginHost\n"
        "host = PluginHost([], [Path(sys.argv[1])])\n"
        "for name in ('probe', 'good'):\n"
        "    try:\n        host.logic(name)\n        print(name, 'works')\n"
        "    except Exception as error:\n        print(name, error.message)\n"
    )
    runs = [
        subprocess.run([sys.executable, "-c", start, str(tmp_path / "mine")], capture_output=True, text=True)
        for _ in range(3)
    ]
    assert runs[0].returncode != 0
    for run in runs[1:]:
        assert run.returncode == 0
        assert 'The plugin "probe" was switched off: the program ended while it started this plugin' in run.stdout
        assert "good works" in run.stdout
    assert "switched off" in {info.id: info.error for info in PluginHost([], [tmp_path / "mine"]).checked()}["probe"]
    assert PluginHost([], [tmp_path / "mine"]).checked(retry=True)[1].error == ""


def test_a_living_programs_mark_accuses_nobody(tmp_path: Path) -> None:
    plugin(tmp_path / "mine" / "probe")
    first, second = PluginHost([], [tmp_path / "mine"]), PluginHost([], [tmp_path / "mine"])
    first.begin_start("probe")
    assert second.checked()[0].error == ""
    first.logic("probe")  # marks nest
    assert list((user_folder("cache") / "plugins-starting").glob("*.json"))
    first.end_start("probe")
    assert not list((user_folder("cache") / "plugins-starting").glob("*"))


@pytest.mark.parametrize("content", ["", "[]", '{"verdicts": 3}', "\0\1", '{"verdicts": {"x": 1}}'])
def test_a_damaged_memory_of_trials_only_costs_a_trial(tmp_path: Path, content: str) -> None:
    plugin(tmp_path / "mine" / "probe")
    user_folder("cache").mkdir(parents=True)
    (user_folder("cache") / "plugin-trials.json").write_text(content)
    assert PluginHost([], [tmp_path / "mine"]).checked()[0].error == ""


def test_the_key_is_that_of_the_content(tmp_path: Path) -> None:
    folder = plugin(tmp_path / "probe")
    before = content_key(folder)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert content_key(folder) == before
    (folder / "parts.py").write_text("")
    assert content_key(folder) != before


@pytest.mark.parametrize(
    ("body", "said"),
    [("raise ValueError('bad scan')", "ValueError: bad scan"), ("import sys; sys.exit(0)", "SystemExit")],
)
def test_a_plugin_that_fails_at_work_is_named(tmp_path: Path, body: str, said: str) -> None:
    code = f"class Probe:\n    def run(self, volume, request, progress):\n        {body}\n"
    plugin(tmp_path / "mine" / "probe", code)
    plugins = PluginHost([], [tmp_path / "mine"])
    with pytest.raises(PluginBroken, match="probe") as caught:
        segment_with("probe", scan(), SegmentRequest("x"), plugins=plugins)
    assert said in caught.value.message


def test_the_command_line_lists_reasons_and_works_on(tmp_path: Path) -> None:
    plugin(tmp_path / "mine" / "good")
    plugin(tmp_path / "mine" / "exits_at_once", FAILING["exits_at_once"][0])
    plugin(tmp_path / "mine" / "climbs", manifest=MANIFESTS["climbs"][0])
    environment = os.environ | {"MEDVIEWER_PLUGINS": str(tmp_path / "mine")}
    command = [sys.executable, "-m", "medviewer", "plugins", "list", "--json"]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert time.monotonic() - began < 60
    assert done.returncode == 0, done.stderr
    rows = {row["id"]: row for row in json.loads(done.stdout)["plugins"]}
    assert rows["good"]["error"] is None
    assert rows["text_segmentation"]["error"] is None
    assert "ended the process" in rows["exits_at_once"]["error"]
    assert "module:Class" in rows["climbs"]["error"]
    plain = subprocess.run(command[:-1], capture_output=True, text=True, env=environment)
    assert "ended the process" in plain.stdout


def test_in_the_windows_process_a_failure_is_named_and_the_next_question_works(tmp_path: Path) -> None:
    from medviewer.core.progress import Progress
    from medviewer.plugin_host.logic_factory import FACTORY
    from medviewer.services.logic_process import LogicProcess, LogicStopped, RemoteLogic

    code = (
        "import ctypes, sys\nclass Probe:\n    def run(self, volume, request, progress):\n"
        "        if request == 'raise':\n            raise ValueError('bad scan')\n"
        "        if request == 'exit':\n            sys.exit(0)\n"
        "        if request == 'crash':\n            ctypes.string_at(0)\n        return int(volume.array.size)\n"
    )
    process = LogicProcess()
    try:
        logic = RemoteLogic(process, FACTORY, (str(plugin(tmp_path / "mine" / "probe", code)),))
        for request, said in (("raise", "ValueError: bad scan"), ("exit", "SystemExit")):
            with pytest.raises(PluginBroken, match="probe") as caught:
                logic.run(scan(), request, Progress())
            assert said in caught.value.message
            assert logic.run(scan(), "count", Progress()) == 24
        with pytest.raises(LogicStopped):
            logic.run(scan(), "crash", Progress())
        assert logic.run(scan(), "count", Progress()) == 24
    finally:
        process.close()
