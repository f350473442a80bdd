"""The values of a table's published orderings on the page: a grid for each column, and a list of all pairs."""

from __future__ import annotations

import dataclasses

from assay.analysis.filled_table import FilledTable
from assay.analysis.orderings import ColumnOrderings, Ordering, OrderingVerdict, orderings_of
from assay.report.formatting import NONE, interval, probability, signed
from assay.report.orderings import explanation, headline, left_out
from assay.wording import count

_MARKS: dict[OrderingVerdict, str] = {"hold": "✓", "reversed": "✗", "open": "?", "waiting": "…"}
_WORDS: dict[OrderingVerdict, str] = {"hold": "holds", "reversed": "reversed", "open": "open", "waiting": "waiting"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class GridCell:
    """The ordering of two rows, at a glance."""

    mark: str  # doubled where it is beyond chance
    difference: str
    verdict: OrderingVerdict


@dataclasses.dataclass(frozen=True, kw_only=True)
class GridRow:
    """A row of the table with its orderings above the rows that follow; None where none is published."""

    rank: int
    label: str
    cells: tuple[GridCell | None, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class OrderingGrid:
    """The orderings of a column, with the rows in the published order."""

    column: str
    line: str
    heads: tuple[str, ...]
    rows: tuple[GridRow, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairRow:
    """An ordering with its numbers."""

    higher: str
    lower: str
    column: str
    cells: tuple[str, ...]
    verdict: OrderingVerdict
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class OrderingsSection:
    """The published orderings of a table."""

    explanation: str
    left_out: str
    grids: tuple[OrderingGrid, ...]
    pairs: tuple[PairRow, ...]


def orderings_section(table: FilledTable) -> OrderingsSection | None:
    """Return the orderings of a table; None where none is published between its trained rows."""
    columns = orderings_of(table)
    if not columns:
        return None
    return OrderingsSection(
        explanation=explanation(columns, with_assumptions=True),
        left_out=left_out(table),
        grids=tuple(map(_grid, columns)),
        pairs=tuple(_pair_row(column.column, ordering) for column in columns for ordering in column.orderings),
    )


def _grid(column: ColumnOrderings) -> OrderingGrid:
    orderings = {(ordering.higher, ordering.lower): ordering for ordering in column.orderings}
    rows = column.rows
    return OrderingGrid(
        column=column.column,
        line=headline([column]),
        heads=("published order", *(str(rank) for rank in range(2, len(rows) + 1))),
        rows=tuple(
            GridRow(rank=rank, label=row, cells=tuple(_grid_cell(orderings.get((row, other))) for other in rows[1:]))
            for rank, row in enumerate(rows, start=1)
        ),
    )


def _grid_cell(ordering: Ordering | None) -> GridCell | None:
    if ordering is None:
        return None
    mark = _MARKS[ordering.verdict] * (2 if ordering.is_beyond_chance else 1)
    difference = "" if ordering.test is None else signed(ordering.test.mean)
    return GridCell(mark=mark, difference=difference, verdict=ordering.verdict)


def _pair_row(column: str, ordering: Ordering) -> PairRow:
    test = ordering.test
    here = (NONE, NONE) if test is None else (_here(ordering), _tests(ordering))
    return PairRow(
        higher=ordering.higher,
        lower=ordering.lower,
        column=column,
        cells=(signed(ordering.published), *here),
        verdict=ordering.verdict,
        text=_WORDS[ordering.verdict] + (", beyond chance" if ordering.is_beyond_chance else ""),
    )


def _here(ordering: Ordering) -> str:
    test = ordering.test
    return "" if test is None else f"{signed(test.mean)} {interval(test.low, test.high)}".strip()


def _tests(ordering: Ordering) -> str:
    test = ordering.test
    if test is None or test.n < 2:
        return "one seed: not tested"
    return f"{count(test.n, 'seed')} · t-test {probability(test.t_p)} · Holm {probability(ordering.holm)}"
