"""The action "Clear the model cache": removes what the model keeps on the disk about scans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medviewer.gui.text import tr
from medviewer.services import embedding_cache

if TYPE_CHECKING:
    from medviewer.gui.main_window import MainWindow


def clear_model_cache(window: MainWindow) -> None:
    """Clear it on a worker, then say how much was freed."""

    def told(freed: int) -> None:
        if freed:
            text = tr("The model cache was cleared: {size} freed.").format(size=size_text(freed))
            window.notify(text, "success")
        else:
            window.notify(tr("The model cache is empty."), "info")

    window.jobs.run(tr("Clearing the model cache"), lambda progress: embedding_cache.clear(), told)


def size_text(count: int) -> str:
    """Bytes for people: "83 MB"."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"
