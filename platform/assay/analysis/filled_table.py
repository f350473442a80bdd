"""The cells of a paper's table with this study's results: a frozen value for each cell.

No number is ever invented: a mean is over the finished seeds, and the number of planned seeds stands beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import pandas as pd

from assay.analysis.statistics import Paired, Summary, detectable, finite_or_none, holm, paired, summary
from assay.results.layout import CHANGED_BY_SET, ColumnLayout, Counted, Part, RowLayout, TableLayout

RunState = Literal["done", "failed", "blocked", "running", "waiting"]
RUN_STATES: tuple[RunState, ...] = get_args(RunState)

Record = Mapping[str, Any]  # a line of results.parquet, with None for absent values


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeedRun:
    """One training of a cell: its seed, its state and its numbers."""

    seed: int
    state: RunState
    error: str = ""
    key: str = ""
    miou: float | None = None  # percent, of the last checkpoint; in a column of a class, the class's IoU
    best: float | None = None  # percent, of the best checkpoint
    counted: Counted | None = None  # the size of its network, or of the part that the table counts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """The differences of a cell from the reference row's in the same column, paired by seed."""

    reference: str
    paired: Paired
    holm: float | None  # p corrected for all comparisons of this column
    family: int  # the number of these comparisons that were tested; one seed tests nothing
    detectable: float | None  # the smallest gap that this number of seeds detects with this spread


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilledCell:
    """One cell of a table: this study's results beside the paper's number."""

    row: str
    column: str
    runs: tuple[SeedRun, ...]  # in the order of seeds; none where only the paper's number exists
    paper: float | None
    comparable: bool
    not_comparable: str  # its deviations from the paper's protocol, separated by "; "
    last: Summary  # mIoU of the last checkpoints
    best: Summary  # mIoU of the best checkpoints
    comparison: Comparison | None = None
    paper_counted: Counted | None = None  # the size of the row's network as the paper prints it
    papers_merged: tuple[float | None, ...] = ()  # the paper's numbers in further columns that were merged into this

    @property
    def planned(self) -> int:
        """The number of planned seeds."""
        return len(self.runs)

    def count(self, state: RunState) -> int:
        """Return the number of seeds in a state."""
        return sum(run.state == state for run in self.runs)

    @property
    def done(self) -> int:
        """The number of finished seeds."""
        return self.count("done")

    @property
    def delta(self) -> float | None:
        """Our mean less the paper's number."""
        return None if self.last.mean is None or self.paper is None else self.last.mean - self.paper

    @property
    def counted(self) -> Counted | None:
        """The size of the network, or of the part that the table counts; None before the first result."""
        return next((run.counted for run in self.runs if run.counted is not None), None)

    def by_seed(self) -> dict[int, float]:
        """Return the finished seeds' mIoU."""
        return {run.seed: run.miou for run in self.runs if run.miou is not None}

    def is_same_training_as(self, other: FilledCell) -> bool:
        """Return whether both cells have the same key for each of their common seeds."""
        keys = {run.seed: run.key for run in self.runs}
        common = [(keys[run.seed], run.key) for run in other.runs if run.seed in keys]
        return bool(common) and all(mine and mine == theirs for mine, theirs in common)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EqualRows:
    """Rows of a table that are the same trainings in some columns."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    is_everywhere: bool  # in every column in which these rows were planned
    changed: str  # the changes by --set of these cells, "" without any


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilledTable:
    """A table's layout with the value of each cell, row by row."""

    layout: TableLayout
    rows: tuple[tuple[FilledCell, ...], ...]

    def lines(self) -> Iterator[tuple[RowLayout, tuple[FilledCell, ...]]]:
        """Return each row's layout with its cells."""
        return zip(self.layout.rows, self.rows, strict=True)

    def cells(self) -> Iterator[FilledCell]:
        """Return all cells, row by row."""
        return (cell for row in self.rows for cell in row)

    def column(self, index: int) -> tuple[FilledCell, ...]:
        """Return the cells of a column, from top to bottom."""
        return tuple(row[index] for row in self.rows)

    @property
    def is_planned(self) -> bool:
        """True where any training of the table was ever planned here."""
        return any(cell.planned for cell in self.cells())

    def equal_rows(self) -> tuple[EqualRows, ...]:
        """Return the rows that are the same trainings, in order of their first column."""
        columns: dict[tuple[str, ...], list[int]] = {}
        for index in range(len(self.layout.columns)):
            for rows in _rows_of_same_trainings(self.column(index)):
                columns.setdefault(rows, []).append(index)
        return tuple(self._equal_rows(rows, indices) for rows, indices in columns.items())

    def _equal_rows(self, rows: tuple[str, ...], indices: Sequence[int]) -> EqualRows:
        cells = [[cell for cell in self.column(n) if cell.row in rows] for n in range(len(self.layout.columns))]
        planned = [n for n, column in enumerate(cells) if all(cell.planned for cell in column)]
        reasons = (reason for n in indices for cell in cells[n] for reason in cell.not_comparable.split("; "))
        changes = (reason.removeprefix(CHANGED_BY_SET) for reason in reasons if reason.startswith(CHANGED_BY_SET))
        return EqualRows(
            rows=rows,
            columns=tuple(self.layout.columns[n].label for n in indices),
            is_everywhere=set(planned) <= set(indices),
            changed=next(changes, ""),
        )

    def planned_columns(self) -> FilledTable:
        """Return the table without the columns that were never planned; the whole table if that is all of them."""
        kept = [n for n in range(len(self.layout.columns)) if any(cell.planned for cell in self.column(n))]
        if not kept:
            return self
        return FilledTable(
            layout=dataclasses.replace(self.layout, columns=tuple(self.layout.columns[n] for n in kept)),
            rows=tuple(tuple(row[n] for n in kept) for row in self.rows),
        )

    def merged(self) -> FilledTable:
        """Return the table with columns of the same trainings as one column, which is headed by all their labels."""
        groups: dict[object, list[int]] = {}
        for index in range(len(self.layout.columns)):
            groups.setdefault(self._trainings(index) or index, []).append(index)
        return FilledTable(
            layout=dataclasses.replace(
                self.layout,
                columns=tuple(_merged_column([self.layout.columns[n] for n in group]) for group in groups.values()),
            ),
            rows=tuple(tuple(_merged_cell([row[n] for n in group]) for group in groups.values()) for row in self.rows),
        )

    def _trainings(self, index: int) -> tuple[tuple[str, ...], ...] | None:
        """Return the keys of a column's cells; None where there are none, or where a training has no key.

        A column of a class has none, so that it is not merged with those of other classes.
        """
        if self.layout.columns[index].of_class:
            return None
        keys = tuple(tuple(run.key for run in cell.runs) for cell in self.column(index))
        return keys if any(keys) and all(map(all, keys)) else None


