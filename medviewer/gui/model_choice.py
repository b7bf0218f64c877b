"""The action "Model…": lets the user choose the model that answers; the choice is kept as the setting "model"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medviewer.gui.dialogs.model_dialog import ModelDialog
from medviewer.gui.text import tr
from medviewer.services import model_store

if TYPE_CHECKING:
    from medviewer.gui.main_window import MainWindow

SETTING = "model"


def choose_model(window: MainWindow) -> None:
    """Ask, then use the chosen model from the next prompt on. Segments, cards and previews stay as they are."""
    dialog = ModelDialog(model_store.list_models(model_store.TEXT_SEGMENTATION), current(window), window)
    dialog.exec()
    choice = dialog.choice
    dialog.deleteLater()
    if choice is not None and choice.id != current(window):
        window.settings.set(SETTING, choice.id)
        window.plugins.tell("model_changed")
        window.notify(tr("From now on {model} answers.").format(model=choice.line), "success")


def current(window: MainWindow) -> str:
    """Id of the model that answers now: the chosen one, else the default one."""
    chosen = window.settings.get(SETTING, "")
    ready = (model.id for model in model_store.list_models(model_store.TEXT_SEGMENTATION) if model.installed)
    return chosen or next(ready, "")
