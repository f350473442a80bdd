"""The run in this process: one experiment after another, until nothing is left that could be trained."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from assay.errors import AssayError
from assay.experiment import Experiment
from assay.store import records
from assay.store.claims import Observer
from assay.store.store import Store
from assay.study.attempt import Worker
from assay.study.schedule import Change, Outcome, Schedule

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
    """Work a schedule off.

    told: hears of every step and of every change of state, by key
    idle: called between experiments and while what other processes hold is waited for
    """

    def take_in(outcome: Outcome) -> None:
        if outcome.kind == "halted":
            raise AssayError(outcome.error)
        for change in schedule.report(outcome):
            told(change.key, news_of(change))

    while not stop():
        task = schedule.take()
        if task is None:
            if schedule.is_over:
                return
            outcomes, released = look_at_held(schedule.keys("held"), worker.store, worker.observer)
            for outcome in outcomes:
                take_in(outcome)
            for key in released:
                schedule.released(key)
            if not outcomes and not released:
                time.sleep(LOOK_EVERY)
        else:
            told(task.key, {"state": "running"})
            hears = functools.partial(told, task.key)
            take_in(worker.attempt(task.key, experiments[task.key], stop=stop, told=hears))
        idle()


def news_of(change: Change) -> dict[str, Any]:
    """A change of state as those who watch a run hear of it."""
    return {"state": change.state, "error": change.error, "given_up": change.given_up}


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
