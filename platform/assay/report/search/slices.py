"""The values that trials reached along each parameter of a search."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from assay.analysis.trials import ParameterValue, Trial
from assay.report.search.figures import CHOSEN_COLOR, log_ticks, plotted_trials, scatter
from assay.report.search.formatting import axis_label, setting_text, space_text, value_text
from assay.report.svg import Figure, Heading, draw_figure
from assay.results.search_layout import ParameterLayout, SearchLayout


def search_slices(layout: SearchLayout, trials: Sequence[Trial]) -> list[Figure]:
    """Return a figure per parameter and objective."""
    objectives = range(len(layout.objectives))
    figures = (_slice(layout, trials, index, parameter) for index in objectives for parameter in layout.parameters)
    return [figure for figure in figures if figure is not None]


def _slice(layout: SearchLayout, trials: Sequence[Trial], index: int, parameter: ParameterLayout) -> Figure | None:
    objective = layout.objectives[index]
    placed = (
        (_place(parameter, trial.settings.get(parameter.path)), value, trial)
        for value, trial in plotted_trials(layout, trials, index)
    )
    points = [(x, value, trial) for x, value, trial in placed if x is not None]
    if not points:
        return None

    def draw(axes: Axes) -> None:
        scatter(axes, points)
        paper = _place(parameter, parameter.paper)
        if paper is not None:
            axes.axvline(paper, color=CHOSEN_COLOR, linestyle="--", linewidth=1, zorder=1, label="paper’s value")
        _scale(axes, parameter)
        axes.set_xlabel(parameter.path)
        axes.set_ylabel(axis_label(objective))

    heading = Heading(
        # The name becomes a file's, and a path may hold characters that a file's name cannot.
        name=f"search.slice.{index + 1}.{re.sub(r'[^A-Za-z0-9._-]+', '-', parameter.path)}",
        group="By parameter" if len(layout.objectives) == 1 else f"{objective.label} by parameter",
        title=f"{objective.label} by {parameter.path}",
        label=parameter.where or parameter.path,
    )
    paper = f"the paper’s {setting_text(parameter.paper)}"
    description = f"{space_text(parameter)}; {paper}; {_best(layout, [trial for *_, trial in points], index)}"
    return draw_figure(heading, description, draw, height=2.3)


def _place(parameter: ParameterLayout, value: ParameterValue | None) -> float | None:
    """Return a value's place on the parameter's axis: the value itself, or the index of the option."""
    if value is None:
        return None
    if parameter.kind != "choice":
        return float(value)
    return float(parameter.options.index(str(value))) if value in parameter.options else None


def _scale(axes: Axes, parameter: ParameterLayout) -> None:
    """Scale the parameter's axis as the search did."""
    if parameter.kind == "choice":
        axes.set_xticks(range(len(parameter.options)), parameter.options)
        axes.set_xlim(-0.5, len(parameter.options) - 0.5)
    elif parameter.log:
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.xaxis.set_major_locator(log_ticks(math.log10(high / low)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=parameter.kind == "int"))


def _best(layout: SearchLayout, trials: Sequence[Trial], index: int) -> str:
    completed = [(trial.values[index], trial) for trial in trials if trial.values is not None]
    if not completed:
        return "none was completed"
    objective = layout.objectives[index]
    value, best = max(completed, key=lambda pair: objective.sign * pair[0])
    return f"best {value_text(objective, value)} at trial {best.number}"
