"""`--probe`: a few steps of every kind of experiment, in this process, to estimate how long a plan will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from assay.errors import AssayError
from assay.execution.costs import CostKind, cost_kind
from assay.execution.plan import Node, Plan
from assay.experiment import Runtime
from assay.places import Places
from assay.store.store import Store

WARM_UP, MEASURED = 2, 5  # steps


class _NoRecord:
    """A recorder that keeps nothing."""

    def write_line(self, line: Mapping[str, Any]) -> None: ...

    def save_checkpoint(self, payload: Callable[[], bytes], step: int) -> None: ...

    def report_step(self, step: int, loss: float) -> None: ...


def probe(plan: Plan, places: Places, runtime: Runtime, *, store: Store) -> dict[str, float]:
    """Measure seconds per step, by key, and write nothing.

    An experiment that needs a network that is not trained yet is left out.
    """
    measured: dict[CostKind, float | None] = {}
    by_key: dict[str, float] = {}
    for node in plan.to_run:
        kind = cost_kind(node.resolved.experiment)
        if kind not in measured:
            measured[kind] = _seconds_per_step(node, places, runtime, store)
        seconds = measured[kind]
        if seconds is not None:
            by_key[node.key] = seconds
    return by_key


def _seconds_per_step(node: Node, places: Places, runtime: Runtime, store: Store) -> float | None:
    from assay.training.loop import Training
    from assay.training.result import stored_weights

    if node.resolved.resolved_on:
        return None  # its images are on another machine
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

    training.run(_NoRecord(), stop=enough)
    return (time.monotonic() - began) / max(training.step - WARM_UP, 1)
