"""The figures of a search: its history, learning curves, importances and Pareto fronts.

Trials that were pruned or did not end are always told apart from completed ones: their values are not final.
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
from assay.report.svg import COLORS, MUTED, Figure, paint, scale_x_axis
from assay.results.search_layout import ObjectiveLayout, SearchLayout

COMPLETE_COLOR, PRUNED_COLOR, CHOSEN_COLOR, OPEN_COLOR = COLORS[0], COLORS[3], COLORS[2], MUTED
# How a trial is drawn as a point, by its state; what runs or failed has not come far enough to be one.
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


def search_figures(layout: SearchLayout, trials: Sequence[Trial], importances: pd.DataFrame) -> list[Figure]:
    """History and importances of each objective, the curves, and the front of every two objectives."""
    objectives = range(len(layout.objectives))
    made = [
        *(_history(layout, trials, index) for index in objectives),
        _curves(layout, trials),
        *(_pareto(layout, trials, pair) for pair in itertools.combinations(objectives, 2)),
        *(_importances(each, importances) for each in layout.objectives),
    ]
    return [each for each in made if each is not None]


def log_ticks(decades: float) -> LogLocator:
    """Where an axis over so many decades has ticks: at powers of ten and, where those are few, between them."""
    return LogLocator(subs=(1.0,) if decades > 2 else (1.0, 2.0, 5.0), numticks=6)


def plotted_trials(layout: SearchLayout, trials: Sequence[Trial], index: int) -> list[tuple[float, Trial]]:
    """The trials that are drawn as points of an objective, each with the value that it reached."""
    found = ((trial.reached(layout, index), trial) for trial in trials if trial.state in STATE_MARKERS)
    return [(display_value(layout.objectives[index], value), trial) for value, trial in found if value is not None]


def scatter(axes: Axes, points: Sequence[tuple[float, float, Trial]]) -> None:
    """Points of trials in the looks of their states; the paper's configuration has a ring."""
    for state, look in STATE_MARKERS.items():
        own = [(x, y) for x, y, trial in points if trial.state == state]
        if own:
            axes.scatter(*zip(*own, strict=True), label=STATE_LABELS[state], zorder=3, **look)  # type: ignore[arg-type]
    papers = [(x, y) for x, y, trial in points if trial.origin == "paper"]
    if papers:
        axes.scatter(*zip(*papers, strict=True), label="paper’s trial", zorder=4, **PAPER_MARKER)  # type: ignore[arg-type]


# --- history -------------------------------------------------------------------------------------------------


def _history(layout: SearchLayout, trials: Sequence[Trial], index: int) -> Figure | None:
    """What each trial reached, and the best so far."""
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

    title = f"History of {objective.label}"
    said = f"{state_counts(trials)}. Best so far: {_improvements(record, objective)}"
    description, svg = paint(title, said, objective.label, 2.6, draw, legend_columns=2)
    return Figure(name=f"search.history.{index + 1}", group="History", title=title, description=description, svg=svg)


def _record(layout: SearchLayout, trials: Sequence[Trial], index: int) -> list[tuple[int, float]]:
    """The best value of the completed trials, up to the last trial."""
    objective = layout.objectives[index]
    found: list[tuple[int, float]] = []
    for trial in trials:
        if trial.values is not None:
            value = display_value(objective, trial.values[index])
            if not found or objective.sign * value > objective.sign * found[-1][1]:
                found.append((trial.number, value))
    return [*found, (max(trial.number for trial in trials), found[-1][1])] if found else []


def _improvements(record: Sequence[tuple[int, float]], objective: ObjectiveLayout) -> str:
    """The trials that were better than all before them."""
    share = 100 if objective.percent else 1
    said = [f"{value_text(objective, value / share)} at trial {number}" for number, value in record[:-1]]
    return "; ".join(said) or "none was completed"


# --- learning curves -----------------------------------------------------------------------------------------

# By state: colour, dashes and how a line ends.
_LINES = {
    "complete": (COMPLETE_COLOR, "-", "."),
    "pruned": (PRUNED_COLOR, "-", "x"),
    "running": (OPEN_COLOR, "--", "."),
    "failed": (OPEN_COLOR, ":", "+"),
}


