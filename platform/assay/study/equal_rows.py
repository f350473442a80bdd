"""Rows that `--set` makes equal: it changes the path in which they differ, and a comparison of them says nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from assay.identity import identity_as_written
from assay.study.cells import Cell, Selection, cells_of
from assay.study.tables import Profile, Study

_Place = tuple[str, str]  # a table and one of its columns


@dataclasses.dataclass(frozen=True)
class RowsMadeEqual:
    """Rows of a table that are the same trainings."""

    table: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]  # empty: in all columns
    overrides: tuple[str, ...]  # as the user wrote them

    def text(self) -> str:
        """Return a sentence for the user."""
        names = ", ".join(map(repr, self.rows[:-1])) + f" and {self.rows[-1]!r}"
        flags = " ".join(f"--set {override}" for override in self.overrides)
        place = f"{self.table}, columns {', '.join(self.columns)}," if self.columns else self.table
        return f"{flags} makes the rows {names} of {place} the same trainings; they are not compared"


def rows_made_equal(study: Study, profile: Profile, selection: Selection, cells: Sequence[Cell]) -> list[RowsMadeEqual]:
    """Return the rows whose trainings are equal with the selection's overrides and differ without them."""
    if not selection.overrides:
        return []
    equal = _equal_rows(cells)
    if not equal:
        return []
    before = _equal_rows(cells_of(study, profile, dataclasses.replace(selection, overrides=())))
    columns: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for table, column, rows in equal:
        if (table, column, rows) not in before:
            columns.setdefault((table, rows), []).append(column)
    all_columns = {table: {cell.column for cell in cells if cell.table == table} for table, _ in columns}
    overrides = tuple(f"{override.path}={override.value}" for override in selection.overrides)
    return [
        RowsMadeEqual(table, rows, () if set(at) == all_columns[table] else tuple(at), overrides)
        for (table, rows), at in columns.items()
    ]


def _equal_rows(cells: Iterable[Cell]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return tables and columns with rows whose trainings are equal for all seeds, unused fields aside."""
    trainings: dict[_Place, dict[str, list[str]]] = {}
    for cell in cells:
        rows = trainings.setdefault((cell.table, cell.column), {})
        rows.setdefault(cell.row, []).append(identity_as_written(cell.experiment))
    groups: dict[tuple[_Place, tuple[str, ...]], list[str]] = {}
    for place, rows in trainings.items():
        for row, identities in rows.items():
            groups.setdefault((place, tuple(identities)), []).append(row)
    return [(table, column, tuple(rows)) for ((table, column), _), rows in groups.items() if len(rows) > 1]
