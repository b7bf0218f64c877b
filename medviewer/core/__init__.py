"""State and mathematics of medviewer: numpy and events only, no files, no Qt, no VTK, no torch."""
