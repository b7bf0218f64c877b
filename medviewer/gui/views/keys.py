"""Single keys of the views; they act only while a view has focus. The F1 page lists `VIEW_KEYS`."""

from __future__ import annotations

from PySide6.QtCore import QElapsedTimer, Qt
from PySide6.QtGui import QKeyEvent

from medviewer.gui.views.commands import ViewCommands

K = Qt.Key
VIEW_KEYS: tuple[tuple[str, str], ...] = (
    ("Wheel", "Next or previous image"),
    ("Up / Down, Left / Right", "Previous or next image"),
    ("Page Up / Page Down", "Ten images"),
    ("Home / End", "First or last image"),
    ("Ctrl + wheel, + / −", "Zoom"),
    ("Left drag", "The chosen tool"),
    ("Right drag", "Window and level"),
    ("Middle drag", "Move the picture"),
    ("Double click, M", "One view large, and back"),
    ("1 … 9", "Window presets"),
    ("F", "Fit the picture; 3D: from the front"),
    ("I", "Invert"),
    ("H", "Hide the masks; hold to peek"),
    ("L", "Smooth or plain pixels"),
    ("X, Y, R", "Flip sideways, flip upside down, turn by 90°"),
    ("P", "Hide the patient's identity"),
    ("Space", "Play or pause (cine)"),
)
_STEPS = {
    K.Key_Up: -1, K.Key_Left: -1, K.Key_Down: 1, K.Key_Right: 1, K.Key_PageUp: -10, K.Key_PageDown: 10,
}  # fmt: skip
_PEEK_MS = 350  # H held longer than this shows the masks again when it is released


class ViewKeys:
    """Turns key events of a view into commands."""

    def __init__(self, commands: ViewCommands) -> None:
        self._commands = commands
        self._peek = QElapsedTimer()
        self._simple = {
            K.Key_F: commands.fit, K.Key_I: commands.invert, K.Key_M: commands.maximise, K.Key_P: commands.identity,
            K.Key_L: commands.smooth, K.Key_X: commands.flip_horizontal, K.Key_Y: commands.flip_vertical,
            K.Key_R: commands.rotate, K.Key_Space: commands.play,
        }  # fmt: skip

    def press(self, event: QKeyEvent) -> None:
        """Accepts the event if it means something here."""
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        if modifiers not in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier):
            return
        if self._act(event, Qt.Key(event.key())):
            event.accept()

    def _act(self, event: QKeyEvent, key: Qt.Key) -> bool:
        if key in _STEPS:
            self._commands.scroll_images(_STEPS[key])
        elif key in (K.Key_Home, K.Key_End):
            self._commands.scroll_to_end(last=key == K.Key_End)
        elif key in (K.Key_Plus, K.Key_Equal, K.Key_Minus):
            self._commands.zoom(1 / 1.15 if key == K.Key_Minus else 1.15)
        elif K.Key_1 <= key <= K.Key_9:
            self._commands.preset(str(key - K.Key_0))
        elif key == K.Key_H:
            self._hide(event)
        elif key in self._simple:
            if not event.isAutoRepeat():
                self._simple[key]()
        else:
            return False
        return True

    def _hide(self, event: QKeyEvent) -> None:
        if not event.isAutoRepeat():
            self._peek.start()
            self._commands.toggle_masks()

    def release(self, event: QKeyEvent) -> None:
        """The end of a peek."""
        if event.key() != K.Key_H or event.isAutoRepeat():
            return
        event.accept()
        if self._commands.masks_hidden and self._peek.isValid() and self._peek.elapsed() >= _PEEK_MS:
            self._commands.toggle_masks()
