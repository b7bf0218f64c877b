"""Report generation: from scan and masks to a draft whose every sentence points at its evidence."""
