"""The figures of a search: its history, learning curves, importances and Pareto fronts.

Trials that were pruned, failed or still run never look like completed ones: their values are not final.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator

from assay.analysis.trials import Trial, front
from assay.report.search.formatting import (
    axis_label,
    display_value,
    state_counts,
    trial_name,
    trial_value_text,
    value_text,
)
from assay.report.svg import COLORS, MUTED, Figure, Heading, draw_figure, scale_x_axis
from assay.results.search_layout import ObjectiveLayout, SearchLayout

COMPLETE_COLOR, PRUNED_COLOR, CHOSEN_COLOR, OPEN_COLOR = COLORS[0], COLORS[3], COLORS[2], MUTED
# The marks of trials by state; a running or failed trial has not trained far enough for a point.
STATE_MARKERS = {
    "complete": {"color": COMPLETE_COLOR, "marker": "o", "s": 18},
    "pruned": {"color": PRUNED_COLOR, "marker": "x", "s": 18, "linewidths": 1.1},
}
STATE_LABELS = {
    "complete": "completed",
    "pruned": "pruned, where it stopped",
    "running": "running, so far",
    "failed": "failed, so far",
}
PAPER_MARKER = {"color": CHOSEN_COLOR, "marker": "D", "facecolors": "none", "s": 55, "linewidths": 1.3}

PlotPoint = tuple[float, float, Trial]  # x, y and the trial there


def search_figures(layout: SearchLayout, trials: Sequence[Trial], importances: pd.DataFrame) -> list[Figure]:
    """Return the history and importances of each objective, the curves, and the front of every two objectives."""
    objectives = range(len(layout.objectives))
    figures = [
        *(_history(layout, trials, index) for index in objectives),
        _curves(layout, trials),
        *(_pareto(layout, trials, pair) for pair in itertools.combinations(objectives, 2)),
        *(_importances(objective, importances) for objective in layout.objectives),
    ]
    return [figure for figure in figures if figure is not None]


def log_ticks(decades: float) -> LogLocator:
    """Return the ticks of a logarithmic axis: powers of ten, and places between them on a short axis."""
    return LogLocator(subs=(1.0,) if decades > 2 else (1.0, 2.0, 5.0), numticks=6)


def plotted_trials(layout: SearchLayout, trials: Sequence[Trial], index: int) -> list[tuple[float, Trial]]:
    """Return the trials that are points in the figures of an objective, with the values that they reached."""
    values = ((trial.reached(layout, index), trial) for trial in trials if trial.state in STATE_MARKERS)
    return [(display_value(layout.objectives[index], value), trial) for value, trial in values if value is not None]


def scatter(axes: Axes, points: Sequence[PlotPoint]) -> None:
    """Draw trials as points, marked by state; the paper's configuration has a ring."""
    for state, marker in STATE_MARKERS.items():
        places = [(x, y) for x, y, trial in points if trial.state == state]
        if places:
            label = STATE_LABELS[state]
            axes.scatter(*zip(*places, strict=True), label=label, zorder=3, **marker)  # type: ignore[arg-type]
    papers = [(x, y) for x, y, trial in points if trial.origin == "paper"]
    if papers:
        axes.scatter(*zip(*papers, strict=True), label="paper’s trial", zorder=4, **PAPER_MARKER)  # type: ignore[arg-type]


# --- history -------------------------------------------------------------------------------------------------


def _history(layout: SearchLayout, trials: Sequence[Trial], index: int) -> Figure | None:
    """Draw the value that each trial reached, and the best so far."""
    objective = layout.objectives[index]
    points = [(float(trial.number), value, trial) for value, trial in plotted_trials(layout, trials, index)]
    if not points:
        return None
    record = _record(layout, trials, index)

    def draw(axes: Axes) -> None:
        if record:
            numbers, values = zip(*record, strict=True)
            axes.step(numbers, values, where="post", color=CHOSEN_COLOR, label="best so far")
        scatter(axes, points)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("trial")
        axes.set_ylabel(axis_label(objective))

    heading = Heading(
        name=f"search.history.{index + 1}",
        group="History",
        title=f"History of {objective.label}",
        label=objective.label,
    )
    description = f"{state_counts(trials)}. Best so far: {_improvements(record, objective)}"
    return draw_figure(heading, description, draw, height=2.6)


def _record(layout: SearchLayout, trials: Sequence[Trial], index: int) -> list[tuple[int, float]]:
    """Return the trials that were better than all before them, with their values; the last value up to the end."""
    objective = layout.objectives[index]
    record: list[tuple[int, float]] = []
    for trial in trials:
        if trial.values is not None:
            value = display_value(objective, trial.values[index])
            if not record or objective.sign * value > objective.sign * record[-1][1]:
                record.append((trial.number, value))
    return [*record, (max(trial.number for trial in trials), record[-1][1])] if record else []


def _improvements(record: Sequence[tuple[int, float]], objective: ObjectiveLayout) -> str:
    """Return the trials that were better than all before them, as text."""
    percent = 100 if objective.percent else 1
    texts = [f"{value_text(objective, value / percent)} at trial {number}" for number, value in record[:-1]]
    return "; ".join(texts) or "none was completed"


# --- learning curves -----------------------------------------------------------------------------------------

# By state: colour, dashes, and the marker at the line's end.
_LINES = {
    "complete": (COMPLETE_COLOR, "-", "."),
    "pruned": (PRUNED_COLOR, "-", "x"),
    "running": (OPEN_COLOR, "--", "."),
    "failed": (OPEN_COLOR, ":", "+"),
}


