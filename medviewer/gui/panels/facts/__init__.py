"""Figures of the selected segment."""
