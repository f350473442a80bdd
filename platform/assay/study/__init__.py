"""Ablation tables as values, and what runs them."""

from assay.study.command import main
from assay.study.tables import Profile, Row, Study, Table, grid, leave_one_out, one_at_a_time

__all__ = ["Profile", "Row", "Study", "Table", "grid", "leave_one_out", "main", "one_at_a_time"]
