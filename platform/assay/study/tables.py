"""A study as values: tables of rows, columns and seeds, and profiles that say what they are trained on.

    TABLE = Table(
        name="mkd.table1",
        columns=("1/16(92)", "1/8(183)"),
        rows=(Row("Supervised", {"method": "supervised"}, paper="SupOnly-R101"), ...),
        reference="Supervised",
    )

A row is a label and its changes ``{path: value}``, the same map that ``--set`` and search spaces write. A profile
replaces data, network and recipe and maps every column to its own data; rows stay what the paper says.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from assay.errors import UserError
from assay.experiment import Data
from assay.nets.spec import Net
from assay.recipe import Recipe
from assay.results.layout import Part
from assay.values import suggestion

Changes = Mapping[str, Any]
NONE: Changes = {}


@dataclasses.dataclass(frozen=True)
class Nested:
    """In a row's changes, an experiment on the cell's own data, network and recipe: a teacher, an earlier stage.

    Its seed is the cell's, or a fixed one for all: then one teacher serves all seeds. An offset on either makes a
    twin: the same training with another seed.
    """

    changes: Changes
    seed: int | None = None
    offset: int = 0


@dataclasses.dataclass(frozen=True)
class PaperRow:
    """A row of the paper's table whose label stands there more than once, told apart by its check marks."""

    label: str
    factors: Changes  # as papers.json names them


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table."""

    label: str
    changes: Changes = dataclasses.field(default_factory=dict)
    paper: str | PaperRow | None = None  # the paper's label, where its numbers are looked up; no number where none
    by_column: Mapping[str, Changes] = dataclasses.field(default_factory=dict)  # more changes, by column
    notes: tuple[str, ...] = ()
    not_comparable: str = ""  # from the paper's row of that label: then its cells are not comparable with the paper's
    quoted: bool = False  # only the paper's numbers are shown; nothing here trains it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """Rows x columns. `name` begins with the paper's table, where the paper's numbers are looked up."""

    name: str
    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    reference: str | None = None  # the row that the others are compared with
    title: str = ""
    caption: str = ""
    changes: Changes = dataclasses.field(default_factory=dict)  # of all rows
    not_comparable: Mapping[str, str] = dataclasses.field(default_factory=dict)  # by column, as a row's
    plot_over_columns: tuple[str, ...] = ()  # rows whose mIoU is drawn over the columns (shares of labels)
    count_flops_of: Part | None = None  # Params and FLOPs stand beside each row, counted of this part of its network

    @property
    def paper(self) -> str:
        """The paper's table: the first two parts of the name."""
        return ".".join(self.name.split(".")[:2])

    def check(self) -> None:
        """Refuse names that mean nothing here, or two things: a cell is found by its row and column."""
        labels = [row.label for row in self.rows]
        _check_once(labels, f"the table {self.name} has two rows")
        _check_once(self.columns, f"the table {self.name} has two columns")
        if self.reference is not None:
            _check_known([self.reference], labels, f"the reference of {self.name}: there is no row")
        _check_known(self.not_comparable, self.columns, f"{self.name}, not_comparable: there is no column")
        _check_known(self.plot_over_columns, labels, f"{self.name}, plot_over_columns: there is no row")
        for row in self.rows:
            _check_known(row.by_column, self.columns, f"{self.name}, row {row.label!r}: there is no column")
            if "seed" in {**self.changes, **row.changes} or any("seed" in each for each in row.by_column.values()):
                raise UserError(f"{self.name}, row {row.label!r} changes seed; seeds are the profile's, or --seeds.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Profile:
    """What the tables are trained on. A column in neither `columns` nor `blocked_by` is quoted, and never run."""

    name: str
    note: str  # in a sentence, for the head of the report
    start: Callable[[], tuple[Data, Net, Recipe]]
    columns: Mapping[str, Changes]  # by "table/column" or by column: where the column's data are
    changes: Changes = dataclasses.field(default_factory=dict)  # of everything in this profile
    rows: Mapping[str, Changes] = dataclasses.field(default_factory=dict)  # more changes, by "table/row" or by row
    blocked_by: Mapping[str, str] = dataclasses.field(default_factory=dict)  # what a column waits for
    seeds: tuple[int, ...] = (0, 1, 2)
    tables: tuple[str, ...] = ()  # run when none are chosen; all if empty
    shown: tuple[str, ...] = ()  # columns that are run when none are chosen; all if empty
    not_comparable: str = ""  # from the papers' protocol, for all its cells
    runtime: Changes = dataclasses.field(default_factory=dict)  # loader processes, checkpoints: what moves no number
    parallel_by_default: bool = False  # trainings so long that a laptop is done sooner with one on each of its cores

    def column(self, table: str, column: str) -> Changes | None:
        """The changes that a column of a table means here, or None where nothing here trains it."""
        return self.columns.get(f"{table}/{column}", self.columns.get(column))

    def row(self, table: str, row: str) -> Changes:
        """What a row changes in this profile beside what it changes in all: the network that its label names."""
        return self.rows.get(f"{table}/{row}", self.rows.get(row, NONE))

    def missing_data_of(self, table: str, column: str) -> str:
        """What blocks the cells of a column, which would be trained if it were there; empty where nothing does."""
        if self.column(table, column) is not None:
            return ""
        return self.blocked_by.get(f"{table}/{column}", self.blocked_by.get(column, ""))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """The tables of one paper or purpose."""

    name: str
    title: str
    tables: tuple[Table, ...]
    profiles: tuple[Profile, ...]  # the first is the default

    def check(self) -> None:
        """Refuse names that mean nothing, or two things."""
        tables = [table.name for table in self.tables]
        _check_once(tables, f"{self.name} has two tables")
        _check_once([each.name for each in self.profiles], f"{self.name} has two profiles")
        columns = [column for table in self.tables for column in table.columns]
        for table in self.tables:
            table.check()
        places = [*columns, *(f"{table.name}/{column}" for table in self.tables for column in table.columns)]
        labels = [(table.name, row.label) for table in self.tables for row in table.rows]
        rows = [*(label for _, label in labels), *(f"{table}/{label}" for table, label in labels)]
        for profile in self.profiles:
            _check_known(profile.columns, places, f"profile {profile.name}, columns: there is no")
            _check_known(profile.blocked_by, places, f"profile {profile.name}, blocked_by: there is no")
            _check_known(profile.rows, rows, f"profile {profile.name}, rows: there is no")
            _check_known(profile.tables, tables, f"profile {profile.name}, tables: there is no")
            _check_known(profile.shown, columns, f"profile {profile.name}, shown: there is no column")


def _check_once(names: Iterable[str], what: str) -> None:
    for name, count in collections.Counter(names).items():
        if count > 1:
            raise UserError(f"{what} called {name!r}; each needs a name of its own.")


def _check_known(names: Iterable[str], known: Iterable[str], what: str) -> None:
    there = dict.fromkeys(known)
    for name in names:
        if name not in there:
            raise UserError(f"{what} {name!r}{suggestion(name, there)}.")


def by_column(table: Table, data: Callable[[str], Changes]) -> dict[str, Changes]:
    """A profile's columns: where the data of each column of a table are, by the column's name."""
    return {f"{table.name}/{column}": data(column) for column in table.columns}


def leave_one_out(parts: Mapping[str, Changes], *, base: Changes = NONE, full: str = "all") -> tuple[Row, ...]:
    """A row with everything, and one for each part without it. `parts` hold what switches each part *off*."""
    without = [Row(f"without {name}", {**base, **changes}) for name, changes in parts.items()]
    return (Row(full, dict(base)), *without)


def one_at_a_time(
    options: Mapping[str, Iterable[Any]], *, base: Changes = NONE, default: str = "default"
) -> tuple[Row, ...]:
    """The base, and each value of each path with everything else at the base."""
    rows = [
        Row(f"{path.rpartition('.')[2]} = {value}", {**base, path: value})
        for path, values in options.items()
        for value in values
    ]
    return (Row(default, dict(base)), *rows)


def grid(options: Mapping[str, Iterable[Any]], *, base: Changes = NONE) -> tuple[Row, ...]:
    """Every combination of values."""
    paths = list(options)
    return tuple(
        Row(
            ", ".join(f"{path.rpartition('.')[2]} = {value}" for path, value in zip(paths, values, strict=True)),
            {**base, **dict(zip(paths, values, strict=True))},
        )
        for values in itertools.product(*options.values())
    )
