"""The two numbers that matter most at once: completed trials, and a surface between them where there are enough."""

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
from assay.report.svg import COLORS, GROUND, INK, Figure, paint
from assay.results.search_layout import ObjectiveLayout, ParameterLayout, SearchLayout

LEAST = 8  # completed trials between which a surface is drawn
_FAINTEST, _STRONGEST = 0.06, 0.85  # how much colour the lowest and the highest band have

Floats = npt.NDArray[np.float64]


def search_contours(layout: SearchLayout, trials: Sequence[Trial], importances: pd.DataFrame) -> list[Figure]:
    """A figure per objective, where its importances name two numbers and enough trials have both."""
    made = (_contour(layout, trials, index, importances) for index in range(len(layout.objectives)))
    return [each for each in made if each is not None]


def _contour(layout: SearchLayout, trials: Sequence[Trial], index: int, importances: pd.DataFrame) -> Figure | None:
    objective = layout.objectives[index]
    pair = _two_most_important(layout, objective, importances)
    shown = [each for each in trials if each.values is not None and all(one.path in each.settings for one in pair)]
    if len(pair) < 2 or len(shown) < LEAST:
        return None
    across, up = (np.array([_coordinate(each, trial) for trial in shown]) for each in pair)
    values = np.array([display_value(objective, trial.values[index]) for trial in shown if trial.values is not None])
    best = int(np.argmax(objective.sign * values))
    papers = [place for place, trial in enumerate(shown) if trial.origin == "paper"]

    def draw(axes: Axes) -> None:
        _surface(axes, across, up, values, axis_label(objective))
        axes.scatter(across, up, s=15, color=INK, edgecolors=GROUND, linewidths=0.6, zorder=3, label="completed")
        axes.scatter(across[papers], up[papers], zorder=4, label="paper’s trial", **PAPER_MARKER)  # type: ignore[arg-type]
        axes.scatter(
            across[best], up[best], s=90, marker="*", color=CHOSEN_COLOR, edgecolors=GROUND, zorder=5, label="best"
        )
        _frame(axes, "x", pair[0], across)
        _frame(axes, "y", pair[1], up)

    title = f"{objective.label} over {pair[0].path} and {pair[1].path}"
    where = ", ".join(f"{each.path} {setting_text(shown[best].settings[each.path])}" for each in pair)
    peak = value_text(objective, (shown[best].values or ())[index])
    said = f"{len(shown)} completed trials; the best, {trial_name(shown[best])}, has {peak} at {where}"
    description, svg = paint(title, said, objective.label, 2.9, draw, legend_columns=3)
    group = "The two most important numbers"
    return Figure(name=f"search.contour.{index + 1}", group=group, title=title, description=description, svg=svg)


def _two_most_important(
    layout: SearchLayout, objective: ObjectiveLayout, importances: pd.DataFrame
) -> list[ParameterLayout]:
    numbers = {each.path: each for each in layout.parameters if each.kind != "choice"}
    return [numbers[name] for name in ranked(objective, importances).index if name in numbers][:2]


def _coordinate(parameter: ParameterLayout, trial: Trial) -> float:
    """Where a trial stands; along a range with `log` by its logarithm, so that distances are those of the search."""
    value = float(trial.settings[parameter.path])
    return math.log10(value) if parameter.log else value


def _frame(axes: Axes, name: Literal["x", "y"], parameter: ParameterLayout, places: Floats) -> None:
    """An axis around its trials, with the parameter's own numbers at its ticks."""
    low, high = float(places.min()), float(places.max())
    around = 0.06 * (high - low) or 0.5
    axes.set(**{f"{name}lim": (low - around, high + around), f"{name}label": parameter.path})
    own = axes.xaxis if name == "x" else axes.yaxis
    if parameter.log:
        ticks = log_ticks(high - low).tick_values(10**low, 10**high)
        shown = [tick for tick in ticks if low - around <= math.log10(tick) <= high + around]
        own.set_ticks([math.log10(tick) for tick in shown], [f"{tick:g}" for tick in shown])
    else:
        own.set_major_locator(MaxNLocator(4, integer=parameter.kind == "int"))


def _surface(axes: Axes, across: Floats, up: Floats, values: Floats, label: str) -> None:
    """Bands of equal value over triangles between the trials: nothing is claimed beyond them."""
    apart = np.stack([across, up], axis=1)
    spans = np.ptp(apart, axis=0)
    if not spans.all() or np.linalg.matrix_rank((apart - apart.mean(axis=0)) / spans, tol=1e-6) < 2:
        return  # along a line there is no surface
    edges = MaxNLocator(6).tick_values(float(values.min()), float(values.max()))
    strengths = np.linspace(_FAINTEST, _STRONGEST, len(edges) - 1)
    # One colour in several strengths lies well on a light and on a dark ground.
    colors = [to_rgba(COLORS[0], float(strength)) for strength in strengths]
    triangles = Triangulation(*(apart / spans).T).triangles
    bands = axes.tricontourf(Triangulation(across, up, triangles), values, levels=edges, colors=colors)
    axes.figure.colorbar(bands, ax=axes, label=label)
