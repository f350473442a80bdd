"""The values for the later sections of a search's page: importances, all trials, failures, keys."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import pandas as pd

from assay.analysis.trials import Trial, TrialState
from assay.report.formatting import NONE
from assay.report.search.figures import ranked
from assay.report.search.formatting import axis_label, setting_text, space_text, trial_value_text
from assay.results.search_layout import ObjectiveLayout, SearchLayout
from assay.wording import measured_time

# --- importances ---------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportanceRow:
    """A parameter with its importance by each evaluator, and the range for which the importance holds."""

    parameter: str
    cells: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportanceTable:
    """The importances for one objective."""

    objective: str
    heads: tuple[str, ...]
    rows: tuple[ImportanceRow, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Importances:
    """The importances for each objective, and their limits or the reason for their absence."""

    trials: int  # completed trials behind the importances
    best_share: str  # percent of the trials that PED-ANOVA counts as the best; "" without PED-ANOVA
    reason: str
    tables: tuple[ImportanceTable, ...]


def importance_tables(layout: SearchLayout, importances: pd.DataFrame, reason: str) -> Importances | None:
    """Return the importances as numbers; None without importances and without a reason."""
    candidates = [_importance_table(layout, objective, importances) for objective in layout.objectives]
    tables = tuple(table for table in candidates if table is not None)
    if not tables:
        return Importances(trials=0, best_share="", reason=reason, tables=()) if reason else None
    share = importances["quantile"].max()
    return Importances(
        trials=max(importances["trials"]),
        best_share="" if pd.isna(share) else f"{100 * share:.0f}",
        reason=reason,
        tables=tables,
    )


def _importance_table(
    layout: SearchLayout, objective: ObjectiveLayout, importances: pd.DataFrame
) -> ImportanceTable | None:
    weights = ranked(objective, importances)
    if weights.empty:
        return None
    of_objective = importances[importances["objective"] == objective.name].drop_duplicates("parameter")
    ranges = of_objective.set_index("parameter")[["low", "high"]].astype(float).to_dict("index")
    options = {parameter.path: space_text(parameter) for parameter in layout.parameters if parameter.kind == "choice"}
    rows = []
    for name, *values in weights.itertuples(name=None):
        low, high = ranges[name].values()
        within = options.get(name, NONE) if math.isnan(low) else f"{setting_text(low)} to {setting_text(high)}"
        numbers = (NONE if pd.isna(value) else f"{value:.2f}" for value in values)
        rows.append(ImportanceRow(parameter=name, cells=(*numbers, within)))
    heads = (objective.label, *map(str, weights.columns), "within")
    return ImportanceTable(objective=objective.label, heads=heads, rows=tuple(rows))


# --- trials --------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialRow:
    """A trial with its state, values, parameters and cost."""

    number: int
    marks: str  # its origin unless that is the sampler, and its place among the best
    state: TrialState
    values: tuple[str, ...]
    cells: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialTable:
    """Every trial in the order of proposal."""

    heads: tuple[str, ...]
    rows: tuple[TrialRow, ...]


def trial_table(layout: SearchLayout, trials: Sequence[Trial], best: Sequence[Trial]) -> TrialTable:
    """Return every trial with its state, values, the step at which it was pruned, parameters and cost."""
    paths = [parameter.path for parameter in layout.parameters]
    return TrialTable(
        heads=("trial", "state", *map(axis_label, layout.objectives), "pruned at", *paths, "devices’ time"),
        rows=tuple(_trial_row(layout, trial, best) for trial in trials),
    )


def _trial_row(layout: SearchLayout, trial: Trial, best: Sequence[Trial]) -> TrialRow:
    origin = trial.origin if trial.origin != "sampler" else ""
    place = ("best" if len(best) == 1 else "front") if trial in best else ""
    pruned_at = NONE if trial.pruned_at is None else f"{trial.pruned_at} of {trial.steps}"
    settings = (setting_text(trial.settings.get(parameter.path)) for parameter in layout.parameters)
    return TrialRow(
        number=trial.number,
        marks=", ".join(filter(None, (origin, place))),
        state=trial.state,
        values=tuple(trial_value_text(layout, trial, index) for index in range(len(layout.objectives))),
        cells=(pruned_at, *settings, measured_time(trial.device_seconds)),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class FailedTrial:
    """A trial without a result, and its error."""

    number: int
    error: str


def failed_trials(trials: Sequence[Trial]) -> tuple[FailedTrial, ...]:
    """Return the trials that failed."""
    return tuple(
        FailedTrial(number=trial.number, error=trial.error or "No reason was recorded.")
        for trial in trials
        if trial.state == "failed"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialKeys:
    """A trial with the key of each seed's training."""

    number: int
    keys: tuple[tuple[int, str], ...]


def trial_keys(trials: Sequence[Trial]) -> tuple[TrialKeys, ...]:
    """Return the keys of all trainings, by trial and seed."""
    return tuple(
        TrialKeys(number=trial.number, keys=tuple((seed, key or NONE) for seed, key in trial.keys)) for trial in trials
    )
