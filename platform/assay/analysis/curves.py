"""Learning curves from a study's history: a curve for each seed, and their mean."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import pandas as pd

POINTS = 60  # at most in a curve: a figure of this size does not resolve more

Points = tuple[tuple[float, ...], tuple[float, ...]]  # steps and values
Logged = Mapping[str, pd.DataFrame]  # by key: step, name, value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """The curves of one row in one column of a table."""

    label: str
    style: int  # the index of the row in its table, so that a row looks the same in all figures
    averaged: tuple[Points, ...]  # of the finished seeds, or of all where none is finished
    others: tuple[Points, ...] = ()  # of the remaining seeds

    def seeds(self) -> tuple[Points, ...]:
        """Return the points of every seed."""
        return self.averaged + self.others

    def mean(self) -> Points:
        """Return the mean up to the step that all averaged seeds reached: with fewer of them it would jump."""
        by_seed = [pd.Series(values, index=steps) for steps, values in self.averaged]
        mean = pd.concat(by_seed, axis=1).dropna().mean(axis=1).sort_index()
        return (tuple(mean.index), tuple(mean)) if len(mean) else self.averaged[0]


def by_key(history: pd.DataFrame) -> Logged:
    """Return the rows of a history by key."""
    return {str(key): rows for key, rows in history.dropna(subset=["value"]).groupby("key", sort=False)}


def validation_miou(logged: Logged, keys: Sequence[str]) -> tuple[Points, ...]:
    """Return the mIoU of the official network, which is evaluated first, in percent, for each key."""
    curves = []
    for rows in (logged[key] for key in keys if key in logged):
        names = rows["name"].str
        evaluated = rows[names.startswith("val/") & names.endswith("/miou")]
        if len(evaluated):
            official = evaluated[evaluated["name"] == evaluated["name"].iloc[0]]
            curves.append(official.groupby("step")["value"].last())
    return _lines(curves)


def supervised_loss(logged: Logged, keys: Sequence[str]) -> tuple[Points, ...]:
    """Return the supervised term for each key; of several networks, their mean."""
    curves = []
    for rows in (logged[key] for key in keys if key in logged):
        terms = rows[rows["name"].str.startswith("term/supervised")]
        if len(terms):
            curves.append(terms.groupby("step")["value"].mean())
    return _lines(curves)


def _lines(curves: Sequence[pd.Series[float]]) -> tuple[Points, ...]:
    """Return the points of curves, at most POINTS of each, all at the same steps, so that they have a mean."""
    if max(map(len, curves), default=0) > POINTS:
        width = max(curve.index.max() for curve in curves) / POINTS
        curves = [curve.groupby((curve.index / width).map(math.ceil) * width).mean() for curve in curves]
    return tuple((tuple(map(float, curve.index)), tuple(map(float, curve))) for curve in curves)
