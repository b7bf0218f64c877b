"""Play, pause and step through the frames of a cine loop."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSlider, QSpinBox, QWidget

from medviewer.gui.text import tr

_DEFAULT_FPS, _MAX_FPS = 15, 120


class CineBar(QWidget):
    """Asks for frames by `frameAsked`; the speed comes from the frame time of the source."""

    frameAsked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._count, self._frame = 1, 0
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._next)
        self.play_button = _button(tr("Play"), tr("Play or pause (Space)"))
        self.play_button.clicked.connect(self.toggle)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName(tr("Frame"))
        self.slider.setToolTip(tr("Frame (arrow keys step)"))
        self.slider.valueChanged.connect(self.frameAsked)
        self.label = QLabel()
        self.speed = QSpinBox()
        self.speed.setRange(1, _MAX_FPS)
        self.speed.setSuffix(tr(" frames/s"))
        self.speed.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
        self.speed.setMinimumWidth(96)
        self.speed.setAccessibleName(tr("Frames per second"))
        self.speed.setToolTip(tr("Speed of the cine loop"))
        self.speed.valueChanged.connect(self._speed_changed)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 4, 8, 4)
        for widget, stretch in ((self.play_button, 0), (self.slider, 1), (self.label, 0), (self.speed, 0)):
            row.addWidget(widget, stretch)

    @property
    def playing(self) -> bool:
        return self._timer.isActive()

    def set_cine(self, count: int, frame: int, frame_time_ms: float | None) -> None:
        """Another loop; playing stops."""
        self.pause()
        self._count = count
        self.slider.blockSignals(True)
        self.slider.setRange(0, max(count - 1, 0))
        self.slider.blockSignals(False)
        fps = _DEFAULT_FPS if not frame_time_ms or frame_time_ms <= 0 else round(1000.0 / frame_time_ms)
        self.speed.setValue(min(max(fps, 1), _MAX_FPS))
        self.set_frame(frame)

    def set_frame(self, frame: int) -> None:
        """The frame that is shown now."""
        self._frame = frame
        self.slider.blockSignals(True)
        self.slider.setValue(frame)
        self.slider.blockSignals(False)
        self.label.setText(tr("Frame {n} of {all}").format(n=frame + 1, all=self._count))

    def toggle(self) -> None:
        """Play or pause."""
        if self.playing:
            self.pause()
        elif self._count > 1:
            self._timer.start(round(1000 / self.speed.value()))
            self.play_button.setText(tr("Pause"))

    def pause(self) -> None:
        """Stop at the frame that is shown."""
        self._timer.stop()
        self.play_button.setText(tr("Play"))

    def _next(self) -> None:
        self.frameAsked.emit((self._frame + 1) % self._count)  # a loop; only stepping by hand does not wrap

    def _speed_changed(self, fps: int) -> None:
        if self.playing:
            self._timer.start(round(1000 / fps))


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    return button
