"""The views of a scan in the window: four panes or one, their mouse, keys and overlays."""
