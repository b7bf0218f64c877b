"""What the visible half of a plugin gets handed. Qt-free: the window fills it in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import UserError
from medviewer.core.progress import Progress
from medviewer.core.scene import Scene
from medviewer.services.settings import Settings

NoticeKind = Literal["info", "warning", "error", "success"]


class RunJob(Protocol):
    """Start `work(progress)` on a worker; the callbacks run on the GUI thread; a newer job of the same
    title makes the older one's answer void. Returns an object with `cancel()`.
    """

    def __call__(
        self,
        work: Callable[[Progress], Any],
        on_done: Callable[[Any], None],
        on_error: Callable[[UserError], None],
        title: str,
    ) -> Any: ...


def _nothing() -> None:
    return None


def _no_pointing(segment_id: str | None) -> None:
    return None


def _no_picture() -> NDArray[np.uint8]:
    return np.zeros((0, 0, 3), np.uint8)


@dataclass(frozen=True)
class PanelContext:
    """All a panel may reach of the program. Its members are called on the GUI thread only.

    `jump_to(lps)` moves the crosshair of every view; `logic` is the plugin's own logic object; `choose_model()` lets
    the user choose a model and read its card: the choice is the setting "model" (an id; "" for the default one), and
    then the panel's `model_changed()` is called. `point_at(segment_id)` fills a segment in the views so that the eye
    finds it, None ends that. `picture()` is what the views show now, masks included and the patient's identity left
    out: uint8 (rows, columns, 3), RGB; no rows where there are no views.
    """

    scene: Scene
    run_job: RunJob
    notify: Callable[[str, NoticeKind], None]
    settings: Settings
    jump_to: Callable[[tuple[float, float, float]], None]
    logic: Any
    choose_model: Callable[[], None] = _nothing
    point_at: Callable[[str | None], None] = _no_pointing
    picture: Callable[[], NDArray[np.uint8]] = _no_picture
