"""The page of a search: the best configurations, the space, the figures, every trial.

The functions here prepare plain values; templates/search.html is the page.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pandas as pd

from assay.analysis.trials import TRIAL_STATES, Trial, TrialState, front
from assay.report.rendering import FigureGroup, StateBar, figure_groups, render
from assay.report.search.formatting import (
    SELECTION_NOTE,
    axis_label,
    paper_variant,
    search_setup,
    setting_text,
    settings_text,
    space_text,
    training_command,
    trial_name,
    trial_value_text,
    unsettable_note,
)
from assay.report.search.sections import (
    FailedTrial,
    Importances,
    TrialKeys,
    TrialTable,
    failed_trials,
    importance_tables,
    trial_keys,
    trial_table,
)
from assay.report.svg import Figure
from assay.results.search_layout import ParameterLayout, SearchLayout
from assay.wording import measured_time


@dataclasses.dataclass(frozen=True, kw_only=True)
class BestRow:
    """A trial among the best, or one of the paper's values."""

    trial: str
    place: str  # "best", "on the front", or "" for the paper's
    values: tuple[str, ...]
    state: TrialState


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """The command line that runs a configuration again."""

    trial: str
    line: str
    note: str  # the parameters that no flag can set; "" where there are none


@dataclasses.dataclass(frozen=True, kw_only=True)
class Best:
    """The best configuration or the Pareto front, beside the paper's values."""

    heads: tuple[str, ...]
    rows: tuple[BestRow, ...]
    seeds_note: str
    selection_note: str
    commands: tuple[Command, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpaceRow:
    """A parameter with its searched range, the paper's value and the best values."""

    path: str
    condition: str
    cells: tuple[str, str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchPage:
    """The values of templates/search.html."""

    name: str
    title: str
    profile: str
    profile_note: str
    warning: str
    setup: str
    states: StateBar
    best: Best | None
    is_front: bool  # several trials are best
    space: tuple[SpaceRow, ...]
    figures: tuple[FigureGroup, ...]
    importances: Importances | None
    trials: TrialTable | None
    failures: tuple[FailedTrial, ...]
    keys: tuple[TrialKeys, ...]

    @property
    def sections(self) -> tuple[str, ...]:
        """The titles of the page's sections; one without content is left out."""
        contents = {
            "Best configurations": True,
            "Space": True,
            "Figures": self.figures,
            "Importances": self.importances,
            "Trials": self.trials,
            "Without a result": self.failures,
            "Journal and keys": True,
        }
        return tuple(title for title, content in contents.items() if content)


def search_page(
    layout: SearchLayout,
    trials: Sequence[Trial],
    importances: pd.DataFrame,
    reason: str,
    figures: Sequence[Figure],
) -> str:
    """Return the whole page as HTML.

    reason: the limits of the importances, or the reason why there are none
    """
    best = front(layout, trials)
    page = SearchPage(
        name=layout.name,
        title=layout.title,
        profile=layout.profile,
        profile_note=layout.profile_note,
        warning=f"Not the paper’s setting: {layout.not_comparable.rstrip('.')}. " if layout.not_comparable else "",
        setup=_setup(layout),
        states=_states(trials),
        best=_best(layout, trials, best) if best else None,
        is_front=len(best) > 1,
        space=tuple(_space_row(parameter, best) for parameter in layout.parameters),
        figures=figure_groups(figures),
        importances=importance_tables(layout, importances, reason),
        trials=trial_table(layout, trials, best) if trials else None,
        failures=failed_trials(trials),
        keys=trial_keys(trials),
    )
    return render("search.html", search=page)


def _setup(layout: SearchLayout) -> str:
    aims = (
        f"{objective.label}, {'larger' if objective.sign > 0 else 'smaller'} is better"
        for objective in layout.objectives
    )
    return f"{'; '.join(aims)} · {search_setup(layout)}"


def _states(trials: Sequence[Trial]) -> StateBar:
    counts = ((state, sum(trial.state == state for trial in trials)) for state in TRIAL_STATES)
    times = [trial.device_seconds for trial in trials if trial.device_seconds is not None]
    return StateBar(
        states=tuple((state, count) for state, count in counts if count),
        noun="trials",
        device_time=measured_time(sum(times)) if times else "",
    )


def _best(layout: SearchLayout, trials: Sequence[Trial], best: Sequence[Trial]) -> Best:
    papers = [trial for trial in trials if trial.origin == "paper" and trial not in best]
    return Best(
        heads=("", *map(axis_label, layout.objectives), "state"),
        rows=tuple(
            BestRow(
                trial=trial_name(trial) + paper_variant(layout, trial, trials),
                place=("best" if len(best) == 1 else "on the front") if trial in best else "",
                values=tuple(trial_value_text(layout, trial, index) for index in range(len(layout.objectives))),
                state=trial.state,
            )
            for trial in (*best, *papers)
        ),
        seeds_note=(
            "Mean over the seeds ± their standard deviation." if len(layout.seeds) > 1 else "One seed: no spread."
        ),
        selection_note=SELECTION_NOTE if len(trials) > 1 else "",
        commands=tuple(
            Command(
                trial=trial_name(trial) + paper_variant(layout, trial, trials),
                line=training_command(layout, trial),
                note=unsettable_note(layout, trial),
            )
            for trial in best
        ),
    )


def _space_row(parameter: ParameterLayout, best: Sequence[Trial]) -> SpaceRow:
    cells = (space_text(parameter), setting_text(parameter.paper), settings_text(parameter, best))
    return SpaceRow(path=parameter.path, condition=parameter.where, cells=cells)