def _rows_of_same_trainings(cells: Iterable[FilledCell]) -> Iterator[tuple[str, ...]]:
    return (tuple(cell.row for cell in group) for group in by_training(cells) if len(group) > 1)


def by_training(cells: Iterable[FilledCell]) -> list[list[FilledCell]]:
    """Return a column's cells in groups: those of the same trainings together."""
    groups: list[list[FilledCell]] = []
    for cell in cells:
        group = next((group for group in groups if group[0].is_same_training_as(cell)), None)
        if group is None:
            groups.append([cell])
        else:
            group.append(cell)
    return groups


def _merged_column(columns: Sequence[ColumnLayout]) -> ColumnLayout:
    labels = [column.label for column in columns]
    same = tuple(label for label in columns[0].same_as if label not in labels)
    return dataclasses.replace(columns[0], label=" = ".join(labels), same_as=same)


def _merged_cell(cells: Sequence[FilledCell]) -> FilledCell:
    if len(cells) == 1:
        return cells[0]
    deviations = dict.fromkeys(cell.not_comparable for cell in cells if cell.not_comparable)
    return dataclasses.replace(
        cells[0],
        column=" = ".join(cell.column for cell in cells),
        papers_merged=tuple(cell.paper for cell in cells[1:]),
        comparable=False,
        not_comparable="; ".join([*deviations, "one training in the place of several of the paper's"]),
    )


