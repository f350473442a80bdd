"""The run in this process: one experiment after another, until nothing is left that could be trained."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from assay.experiment import Experiment
from assay.store import records
from assay.store.claims import Observer
from assay.store.store import Store
from assay.study.attempt import Worker
from assay.study.schedule import Outcome, Schedule

LOOK_EVERY = 1.0  # seconds between two looks at what another process holds


def run_here(
    schedule: Schedule,
    experiments: Mapping[str, Experiment],
    worker: Worker,
    *,
    stop: Callable[[], bool],
    told: Callable[[str, Mapping[str, Any]], None],
    idle: Callable[[], None],
) -> None:
    """Work a schedule off. `told` hears of every step by key, `idle` is called between experiments."""
    while not stop():
        task = schedule.take()
        if task is None:
            if schedule.is_over:
                return
            held = schedule.keys("held")
            outcomes, released = look_at_held(held, worker.store, worker.observer)
            for outcome in outcomes:
                schedule.report(outcome)
            for key in released:
                schedule.released(key)
            if not outcomes and not released:
                time.sleep(LOOK_EVERY)
        else:
            key = task.key
            told(key, {"state": "running"})
            outcome = worker.attempt(key, experiments[key], stop=stop, told=functools.partial(told, key))
            schedule.report(outcome)
            told(key, {"state": schedule.state(key), "error": schedule.error(key)})
        idle()


def look_at_held(keys: Iterable[str], store: Store, observer: Observer) -> tuple[list[Outcome], list[str]]:
    """What became of the experiments that other processes hold: finished or failed, and those that are free again."""
    outcomes: list[Outcome] = []
    released: list[str] = []
    for key in keys:
        state = records.state(store, key, observer=observer)
        if state.name == "done":
            outcomes.append(Outcome(key=key, kind="done"))
        elif state.name == "failed":
            outcomes.append(Outcome(key=key, kind="failed", error=state.detail))
        elif state.name != "running":
            released.append(key)
    return outcomes, released
