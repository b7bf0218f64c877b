"""The window's plugins work in a process of their own: its end is one message, a cancel is heard at once."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from pathlib import Path

import pytest
from fakes import small_ct

from medviewer.plugin_host.logic_factory import FACTORY
from medviewer.services.logic_process import RemoteLogic

MANIFEST = """[plugin]
id = "slow_probe"
name = "Slow probe"
version = "1"
api = 1
kind = "text-segmentation"
logic = "logic:Probe"
"""
LOGIC = """
import time
from medviewer.api import Answer, Prediction

class Probe:
    def run(self, volume, request, progress):
        if request.prompt == "liver":
            while True:
                progress.report(0.5, "Working")
                time.sleep(0.01)
        if request.prompt == "spleen":
            progress.report(0.5, "Stuck")
            time.sleep(600)
        return Prediction(request.prompt, Answer.FOUND, volume.array > 60, title="Bright")
"""


@pytest.fixture
def panel(make_window, tmp_path: Path):
    """The Find tab of a real window with a plugin that can be stuck."""
    folder = tmp_path / "slow_probe"
    folder.mkdir()
    (folder / "plugin.toml").write_text(MANIFEST)
    (folder / "logic.py").write_text(LOGIC)
    window = make_window()
    found = window.plugins.panels["text_segmentation"]
    logic = RemoteLogic(window.logic.process, FACTORY, (str(folder),))
    found.context = dataclasses.replace(found.context, logic=logic)
    found.finder.context = found._preparer.context = found.context
    window.scene.add_volume(small_ct())
    return found


def process_of(panel):
    return panel.window().logic.process


def ask(qtbot, panel, prompt: str):
    panel.run_text(prompt)
    entry = panel.finder.entries[0]
    qtbot.waitUntil(lambda: entry.state != "running", timeout=20000)
    return entry


def start(qtbot, panel, prompt: str, doing: str):
    """Ask, and wait until the process works on it."""
    panel.run_text(prompt)
    jobs = panel.window().jobs
    qtbot.waitUntil(lambda: jobs.current is not None and jobs.current[1].text == doing, timeout=20000)
    return panel.finder.entries[0]


def test_a_killed_process_is_one_message_and_the_next_prompt_works(qtbot, panel) -> None:
    entry = start(qtbot, panel, "liver", "Working")
    os.kill(process_of(panel).pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: entry.state == "failed", timeout=10000)
    assert "was lost" in entry.problem
    assert panel.window().scene.active.preview is None
    assert ask(qtbot, panel, "kidney").state == "answered"
    assert panel.window().scene.active.preview is not None


def test_cancel_is_heard_at_once_and_stuck_work_is_ended_with_a_message(qtbot, panel) -> None:
    window = panel.window()
    entry = start(qtbot, panel, "spleen", "Stuck")
    pid = process_of(panel).pid
    window.jobs.cancel_current()
    qtbot.waitUntil(lambda: entry.state == "cancelled" and window.jobs.current is None, timeout=1000)
    answered = ask(qtbot, panel, "kidney")
    assert answered.state == "answered"
    assert process_of(panel).pid != pid
    assert any("did not stop" in toast.text for toast in window.toasts.shown)


def test_closing_the_window_ends_the_process(qtbot, panel) -> None:
    start(qtbot, panel, "liver", "Working")
    pid, window = process_of(panel).pid, panel.window()
    window.scene.undo_stack.mark_saved()
    window.close()
    assert not Path(f"/proc/{pid}").exists() or not sys.platform.startswith("linux")
