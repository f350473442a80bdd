"""The dispatcher: one actor per run that hands experiments to gangs. It holds no CPU and reads and writes no file.

Answers are idempotent: the n-th assignment of a group of workers is the same for all its ranks, however often they
call. When the dispatcher dies, the driver starts another one from the plan and the store, which hold everything that a
dispatcher knows.
"""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from assay.cluster.failures import cure_for
from assay.execution.events import Evaluated, Event, GangFailed, StateChanged, StepDone
from assay.execution.schedule import Outcome, Task, TaskSchedule

_GENERATIONS = 1_000_000  # more groups than one gang starts under one dispatcher
_SILENCE = 30.0  # seconds without a call after which a group, which calls twice a second, counts as ended


@dataclasses.dataclass(frozen=True)
class Assignment:
    """The next action of a group of workers."""

    do: Literal["train", "wait", "end"]
    key: str = ""
    experiment: Any = None  # as JSON
    until: int | None = None  # the step at which it pauses
    incarnation: str = ""  # of the dispatcher


@dataclasses.dataclass(frozen=True)
class RunStatus:
    """The state of the run, for the driver."""

    remaining: int  # experiments that are neither done nor failed nor blocked, plus one where more may come
    present: frozenset[str]  # gangs that called within `_SILENCE` and have not ended
    halted: str  # why the store cannot be written any more; empty while it can


