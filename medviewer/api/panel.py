"""What the visible half of a plugin gets handed. Qt-free: the window fills it in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import UserError
from medviewer.core.progress import Progress
from medviewer.core.scene import Scan, Scene
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
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


def _nothing_opened(paths: Sequence[Path], then: Callable[[Scan], None]) -> None:
    return None


@dataclass(frozen=True, eq=False)
class PriorView:
    """A prior to be shown beside the active scan.

    `matrix` (4x4) maps LPS mm of the prior to LPS mm of the active scan; None: the views are not linked. `segments` are
    on the prior's grid, in the colours they are to be drawn in. `date` goes behind "PRIOR"; `statement` says how far
    the registration can be trusted, `is_doubtful` that it cannot. `nudge((x, y, z))` is called with LPS mm by which the
    user wants the prior moved over the active scan, `hide()` when it is to be shown no more.
    """

    volume: Volume
    segments: tuple[Segment, ...]
    matrix: NDArray[np.float64] | None
    date: str
    statement: str
    is_doubtful: bool
    nudge: Callable[[tuple[float, float, float]], None]
    hide: Callable[[], None]


def _no_prior(prior: PriorView | None) -> None:
    return None


@dataclass(frozen=True)
class PanelContext:
    """All a panel may reach of the program. Its members are called on the GUI thread only.

    `jump_to(lps)` moves the crosshair of every view; `logic` is the plugin's own logic object; `choose_model()` lets
    the user choose a model and read its card: the choice is the setting "model" (an id; "" for the default one), and
    then the panel's `model_changed()` is called. `point_at(segment_id)` fills a segment in the views so that the eye
    finds it, None ends that. `picture()` is what the views show now, masks included and the patient's identity left
    out: uint8 (rows, columns, 3), RGB; no rows where there are no views. `show_prior(PriorView)` shows a prior beside
    the active scan, None ends that; so does the change to another scan. `open_beside(paths, then)` opens a scan without
    showing it, lets the user choose where there are several series, and calls `then(scan)` for each.
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
    show_prior: Callable[[PriorView | None], None] = _no_prior
    open_beside: Callable[[Sequence[Path], Callable[[Scan], None]], None] = _nothing_opened
