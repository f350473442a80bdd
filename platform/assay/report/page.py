"""The page of a study: its tables with figures and predictions, its costs and failures.

The functions here prepare plain values; templates/study.html is the page.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from assay.analysis.filled_table import Comparison, FilledCell, FilledTable
from assay.analysis.orderings import orderings_of
from assay.analysis.run_summary import RunSummary
from assay.report.appendix import CostRow, FailureItem, SizeTable, cost_row, failure_items, size_table
from assay.report.formatting import (
    INTERVAL,
    NONE,
    CountText,
    cell_text,
    comparisons,
    count_heads,
    counts,
    deviation,
    interval,
    number,
    points,
    probability,
    progress,
    signed,
    smallest_gap,
)
from assay.report.notes import not_trained, notes
from assay.report.orderings import headline
from assay.report.orderings_section import OrderingsSection, orderings_section
from assay.report.rendering import FigureGroup, StateBar, figure_groups, render
from assay.report.strips import Strip, strips
from assay.report.svg import Figure
from assay.results.layout import StudyLayout
from assay.results.panel import Color, Panel

_WARNINGS = {"all": "", "some": "Not all of it is the paper’s setting. ", "none": "Not the paper’s setting. "}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """A table with its figures and predictions."""

    table: FilledTable
    figures: Sequence[Figure]
    panels: Sequence[tuple[str, Panel]]
    panels_note: str = ""  # which of the trainings the predictions are from


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResultCell:
    """A cell of a table of results; a part that the page leaves out is ""."""

    ours: str
    spread: str
    best: str
    paper: str
    delta: str
    verdict: str
    verdict_kind: str
    seeds: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResultRow:
    """A row of a table of results."""

    label: str
    is_reference: bool
    counts: tuple[CountText, ...]
    cells: tuple[ResultCell, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DifferenceCell:
    """A difference from the reference row, with the lines about its tests."""

    mean: str
    interval: str
    tests: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DifferenceRow:
    """A row of the paired differences; None stands for a cell without a comparison."""

    label: str
    cells: tuple[DifferenceCell | None, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Differences:
    """The differences from the reference row, paired by seed."""

    reference: str
    caption: str
    heads: tuple[str, ...]
    rows: tuple[DifferenceRow, ...]
    smallest_gap: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predictions:
    """Strips of validation images, and the colours of their classes."""

    note: str
    classes: tuple[tuple[str, Color], ...]
    strips: tuple[Strip, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableSection:
    """A table's section of the page."""

    name: str
    anchor: str
    title: str
    caption: str
    heads: tuple[str, ...]
    rows: tuple[ResultRow, ...]
    notes: tuple[str, ...]
    orderings: OrderingsSection | None
    differences: Differences | None
    figures: tuple[FigureGroup, ...]
    predictions: Predictions | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class UntrainedTable:
    """A table without planned trainings. The page only names it: the paper's numbers alone are no result."""

    name: str
    title: str
    note: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyPage:
    """The values of templates/study.html."""

    name: str
    title: str
    orderings: str  # how many published orderings hold, in a line; empty where none is published
    profile: str
    profile_note: str
    warning: str
    states: StateBar
    sections: tuple[TableSection, ...]
    sizes: SizeTable | None
    failures: tuple[FailureItem, ...]
    details: tuple[tuple[str, tuple[str, ...]], ...]
    costs: tuple[CostRow, ...]
    untrained: tuple[UntrainedTable, ...]


def study_page(layout: StudyLayout, sections: Sequence[Section], summary: RunSummary) -> str:
    """Return the whole page as HTML."""
    page = StudyPage(
        name=layout.name,
        title=layout.title,
        orderings=headline([column for section in sections for column in orderings_of(section.table)]),
        profile=layout.profile,
        profile_note=layout.profile_note,
        warning=_WARNINGS[summary.comparable],
        states=StateBar(states=tuple(summary.states.items()), noun="trainings"),
        sections=tuple(_table_section(section) for section in sections if section.table.is_planned),
        sizes=size_table(summary.sizes),
        failures=failure_items(summary.failures),
        details=summary.details,
        costs=tuple(map(cost_row, summary.costs)),
        untrained=tuple(_untrained(section.table) for section in sections if not section.table.is_planned),
    )
    return render("study.html", study=page)