class Dispatcher:
    """A schedule from which several gangs take experiments; Ray runs one call at a time."""

    def __init__(
        self,
        tasks: list[Task],
        done: list[str],
        failed: Mapping[str, str],
        lost: Mapping[str, int],
        experiments: Mapping[str, Any],
        *,
        number: int = 0,
        paused: Sequence[str] = (),
        is_open: bool = False,
    ) -> None:
        """Start with the tasks of a plan.

        number: of dispatchers that this run had before
        is_open: whether more tasks may come
        """
        self._schedule = TaskSchedule(tasks, done=done, failed=failed, lost=lost, paused=paused)
        self._experiments = dict(experiments)
        self._is_open = is_open
        self._incarnation = secrets.token_hex(4)
        self._first_generation = number * _GENERATIONS
        self._assignments: dict[tuple[str, int, int], Assignment] = {}  # by gang, generation, number
        self._generation: dict[str, int] = {}
        self._working: dict[str, str] = {}  # gang → the key that it trains
        self._reported: set[str] = set()
        self._furthest: dict[str, int] = {}  # key → the last step that was reported
        self._last_call: dict[str, float] = {}  # gang → the time of its last call
        self._events: list[Event] = []
        self._stopping = False
        self._halted = ""
        self._taken: dict[str, int] = {}  # gang → the number of experiments that it took
        self._placement_groups: dict[str, list[Any]] = {}  # gang → its placement groups
        self._failed_gangs: set[str] = set()  # gangs that failed and took no experiment since

    def add(self, tasks: list[Task], experiments: Mapping[str, Any], is_open: bool) -> None:
        """Add tasks; gangs wait for more of them as long as `is_open`."""
        self._experiments.update(experiments)
        self._schedule.add(tasks)
        self._is_open = is_open

    def register(self, gang: str, placement_group: Any = None) -> tuple[int, str]:
        """Register a group of workers that has started; return its generation and the dispatcher's incarnation.

        The experiment of the gang's former group is lost.
        """
        self._last_call[gang] = time.monotonic()
        self._generation[gang] = self._generation.get(gang, self._first_generation) + 1
        self._placement_groups.setdefault(gang, []).append(placement_group)
        self._lose(gang, "its worker ended")
        return self._generation[gang], self._incarnation

    def gang_ended(self, gang: str) -> None:
        """Record that no further group of this gang will start."""
        self._last_call.pop(gang, None)
        self._lose(gang, "its gang ended")

    def gang_failed(self, gang: str, cause: str, node: str) -> None:
        """Pass on the failure of a group of workers; only the first one until the gang takes an experiment again."""
        if gang not in self._failed_gangs:
            self._failed_gangs.add(gang)
            self._events.append(GangFailed(gang=gang, cause=cause, node=node, cure=cure_for(cause)))

    def _lose(self, gang: str, why: str) -> None:
        key = self._working.pop(gang, None)
        if key is not None:
            self._record(Outcome(key=key, kind="lost", error=why, step=self._furthest.get(key, 0)))

    def heartbeat(self, gang: str, generation: int, key: str) -> bool:
        """Record that a group lives and trains `key`, if that is not empty; return whether it must stop.

        From heartbeats a dispatcher that replaced another one learns who trains what.
        """
        self._last_call[gang] = time.monotonic()
        if key and gang not in self._generation and key not in self._reported and self._schedule.adopt(key):
            self._generation[gang], self._working[gang] = generation, key
            self._events.append(StateChanged(key=key, state="running"))
        return self._stopping

    def assignment(self, gang: str, generation: int, number: int) -> Assignment:
        """Return the number-th assignment of a group; every assignment but "wait" is kept for the other ranks."""
        self._last_call[gang] = time.monotonic()
        place = (gang, generation, number)
        if place in self._assignments:
            return self._assignments[place]
        if generation < self._generation.get(gang, 0):
            return Assignment("end", incarnation=self._incarnation)  # to a group that was replaced
        assignment = self._next(gang)
        if assignment.do != "wait":
            self._assignments[place] = assignment
        return assignment

    def _next(self, gang: str) -> Assignment:
        if self._stopping or not (self._is_open or self._schedule.keys("waiting", "held")):
            self._last_call.pop(gang, None)
            return Assignment("end", incarnation=self._incarnation)
        task = self._schedule.take()
        if task is None:
            return Assignment("wait", incarnation=self._incarnation)
        self._working[gang] = task.key
        self._taken[gang] = self._taken.get(gang, 0) + 1
        self._failed_gangs.discard(gang)
        self._events.append(StateChanged(key=task.key, state="running"))
        return Assignment("train", task.key, self._experiments[task.key], task.until, self._incarnation)

    def report(self, gang: str, outcome: Outcome) -> None:
        """Record the outcome of an attempt; a lost experiment counts once, however many ranks report it."""
        self._reported.add(outcome.key)
        holds = self._working.get(gang) == outcome.key
        if not holds and (outcome.kind == "lost" or (outcome.kind == "failed" and self._is_taken(outcome.key))):
            return
        if holds:
            del self._working[gang]
        if outcome.kind == "halted":
            self._halted = self._halted or outcome.error
            self._stopping = True
        if outcome.kind != "paused":
            outcome = dataclasses.replace(outcome, step=self._furthest.get(outcome.key, 0))
        self._record(outcome)

    def _is_taken(self, key: str) -> bool:
        return key in self._working.values()

    def _record(self, outcome: Outcome) -> None:
        self._events += self._schedule.report(outcome)

    def on_progress(self, gang: str, event: StepDone | Evaluated) -> None:
        """Record a gang's progress with an experiment."""
        self._furthest[event.key] = max(self._furthest.get(event.key, 0), event.step)
        if self._working.get(gang) == event.key:
            self._events.append(event)

    def events(self) -> list[Event]:
        """Return the events since the last call."""
        events, self._events = self._events, []
        return events

    def held(self) -> list[str]:
        """Return the keys of the experiments that other processes hold."""
        return self._schedule.keys("held")

    def update_held(self, outcomes: list[Outcome], released: list[str]) -> None:
        """Record the store's state of held experiments, which the driver reads."""
        for outcome in outcomes:
            self._record(outcome)
        for key in released:
            self._schedule.release(key)

    def stop(self) -> None:
        """Let every gang stop at its next step."""
        self._stopping = True

    def status(self) -> RunStatus:
        """Return the state of the run."""
        earliest = time.monotonic() - _SILENCE
        return RunStatus(
            remaining=len(self._schedule.keys("waiting", "held", "running")) + self._is_open,
            present=frozenset(gang for gang, when in self._last_call.items() if when > earliest),
            halted=self._halted,
        )

    def taken(self, gang: str) -> int:
        """Return the number of experiments that a gang took so far."""
        return self._taken.get(gang, 0)

    def placement_groups(self, gang: str) -> list[Any]:
        """Return the placement groups of a gang's groups since the last call."""
        return [group for group in self._placement_groups.pop(gang, []) if group is not None]
