"""Published orderings: which of the paper's orders between rows the trainings here show as well.

A published ordering is a pair of trained rows whose printed numbers differ. A run on other data can support the order
of a paper's rows, although not its numbers. The verdict of an ordering rests on the differences paired by seed, of the
row with the larger printed number less the other row:

- hold: their mean is positive and larger than its standard error;
- reversed: their mean is negative and larger than its standard error in size;
- open: their mean is not larger than its standard error in size, or there are fewer than two common seeds;
- waiting: a seed of one of the rows has no result yet, or failed.

Rows of the same trainings count as one row. So do columns, once `FilledTable.merged` has merged them. Then an ordering
is published where all their printed numbers agree on it.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, get_args

import pandas as pd

from assay.analysis.filled_table import FilledCell, FilledTable, by_training, fill
from assay.analysis.statistics import ALPHA, PairedT, holm, paired_t, seeds_needed
from assay.results.layout import StudyLayout
from assay.results.ordering_columns import ORDERING_COLUMNS

OrderingVerdict = Literal["hold", "reversed", "open", "waiting"]
ORDERING_VERDICTS: tuple[OrderingVerdict, ...] = get_args(OrderingVerdict)

MOST_SEEDS = 50  # no study here trains more; an ordering that needs more is out of its reach
_LEAST_ROWS = 3  # of Kendall's τ: for two rows it is 1 or -1, as their one ordering


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ordering:
    """A published ordering of two rows, and the difference between these rows here."""

    higher: str  # the row with the larger printed number
    lower: str
    published: float  # the difference of the printed numbers, the smallest one where several are printed
    verdict: OrderingVerdict
    test: PairedT | None  # higher less lower; None while it waits, and without common seeds
    holm: float | None = None  # p of the t test, corrected for all orderings of the column
    family: int = 1  # the number of orderings of the column, by which Holm's strictest level is divided

    @property
    def is_beyond_chance(self) -> bool:
        """True where the difference is significant after Holm's correction."""
        return self.holm is not None and self.holm <= ALPHA

    @property
    def seeds_needed(self) -> int | None:
        """The number of seeds with which the t test would show this difference beyond chance.

        The difference and its spread are taken to stay. The level is Holm's strictest one. None where the difference
        is beyond chance already, where the differences do not vary, and above `MOST_SEEDS`.
        """
        if self.is_beyond_chance or self.test is None or not self.test.sd:
            return None
        return seeds_needed(self.test.mean, self.test.sd, MOST_SEEDS, level=1 - ALPHA / self.family)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColumnOrderings:
    """All published orderings of a table's column."""

    table: str
    column: str
    rows: tuple[str, ...]  # the rows with a printed number, from the largest to the smallest
    orderings: tuple[Ordering, ...]
    tau: float | None  # Kendall's τ-b of the complete rows; None for fewer than three, or where all are equal
    seeds: tuple[int, ...]  # of the rows' trainings, whatever their state
    keys: frozenset[str]  # of the same trainings


@dataclasses.dataclass(frozen=True, kw_only=True)
class OrderingCounts:
    """The number of orderings with each verdict."""

    hold: int
    reversed: int
    open: int
    waiting: int
    hold_beyond_chance: int
    reversed_beyond_chance: int

    @property
    def judged(self) -> int:
        """The number of orderings between complete rows."""
        return self.hold + self.reversed + self.open


@dataclasses.dataclass(frozen=True)
class _Contender:
    """One row of a column, or several rows of the same trainings."""

    cells: tuple[FilledCell, ...]

    @property
    def label(self) -> str:
        return " = ".join(cell.row for cell in self.cells)

    @property
    def is_complete(self) -> bool:
        return all(cell.done == cell.planned for cell in self.cells)

    def printed(self) -> list[float]:
        """Return all its printed numbers."""
        return [number for cell in self.cells for number in _printed(cell) if number is not None]


def orderings_of(table: FilledTable) -> list[ColumnOrderings]:
    """Return the orderings of each column of mIoU that has any; the table is to be merged."""
    of_miou = (index for index, column in enumerate(table.layout.columns) if not column.of_class)
    columns = (_column_orderings(table, index) for index in of_miou)
    return [column for column in columns if column.orderings]


def tally(columns: Iterable[ColumnOrderings]) -> OrderingCounts:
    """Count the orderings of some columns."""
    orderings = [ordering for column in columns for ordering in column.orderings]

    def number(verdict: OrderingVerdict, *, beyond_chance: bool = False) -> int:
        of_verdict = [ordering for ordering in orderings if ordering.verdict == verdict]
        return sum(ordering.is_beyond_chance or not beyond_chance for ordering in of_verdict)

    return OrderingCounts(
        **{verdict: number(verdict) for verdict in ORDERING_VERDICTS},
        hold_beyond_chance=number("hold", beyond_chance=True),
        reversed_beyond_chance=number("reversed", beyond_chance=True),
    )


def orderings_frame(frame: pd.DataFrame, layout: StudyLayout) -> pd.DataFrame:
    """Return the orderings of a study's results as the lines of orderings.parquet."""
    tables = (fill(frame, table).merged() for table in layout.tables)
    lines = [
        {"study": layout.name, "profile": layout.profile, "table": column.table, "column": column.column}
        | _line(ordering)
        for table in tables
        for column in orderings_of(table)
        for ordering in column.orderings
    ]
    return pd.DataFrame(lines, columns=list(ORDERING_COLUMNS)).astype(ORDERING_COLUMNS)


