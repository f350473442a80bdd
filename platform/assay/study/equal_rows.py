"""Rows that `--set` makes equal: it changes the path in which they differ, and a comparison of them says nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from assay.experiment import Experiment
from assay.study.cells import Cell, Selection, cells_of
from assay.study.tables import Profile, Study

_Trainings = tuple[tuple[str, int, Experiment], ...]  # a row's columns and seeds with their experiments


@dataclasses.dataclass(frozen=True)
class RowsMadeEqual:
    """Rows of a table that are the same trainings."""

    table: str
    rows: tuple[str, ...]
    overrides: tuple[str, ...]  # as the user wrote them

    def text(self) -> str:
        """Return a sentence for the user."""
        names = ", ".join(map(repr, self.rows[:-1])) + f" and {self.rows[-1]!r}"
        flags = " ".join(f"--set {override}" for override in self.overrides)
        return f"{flags} makes the rows {names} of {self.table} the same trainings; they are not compared"


def rows_made_equal(study: Study, profile: Profile, selection: Selection, cells: Sequence[Cell]) -> list[RowsMadeEqual]:
    """Return the rows whose cells are equal with the selection's overrides and differ without them."""
    if not selection.overrides:
        return []
    equal = _groups(cells)
    if not equal:
        return []
    plain = _groups(cells_of(study, profile, dataclasses.replace(selection, overrides=())))
    overrides = tuple(f"{override.path}={override.value}" for override in selection.overrides)
    return [RowsMadeEqual(table, rows, overrides) for table, rows in equal if (table, rows) not in plain]


def _groups(cells: Iterable[Cell]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the rows of each table that have equal experiments in all columns and seeds."""
    trainings: dict[tuple[str, str], list[tuple[str, int, Experiment]]] = {}
    for cell in cells:
        trainings.setdefault((cell.table, cell.row), []).append((cell.column, cell.seed, cell.experiment))
    rows: dict[tuple[str, _Trainings], list[str]] = {}
    for (table, row), content in trainings.items():
        rows.setdefault((table, tuple(content)), []).append(row)
    return [(table, tuple(labels)) for (table, _), labels in rows.items() if len(labels) > 1]