def _curves(layout: SearchLayout, trials: Sequence[Trial]) -> Figure | None:
    """Draw the mean over the seeds by step, a line per trial; the lines of pruned trials end early."""
    objective = layout.objectives[layout.watched]
    drawn = [trial for trial in trials if trial.intermediate]
    if all(len(trial.intermediate) < 2 for trial in drawn):
        return None  # single points above one another are no curves
    best = front(layout, trials)[:1] if len(layout.objectives) == 1 else ()

    def draw(axes: Axes) -> None:
        for trial in drawn:
            color, dashes, marker = _LINES[trial.state]
            label = STATE_LABELS[trial.state]
            axes.plot(
                *_line(trial, objective), color=color, linestyle=dashes, marker=marker, markersize=4, markevery=[-1],
                linewidth=0.9, alpha=0.6, label=label,
            )  # fmt: skip
        for trial, color, label in _emphasised(drawn, best):
            axes.plot(*_line(trial, objective), color=color, linewidth=2.4, label=label)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_xlabel("step")
        axes.set_ylabel(axis_label(objective))

    heading = Heading(
        name="search.curves",
        group="While training",
        title=f"{objective.label} while training",
        label="Mean over the seeds, by step",
    )
    ends = [
        f"{trial_name(trial)}: {trial_value_text(layout, trial, layout.watched)} ({trial.state})"
        for trial in (*best, *drawn[:1])
    ]
    explanation = "One line per trial, the mean over its seeds; pruned trials end early."
    return draw_figure(heading, f"{explanation} {'; '.join(dict.fromkeys(ends))}", draw, height=2.6)


def _line(trial: Trial, objective: ObjectiveLayout) -> tuple[list[int], list[float]]:
    """Return the steps and values of a trial's curve."""
    return [step for step, _ in trial.intermediate], [display_value(objective, mean) for _, mean in trial.intermediate]


def _emphasised(drawn: Sequence[Trial], best: Sequence[Trial]) -> list[tuple[Trial, str, str]]:
    """Return the trials with thick lines, their colours and labels: the paper's and the best."""
    papers = [(trial, COLORS[1], "paper’s trial") for trial in drawn if trial.origin == "paper"]
    return [*papers, *((trial, CHOSEN_COLOR, f"best, trial {trial.number}") for trial in best if trial.intermediate)]


# --- importances ---------------------------------------------------------------------------------------------


def _importances(objective: ObjectiveLayout, importances: pd.DataFrame) -> Figure | None:
    """Draw a bar per parameter and evaluator."""
    weights = ranked(objective, importances)
    if weights.empty:
        return None
    parameters, evaluators = list(map(str, weights.index)), list(map(str, weights.columns))
    thickness = 0.8 / len(evaluators)

    def draw(axes: Axes) -> None:
        for place, evaluator in enumerate(evaluators):
            bars = [(row, value) for row, value in enumerate(weights[evaluator]) if pd.notna(value)]
            centers = [row - 0.4 + thickness * (place + 0.5) for row, _ in bars]
            axes.barh(centers, [value for _, value in bars], thickness, color=COLORS[place], label=evaluator)
        axes.set_yticks(range(len(parameters)), parameters)
        axes.set_ylim(len(parameters) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, 1)
        axes.set_xlabel("importance, share of all")

    heading = Heading(
        name=f"search.importances.{objective.name}",
        group="Importances",
        title=f"Importances for {objective.label}",
        label=objective.label,
    )
    texts = [
        f"{evaluator} {parameter} {value:.2f}"
        for evaluator in evaluators
        for parameter, value in weights[evaluator].items()
        if pd.notna(value)
    ]
    return draw_figure(heading, "; ".join(texts), draw, height=0.9 + 0.36 * len(parameters))


def ranked(objective: ObjectiveLayout, importances: pd.DataFrame) -> pd.DataFrame:
    """Return a row per parameter, the most important first, and a column per evaluator."""
    of_objective = importances[importances["objective"] == objective.name]
    weights = of_objective.pivot_table(index="parameter", columns="evaluator", values="importance", sort=False)
    return weights.loc[weights.mean(axis=1).sort_values(ascending=False, kind="stable").index]


# --- two objectives ------------------------------------------------------------------------------------------


def _pareto(layout: SearchLayout, trials: Sequence[Trial], pair: tuple[int, int]) -> Figure | None:
    """Draw all completed trials in two objectives; those on the front of these two are joined and numbered."""
    best = front(layout, trials, among=pair)
    if not best:
        return None
    y_index, x_index = pair
    y_objective, x_objective = layout.objectives[y_index], layout.objectives[x_index]
    points = [
        (display_value(x_objective, trial.values[x_index]), display_value(y_objective, trial.values[y_index]), trial)
        for trial in trials
        if trial.values
    ]
    front_name = "Pareto front" if len(layout.objectives) == 2 else "Pareto front of these two"
    joined = sorted((point for point in points if point[2] in best), key=lambda point: point[:2])

    def draw(axes: Axes) -> None:
        axes.plot([x for x, _, _ in joined], [y for _, y, _ in joined], color=CHOSEN_COLOR, label=front_name, zorder=2)
        scatter(axes, points)
        for x, y, trial in joined:
            axes.annotate(str(trial.number), (x, y), xytext=(3, 4), textcoords="offset points", fontsize=8)
        scale_x_axis(axes, [x for x, _, _ in points])
        axes.set_xlabel(axis_label(x_objective))
        axes.set_ylabel(axis_label(y_objective))
        axes.margins(0.1)

    title = f"{y_objective.label} against {x_objective.label}"
    name = f"search.pareto.{y_objective.name}.{x_objective.name}"
    heading = Heading(name=name, group="Pareto front", title=title, label=title)
    texts = [
        f"trial {trial.number}: {' at '.join(trial_value_text(layout, trial, index) for index in pair)}"
        for trial in best
    ]
    return draw_figure(heading, f"{front_name}: {'; '.join(texts)}", draw, height=2.8)
