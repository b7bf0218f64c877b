"""The list of accepted segments."""
