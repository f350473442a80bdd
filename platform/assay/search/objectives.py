"""The objectives of searches, by name. They are read from results; nothing is computed again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from assay.errors import UserError
from assay.values import suggestion

Result = Mapping[str, Any]
Direction = Literal["maximize", "minimize"]


@dataclasses.dataclass(frozen=True)
class Objective:
    """One number of a result, and the direction in which it is better."""

    name: str
    label: str
    direction: Direction
    read: Callable[[Result], float]
    percent: bool = False


def _read_cost(name: str) -> Callable[[Result], float]:
    """Return a function that reads a cost of the official network."""
    return lambda result: float(result["cost"][result["official"]][name])


OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective("miou", "mIoU after the last step", "maximize", lambda result: float(result["miou"]), percent=True),
        Objective("multiply_adds", "multiply-adds of one crop", "minimize", _read_cost("multiply_adds")),
        Objective("parameters", "parameters", "minimize", _read_cost("parameters")),
        Objective("device_seconds", "device-seconds", "minimize", lambda result: float(result["device_seconds"])),
    )
}


def objectives(names: Sequence[str]) -> tuple[Objective, ...]:
    """Return the objectives of these names; raise a UserError for an unknown or a repeated name."""
    for name in names:
        if name not in OBJECTIVES:
            raise UserError(f"--objectives: there is no objective {name!r}{suggestion(name, OBJECTIVES)}.")
    if not names or len(set(names)) < len(names):
        raise UserError(f"--objectives: a search needs one objective, or several different ones, got {list(names)}.")
    return tuple(OBJECTIVES[name] for name in names)
