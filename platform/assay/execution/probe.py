"""`--probe`: a few steps of every kind of experiment, in this process, to say how long a plan will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from assay.errors import AssayError
from assay.execution.costs import Shape, shape
from assay.execution.plan import Node, Plan
from assay.experiment import Runtime
from assay.places import Places
from assay.store.store import Store

WARM_UP, MEASURED = 2, 5  # steps


class _Nothing:
    """Keeps nothing."""

    def write_line(self, line: Mapping[str, Any]) -> None: ...

    def save_checkpoint(self, payload: Callable[[], bytes], step: int) -> None: ...

    def report_step(self, step: int, loss: float) -> None: ...


def probe(plan: Plan, places: Places, runtime: Runtime, *, store: Store) -> dict[str, float]:
    """Seconds per step by key; what needs a network that is not trained yet is left out. Nothing is written."""
    measured: dict[Shape, float | None] = {}
    found: dict[str, float] = {}
    for node in plan.to_run:
        kind = shape(node.resolved.experiment)
        if kind not in measured:
            measured[kind] = _seconds_per_step(node, places, runtime, store)
        seconds = measured[kind]
        if seconds is not None:
            found[node.key] = seconds
    return found


def _seconds_per_step(node: Node, places: Places, runtime: Runtime, store: Store) -> float | None:
    from assay.training.loop import Training
    from assay.training.result import stored_weights

    if node.resolved.resolved_on:
        return None  # its images are elsewhere
    try:
        training = Training(node.resolved, places=places, runtime=runtime, read_weights=stored_weights(store))
    except AssayError:
        return None
    began = 0.0

    def enough() -> bool:
        nonlocal began
        if training.step == WARM_UP:
            began = time.monotonic()
        return training.step >= WARM_UP + MEASURED

    training.run(_Nothing(), stop=enough)
    return (time.monotonic() - began) / max(training.step - WARM_UP, 1)
