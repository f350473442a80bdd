"""The trials of a search: rows, one for each seed, become configurations, and the best of them are found."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import pandas as pd

from assay.results.search_columns import trials_frame
from assay.results.search_layout import ObjectiveLayout, ParameterLayout, SearchLayout

State: TypeAlias = Literal["complete", "pruned", "failed", "running"]
STATES: tuple[State, ...] = ("complete", "pruned", "failed", "running")
# A configuration is what its worst seed is: one that failed has no mean.
_WORST: tuple[State, ...] = ("failed", "running", "pruned", "complete")
Setting: TypeAlias = float | int | str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One configuration over all its seeds."""

    number: int
    origin: str  # "paper", "base" or "sampler"
    sampler: str
    state: State
    step: int | None
    steps: int | None
    pruned_at: int | None
    values: tuple[float, ...] | None  # in the order of the objectives; None unless complete
    deviations: tuple[float | None, ...]  # over the seeds, where each of them has a number of its own
    intermediate: tuple[tuple[int, float], ...]  # step and mean over the seeds, of the objective that is watched
    settings: dict[str, Setting]  # the active parameters by path
    device_seconds: float | None  # of all its seeds
    keys: tuple[tuple[int, str], ...]  # seed and key
    error: str

    def reached(self, layout: SearchLayout, index: int) -> float | None:
        """An objective's value; that at which it stopped, where it did not end and the objective was watched."""
        if self.values is not None:
            return self.values[index]
        return self.intermediate[-1][1] if self.intermediate and index == layout.watched else None


def read(layout: SearchLayout, frame: pd.DataFrame) -> tuple[Trial, ...]:
    """All trials, in the order in which they were proposed."""
    return tuple(
        _trial(layout, rows.sort_values("seed", kind="stable"))
        for _, rows in trials_frame(layout, frame).groupby("trial", sort=True)
    )


def best(layout: SearchLayout, frame: pd.DataFrame) -> tuple[Trial, ...]:
    """The best trial, or with several objectives the Pareto front; empty where none was completed."""
    return front(layout, read(layout, frame))


def front(layout: SearchLayout, trials: Sequence[Trial], among: Sequence[int] = ()) -> tuple[Trial, ...]:
    """The best of some trials: the earliest where one objective is equal, all that nothing beats with several.

    among: the objectives that count, by their places; all if none are named
    """
    places = tuple(among) or tuple(range(len(layout.objectives)))
    ended = [(_worth(layout, each.values, places), each) for each in trials if each.values is not None]
    if not ended:
        return ()
    if len(places) == 1:
        return (max(ended, key=lambda pair: pair[0])[1],)
    kept = [(worth, each) for worth, each in ended if not any(_beats(other, worth) for other, _ in ended)]
    return tuple(each for _, each in sorted(kept, key=lambda pair: pair[0], reverse=True))


def _worth(layout: SearchLayout, values: Sequence[float], places: Sequence[int]) -> tuple[float, ...]:
    """The values at these places, all of them the better the larger."""
    return tuple(layout.objectives[place].sign * values[place] for place in places)


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(mine >= its for mine, its in zip(one, other, strict=True))


# --- reading -------------------------------------------------------------------------------------------------


def _trial(layout: SearchLayout, rows: pd.DataFrame) -> Trial:
    states = set(rows["state"])
    state = next(each for each in _WORST if each in states)
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
        deviations=tuple(_deviation(each, rows) for each in layout.objectives),
        intermediate=_curve(first["intermediate"]),
        settings=_settings(layout, first),
        device_seconds=_known(rows["device_seconds"].sum(min_count=1)),
        keys=tuple((int(seed), _text(key)) for seed, key in zip(rows["seed"], rows["key"], strict=True)),
        error=next((text for each in rows["error"] if (text := _text(each))), ""),
    )


def _values(layout: SearchLayout, row: Mapping[str, Any]) -> tuple[float, ...] | None:
    found = tuple(_known(row[each.column]) for each in layout.objectives)
    values = tuple(each for each in found if each is not None)
    return values if len(values) == len(found) else None


def _deviation(objective: ObjectiveLayout, rows: pd.DataFrame) -> float | None:
    """The standard deviation over the seeds, where a column of the objective's name has each seed's own number."""
    if objective.name not in rows:
        return None
    known = [value for each in rows[objective.name] if (value := _known(each)) is not None]
    return statistics.stdev(known) if len(known) > 1 else None


def _curve(text: Any) -> tuple[tuple[int, float], ...]:
    means = json.loads(_text(text) or "{}")
    known = ((int(step), _known(mean)) for step, mean in means.items())
    return tuple(sorted((step, mean) for step, mean in known if mean is not None))


def _settings(layout: SearchLayout, row: Mapping[str, Any]) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for each in layout.parameters:
        value = _setting(each, row.get(each.path), found)
        if value is not None:
            found[each.path] = value
    return found


def _setting(parameter: ParameterLayout, raw: Any, before: Mapping[str, Setting]) -> Setting | None:
    """A parameter's value as it was proposed, beside those before it; None where it was not active."""
    if raw is None or pd.isna(raw):
        # Nothing at all may be one of the options; a table has no other sign for it.
        return _option(parameter, None) if _is_active(parameter, before) else None
    if parameter.kind == "float":
        return float(raw)
    if parameter.kind == "int":
        return round(float(raw))
    return _option(parameter, raw) or str(raw)


def _is_active(parameter: ParameterLayout, before: Mapping[str, Setting]) -> bool:
    """Whether what a parameter depends on has the values for which it is searched."""
    return all(
        path in before and (str(before[path]) == value or _same_number(value, before[path]))
        for path, value in parameter.when
    )


def _option(parameter: ParameterLayout, raw: Any) -> str | None:
    """The option that a column holds, which may have made a number of it; itself before what is only like it."""
    text, options = str(raw), parameter.options
    alike = (each for each in options if each.lower() == text.lower() or _same_number(each, raw))
    return text if text in options else next(alike, None)


def _same_number(text: str, raw: Any) -> bool:
    try:
        return float(text) == float(raw)
    except (TypeError, ValueError):
        return False


def _text(raw: Any) -> str:
    return "" if raw is None or pd.isna(raw) else str(raw)


def _known(raw: Any) -> float | None:
    return None if raw is None or pd.isna(raw) or not math.isfinite(raw) else float(raw)


def _count(raw: Any) -> int | None:
    value = _known(raw)
    return None if value is None else round(value)
