"""A run in this process: one experiment after another, until none is left that could be trained."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from assay.errors import AssayError
from assay.execution.events import Listener, StateChanged
from assay.execution.schedule import Outcome, Task, TaskSchedule
from assay.execution.worker import Worker
from assay.experiment import Experiment
from assay.store import records
from assay.store.claims import Observer
from assay.store.store import Store

POLL_HELD_EVERY = 1.0  # seconds between two reads of the state of experiments that other processes hold


class TaskSource(Protocol):
    """A source of further tasks while a run goes on: a search, which decides by results."""

    def begin(self, gangs: int) -> None:
        """Receive the number of experiments that are trained at the same time."""

    def more(self) -> list[Task]:
        """Return the tasks to train beside those that were returned before."""

    def experiment(self, key: str) -> Experiment:
        """Return the experiment of a task."""

    @property
    def is_open(self) -> bool:
        """True while more tasks may come."""


class NoMoreTasks:
    """The source of a study, all of whose experiments are known before the run."""

    is_open = False

    def begin(self, gangs: int) -> None:
        """Do nothing."""

    def more(self) -> list[Task]:
        """Return nothing."""
        return []

    def experiment(self, key: str) -> Experiment:
        """Raise: no task comes from here."""
        raise KeyError(key)


def run_in_process(
    schedule: TaskSchedule,
    experiments: Mapping[str, Experiment],
    worker: Worker,
    *,
    stop: Callable[[], bool],
    listener: Listener,
    source: TaskSource | None = None,
) -> None:
    """Train every task of a schedule and of its source."""
    source = source or NoMoreTasks()
    by_key = dict(experiments)
    source.begin(1)
    while not stop():
        added = source.more()
        by_key |= {task.key: source.experiment(task.key) for task in added}
        schedule.add(added)
        task = schedule.take()
        if task is not None:
            listener.on_event(StateChanged(key=task.key, state="running"))
            outcome = worker.attempt(
                task.key, by_key[task.key], stop=stop, on_event=listener.on_event, until=task.until
            )
            _report(outcome, schedule, listener)
        elif schedule.is_over and not source.is_open:
            return
        else:
            _wait_for_others(schedule, worker, listener)
        listener.on_idle()


def _report(outcome: Outcome, schedule: TaskSchedule, listener: Listener) -> None:
    if outcome.kind == "halted":
        raise AssayError(outcome.error)
    for change in schedule.report(outcome):
        listener.on_event(change)


def _wait_for_others(schedule: TaskSchedule, worker: Worker, listener: Listener) -> None:
    """Record the outcomes of experiments that other processes hold; sleep where there are none."""
    outcomes, released = poll_held(schedule.keys("held"), worker.store, worker.observer)
    for outcome in outcomes:
        _report(outcome, schedule, listener)
    for key in released:
        schedule.release(key)
    if not outcomes and not released:
        time.sleep(POLL_HELD_EVERY)


def poll_held(keys: Iterable[str], store: Store, observer: Observer) -> tuple[list[Outcome], list[str]]:
    """Return the outcomes of experiments that other processes held, and the keys that are free again."""
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
