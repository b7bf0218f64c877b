"""Plugins shipped with medviewer, one folder each; loaded by their manifests and never imported by name."""