def _line(ordering: Ordering) -> dict[str, Any]:
    test = ordering.test
    return {
        "higher": ordering.higher,
        "lower": ordering.lower,
        "published": ordering.published,
        "verdict": ordering.verdict,
        "beyond_chance": ordering.is_beyond_chance,
        "seeds": 0 if test is None else test.n,
        "difference": None if test is None else test.mean,
        "low": None if test is None else test.low,
        "high": None if test is None else test.high,
        "t_p": None if test is None else test.t_p,
        "holm": ordering.holm,
        "seeds_needed": ordering.seeds_needed,
    }


def _column_orderings(table: FilledTable, index: int) -> ColumnOrderings:
    contenders = _contenders(table, index)
    runs = [run for contender in contenders for cell in contender.cells for run in cell.runs]
    orderings = [ordering for pair in itertools.combinations(contenders, 2) if (ordering := _ordering(*pair))]
    corrected = holm([_tested_p(ordering.test) for ordering in orderings])
    return ColumnOrderings(
        table=table.layout.name,
        column=table.layout.columns[index].label,
        rows=tuple(contender.label for contender in contenders),
        orderings=tuple(
            dataclasses.replace(ordering, holm=p, family=len(orderings))
            for ordering, p in zip(orderings, corrected, strict=True)
        ),
        tau=_tau([contender for contender in contenders if contender.is_complete]),
        seeds=tuple(sorted({run.seed for run in runs})),
        keys=frozenset(run.key for run in runs),
    )


def _contenders(table: FilledTable, index: int) -> list[_Contender]:
    """Return the trained rows with a printed number that are the paper's, from the largest number to the smallest."""
    cells = (cells[index] for row, cells in table.lines() if not row.not_the_papers)
    groups = by_training(cell for cell in cells if cell.planned)
    contenders = [contender for group in groups if (contender := _Contender(tuple(group))).printed()]
    return sorted(contenders, key=lambda contender: -max(contender.printed()))


def _printed(cell: FilledCell) -> tuple[float | None, ...]:
    """Return the printed numbers of a cell, one for each of the paper's columns that were merged into its column."""
    return cell.paper, *cell.papers_merged


def _ordering(first: _Contender, second: _Contender) -> Ordering | None:
    """Return the published ordering of two rows; None where the paper prints none."""
    published = _published_difference(first, second)
    if published == 0:
        return None
    higher, lower = (first, second) if published > 0 else (second, first)
    is_complete = first.is_complete and second.is_complete
    test = _difference(higher, lower) if is_complete else None
    return Ordering(
        higher=higher.label,
        lower=lower.label,
        published=abs(published),
        verdict=_verdict(test) if is_complete else "waiting",
        test=test,
    )


def _published_difference(first: _Contender, second: _Contender) -> float:
    """Return the smallest difference of the printed numbers; 0 where they are equal, disagree, or are not printed."""
    pairs = (zip(_printed(one), _printed(other), strict=True) for one in first.cells for other in second.cells)
    differences = [a - b for pair in pairs for a, b in pair if a is not None and b is not None]
    agree = differences and (min(differences) > 0 or max(differences) < 0)
    return min(differences, key=abs) if agree else 0.0


def _difference(higher: _Contender, lower: _Contender) -> PairedT | None:
    return paired_t(lower.cells[0].by_seed(), higher.cells[0].by_seed())


def _verdict(test: PairedT | None) -> OrderingVerdict:
    # Without a p the differences are one, or all zero to rounding.
    if test is None or test.t_p is None or test.standard_error is None or abs(test.mean) <= test.standard_error:
        return "open"
    return "hold" if test.mean > 0 else "reversed"


def _tested_p(test: PairedT | None) -> float | None:
    """Return p of the t test; None where all differences are equal, which shows no spread to test against."""
    return test.t_p if test is not None and test.sd else None


def _tau(contenders: Sequence[_Contender]) -> float | None:
    """Return Kendall's τ-b between the printed numbers and the means here.

    τ-b = (C - D) / √(P M) with C pairs of equal and D of opposite order, P pairs with a published order, and M pairs
    with an order here. SciPy's needs a single printed number for each row, which merged columns do not have.
    """
    if len(contenders) < _LEAST_ROWS:
        return None
    pairs = list(_signs(contenders))
    agreement = sum(published * here for published, here in pairs)
    ordered = sum(published != 0 for published, _ in pairs) * sum(here != 0 for _, here in pairs)
    return agreement / math.sqrt(ordered) if ordered else None


def _signs(contenders: Sequence[_Contender]) -> Iterator[tuple[int, int]]:
    """Yield the published order and the order here of every pair, as 1, 0 or -1."""
    for first, second in itertools.combinations(contenders, 2):
        ours, theirs = (contender.cells[0].by_seed() for contender in (first, second))
        here = math.fsum(ours[seed] - theirs[seed] for seed in ours if seed in theirs)
        yield _sign(_published_difference(first, second)), _sign(here)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
