"""Earlier prompts, walked through with Up and Down. Qt-free."""

from __future__ import annotations

from collections.abc import Iterable

_MOST = 50


class PromptHistory:
    """Oldest first; the place after the last one is the empty line."""

    def __init__(self, prompts: Iterable[object] = ()) -> None:
        self.prompts = [p for p in prompts if isinstance(p, str)][-_MOST:]
        self._place = len(self.prompts)

    def remember(self, prompt: str) -> None:
        """Put a prompt at the end, once."""
        self.prompts = [*(p for p in self.prompts if p != prompt), prompt][-_MOST:]
        self._place = len(self.prompts)

    def walk(self, step: int) -> str:
        """The prompt one step earlier (-1) or later (1); the empty line after the last."""
        self._place = min(max(self._place + step, 0), len(self.prompts))
        return self.prompts[self._place] if self._place < len(self.prompts) else ""
