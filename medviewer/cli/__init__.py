"""The command line. Same logic as the window; never imports it."""
