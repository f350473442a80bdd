"""The figures of a table as SVG: ours against the paper's, learning curves, mIoU against cost and over the columns.

The paper's points are hollow. All but the last show one column of the table each. They are narrow enough to be read on
a phone; a page puts them side by side. Equal inputs give equal bytes.
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
from assay.report.svg import COLORS, DASHES, MARKERS, MUTED, Figure, paint, scale_x_axis
from assay.results.layout import Part

_HOLLOW: dict[str, Any] = {
    "markerfacecolor": "none",
    "markersize": 7.0,
}  # the paper's, seen around ours where both are equal


def figures(table: FilledTable, history: pd.DataFrame) -> list[Figure]:
    """All figures of a table, kind by kind and column by column."""
    logged = by_key(history)
    return [
        *_each_column(table, "paper", "Ours against the paper’s", _against_paper),
        *_each_column(table, "miou", "Validation mIoU while training", functools.partial(_learning, logged, "miou")),
        *_each_column(table, "loss", "Supervised loss while training", functools.partial(_learning, logged, "loss")),
        *(_each_column(table, "cost", "mIoU against cost", _cost_of(table)) if _costs_differ(table) else []),
        *_across(table),
    ]


def _each_column(
    table: FilledTable,
    kind: str,
    group: str,
    draw: Callable[[str, str, tuple[FilledCell, ...]], tuple[str, str] | None],
) -> list[Figure]:
    found = []
    for index, column in enumerate(table.layout.columns):
        title = f"{group}: {table.layout.title}, {column.label}"
        drawn = draw(title, column.label, table.column(index))
        if drawn is not None:
            description, svg = drawn
            name = f"{table.layout.name}.{kind}.{index + 1}-{_slug(column.label)}"
            found.append(Figure(name=name, group=group, title=title, description=description, svg=svg))
    return found


def _slug(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")


# --- ours against the paper's --------------------------------------------------------------------------------


@functools.lru_cache(maxsize=512)
def _against_paper(title: str, label: str, cells: tuple[FilledCell, ...]) -> tuple[str, str] | None:
    """A row per row of the table: our mean with its interval, and the paper's number."""
    if not any(cell.done for cell in cells):
        return None
    said = [f"{cell.row}: ours {ours(cell)}, paper {number(cell.paper)}" for cell in cells]
    names = ["\n".join(textwrap.wrap(_row_name(cell), 24)) for cell in cells]
    height = 1.2 + 0.16 * sum(max(2, name.count("\n") + 1) for name in names)

    def draw(axes: Axes) -> None:
        papers = [(cell.paper, index) for index, cell in enumerate(cells) if cell.paper is not None]
        for index, cell in enumerate(cells):
            _point(axes, cell, index, f"ours, {INTERVAL}", color=COLORS[0], marker="o", vertical=False)
        if papers:
            values, places = zip(*papers, strict=True)
            axes.errorbar(values, places, fmt="D", color=MUTED, label=_paper_name(cells), **_HOLLOW)
        axes.set_yticks(range(len(cells)), names)
        axes.set_ylim(len(cells) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("mIoU (%)")

    return paint(title, "; ".join(said), label, height, draw, legend_columns=2)


def _row_name(cell: FilledCell) -> str:
    return cell.row if cell.done or not cell.planned else f"{cell.row} ({verdict(cell).kind})"


def _paper_name(cells: Sequence[FilledCell]) -> str:
    return "paper" if all(cell.comparable for cell in cells if cell.planned) else "paper, not comparable"


def _point(axes: Axes, cell: FilledCell, at: float, label: str, *, color: str, marker: str, vertical: bool) -> None:
    """A cell's mean with its interval; without whiskers where one seed has none."""
    mean, low, high = cell.last.mean, cell.last.low, cell.last.high
    if mean is None:
        return
    ends = None if low is None or high is None else [[mean - low], [high - mean]]
    x, y = (at, mean) if vertical else (mean, at)
    across, up = (None, ends) if vertical else (ends, None)
    axes.errorbar(x, y, xerr=across, yerr=up, fmt=marker, color=color, markersize=5, capsize=3, label=label)


# --- learning curves -----------------------------------------------------------------------------------------

_MEASURES = {"miou": (validation_miou, "validation mIoU (%)"), "loss": (supervised_loss, "cross-entropy (nats)")}


def _learning(
    logged: Logged, measure: str, title: str, label: str, cells: tuple[FilledCell, ...]
) -> tuple[str, str] | None:
    read, axis = _MEASURES[measure]
    curves = []
    for index, cell in enumerate(cells):
        done = read(logged, [run.key for run in cell.runs if run.state == "done"])
        others = read(logged, [run.key for run in cell.runs if run.state != "done"])
        if done or others:
            curves.append(Curve(label=cell.row, style=index, averaged=done or others, others=others if done else ()))
    return _draw_learning(title, label, axis, tuple(curves)) if curves else None


@functools.lru_cache(maxsize=512)
def _draw_learning(title: str, label: str, axis: str, curves: tuple[Curve, ...]) -> tuple[str, str]:
    """Each seed faintly, and the mean where there is more than one."""
    means = [curve.mean() for curve in curves]

    def draw(axes: Axes) -> None:
        for curve, (steps, values) in zip(curves, means, strict=True):
            color, dash = _look(curve.style)
            seeds = curve.seeds()
            for line in seeds if len(seeds) > 1 else ():
                axes.plot(*line, color=color, linestyle=dash, linewidth=0.8, alpha=0.35)
            # A single point is no line: it is marked, so that a training that has just begun is seen.
            marker = "." if len(steps) < 3 else ""
            axes.plot(steps, values, color=color, linestyle=dash, marker=marker, label=curve.label)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_xlabel("step")
        axes.set_ylabel(axis)

    ends = zip(curves, means, strict=True)
    said = [f"{curve.label}: {values[-1]:.2f} at step {steps[-1]:.0f}" for curve, (steps, values) in ends]
    return paint(title, f"{axis}, at the end {'; '.join(said)}", label, 2.6, draw, _entries(curves))


def _look(style: int) -> tuple[str, str]:
    """A row's colour and dashes; the dashes change where the colours begin again."""
    return COLORS[style % len(COLORS)], DASHES[style // len(COLORS) % len(DASHES)]


def _entries(named: Sequence[Curve | FilledCell]) -> int:
    """How many entries of a legend stand side by side."""
    return 2 if max(len(each.label if isinstance(each, Curve) else each.row) for each in named) <= 22 else 1


# --- mIoU against cost ---------------------------------------------------------------------------------------

_PARTS: dict[Part, str] = {"encoder": "the encoder", "network": "encoder and head"}


def _costs_differ(table: FilledTable) -> bool:
    """Networks of equal cost would stand in one upright line, which shows nothing."""
    done = [cell for cell in table.cells() if cell.done]
    return len({counted.macs for cell in done for counted in (cell.counted, cell.paper_counted) if counted}) > 1


def _cost_of(table: FilledTable) -> Callable[[str, str, tuple[FilledCell, ...]], tuple[str, str] | None]:
    return functools.partial(_against_cost, table.layout.count_flops_of or "network")


@functools.lru_cache(maxsize=512)
def _against_cost(part: Part, title: str, label: str, cells: tuple[FilledCell, ...]) -> tuple[str, str] | None:
    """Ours filled, the paper's hollow; a row looks the same in both."""
    own = {cell: cell.counted.macs for cell in cells if cell.done and cell.counted}
    theirs = {cell: cell.paper_counted.macs for cell in cells if cell.paper is not None and cell.paper_counted}
    shown = [cell for cell in cells if cell in own or cell in theirs]
    if not own:
        return None

    def draw(axes: Axes) -> None:
        if theirs:
            _tell_apart(axes, cells)
        for index, cell in enumerate(cells):
            look = {"color": _look(index)[0], "marker": MARKERS[index % len(MARKERS)]}
            if cell in theirs:
                axes.plot(theirs[cell], cell.paper, linestyle="none", label=cell.row, **look, **_HOLLOW)  # type: ignore[arg-type]
            if cell in own:
                _point(axes, cell, own[cell], cell.row, **look, vertical=True)
        scale_x_axis(axes, [*own.values(), *theirs.values()])
        axes.set_xlabel(f"multiply-adds of {_PARTS[part]} for one image")
        axes.set_ylabel("mIoU (%)")
        axes.margins(x=0.12)

    said = [f"{cell.row}: {_with_cost(cell, own.get(cell), theirs.get(cell))}" for cell in shown]
    return paint(title, "; ".join(said), label, 2.6 + 0.05 * len(shown), draw, _entries(shown))


def _with_cost(cell: FilledCell, own: float | None, theirs: float | None) -> str:
    parts = [f"ours {ours(cell)} at {amount(own)}" if own is not None else ""]
    parts += [f"paper {number(cell.paper)} at {amount(theirs)}" if theirs is not None else ""]
    return ", ".join(filter(None, parts))


def _tell_apart(axes: Axes, cells: Sequence[FilledCell]) -> None:
    """Entries of the legend that say whose the filled and the hollow marks are."""
    axes.plot([], [], "o", color=MUTED, label="ours")
    axes.plot([], [], "o", color=MUTED, label=_paper_name(cells), **_HOLLOW)


# --- mIoU over the columns -----------------------------------------------------------------------------------


def _across(table: FilledTable) -> list[Figure]:
    """One figure of the rows that the table names, once two of its columns have a number."""
    rows = tuple(cells for row, cells in table.lines() if row.label in table.layout.plot_over_columns)
    if max((sum(cell.done > 0 for cell in cells) for cells in rows), default=0) < 2:
        return []
    group = "mIoU over the columns"
    title = f"{group}: {table.layout.title}"
    description, svg = _draw_across(title, rows)
    return [Figure(name=f"{table.layout.name}.across", group=group, title=title, description=description, svg=svg)]


@functools.lru_cache(maxsize=512)
def _draw_across(title: str, rows: tuple[tuple[FilledCell, ...], ...]) -> tuple[str, str]:
    columns = [cell.column for cell in rows[0]]
    every = [cell for cells in rows for cell in cells]

    def draw(axes: Axes) -> None:
        if any(cell.paper is not None for cell in every):
            _tell_apart(axes, every)
        for index, cells in enumerate(rows):
            color, dash = _look(index)
            marker = MARKERS[index % len(MARKERS)]
            own = [(place, cell.last.mean) for place, cell in enumerate(cells) if cell.last.mean is not None]
            theirs = [(place, cell.paper) for place, cell in enumerate(cells) if cell.paper is not None]
            _line(axes, theirs, cells[0].row, color=color, linestyle=":", linewidth=0.8, marker=marker, **_HOLLOW)
            _line(axes, own, "", color=color, linestyle=dash)
            for place, cell in enumerate(cells):
                _point(axes, cell, place, cell.row, color=color, marker=marker, vertical=True)
        axes.set_xticks(range(len(columns)), columns)
        axes.set_ylabel("mIoU (%)")

    shown = [cell for cell in every if cell.done or cell.paper is not None]
    said = [f"{cell.row} at {cell.column}: ours {ours(cell)}, paper {number(cell.paper)}" for cell in shown]
    return paint(title, "; ".join(said), "", 2.6, draw, _entries([cells[0] for cells in rows]))


def _line(axes: Axes, points: Sequence[tuple[int, float | None]], label: str, **look: Any) -> None:
    if points:
        axes.plot(*zip(*points, strict=True), label=label, **look)
