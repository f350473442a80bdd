"""What a search saw along each of its parameters."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from assay.analysis.trials import Trial
from assay.report.search.figures import CHOSEN_COLOR, log_ticks, plotted_trials, scatter
from assay.report.search.formatting import axis_label, setting_text, space_text, value_text
from assay.report.svg import Figure, paint
from assay.results.search_layout import ParameterLayout, SearchLayout


def search_slices(layout: SearchLayout, trials: Sequence[Trial]) -> list[Figure]:
    """A figure per parameter and objective."""
    objectives = range(len(layout.objectives))
    made = (_slice(layout, trials, index, each) for index in objectives for each in layout.parameters)
    return [each for each in made if each is not None]


def _place(parameter: ParameterLayout, trial: Trial) -> float | None:
    """Where a trial stands on a parameter's axis: its value, or the number of its option."""
    found = trial.settings.get(parameter.path)
    if found is None or parameter.kind != "choice":
        return None if found is None else float(found)
    return float(parameter.options.index(str(found))) if found in parameter.options else None


def _slice(layout: SearchLayout, trials: Sequence[Trial], index: int, parameter: ParameterLayout) -> Figure | None:
    objective = layout.objectives[index]
    placed = ((_place(parameter, trial), value, trial) for value, trial in plotted_trials(layout, trials, index))
    points = [(at, value, trial) for at, value, trial in placed if at is not None]
    if not points:
        return None

    def draw(axes: Axes) -> None:
        scatter(axes, points)
        paper = _paper(parameter)
        if paper is not None:
            axes.axvline(paper, color=CHOSEN_COLOR, linestyle="--", linewidth=1, zorder=1, label="paper’s value")
        _scale(axes, parameter)
        axes.set_xlabel(parameter.path)
        axes.set_ylabel(axis_label(objective))

    title = f"{objective.label} by {parameter.path}"
    said = f"{space_text(parameter)}; the paper’s {setting_text(parameter.paper)}; {_best(layout, points, index)}"
    description, svg = paint(title, said, parameter.where or parameter.path, 2.3, draw, legend_columns=2)
    group = "By parameter" if len(layout.objectives) == 1 else f"{objective.label} by parameter"
    name = f"search.slice.{index + 1}.{re.sub(r'[^A-Za-z0-9._-]+', '-', parameter.path)}"  # a file's, too
    return Figure(name=name, group=group, title=title, description=description, svg=svg)


def _paper(parameter: ParameterLayout) -> float | None:
    """The paper's value on the parameter's axis."""
    if parameter.paper is None or parameter.kind != "choice":
        return None if parameter.paper is None else float(parameter.paper)
    return float(parameter.options.index(str(parameter.paper))) if parameter.paper in parameter.options else None


def _scale(axes: Axes, parameter: ParameterLayout) -> None:
    """The parameter's axis as it was searched."""
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


def _best(layout: SearchLayout, points: Sequence[tuple[float, float, Trial]], index: int) -> str:
    ended = [trial for _, _, trial in points if trial.values is not None]
    if not ended:
        return "none was completed"
    objective = layout.objectives[index]
    best = max(ended, key=lambda trial: objective.sign * (trial.values or ())[index])
    return f"best {value_text(objective, (best.values or ())[index])} at trial {best.number}"
