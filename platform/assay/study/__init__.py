"""Ablation tables as values."""

from assay.study.tables import (
    Changes,
    Nested,
    PaperRow,
    Profile,
    Row,
    Study,
    Table,
    by_column,
    grid,
    leave_one_out,
    one_at_a_time,
)

__all__ = [
    "Changes",
    "Nested",
    "PaperRow",
    "Profile",
    "Row",
    "Study",
    "Table",
    "by_column",
    "grid",
    "leave_one_out",
    "one_at_a_time",
]
