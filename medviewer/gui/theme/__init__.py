"""One set of tokens, two themes."""

from medviewer.gui.theme.apply import apply_theme, current_tokens
from medviewer.gui.theme.tokens import DARK, LIGHT, Tokens

__all__ = ["DARK", "LIGHT", "Tokens", "apply_theme", "current_tokens"]
