"""The figures of a table as SVG: ours against the paper's, learning curves, mIoU against cost and over the columns.

The paper's points are hollow. A figure shows one column of the table; only "mIoU over the columns" shows several.
Figures are narrow enough for a phone, and a page puts them side by side. Equal inputs give equal bytes.
"""

from __future__ import annotations

import functools
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

from assay.analysis.curves import Curve, Logged, by_key, supervised_loss, validation_miou
from assay.analysis.filled_table import FilledCell, FilledTable
from assay.analysis.verdict import verdict
from assay.report.formatting import INTERVAL, amount, number, ours
from assay.report.svg import COLORS, DASHES, MARKERS, MUTED, Figure, Heading, draw_figure, scale_x_axis
from assay.results.layout import Part

# The paper's marks are larger than ours, so that both can be seen where they coincide.
_HOLLOW: dict[str, Any] = {"markerfacecolor": "none", "markersize": 7.0}


Draw = Callable[[Heading, tuple[FilledCell, ...]], Figure | None]  # from a column's cells


def figures(table: FilledTable, history: pd.DataFrame) -> list[Figure]:
    """Return all figures of a table, kind by kind and column by column."""
    logged = by_key(history)
    return [
        *_per_column(table, "paper", "Ours against the paper’s", _against_paper),
        *_per_column(table, "miou", "Validation mIoU while training", functools.partial(_learning, logged, "miou")),
        *_per_column(table, "loss", "Supervised loss while training", functools.partial(_learning, logged, "loss")),
        *(_per_column(table, "cost", "mIoU against cost", _cost_drawing(table)) if _costs_differ(table) else []),
        *_over_columns(table),
    ]


def _per_column(
    table: FilledTable,
    kind: str,
    group: str,
    draw: Draw,
) -> list[Figure]:
    figures = []
    for index, column in enumerate(table.layout.columns):
        if column.of_class:
            continue  # its trainings are those of a column of mIoU
        heading = Heading(
            name=f"{table.layout.name}.{kind}.{index + 1}-{_slug(column.label)}",
            group=group,
            title=f"{group}: {table.layout.title}, {column.label}",
            label=column.label,
        )
        figures.append(draw(heading, table.column(index)))
    return [figure for figure in figures if figure is not None]


