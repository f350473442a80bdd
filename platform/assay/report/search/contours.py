"""The two most important numbers of a search: completed trials, and a surface between them if there are enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.ticker import MaxNLocator
from matplotlib.tri import Triangulation

from assay.analysis.trials import Trial
from assay.report.search.figures import CHOSEN_COLOR, PAPER_MARKER, log_ticks, ranked
from assay.report.search.formatting import axis_label, display_value, setting_text, trial_name, value_text
from assay.report.svg import COLORS, GROUND, INK, Figure, Heading, draw_figure
from assay.results.search_layout import ObjectiveLayout, ParameterLayout, SearchLayout

MIN_TRIALS = 8  # completed trials that a surface needs
_FAINTEST, _STRONGEST = 0.06, 0.85  # the opacity of the lowest and the highest band

Floats = npt.NDArray[np.float64]


def search_contours(layout: SearchLayout, trials: Sequence[Trial], importances: pd.DataFrame) -> list[Figure]:
    """Return a figure per objective, if its importances name two numbers and enough trials have both."""
    figures = (_contour(layout, trials, index, importances) for index in range(len(layout.objectives)))
    return [figure for figure in figures if figure is not None]


def _contour(layout: SearchLayout, trials: Sequence[Trial], index: int, importances: pd.DataFrame) -> Figure | None:
    objective = layout.objectives[index]
    pair = _two_most_important(layout, objective, importances)
    completed = [
        (trial.values[index], trial)
        for trial in trials
        if trial.values is not None and all(parameter.path in trial.settings for parameter in pair)
    ]
    if len(pair) < 2 or len(completed) < MIN_TRIALS:
        return None
    x, y = (np.array([_coordinate(parameter, trial) for _, trial in completed]) for parameter in pair)
    values = np.array([display_value(objective, value) for value, _ in completed])
    best = int(np.argmax(objective.sign * values))
    papers = [place for place, (_, trial) in enumerate(completed) if trial.origin == "paper"]

    def draw(axes: Axes) -> None:
        _surface(axes, x, y, values, axis_label(objective))
        axes.scatter(x, y, s=15, color=INK, edgecolors=GROUND, linewidths=0.6, zorder=3, label="completed")
        axes.scatter(x[papers], y[papers], zorder=4, label="paper’s trial", **PAPER_MARKER)  # type: ignore[arg-type]
        axes.scatter(x[best], y[best], s=90, marker="*", color=CHOSEN_COLOR, edgecolors=GROUND, zorder=5, label="best")
        _frame(axes, "x", pair[0], x)
        _frame(axes, "y", pair[1], y)

    heading = Heading(
        name=f"search.contour.{index + 1}",
        group="The two most important numbers",
        title=f"{objective.label} over {pair[0].path} and {pair[1].path}",
        label=objective.label,
    )
    best_value, best_trial = completed[best]
    settings = ", ".join(f"{parameter.path} {setting_text(best_trial.settings[parameter.path])}" for parameter in pair)
    description = (
        f"{len(completed)} completed trials; the best, {trial_name(best_trial)},"
        f" has {value_text(objective, best_value)} at {settings}"
    )
    return draw_figure(heading, description, draw, height=2.9, legend_columns=3)


def _two_most_important(
    layout: SearchLayout, objective: ObjectiveLayout, importances: pd.DataFrame
) -> list[ParameterLayout]:
    numbers = {parameter.path: parameter for parameter in layout.parameters if parameter.kind != "choice"}
    return [numbers[path] for path in ranked(objective, importances).index if path in numbers][:2]


def _coordinate(parameter: ParameterLayout, trial: Trial) -> float:
    """Return a trial's place on a parameter's axis.

    A range with `log` is measured by its logarithm: distances in the figure are then those of the search.
    """
    value = float(trial.settings[parameter.path])
    return math.log10(value) if parameter.log else value


def _frame(axes: Axes, name: Literal["x", "y"], parameter: ParameterLayout, places: Floats) -> None:
    """Fit an axis to its trials, and label its ticks with the parameter's values."""
    low, high = float(places.min()), float(places.max())
    margin = 0.06 * (high - low) or 0.5
    axes.set(**{f"{name}lim": (low - margin, high + margin), f"{name}label": parameter.path})
    axis = axes.xaxis if name == "x" else axes.yaxis
    if parameter.log:
        ticks = log_ticks(high - low).tick_values(10**low, 10**high)
        shown = [tick for tick in ticks if low - margin <= math.log10(tick) <= high + margin]
        axis.set_ticks([math.log10(tick) for tick in shown], [f"{tick:g}" for tick in shown])
    else:
        axis.set_major_locator(MaxNLocator(4, integer=parameter.kind == "int"))


def _surface(axes: Axes, x: Floats, y: Floats, values: Floats, label: str) -> None:
    """Draw bands of equal value over triangles between the trials; nothing is claimed outside of them."""
    places = np.stack([x, y], axis=1)
    spans = np.ptp(places, axis=0)
    if not spans.all() or np.linalg.matrix_rank((places - places.mean(axis=0)) / spans, tol=1e-6) < 2:
        return  # trials along a line have no surface
    edges = MaxNLocator(6).tick_values(float(values.min()), float(values.max()))
    opacities = np.linspace(_FAINTEST, _STRONGEST, len(edges) - 1)
    # One colour in several opacities suits a light and a dark ground.
    colors = [to_rgba(COLORS[0], float(opacity)) for opacity in opacities]
    triangles = Triangulation(*(places / spans).T).triangles
    bands = axes.tricontourf(Triangulation(x, y, triangles), values, levels=edges, colors=colors)
    axes.figure.colorbar(bands, ax=axes, label=label)
