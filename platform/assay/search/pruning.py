"""When configurations are given up on the way, and for which searches that is no good idea."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

PrunerName = Literal["asha", "none"]
PRUNERS: tuple[str, ...] = get_args(PrunerName)

PRUNABLE_OBJECTIVES = ("miou",)  # the objectives of which evaluations tell something before the end
# What gives a training's curve another shape: a high learning rate is behind until the schedule has brought it down,
# and ahead at the end, so that configurations do not rank at half a training as they do at its end.
SHAPE_THE_CURVE = ("recipe.optimizer", "recipe.schedule")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pruning:
    """When a configuration is given up: at rungs, on the mean over its seeds."""

    name: PrunerName = "asha"
    first: float = 0.25  # share of a training before the first rung; its length and its evaluations vary by profile
    factor: int = 3  # each rung is so many times as far as the one before, and one in so many goes beyond it

    def rungs(self, steps: int, every: int) -> tuple[int, ...]:
        """The steps at which it is decided, all of them evaluated, and the last one of the training."""
        found: list[int] = []
        step = max(1, math.ceil(self.first * steps / every - 1e-9)) * every  # 0.28 of 100 is 28, and a bit more
        while self.name != "none" and step < steps:
            found.append(step)
            step *= self.factor
        return (*found, steps)


def default_pruning(paths: Iterable[str], objectives: Sequence[str]) -> tuple[Pruning, str]:
    """What a search prunes with that says nothing of it, and where it gives up nothing, why."""
    if tuple(objectives) != PRUNABLE_OBJECTIVES:
        return Pruning(name="none"), no_order(objectives)
    shaping = [path for path in dict.fromkeys(paths) if any(_meet(path, each) for each in SHAPE_THE_CURVE)]
    if shaping:
        return Pruning(name="none"), (
            f"with other values of {', '.join(shaping)} trainings rank differently on the way than at their end"
        )
    return Pruning(), ""


def no_order(objectives: Sequence[str]) -> str:
    """Why configurations cannot be told apart on the way where these are the objectives."""
    if len(objectives) > 1:
        return "several objectives have no order by which one could be given up"
    return f"on the way there is a mIoU and no {objectives[0]} yet, by which one could be given up"


def _meet(path: str, other: str) -> bool:
    """Whether one of two paths is the other, or leads to it."""
    return f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}.")
