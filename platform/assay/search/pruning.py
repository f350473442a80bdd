"""Pruning: the rungs at which configurations may be stopped, and the searches in which pruning would mislead."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

PrunerName = Literal["asha", "none"]
PRUNERS: tuple[str, ...] = get_args(PrunerName)

PRUNABLE_OBJECTIVES = ("miou",)  # the objectives that evaluations measure before the end of a training
# Paths that change the shape of a training's curve. A high learning rate is behind until the schedule has lowered it,
# and ahead at the end: configurations do not rank at half a training as they rank at its end.
CURVE_SHAPING_PATHS = ("recipe.optimizer", "recipe.schedule")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pruning:
    """The rule by which configurations are pruned: at rungs, by the mean over their seeds."""

    name: PrunerName = "asha"
    # The first rung as a share of a training, since trainings and evaluation intervals vary by profile.
    first: float = 0.25
    factor: int = 3  # between the steps of two rungs; one of `factor` configurations passes a rung

    def rungs(self, steps: int, every: int) -> tuple[int, ...]:
        """Return the steps of all rungs, which are evaluated steps, followed by the last step of the training."""
        rungs: list[int] = []
        step = max(1, math.ceil(self.first * steps / every - 1e-9)) * every  # 0.28 x 100 is 28.000000000000004
        while self.name != "none" and step < steps:
            rungs.append(step)
            step *= self.factor
        return (*rungs, steps)


def default_pruning(paths: Iterable[str], objectives: Sequence[str]) -> tuple[Pruning, str]:
    """Return the pruning of a search that does not choose one, and the reason where it prunes nothing."""
    if tuple(objectives) != PRUNABLE_OBJECTIVES:
        return Pruning(name="none"), why_not_prunable(objectives)
    shaping = [path for path in dict.fromkeys(paths) if any(_overlap(path, other) for other in CURVE_SHAPING_PATHS)]
    if shaping:
        return Pruning(name="none"), (
            f"early rankings of trainings mislead where {' and '.join(shaping)} {'vary' if shaping[1:] else 'varies'}"
        )
    return Pruning(), ""


def why_not_prunable(objectives: Sequence[str]) -> str:
    """Return the reason why configurations cannot be ranked before their end by these objectives."""
    if len(objectives) > 1:
        return "several objectives have no single order to prune by"
    return f"evaluations during a training measure mIoU and not {objectives[0]}, so there is nothing to prune by"


def _overlap(path: str, other: str) -> bool:
    """Return whether two paths are equal, or one contains the other."""
    return f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}.")
