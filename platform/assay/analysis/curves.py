"""Learning curves out of a study's history: one per seed, and their mean."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import pandas as pd

POINTS = 60  # in a curve at most: more cannot be told apart in a figure of this size

Line = tuple[tuple[float, ...], tuple[float, ...]]  # steps and values
Logged = Mapping[str, pd.DataFrame]  # by key: step, name, value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """One row's curves in a column of a table."""

    label: str
    style: int  # the row's place in its table: a row looks the same in all figures
    averaged: tuple[Line, ...]  # the seeds that finished, or all where none has
    others: tuple[Line, ...] = ()

    def seeds(self) -> tuple[Line, ...]:
        """A line per seed."""
        return self.averaged + self.others

    def mean(self) -> Line:
        """The mean as far as all have come that it is over: with fewer it would jump where one ends."""
        by_seed = [pd.Series(values, index=steps) for steps, values in self.averaged]
        together = pd.concat(by_seed, axis=1).dropna().mean(axis=1).sort_index()
        return (tuple(together.index), tuple(together)) if len(together) else self.averaged[0]


def by_key(history: pd.DataFrame) -> Logged:
    """The lines of a history apart for each key."""
    return {str(key): own for key, own in history.dropna(subset=["value"]).groupby("key", sort=False)}


def validation_miou(logged: Logged, keys: Sequence[str]) -> tuple[Line, ...]:
    """The official network's mIoU in percent, a line per key; its name is the first of those that were evaluated."""
    found = []
    for own in (logged[key] for key in keys if key in logged):
        names = own["name"].str
        evaluated = own[names.startswith("val/") & names.endswith("/miou")]
        if len(evaluated):
            official = evaluated[evaluated["name"] == evaluated["name"].iloc[0]]
            found.append(official.groupby("step")["value"].last())
    return _lines(found)


def supervised_loss(logged: Logged, keys: Sequence[str]) -> tuple[Line, ...]:
    """The supervised term, a line per key; the mean over networks where several are trained together."""
    found = []
    for own in (logged[key] for key in keys if key in logged):
        terms = own[own["name"].str.startswith("term/supervised")]
        if len(terms):
            found.append(terms.groupby("step")["value"].mean())
    return _lines(found)


def _lines(curves: Sequence[pd.Series[float]]) -> tuple[Line, ...]:
    """Curves over steps as lines of at most POINTS points, all at the same steps, so that they have a mean."""
    if max(map(len, curves), default=0) > POINTS:
        width = max(curve.index.max() for curve in curves) / POINTS
        curves = [curve.groupby((curve.index / width).map(math.ceil) * width).mean() for curve in curves]
    return tuple((tuple(map(float, curve.index)), tuple(map(float, curve))) for curve in curves)
