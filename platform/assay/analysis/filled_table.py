"""From the table of results to one frozen value per cell of a paper's table.

Nothing is ever filled in: a mean is over the seeds that finished, and says how many of the planned ones these are.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

import pandas as pd

from assay.analysis.statistics import Paired, Summary, detectable, holm, paired, summary
from assay.results.layout import ColumnLayout, Counted, Part, RowLayout, TableLayout

State = Literal["done", "failed", "blocked", "running", "waiting"]
STATES: tuple[State, ...] = get_args(State)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeedRun:
    """One training of a cell: a seed, and how it went."""

    seed: int
    state: State
    error: str = ""
    key: str = ""
    miou: float | None = None  # percent, of the last checkpoint
    best: float | None = None  # percent, of the best checkpoint
    counted: Counted | None = None  # of its network, or of the part that the table counts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """A cell against the reference row's in the same column: differences of equal seeds."""

    reference: str
    paired: Paired
    holm: float | None  # p corrected for all comparisons of the table in this column
    family: int  # how many of these were tested; one seed tests nothing
    detectable: float | None  # the smallest gap that so many seeds with this spread can see


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilledCell:
    """One cell of a table: what this study found, and what the paper printed."""

    row: str
    column: str
    runs: tuple[SeedRun, ...]  # by seed; none where only the paper's number exists
    paper: float | None
    comparable: bool
    not_comparable: str  # from the paper's protocol, "" if nothing
    last: Summary  # mIoU of the last checkpoints
    best: Summary  # mIoU of the best checkpoints
    comparison: Comparison | None = None
    paper_counted: Counted | None = None  # what the paper prints of the row's network
    papers_merged: tuple[float | None, ...] = ()  # the paper's numbers in columns that are one with this

    @property
    def planned(self) -> int:
        """How many seeds there are to train."""
        return len(self.runs)

    def count(self, state: State) -> int:
        """How many seeds are in a state."""
        return sum(run.state == state for run in self.runs)

    @property
    def done(self) -> int:
        """How many seeds are finished."""
        return self.count("done")

    @property
    def delta(self) -> float | None:
        """Ours less the paper's."""
        return None if self.last.mean is None or self.paper is None else self.last.mean - self.paper

    @property
    def counted(self) -> Counted | None:
        """How large the network is, or the part of it that the table counts, once a result says it."""
        return next((run.counted for run in self.runs if run.counted is not None), None)

    def by_seed(self) -> dict[int, float]:
        """The finished seeds' mIoU."""
        return {run.seed: run.miou for run in self.runs if run.miou is not None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilledTable:
    """A table's layout with a value for each of its cells, row by row."""

    layout: TableLayout
    rows: tuple[tuple[FilledCell, ...], ...]

    def lines(self) -> Iterator[tuple[RowLayout, tuple[FilledCell, ...]]]:
        """Each row's layout with its cells."""
        return zip(self.layout.rows, self.rows, strict=True)

    def cells(self) -> Iterator[FilledCell]:
        """All cells, row by row."""
        return (cell for row in self.rows for cell in row)

    def column(self, index: int) -> tuple[FilledCell, ...]:
        """The cells of a column, from the top down."""
        return tuple(row[index] for row in self.rows)

    @property
    def is_planned(self) -> bool:
        """Whether anything of it was ever to be trained here."""
        return any(cell.planned for cell in self.cells())

    def planned_columns(self) -> FilledTable:
        """The table without the columns of which nothing was ever to be trained; as it is where that is all of them."""
        kept = [n for n in range(len(self.layout.columns)) if any(cell.planned for cell in self.column(n))]
        if not kept:
            return self
        return FilledTable(
            layout=dataclasses.replace(self.layout, columns=tuple(self.layout.columns[n] for n in kept)),
            rows=tuple(tuple(row[n] for n in kept) for row in self.rows),
        )

    def merged(self) -> FilledTable:
        """The table with columns that are the same trainings in one place, which is headed by all their labels."""
        groups: dict[object, list[int]] = {}
        for index in range(len(self.layout.columns)):
            groups.setdefault(self._trainings(index) or index, []).append(index)
        return FilledTable(
            layout=dataclasses.replace(
                self.layout,
                columns=tuple(_one_column([self.layout.columns[n] for n in each]) for each in groups.values()),
            ),
            rows=tuple(tuple(_one_cell([row[n] for n in each]) for each in groups.values()) for row in self.rows),
        )

    def _trainings(self, index: int) -> tuple[tuple[str, ...], ...] | None:
        """What a column's cells were trained by; None where that is nothing, or where some of it has no key."""
        keys = tuple(tuple(run.key for run in cell.runs) for cell in self.column(index))
        return keys if any(keys) and all(map(all, keys)) else None


def _one_column(columns: list[ColumnLayout]) -> ColumnLayout:
    labels = [each.label for each in columns]
    same = tuple(each for each in columns[0].same_as if each not in labels)
    return dataclasses.replace(columns[0], label=" = ".join(labels), same_as=same)


def _one_cell(cells: list[FilledCell]) -> FilledCell:
    if len(cells) == 1:
        return cells[0]
    differs = dict.fromkeys(each.not_comparable for each in cells if each.not_comparable)
    return dataclasses.replace(
        cells[0],
        column=" = ".join(each.column for each in cells),
        papers_merged=tuple(each.paper for each in cells[1:]),
        comparable=False,
        not_comparable="; ".join([*differs, "one training in the place of several of the paper's"]),
    )


def fill(frame: pd.DataFrame, layout: TableLayout) -> FilledTable:
    """A table's cells, from the results of its study."""
    groups = _groups(frame[frame["table"] == layout.name])
    columns = [
        _compared(
            [
                _cell(row, column.label, groups.get((row.label, column.label), []), layout.count_flops_of or "network")
                for row in layout.rows
            ],
            layout,
        )
        for column in layout.columns
    ]
    return FilledTable(layout=layout, rows=tuple(zip(*columns, strict=True)))


def _groups(frame: pd.DataFrame) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The lines of the frame by (row, column), absent values as None."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in records(frame):
        found.setdefault((line["row"], line["column"]), []).append(line)
    return found


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The lines of a frame as plain dictionaries; every kind of absent value (NaN, NA, NaT) is None."""
    return [
        {str(name): None if _absent(value) else value for name, value in line.items()}
        for line in frame.to_dict("records")
    ]


def _absent(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def _cell(row: RowLayout, column: str, lines: list[dict[str, Any]], part: Part) -> FilledCell:
    runs = sorted((_run(line, part) for line in lines if line["status"] != "quoted"), key=lambda run: run.seed)
    differs = dict.fromkeys(line["differs"] for line in lines if line["differs"])
    return FilledCell(
        row=row.label,
        column=column,
        runs=tuple(runs),
        paper=next((float(line["paper_miou"]) for line in lines if line["paper_miou"] is not None), None),
        comparable=all(bool(line["comparable"]) for line in lines),
        not_comparable="; ".join(differs),
        last=summary([run.miou for run in runs if run.miou is not None]),
        best=summary([run.best for run in runs if run.best is not None]),
        paper_counted=row.counted,
    )


def _run(line: Mapping[str, Any], part: Part) -> SeedRun:
    miou = _finite(line["miou"]) if line["status"] == "done" else None
    lost = line["status"] == "done" and miou is None
    return SeedRun(
        seed=int(line["seed"]),
        state="failed" if lost else line["status"],
        error="It ended without a finite mIoU." if lost else line["error"] or "",
        key=line["key"] or "",
        miou=miou,
        best=None if miou is None else _finite(line["miou_best"]),
        counted=_counted(line, part),
    )


def _counted(line: Mapping[str, Any], part: Part) -> Counted | None:
    """None for what has no result, and for results from before this part was counted."""
    prefix = "encoder_" if part == "encoder" else ""
    params, macs = (_finite(line[f"{prefix}{name}"]) for name in ("params", "macs"))
    return None if params is None or macs is None else Counted(params=params, macs=macs, crop=line["crop"] or "")


def _finite(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _compared(cells: list[FilledCell], layout: TableLayout) -> list[FilledCell]:
    """A column's cells, each with its comparison to the reference row."""
    labels = [cell.row for cell in cells]
    if layout.reference not in labels:
        return cells
    reference = cells[labels.index(layout.reference)]
    pairs = [None if cell is reference else paired(reference.by_seed(), cell.by_seed()) for cell in cells]
    tested = [pair.p if pair is not None and pair.n > 1 else None for pair in pairs]
    family = sum(p is not None for p in tested)
    return [
        cell if pair is None else dataclasses.replace(cell, comparison=_comparison(reference, pair, corrected, family))
        for cell, pair, corrected in zip(cells, pairs, holm(tested), strict=True)
    ]


def _comparison(reference: FilledCell, pair: Paired, corrected: float | None, family: int) -> Comparison:
    gap = detectable(pair.sd, pair.n) if pair.sd else None  # equal differences say nothing about the next ones
    return Comparison(reference=reference.row, paired=pair, holm=corrected, family=family, detectable=gap)
