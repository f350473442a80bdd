"""Ablation tables as values, and the work that they mean."""

from assay.study.tables import Like, Profile, Row, Study, Table, grid, leave_one_out, one_at_a_time

__all__ = ["Like", "Profile", "Row", "Study", "Table", "grid", "leave_one_out", "one_at_a_time"]
