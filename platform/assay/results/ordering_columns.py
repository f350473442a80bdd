"""The columns of `orderings.parquet`: a row for each published ordering of a study's trained rows.

A published ordering is a pair of rows whose printed numbers differ: `higher` has the larger one. `published` is the
difference of these numbers; `difference` with its interval from `low` to `high` is that of the trainings here, paired
by seed. All are points of mIoU in percent.
"""

from __future__ import annotations

ORDERING_COLUMNS: dict[str, str] = {
    "study": "string",
    "profile": "string",
    "table": "string",
    "column": "string",
    "higher": "string",
    "lower": "string",
    "published": "float64",
    "verdict": "string",  # hold, reversed, open or waiting
    "beyond_chance": "boolean",
    "seeds": "Int64",  # that both rows have
    "difference": "float64",
    "low": "float64",
    "high": "float64",
    "t_p": "float64",  # of the paired t test
    "holm": "float64",  # the same, corrected for all orderings of the table's column
    "seeds_needed": "Int64",  # for the t test to show it, where it is not beyond chance
}
