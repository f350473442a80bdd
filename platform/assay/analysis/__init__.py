"""Filled tables, trials, statistics and verdicts, computed from results."""