def _curves(layout: SearchLayout, trials: Sequence[Trial]) -> Figure | None:
    """The mean over the seeds by step, a line per trial; those that were pruned end."""
    objective = layout.objectives[layout.watched]
    drawn = [trial for trial in trials if trial.intermediate]
    if all(len(trial.intermediate) < 2 for trial in drawn):
        return None  # points that stand one above the other are no curves
    best = front(layout, trials)[:1] if len(layout.objectives) == 1 else ()

    def draw(axes: Axes) -> None:
        for trial in drawn:
            color, dash, end = _LINES[trial.state]
            look = {"color": color, "linestyle": dash, "marker": end, "markersize": 4, "linewidth": 0.9, "alpha": 0.6}
            axes.plot(*_line(trial, objective), label=STATE_LABELS[trial.state], markevery=[-1], **look)  # type: ignore[arg-type]
        for trial, color, label in _emphasised(drawn, best):
            axes.plot(*_line(trial, objective), color=color, linewidth=2.4, label=label)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_xlabel("step")
        axes.set_ylabel(axis_label(objective))

    title = f"{objective.label} while training"
    ends = [
        f"{trial_name(each)}: {trial_value_text(layout, each, layout.watched)} ({each.state})"
        for each in (*best, *drawn[:1])
    ]
    said = f"One line per trial, the mean over its seeds; pruned trials end early. {'; '.join(dict.fromkeys(ends))}"
    description, svg = paint(title, said, "Mean over the seeds, by step", 2.6, draw, legend_columns=2)
    return Figure(name="search.curves", group="While training", title=title, description=description, svg=svg)


def _line(trial: Trial, objective: ObjectiveLayout) -> tuple[list[int], list[float]]:
    """Steps and values of a trial's curve."""
    return [at for at, _ in trial.intermediate], [display_value(objective, mean) for _, mean in trial.intermediate]


def _emphasised(drawn: Sequence[Trial], best: Sequence[Trial]) -> list[tuple[Trial, str, str]]:
    papers = [(each, COLORS[1], "paper’s trial") for each in drawn if each.origin == "paper"]
    return [*papers, *((each, CHOSEN_COLOR, f"best, trial {each.number}") for each in best if each.intermediate)]


# --- importances ---------------------------------------------------------------------------------------------


def _importances(objective: ObjectiveLayout, importances: pd.DataFrame) -> Figure | None:
    """A bar per parameter and evaluator."""
    weights = ranked(objective, importances)
    if weights.empty:
        return None
    names, evaluators = [str(each) for each in weights.index], [str(each) for each in weights.columns]
    height = 0.8 / len(evaluators)

    def draw(axes: Axes) -> None:
        for place, evaluator in enumerate(evaluators):
            rows = [(at, value) for at, value in enumerate(weights[evaluator]) if pd.notna(value)]
            at = [row - 0.4 + height * (place + 0.5) for row, _ in rows]
            axes.barh(at, [value for _, value in rows], height, color=COLORS[place], label=evaluator)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, 1)
        axes.set_xlabel("importance, share of all")

    title = f"Importances for {objective.label}"
    said = [
        f"{evaluator} {name} {value:.2f}"
        for evaluator in evaluators
        for name, value in weights[evaluator].items()
        if pd.notna(value)
    ]
    description, svg = paint(title, "; ".join(said), objective.label, 0.9 + 0.36 * len(names), draw, 2)
    name = f"search.importances.{objective.name}"
    return Figure(name=name, group="Importances", title=title, description=description, svg=svg)


def ranked(objective: ObjectiveLayout, importances: pd.DataFrame) -> pd.DataFrame:
    """A line per parameter, the most important first, and a column per evaluator."""
    own = importances[importances["objective"] == objective.name]
    by_evaluator = own.pivot_table(index="parameter", columns="evaluator", values="importance", sort=False)
    return by_evaluator.loc[by_evaluator.mean(axis=1).sort_values(ascending=False, kind="stable").index]


# --- two objectives ------------------------------------------------------------------------------------------


def _pareto(layout: SearchLayout, trials: Sequence[Trial], pair: tuple[int, int]) -> Figure | None:
    """All completed trials in two objectives, those that nothing beats in these joined and numbered."""
    best = front(layout, trials, among=pair)
    if not best:
        return None
    (up_at, across_at), (up, across) = pair, (layout.objectives[at] for at in pair)
    points = [
        (display_value(across, trial.values[across_at]), display_value(up, trial.values[up_at]), trial)
        for trial in trials
        if trial.values
    ]
    whose = "Pareto front" if len(layout.objectives) == 2 else "Pareto front of these two"
    joined = sorted(((x, y, trial) for x, y, trial in points if trial in best), key=lambda point: point[:2])

    def draw(axes: Axes) -> None:
        axes.plot([x for x, _, _ in joined], [y for _, y, _ in joined], color=CHOSEN_COLOR, label=whose, zorder=2)
        scatter(axes, points)
        for x, y, trial in joined:
            axes.annotate(str(trial.number), (x, y), xytext=(3, 4), textcoords="offset points", fontsize=8)
        scale_x_axis(axes, [x for x, _, _ in points])
        axes.set_xlabel(axis_label(across))
        axes.set_ylabel(axis_label(up))
        axes.margins(0.1)

    title = f"{up.label} against {across.label}"
    said = (
        f"trial {each.number}: {trial_value_text(layout, each, up_at)} at {trial_value_text(layout, each, across_at)}"
        for each in best
    )
    description, svg = paint(title, f"{whose}: {'; '.join(said)}", title, 2.8, draw, legend_columns=2)
    name = f"search.pareto.{up.name}.{across.name}"
    return Figure(name=name, group="Pareto front", title=title, description=description, svg=svg)