def fill(frame: pd.DataFrame, layout: TableLayout) -> FilledTable:
    """Return a table's cells with the results of its study."""
    lines = _by_cell(frame[frame["table"] == layout.name])
    part = layout.count_flops_of or "network"
    columns = [
        _compared(
            [_cell(row, column, lines.get((row.label, column.label), []), part) for row in layout.rows],
            layout.reference,
        )
        for column in layout.columns
    ]
    return FilledTable(layout=layout, rows=tuple(zip(*columns, strict=True)))


def _by_cell(frame: pd.DataFrame) -> dict[tuple[str, str], list[Record]]:
    """Return the records of a frame by row and column."""
    cells: dict[tuple[str, str], list[Record]] = {}
    for record in records(frame):
        cells.setdefault((record["row"], record["column"]), []).append(record)
    return cells


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the lines of a frame as plain dictionaries; every kind of absent value (NaN, NA, NaT) becomes None."""
    return [
        {str(name): None if _absent(value) else value for name, value in line.items()}
        for line in frame.to_dict("records")
    ]


def _absent(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def _cell(row: RowLayout, column: ColumnLayout, lines: Sequence[Record], part: Part) -> FilledCell:
    trained = [line for line in lines if line["status"] != "quoted"]
    runs = sorted((_run(line, part, column.of_class) for line in trained), key=lambda run: run.seed)
    deviations = dict.fromkeys(line["differs"] for line in lines if line["differs"])
    return FilledCell(
        row=row.label,
        column=column.label,
        runs=tuple(runs),
        paper=next((float(line["paper_miou"]) for line in lines if line["paper_miou"] is not None), None),
        comparable=all(bool(line["comparable"]) for line in lines),
        not_comparable="; ".join(deviations),
        last=summary([run.miou for run in runs if run.miou is not None]),
        best=summary([run.best for run in runs if run.best is not None]),
        paper_counted=row.counted,
    )


def _run(line: Record, part: Part, of_class: str) -> SeedRun:
    miou = finite_or_none(line["miou"]) if line["status"] == "done" else None
    is_lost = line["status"] == "done" and miou is None
    best = None if miou is None else finite_or_none(line["miou_best"])
    if of_class and miou is not None:
        miou, best = _iou(line, of_class), None  # of the best checkpoint, only mIoU is stored
    return SeedRun(
        seed=int(line["seed"]),
        state="failed" if is_lost else line["status"],
        error="It ended without a finite mIoU." if is_lost else line["error"] or "",
        key=line["key"] or "",
        miou=miou,
        best=best,
        counted=_counted(line, part),
    )


def _iou(line: Record, of_class: str) -> float | None:
    """Return the IoU of a class; None where the class is neither in the validation images nor predicted."""
    shares: dict[str, float | None] = dict(zip(line["classes"], line["iou"], strict=True))
    return finite_or_none(shares.get(of_class))


def _counted(line: Record, part: Part) -> Counted | None:
    """Return the size of a training's network; None without a result, or with one that did not count this part."""
    prefix = "encoder_" if part == "encoder" else ""
    params, macs = (finite_or_none(line[f"{prefix}{name}"]) for name in ("params", "macs"))
    return None if params is None or macs is None else Counted(params=params, macs=macs, crop=line["crop"] or "")


def _compared(cells: list[FilledCell], reference_row: str | None) -> list[FilledCell]:
    """Return a column's cells, each with its comparison to the reference row's.

    A cell of the same trainings has none, and does not count in Holm's family: it would be compared with itself.
    """
    reference = next((cell for cell in cells if cell.row == reference_row), None)
    if reference is None:
        return cells
    pairs = [
        None
        if cell is reference or cell.is_same_training_as(reference)
        else paired(reference.by_seed(), cell.by_seed())
        for cell in cells
    ]
    tested = [pair.p if pair is not None and pair.n > 1 else None for pair in pairs]
    family = sum(p is not None for p in tested)
    return [
        cell if pair is None else dataclasses.replace(cell, comparison=_comparison(reference, pair, corrected, family))
        for cell, pair, corrected in zip(cells, pairs, holm(tested), strict=True)
    ]


def _comparison(reference: FilledCell, pair: Paired, corrected: float | None, family: int) -> Comparison:
    gap = detectable(pair.sd, pair.n) if pair.sd else None  # equal differences say nothing about further seeds
    return Comparison(reference=reference.row, paired=pair, holm=corrected, family=family, detectable=gap)
