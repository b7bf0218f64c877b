"""The report: findings, what supports them, how far a person has taken them. Data and rules only; no files, no Qt."""
