"""A study as values: tables of rows, columns and seeds, and profiles with the data that they are trained on.

    TABLE = Table(
        name="mkd.table1",
        columns=("1/16(92)", "1/8(183)"),
        rows=(Row("Supervised", {"method": "supervised"}, paper="SupOnly-R101"), ...),
        reference="Supervised",
    )

A row is a label and its changes ``{path: value}``, the same map that ``--set`` and search spaces write. A profile
replaces data, network and recipe, and it maps every column to data. Rows stay as in the paper.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
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
    """A nested experiment in a row's changes, such as a teacher, on the cell's own data, network and recipe.

    Its seed is the cell's, or a fixed one: then one teacher serves all seeds. An offset makes a twin, which is the
    same training with another seed.
    """

    changes: Changes
    seed: int | None = None
    offset: int = 0


@dataclasses.dataclass(frozen=True)
class PaperRow:
    """A row of the paper's table, by its label and check marks: several rows may have one label."""

    label: str
    factors: Changes  # as papers.json names them


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table."""

    label: str
    changes: Changes = dataclasses.field(default_factory=dict)
    paper: str | PaperRow | None = None  # the paper's label; without it the row has no numbers of the paper
    by_column: Mapping[str, Changes] = dataclasses.field(default_factory=dict)  # more changes, by column
    notes: tuple[str, ...] = ()
    not_comparable: str = ""  # the reason why its cells must not be compared with the paper's
    not_the_papers: str = ""  # such a reason of a row that is another thing than the paper's: nor is its rank compared
    quoted: bool = False  # shown with the paper's numbers alone; never trained


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """Rows and columns. Its name begins with the paper's table: ``mkd.table4.plain`` belongs to ``mkd.table4``."""

    name: str
    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    reference: str | None = None  # the row that the others are compared with
    title: str = ""
    caption: str = ""
    changes: Changes = dataclasses.field(default_factory=dict)  # of all rows
    not_comparable: Mapping[str, str] = dataclasses.field(default_factory=dict)  # reasons by column
    plot_over_columns: tuple[str, ...] = ()  # rows whose mIoU is drawn over the columns (shares of labels)
    count_flops_of: Part | None = None  # Params and FLOPs stand beside each row, counted of this part of its network

    @property
    def paper(self) -> str:
        """The paper's table: the first two parts of the name."""
        return ".".join(self.name.split(".")[:2])

    def cells(self) -> Iterator[tuple[Row, str]]:
        """Yield each row with each column."""
        return itertools.product(self.rows, self.columns)

    def check(self) -> None:
        """Raise a UserError for unknown or repeated names: row and column must identify a cell."""
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
    """The data, network and recipe of all tables. A column in neither `columns` nor `blocked_by` is only quoted."""

    name: str
    note: str  # a sentence at the head of the report
    start: Callable[[], tuple[Data, Net, Recipe]]
    columns: Mapping[str, Changes]  # by "table/column" or by column: its data
    changes: Changes = dataclasses.field(default_factory=dict)  # of everything in this profile
    rows: Mapping[str, Changes] = dataclasses.field(default_factory=dict)  # more changes, by "table/row" or by row
    cells: Mapping[str, Changes] = dataclasses.field(default_factory=dict)  # more changes, by "table/row/column"
    blocked_by: Mapping[str, str] = dataclasses.field(default_factory=dict)  # what a column waits for
    classes: Mapping[str, str] = dataclasses.field(default_factory=dict)  # by column: the class whose IoU it shows
    seeds: tuple[int, ...] = (0, 1, 2)
    tables: tuple[str, ...] = ()  # run when none are chosen; all if empty
    shown: tuple[str, ...] = ()  # columns that are run when none are chosen; all if empty
    shown_rows: tuple[str, ...] = ()  # rows that are run when none are chosen; all if empty
    not_comparable: str = ""  # the reason for all cells of this profile
    runtime: Changes = dataclasses.field(default_factory=dict)  # loader processes, checkpoints: no key depends on them
    parallel_by_default: bool = False  # for long trainings: one on each core of a laptop

    def column(self, table: str, column: str) -> Changes | None:
        """Return the changes of a column, or None where this profile does not train it."""
        return self.columns.get(f"{table}/{column}", self.columns.get(column))

    def row(self, table: str, row: str) -> Changes:
        """Return the changes of a row in this profile alone, such as the network that its label names."""
        return self.rows.get(f"{table}/{row}", self.rows.get(row, NONE))

    def cell(self, table: str, row: str, column: str) -> Changes:
        """Return the changes of a row in one column of this profile, such as a teacher's steps on a data set."""
        return self.cells.get(f"{table}/{row}/{column}", NONE)

    def class_of(self, table: str, column: str) -> str:
        """Return the class, by its name in this profile's data, whose IoU a column shows; empty where it shows mIoU."""
        return self.classes.get(f"{table}/{column}", self.classes.get(column, ""))

    def missing_data_of(self, table: str, column: str) -> str:
        """Return the data that the cells of a column wait for; empty where they can be trained."""
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
        """Raise a UserError for unknown or repeated names."""
        tables = [table.name for table in self.tables]
        _check_once(tables, f"{self.name} has two tables")
        _check_once([each.name for each in self.profiles], f"{self.name} has two profiles")
        columns = [column for table in self.tables for column in table.columns]
        for table in self.tables:
            table.check()
        places = [*columns, *(f"{table.name}/{column}" for table in self.tables for column in table.columns)]
        labels = [(table.name, row.label) for table in self.tables for row in table.rows]
        row_labels = [label for _, label in labels]
        rows = [*row_labels, *(f"{table}/{label}" for table, label in labels)]
        cells = [f"{table.name}/{row.label}/{column}" for table in self.tables for row, column in table.cells()]
        for profile in self.profiles:
            _check_known(profile.columns, places, f"profile {profile.name}, columns: there is no")
            _check_known(profile.blocked_by, places, f"profile {profile.name}, blocked_by: there is no")
            _check_known(profile.classes, places, f"profile {profile.name}, classes: there is no")
            _check_known(profile.rows, rows, f"profile {profile.name}, rows: there is no")
            _check_known(profile.cells, cells, f"profile {profile.name}, cells: there is no")
            _check_known(profile.tables, tables, f"profile {profile.name}, tables: there is no")
            _check_known(profile.shown, columns, f"profile {profile.name}, shown: there is no column")
            _check_known(profile.shown_rows, row_labels, f"profile {profile.name}, shown_rows: there is no row")


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
    """Return a profile's columns: the data of each column of a table, by ``table/column``."""
    return {f"{table.name}/{column}": data(column) for column in table.columns}


def leave_one_out(parts: Mapping[str, Changes], *, base: Changes = NONE, full: str = "all") -> tuple[Row, ...]:
    """Return a row with all parts and a row without each of them; `parts` holds what switches each part *off*."""
    without = [Row(f"without {name}", {**base, **changes}) for name, changes in parts.items()]
    return (Row(full, dict(base)), *without)


def one_at_a_time(
    options: Mapping[str, Iterable[Any]], *, base: Changes = NONE, default: str = "default"
) -> tuple[Row, ...]:
    """Return the base and, for each path, a row for each of its values."""
    rows = [
        Row(f"{path.rpartition('.')[2]} = {value}", {**base, path: value})
        for path, values in options.items()
        for value in values
    ]
    return (Row(default, dict(base)), *rows)


def grid(options: Mapping[str, Iterable[Any]], *, base: Changes = NONE) -> tuple[Row, ...]:
    """Return a row for every combination of values."""
    paths = list(options)
    return tuple(
        Row(
            ", ".join(f"{path.rpartition('.')[2]} = {value}" for path, value in zip(paths, values, strict=True)),
            {**base, **dict(zip(paths, values, strict=True))},
        )
        for values in itertools.product(*options.values())
    )
