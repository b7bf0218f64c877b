"""The panels of the window: what they say (logic, Qt-free) and how it looks (ui)."""