def _slug(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")


# --- ours against the paper's --------------------------------------------------------------------------------


@functools.lru_cache(maxsize=512)
def _against_paper(heading: Heading, cells: tuple[FilledCell, ...]) -> Figure | None:
    """Draw our mean with its interval and the paper's number, a line for each row of the table."""
    if not any(cell.done for cell in cells):
        return None
    description = "; ".join(f"{cell.row}: ours {ours(cell)}, paper {number(cell.paper)}" for cell in cells)
    names = ["\n".join(textwrap.wrap(_row_name(cell), 24)) for cell in cells]
    height = 1.2 + 0.16 * sum(max(2, name.count("\n") + 1) for name in names)

    def draw(axes: Axes) -> None:
        paper_points = [(cell.paper, index) for index, cell in enumerate(cells) if cell.paper is not None]
        for index, cell in enumerate(cells):
            _point(axes, cell, index, f"ours, {INTERVAL}", color=COLORS[0], marker="o", vertical=False)
        if paper_points:
            values, places = zip(*paper_points, strict=True)
            axes.errorbar(values, places, fmt="D", color=MUTED, label=_paper_name(cells), **_HOLLOW)
        axes.set_yticks(range(len(cells)), names)
        axes.set_ylim(len(cells) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("mIoU (%)")

    return draw_figure(heading, description, draw, height=height)


def _row_name(cell: FilledCell) -> str:
    return cell.row if cell.done or not cell.planned else f"{cell.row} ({verdict(cell).kind})"


def _paper_name(cells: Sequence[FilledCell]) -> str:
    return "paper" if all(cell.comparable for cell in cells if cell.planned) else "paper, not comparable"


def _point(axes: Axes, cell: FilledCell, at: float, label: str, *, color: str, marker: str, vertical: bool) -> None:
    """Draw a cell's mean with its interval; one seed has no interval, and its point no whiskers."""
    mean, low, high = cell.last.mean, cell.last.low, cell.last.high
    if mean is None:
        return
    whiskers = None if low is None or high is None else [[mean - low], [high - mean]]
    x, y = (at, mean) if vertical else (mean, at)
    x_error, y_error = (None, whiskers) if vertical else (whiskers, None)
    axes.errorbar(x, y, xerr=x_error, yerr=y_error, fmt=marker, color=color, markersize=5, capsize=3, label=label)


# --- learning curves -----------------------------------------------------------------------------------------

_MEASURES = {"miou": (validation_miou, "validation mIoU (%)"), "loss": (supervised_loss, "cross-entropy (nats)")}


def _learning(logged: Logged, measure: str, heading: Heading, cells: tuple[FilledCell, ...]) -> Figure | None:
    read_lines, axis_label = _MEASURES[measure]
    curves = []
    for index, cell in enumerate(cells):
        done = read_lines(logged, [run.key for run in cell.runs if run.state == "done"])
        others = read_lines(logged, [run.key for run in cell.runs if run.state != "done"])
        if done or others:
            curves.append(Curve(label=cell.row, style=index, averaged=done or others, others=others if done else ()))
    return _draw_learning(heading, axis_label, tuple(curves)) if curves else None


@functools.lru_cache(maxsize=512)
def _draw_learning(heading: Heading, axis_label: str, curves: tuple[Curve, ...]) -> Figure:
    """Draw each seed faintly, and the mean where there is more than one seed."""
    means = [curve.mean() for curve in curves]

    def draw(axes: Axes) -> None:
        for curve, (steps, values) in zip(curves, means, strict=True):
            color, dashes = _line_style(curve.style)
            seeds = curve.seeds()
            for line in seeds if len(seeds) > 1 else ():
                axes.plot(*line, color=color, linestyle=dashes, linewidth=0.8, alpha=0.35)
            # A single point draws no line: markers show a training that has just begun.
            marker = "." if len(steps) < 3 else ""
            axes.plot(steps, values, color=color, linestyle=dashes, marker=marker, label=curve.label)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_xlabel("step")
        axes.set_ylabel(axis_label)

    ends = [
        f"{curve.label}: {values[-1]:.2f} at step {steps[-1]:.0f}"
        for curve, (steps, values) in zip(curves, means, strict=True)
    ]
    columns = _legend_columns([curve.label for curve in curves])
    return draw_figure(heading, f"{axis_label}, at the end {'; '.join(ends)}", draw, height=2.6, legend_columns=columns)


def _line_style(index: int) -> tuple[str, str]:
    """Return a row's colour and dashes; the dashes change where the colours begin again."""
    return COLORS[index % len(COLORS)], DASHES[index // len(COLORS) % len(DASHES)]


def _legend_columns(labels: Sequence[str]) -> int:
    """Return the number of entries of a legend that fit side by side."""
    return 2 if max(map(len, labels)) <= 22 else 1


# --- mIoU against cost ---------------------------------------------------------------------------------------

_PARTS: dict[Part, str] = {"encoder": "the encoder", "network": "encoder and head"}


def _costs_differ(table: FilledTable) -> bool:
    """Return whether the networks differ in cost; points of equal cost would only form one upright line."""
    done = [cell for cell in table.cells() if cell.done]
    return len({counted.macs for cell in done for counted in (cell.counted, cell.paper_counted) if counted}) > 1


def _cost_drawing(table: FilledTable) -> Draw:
    return functools.partial(_against_cost, table.layout.count_flops_of or "network")


@functools.lru_cache(maxsize=512)
def _against_cost(part: Part, heading: Heading, cells: tuple[FilledCell, ...]) -> Figure | None:
    """Draw ours filled and the paper's hollow; a row has one colour and one marker for both."""
    our_macs = {cell: cell.counted.macs for cell in cells if cell.done and cell.counted}
    paper_macs = {cell: cell.paper_counted.macs for cell in cells if cell.paper is not None and cell.paper_counted}
    shown = [cell for cell in cells if cell in our_macs or cell in paper_macs]
    if not our_macs:
        return None

    def draw(axes: Axes) -> None:
        if paper_macs:
            _add_fill_legend(axes, cells)
        for index, cell in enumerate(cells):
            style = {"color": _line_style(index)[0], "marker": MARKERS[index % len(MARKERS)]}
            if cell in paper_macs:
                hollow = {"linestyle": "none", **style, **_HOLLOW}
                axes.plot(paper_macs[cell], cell.paper, label=cell.row, **hollow)  # type: ignore[arg-type]
            if cell in our_macs:
                _point(axes, cell, our_macs[cell], cell.row, **style, vertical=True)
        scale_x_axis(axes, [*our_macs.values(), *paper_macs.values()])
        axes.set_xlabel(f"multiply-adds of {_PARTS[part]} for one image")
        axes.set_ylabel("mIoU (%)")
        axes.margins(x=0.12)

    points = [f"{cell.row}: {_cost_description(cell, our_macs.get(cell), paper_macs.get(cell))}" for cell in shown]
    columns = _legend_columns([cell.row for cell in shown])
    height = 2.6 + 0.05 * len(shown)
    return draw_figure(heading, "; ".join(points), draw, height=height, legend_columns=columns)


def _cost_description(cell: FilledCell, our_macs: float | None, paper_macs: float | None) -> str:
    parts = [f"ours {ours(cell)} at {amount(our_macs)}" if our_macs is not None else ""]
    parts += [f"paper {number(cell.paper)} at {amount(paper_macs)}" if paper_macs is not None else ""]
    return ", ".join(filter(None, parts))


def _add_fill_legend(axes: Axes, cells: Sequence[FilledCell]) -> None:
    """Add legend entries for filled and hollow marks."""
    axes.plot([], [], "o", color=MUTED, label="ours")
    axes.plot([], [], "o", color=MUTED, label=_paper_name(cells), **_HOLLOW)


# --- mIoU over the columns -----------------------------------------------------------------------------------


def _over_columns(table: FilledTable) -> list[Figure]:
    """Return a figure of the rows in `plot_over_columns`, once a row has numbers in two columns."""
    rows = tuple(cells for row, cells in table.lines() if row.label in table.layout.plot_over_columns)
    if max((sum(cell.done > 0 for cell in cells) for cells in rows), default=0) < 2:
        return []
    group = "mIoU over the columns"
    title = f"{group}: {table.layout.title}"
    heading = Heading(name=f"{table.layout.name}.across", group=group, title=title, label="")
    return [_draw_over_columns(heading, rows)]


@functools.lru_cache(maxsize=512)
def _draw_over_columns(heading: Heading, rows: tuple[tuple[FilledCell, ...], ...]) -> Figure:
    labels = [cell.column for cell in rows[0]]
    all_cells = [cell for cells in rows for cell in cells]

    def draw(axes: Axes) -> None:
        if any(cell.paper is not None for cell in all_cells):
            _add_fill_legend(axes, all_cells)
        for index, cells in enumerate(rows):
            color, dashes = _line_style(index)
            marker = MARKERS[index % len(MARKERS)]
            our_points = [(place, cell.last.mean) for place, cell in enumerate(cells) if cell.last.mean is not None]
            paper_points = [(place, cell.paper) for place, cell in enumerate(cells) if cell.paper is not None]
            paper_style = {"color": color, "linestyle": ":", "linewidth": 0.8, "marker": marker, **_HOLLOW}
            _line(axes, paper_points, cells[0].row, **paper_style)
            _line(axes, our_points, "", color=color, linestyle=dashes)
            for place, cell in enumerate(cells):
                _point(axes, cell, place, cell.row, color=color, marker=marker, vertical=True)
        axes.set_xticks(range(len(labels)), labels)
        axes.set_ylabel("mIoU (%)")

    points = [
        f"{cell.row} at {cell.column}: ours {ours(cell)}, paper {number(cell.paper)}"
        for cell in all_cells
        if cell.done or cell.paper is not None
    ]
    columns = _legend_columns([cells[0].row for cells in rows])
    return draw_figure(heading, "; ".join(points), draw, height=2.6, legend_columns=columns)


def _line(axes: Axes, points: Sequence[tuple[int, float | None]], label: str, **style: Any) -> None:
    if points:
        axes.plot(*zip(*points, strict=True), label=label, **style)
