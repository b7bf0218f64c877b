"""One file per table of the evaluation; `training.evaluate` puts them together."""
