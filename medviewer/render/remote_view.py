"""The 3D view as the window has it: orders go to the process that draws, pictures come back. Qt-free."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medviewer.core.errors import Cancelled, UserError
from medviewer.core.progress import Progress
from medviewer.core.segmentation import Color
from medviewer.render.coarse import CoarseVolume
from medviewer.render.picture_server import FACTORY, Drawn, Order
from medviewer.render.volume_looks import VolumeLook
from medviewer.services.jobs import internal_error
from medviewer.services.logic_process import LogicProcess

Size = tuple[int, int]
_LONGEST_S = 60.0  # for a picture that somebody waits for


class RemoteView:
    """Called on one thread (the GUI's); nothing waits but `draw_now`.

    `deliver(Drawn or UserError)` is called from a thread of its own for every picture that was wanted and not replaced
    by a newer wish. After an error everything must be loaded anew.
    """

    def __init__(self, deliver: Callable[[Drawn | UserError], None]) -> None:
        self._deliver = deliver
        self._process = LogicProcess(work="The 3D picture", hint="The slices are not affected.")
        self._wake = threading.Condition()
        self._orders: deque[Order] = deque()
        self._number = self._followed = 0
        self._wanted: tuple[Size, bool] | None = None
        self._warm = self._closed = self._drawing = False
        self._thread: threading.Thread | None = None
        self._now: Drawn | UserError | None = None
        self.looks: list[VolumeLook] = []
        self.look_index = 0
        self.segments = 0  # in the last picture

    # -- content ---------------------------------------------------------------
    def warm_up(self) -> None:
        """Start the process and let it load VTK's code."""
        with self._wake:
            self._warm = True
            self._start()

    def load(
        self, window: tuple[str, bool], coarse: CoarseVolume, looks: list[VolumeLook], sides_known: bool, size: Size
    ) -> None:
        """Show a reduced scan from the front. `window` is what `gl_backend.working_window` gave."""
        self.looks, self.look_index, self.segments = looks, 0, 0
        self._order("load", window, coarse, looks, sides_known, size)

    def clear(self) -> None:
        """Show nothing; wishes and orders that wait are dropped."""
        with self._wake:
            self._orders.clear()
            self._wanted = None
        had, self.looks, self.segments = bool(self.looks), [], 0
        if had:
            self._order("clear")
            self.want((16, 16), moving=True)

    def add_surface(self, name: str, mask: Any, affine: Any) -> None:
        """Make the surface of a mask, bool (i, j, k)."""
        self._order("surface", name, mask, affine)

    def show_surfaces(self, shown: Mapping[str, tuple[Color, float]], known: Sequence[str]) -> None:
        """Which surfaces are seen: name to (colour, opacity); those not in `known` are forgotten."""
        self._order("show", dict(shown), tuple(known))

    def set_look(self, index: int) -> None:
        """Another of `looks`."""
        self.look_index = index % max(len(self.looks), 1)
        self._order("look", self.look_index)

    @property
    def title(self) -> str:
        """For instance "3D · bone + segments"."""
        parts = [self.looks[self.look_index].name] if self.looks else []
        parts += ["segments"] * bool(self.segments)
        return " · ".join(["3D", " + ".join(parts)]) if parts else "3D"

    # -- camera ---------------------------------------------------------------
    def rotate(self, dx: float, dy: float) -> None:
        """Turn by degrees: to the right and down on the screen."""
        self._order("rotate", dx, dy)

    def zoom(self, factor: float) -> None:
        """Come nearer (factor > 1)."""
        self._order("zoom", factor)

    def pan(self, dx: float, dy: float) -> None:
        """Shift the picture by device pixels."""
        self._order("pan", dx, dy)

    def reset(self) -> None:
        """Look from the front, head up, everything in sight."""
        self._order("reset")

    # -- pictures ---------------------------------------------------------------
    def want(self, size: Size, *, moving: bool) -> None:
        """Draw as soon as possible; a newer wish replaces an older one, also a still picture under way."""
        with self._wake:
            self._wanted = (max(size[0], 16), max(size[1], 16)), moving
            self._start()

    def draw_now(self, size: Size) -> Drawn | None:
        """Wait for a picture of full quality (for pictures that are saved); None where there is none."""
        with self._wake:
            self._now = None
            self.want(size, moving=False)
            self._wake.wait_for(lambda: self._now is not None or self._closed, _LONGEST_S)
            return self._now if isinstance(self._now, Drawn) else None

    @property
    def busy(self) -> bool:
        """Whether a picture is wanted or being drawn."""
        return self._wanted is not None or self._drawing

    @property
    def pid(self) -> int | None:
        """Of the process that draws."""
        return self._process.pid

    def close(self) -> None:
        """End the process; nothing is delivered afterwards."""
        with self._wake:
            self._closed = True
            self._orders.clear()
            self._wake.notify_all()
        self._process.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5.0)

    # -- the thread ---------------------------------------------------------------
    def _order(self, what: str, *given: Any) -> None:
        with self._wake:
            self._number += 1
            self._orders.append((self._number, what, given))

    def _start(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="medviewer-3d", daemon=True)
            self._thread.start()
        self._wake.notify_all()

    def _run(self) -> None:
        while self._next_wish():
            if self._warm:
                self._warm = False
                self._ask("warm", ())
            elif self._wanted is not None:
                self._draw()

    def _next_wish(self) -> bool:
        with self._wake:
            self._wake.wait_for(lambda: self._closed or self._warm or self._wanted is not None)
            return not self._closed

    def _draw(self) -> None:
        with self._wake:
            if self._wanted is None:
                return
            (size, moving), self._wanted, self._drawing = self._wanted, None, True
            orders = list(self._orders)
        given = (self._followed, orders, size, moving)
        answer = self._ask("draw", given, lambda: not moving and self._wanted is not None)
        with self._wake:
            self._drawing = False
            if not isinstance(answer, Cancelled) and orders:
                self._followed = 0 if isinstance(answer, UserError) else orders[-1][0]
                while self._orders and self._orders[0][0] <= orders[-1][0]:
                    self._orders.popleft()  # followed, or lost with the process
            elif isinstance(answer, UserError) and not isinstance(answer, Cancelled):
                self._followed = 0
            if isinstance(answer, Drawn):
                self.segments = answer.segments
            if not isinstance(answer, Cancelled) and (not moving or isinstance(answer, UserError)):
                self._now = answer
            self._wake.notify_all()
        if answer is not None and not isinstance(answer, Cancelled) and not self._closed:
            with contextlib.suppress(RuntimeError):  # the window closed just now
                self._deliver(answer)

    def _ask(
        self, method: str, values: tuple[Any, ...], replaced: Callable[[], bool] = lambda: False
    ) -> Drawn | UserError | None:
        """Errors are returned."""
        progress = Progress(is_cancelled=lambda: self._closed or replaced())
        try:
            answer: Drawn | None = self._process.call(FACTORY, (), method, values, progress)
            return answer
        except UserError as error:
            return error
        except Exception as error:  # a picture in 3D must never take the window with it
            return internal_error(error)
