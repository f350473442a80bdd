"""The trials of a search: a value for each configuration, from its rows by seed, and the best of these values.

All values here are as Optuna has them: a mIoU is a share.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import pandas as pd

from assay.analysis.statistics import finite_or_none
from assay.results.search_columns import trials_frame
from assay.results.search_layout import ObjectiveLayout, ParameterLayout, SearchLayout

TrialState: TypeAlias = Literal["complete", "pruned", "failed", "running"]
TRIAL_STATES: tuple[TrialState, ...] = ("complete", "pruned", "failed", "running")
# The state of a configuration is the first of these that one of its seeds has: with a failed seed there is no mean.
_WORST: tuple[TrialState, ...] = ("failed", "running", "pruned", "complete")
ParameterValue: TypeAlias = float | int | str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One configuration over all its seeds."""

    number: int
    origin: str  # "paper", "base" or "sampler"
    sampler: str
    state: TrialState
    step: int | None
    steps: int | None
    pruned_at: int | None
    values: tuple[float, ...] | None  # in the order of the objectives; None unless complete
    deviations: tuple[float | None, ...]  # over the seeds, of objectives with a number for each seed
    intermediate: tuple[tuple[int, float], ...]  # step and mean over the seeds, of the watched objective
    settings: dict[str, ParameterValue]  # the active parameters by path
    device_seconds: float | None  # of all its seeds
    keys: tuple[tuple[int, str], ...]  # seed and key
    error: str

    def reached(self, layout: SearchLayout, index: int) -> float | None:
        """Return an objective's value; of a trial without an end, the last value of the watched objective."""
        if self.values is not None:
            return self.values[index]
        return self.intermediate[-1][1] if self.intermediate and index == layout.watched else None


def trials_from(layout: SearchLayout, frame: pd.DataFrame) -> tuple[Trial, ...]:
    """Return all trials of a search's frame, whose mIoU are shares, in the order of their proposal."""
    return tuple(
        _trial(layout, rows.sort_values("seed", kind="stable"))
        for _, rows in trials_frame(layout, frame).groupby("trial", sort=True)
    )


def front(layout: SearchLayout, trials: Sequence[Trial], among: Sequence[int] = ()) -> tuple[Trial, ...]:
    """Return the best trial of one objective, the earliest of equal ones, or the Pareto front of several.

    Empty where no trial was completed.

    among: the indices of the objectives that count; empty for all of them
    """
    indices = tuple(among) or tuple(range(len(layout.objectives)))
    completed = [(_scores(layout, trial.values, indices), trial) for trial in trials if trial.values is not None]
    if not completed:
        return ()
    if len(indices) == 1:
        return (max(completed, key=lambda pair: pair[0])[1],)
    kept = [(own, trial) for own, trial in completed if not any(_dominates(other, own) for other, _ in completed)]
    return tuple(trial for _, trial in sorted(kept, key=lambda pair: pair[0], reverse=True))


def _scores(layout: SearchLayout, values: Sequence[float], indices: Sequence[int]) -> tuple[float, ...]:
    """Return the values of some objectives with signs that make larger values better."""
    return tuple(layout.objectives[index].sign * values[index] for index in indices)


def _dominates(first: Sequence[float], second: Sequence[float]) -> bool:
    return first != second and all(a >= b for a, b in zip(first, second, strict=True))


# --- reading -------------------------------------------------------------------------------------------------


def _trial(layout: SearchLayout, rows: pd.DataFrame) -> Trial:
    states = set(rows["state"])
    state = next(state for state in _WORST if state in states)
    first: dict[str, Any] = dict(zip(rows.columns, rows.iloc[0].tolist(), strict=True))
    return Trial(
        number=int(first["trial"]),
        origin=_text(first["origin"]),
        sampler=_text(first["sampler"]),
        state=state,
        step=_count(rows["step"].max()),
        steps=_count(rows["steps"].max()),
        pruned_at=_count(rows["pruned_at"].max()),
        values=_values(layout, first) if state == "complete" else None,
        deviations=tuple(_deviation(objective, rows) for objective in layout.objectives),
        intermediate=_curve(first["intermediate"]),
        settings=_settings(layout, first),
        device_seconds=finite_or_none(rows["device_seconds"].sum(min_count=1)),
        keys=tuple((int(seed), _text(key)) for seed, key in zip(rows["seed"], rows["key"], strict=True)),
        error=next((text for error in rows["error"] if (text := _text(error))), ""),
    )


def _values(layout: SearchLayout, row: Mapping[str, Any]) -> tuple[float, ...] | None:
    values = tuple(finite_or_none(row[objective.column]) for objective in layout.objectives)
    finite = tuple(value for value in values if value is not None)
    return finite if len(finite) == len(values) else None


def _deviation(objective: ObjectiveLayout, rows: pd.DataFrame) -> float | None:
    """Return the standard deviation over the seeds, where a column of the objective's name has a number for each."""
    if objective.name not in rows:
        return None
    values = [value for number in rows[objective.name] if (value := finite_or_none(number)) is not None]
    return statistics.stdev(values) if len(values) > 1 else None


def _curve(text: Any) -> tuple[tuple[int, float], ...]:
    means = json.loads(_text(text) or "{}")
    points = ((int(step), finite_or_none(mean)) for step, mean in means.items())
    return tuple(sorted((step, mean) for step, mean in points if mean is not None))


def _settings(layout: SearchLayout, row: Mapping[str, Any]) -> dict[str, ParameterValue]:
    settings: dict[str, ParameterValue] = {}
    for parameter in layout.parameters:
        value = _setting(parameter, row.get(parameter.path), settings)
        if value is not None:
            settings[parameter.path] = value
    return settings


def _setting(parameter: ParameterLayout, raw: Any, before: Mapping[str, ParameterValue]) -> ParameterValue | None:
    """Return the proposed value of a parameter, given those before it; None where it was not active."""
    if raw is None or pd.isna(raw):
        # None may be one of the options, and a table shows it as an absent value.
        return _option(parameter, None) if _is_active(parameter, before) else None
    if parameter.kind == "float":
        return float(raw)
    if parameter.kind == "int":
        return round(float(raw))
    return _option(parameter, raw) or str(raw)


def _is_active(parameter: ParameterLayout, before: Mapping[str, ParameterValue]) -> bool:
    """Return whether the parameters in its condition have the values for which a parameter is searched."""
    return all(
        path in before and (str(before[path]) == value or _same_number(value, before[path]))
        for path, value in parameter.when
    )


def _option(parameter: ParameterLayout, raw: Any) -> str | None:
    """Return the option for a value of a column, which may have turned text into a number; an exact match wins."""
    text, options = str(raw), parameter.options
    alike = (option for option in options if option.lower() == text.lower() or _same_number(option, raw))
    return text if text in options else next(alike, None)


def _same_number(text: str, raw: Any) -> bool:
    try:
        return float(text) == float(raw)
    except (TypeError, ValueError):
        return False


def _text(raw: Any) -> str:
    return "" if raw is None or pd.isna(raw) else str(raw)


def _count(raw: Any) -> int | None:
    value = finite_or_none(raw)
    return None if value is None else round(value)
