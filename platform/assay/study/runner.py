"""The run in this process: one experiment after another, until nothing is left that could be trained."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
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
            look_at_held(schedule, worker.store, worker.observer)
            if schedule.keys("held") == held:
                time.sleep(LOOK_EVERY)
        else:
            key = task.key
            told(key, {"state": "running"})
            outcome = worker.attempt(key, experiments[key], stop=stop, told=functools.partial(told, key))
            schedule.report(outcome)
            told(key, {"state": schedule.state(key), "error": schedule.error(key)})
        idle()


def look_at_held(schedule: Schedule, store: Store, observer: Observer) -> None:
    """What became of the experiments that other processes hold: finished, failed, or free again."""
    for key in schedule.keys("held"):
        state = records.state(store, key, observer=observer)
        if state.name == "done":
            schedule.report(Outcome(key=key, kind="done"))
        elif state.name == "failed":
            schedule.report(Outcome(key=key, kind="failed", error=state.detail))
        elif state.name != "running":
            schedule.released(key)
