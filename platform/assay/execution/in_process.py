"""The run in this process: one experiment after another, until nothing is left that could be trained."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from assay.errors import AssayError
from assay.execution.schedule import Outcome, Schedule, StateChange, Task
from assay.execution.worker import Worker
from assay.experiment import Experiment
from assay.store import records
from assay.store.claims import Observer
from assay.store.store import Store

LOOK_EVERY = 1.0  # seconds between two looks at what another process holds


class TaskSource(Protocol):
    """Where more to train comes from while a run goes on: a search, which decides by what it hears."""

    def begin(self, gangs: int) -> None:
        """So many experiments are trained at once."""

    def more(self) -> list[Task]:
        """What is to be trained now, beside what was handed out before."""

    def experiment(self, key: str) -> Experiment:
        """The experiment behind a task."""

    @property
    def is_open(self) -> bool:
        """Whether more may come."""


class NoMoreTasks:
    """The feed of a study, all of whose experiments are known before it begins."""

    is_open = False

    def begin(self, gangs: int) -> None:
        """Nothing depends on it."""

    def more(self) -> list[Task]:
        """Nothing."""
        return []

    def experiment(self, key: str) -> Experiment:
        """There is none."""
        raise KeyError(key)


def run_in_process(
    schedule: Schedule,
    experiments: Mapping[str, Experiment],
    worker: Worker,
    *,
    stop: Callable[[], bool],
    told: Callable[[str, Mapping[str, Any]], None],
    idle: Callable[[], None],
    feed: TaskSource | None = None,
) -> None:
    """Work a schedule off, and what the feed adds to it.

    told: hears of every step and of every change of state, by key
    idle: called between experiments and while what other processes hold is waited for
    """
    feed = feed or NoMoreTasks()
    known = dict(experiments)
    feed.begin(1)

    def take_in(outcome: Outcome) -> None:
        if outcome.kind == "halted":
            raise AssayError(outcome.error)
        for change in schedule.report(outcome):
            told(change.key, news_of(change))

    while not stop():
        added = feed.more()
        known |= {task.key: feed.experiment(task.key) for task in added}
        schedule.add(added)
        task = schedule.take()
        if task is None:
            if schedule.is_over and not feed.is_open:
                return
            outcomes, released = poll_held(schedule.keys("held"), worker.store, worker.observer)
            for outcome in outcomes:
                take_in(outcome)
            for key in released:
                schedule.released(key)
            if not outcomes and not released:
                time.sleep(LOOK_EVERY)
        else:
            told(task.key, {"state": "running"})
            hears = functools.partial(told, task.key)
            take_in(worker.attempt(task.key, known[task.key], stop=stop, told=hears, until=task.until))
        idle()


def news_of(change: StateChange) -> dict[str, Any]:
    """A change of state as those who watch a run hear of it."""
    return {"state": change.state, "error": change.error, "given_up": change.given_up}


def poll_held(keys: Iterable[str], store: Store, observer: Observer) -> tuple[list[Outcome], list[str]]:
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