def _untrained(table: FilledTable) -> UntrainedTable:
    return UntrainedTable(name=table.layout.name, title=table.layout.title, note=" ".join(not_trained(table)))


def _table_section(section: Section) -> TableSection:
    table = section.table
    return TableSection(
        name=table.layout.name,
        anchor="table-" + re.sub(r"[^A-Za-z0-9]+", "-", table.layout.name),
        title=table.layout.title,
        caption=table.layout.caption,
        heads=("", *count_heads(table), *_column_labels(table)),
        rows=_result_rows(table),
        notes=tuple(notes(table)),
        orderings=orderings_section(table),
        differences=_differences(table),
        figures=figure_groups(section.figures),
        predictions=_predictions(section.panels, section.panels_note),
    )


def _column_labels(table: FilledTable) -> tuple[str, ...]:
    return tuple(column.label for column in table.layout.columns)


# --- results -------------------------------------------------------------------------------------------------


def _result_rows(table: FilledTable) -> tuple[ResultRow, ...]:
    return tuple(
        ResultRow(
            label=row.label,
            is_reference=row.label == table.layout.reference,
            counts=counts(table, cells),
            cells=tuple(map(_result_cell, cells)),
        )
        for row, cells in table.lines()
    )


def _result_cell(cell: FilledCell) -> ResultCell:
    text = cell_text(cell)
    return ResultCell(
        ours=number(cell.last.mean) if cell.done else "",
        spread=points(cell.last.low, cell.last.high).strip(),
        best="" if cell.best.mean is None else number(cell.best.mean),
        paper=text.paper,
        delta="" if text.delta == NONE else f"Δ {text.delta}",
        verdict=text.verdict.text,
        verdict_kind=text.verdict.kind,
        seeds=" · ".join(filter(None, (progress(cell), deviation(cell)))) if cell.planned else "",
    )


# --- differences ---------------------------------------------------------------------------------------------


def _differences(table: FilledTable) -> Differences | None:
    compared = comparisons(table)
    if not compared:
        return None
    planned = table.planned_columns()
    return Differences(
        reference=table.layout.reference or "",
        caption=_differences_caption(max(comparison.family for comparison in compared)),
        heads=("", *_column_labels(planned)),
        rows=tuple(
            DifferenceRow(label=row.label, cells=tuple(_difference(cell.comparison) for cell in cells))
            for row, cells in planned.lines()
            if row.label != table.layout.reference
        ),
        smallest_gap=smallest_gap(planned),
    )


def _differences_caption(family: int) -> str:
    """Return an explanation of the differences; it mentions tests only where a comparison was tested."""
    text = "Points of mIoU, equal seeds against equal seeds"
    if not family:
        return f"{text}."
    corrected = f"by Holm’s method for the {family} comparisons of a column"
    return f"{text}, with a {INTERVAL}; p by flipping signs, and {corrected}."


def _difference(comparison: Comparison | None) -> DifferenceCell | None:
    if comparison is None:
        return None
    pair = comparison.paired
    tests = (
        ("one seed: not tested",)
        if pair.n < 2
        else (
            f"{pair.n} seeds · p {probability(pair.p)} · Holm {probability(comparison.holm)}",
            f"least possible p {probability(pair.smallest_p)} · t-test {probability(pair.t_p)}",
        )
    )
    return DifferenceCell(mean=signed(pair.mean), interval=interval(pair.low, pair.high), tests=tests)


# --- predictions ---------------------------------------------------------------------------------------------


def _predictions(panels: Sequence[tuple[str, Panel]], note: str) -> Predictions | None:
    if not panels:
        return None
    classes = (pair for _, panel in panels for pair in zip(panel.classes, panel.palette, strict=True))
    return Predictions(note=note, classes=tuple(dict.fromkeys(classes)), strips=tuple(strips(panels)))
