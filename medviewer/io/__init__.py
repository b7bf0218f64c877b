"""Files: one format per module, each with scan and load, or write and verify."""
