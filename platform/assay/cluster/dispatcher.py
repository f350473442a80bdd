"""The dispatcher: one actor per run that hands experiments to gangs. It holds no CPU and touches no file.

Answers are idempotent: the n-th assignment of a group of workers is the same for all its ranks, however often they
ask. When it dies, the driver makes another one from plan and store; nothing is kept here that is not there.
"""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from assay.execution.events import Evaluated, Event, StateChanged, StepDone
from assay.execution.schedule import Outcome, Schedule, Task

_GENERATIONS = 1_000_000  # more groups than one gang starts under one dispatcher
_SILENCE = 30.0  # seconds after which a group that asks twice a second is taken for gone


@dataclasses.dataclass(frozen=True)
class Assignment:
    """What a group is to do next."""

    do: Literal["train", "wait", "end"]
    key: str = ""
    experiment: Any = None  # as JSON
    until: int | None = None  # the step at which it pauses
    incarnation: str = ""  # of the dispatcher


@dataclasses.dataclass(frozen=True)
class RunStatus:
    """How the run stands, for the driver."""

    remaining: int  # experiments that are neither done nor failed nor blocked, and one where more may come
    present: frozenset[str]  # gangs with workers that were heard of lately and have not been told to end
    halted: str  # why nothing can be written any more; empty while all is well


class Dispatcher:
    """A schedule that several gangs draw from. Calls come one at a time."""

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
        """number: of dispatchers that this run had before; is_open: more tasks may come."""
        self._schedule = Schedule(tasks, done=done, failed=failed, lost=lost, paused=paused)
        self._experiments = dict(experiments)
        self._is_open = is_open
        self._incarnation = secrets.token_hex(4)
        self._first_generation = number * _GENERATIONS
        self._given: dict[tuple[str, int, int], Assignment] = {}  # by gang, generation, number
        self._generation: dict[str, int] = {}
        self._working: dict[str, str] = {}  # gang → the key that it trains
        self._reported: set[str] = set()
        self._furthest: dict[str, int] = {}  # key → the last step that was heard of
        self._heard: dict[str, float] = {}  # gang → when
        self._events: list[Event] = []
        self._stopping = False
        self._halted = ""
        self._taken: dict[str, int] = {}  # gang → experiments that it took
        self._bundles: dict[str, list[Any]] = {}  # gang → the placement groups that it had

    def add(self, tasks: list[Task], experiments: Mapping[str, Any], is_open: bool) -> None:
        """More to train; gangs wait for more as long as it `is_open`."""
        self._experiments.update(experiments)
        self._schedule.add(tasks)
        self._is_open = is_open

    def hello(self, gang: str, bundle: Any = None) -> tuple[int, str]:
        """A group of workers of this gang has started: its generation, and which dispatcher this is.

        What the group before it held is lost.
        """
        self._heard[gang] = time.monotonic()
        self._generation[gang] = self._generation.get(gang, self._first_generation) + 1
        self._bundles.setdefault(gang, []).append(bundle)
        self._lose(gang, "its worker ended")
        return self._generation[gang], self._incarnation

    def gone(self, gang: str) -> None:
        """No group of this gang will come any more."""
        self._heard.pop(gang, None)
        self._lose(gang, "its gang ended")

    def _lose(self, gang: str, why: str) -> None:
        key = self._working.pop(gang, None)
        if key is not None:
            self._take_in(Outcome(key=key, kind="lost", error=why, step=self._furthest.get(key, 0)))

    def here(self, gang: str, generation: int, key: str) -> bool:
        """A group lives, and trains `key` if it trains any; whether it is to stop.

        A dispatcher that took another one's place learns so who trains what.
        """
        self._heard[gang] = time.monotonic()
        if key and gang not in self._generation and key not in self._reported and self._schedule.adopt(key):
            self._generation[gang], self._working[gang] = generation, key
            self._events.append(StateChanged(key=key, state="running"))
        return self._stopping

    def assignment(self, gang: str, generation: int, number: int) -> Assignment:
        """The number-th thing that this group has to do; to wait is no answer that is kept."""
        self._heard[gang] = time.monotonic()
        place = (gang, generation, number)
        if place in self._given:
            return self._given[place]
        if generation < self._generation.get(gang, 0):
            return Assignment("end", incarnation=self._incarnation)  # a group that was replaced
        found = self._next(gang)
        if found.do != "wait":
            self._given[place] = found
        return found

    def _next(self, gang: str) -> Assignment:
        if self._stopping or not (self._is_open or self._schedule.keys("waiting", "held")):
            self._heard.pop(gang, None)
            return Assignment("end", incarnation=self._incarnation)
        task = self._schedule.take()
        if task is None:
            return Assignment("wait", incarnation=self._incarnation)
        self._working[gang] = task.key
        self._taken[gang] = self._taken.get(gang, 0) + 1
        self._events.append(StateChanged(key=task.key, state="running"))
        return Assignment("train", task.key, self._experiments[task.key], task.until, self._incarnation)

    def report(self, gang: str, outcome: Outcome) -> None:
        """What came of an attempt; that it was lost is heard once, however many ranks say so."""
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
        self._take_in(outcome)

    def _is_taken(self, key: str) -> bool:
        return key in self._working.values()

    def _take_in(self, outcome: Outcome) -> None:
        self._events += self._schedule.report(outcome)

    def on_progress(self, gang: str, event: StepDone | Evaluated) -> None:
        """Take in how far a gang is with an experiment."""
        self._furthest[event.key] = max(self._furthest.get(event.key, 0), event.step)
        if self._working.get(gang) == event.key:
            self._events.append(event)

    def events(self) -> list[Event]:
        """Return the events since the last call."""
        events, self._events = self._events, []
        return events

    def held(self) -> list[str]:
        """The experiments that other processes hold."""
        return self._schedule.keys("held")

    def looked(self, outcomes: list[Outcome], released: list[str]) -> None:
        """What the driver found in the store about held experiments."""
        for outcome in outcomes:
            self._take_in(outcome)
        for key in released:
            self._schedule.released(key)

    def stop(self) -> None:
        """Let every gang stop at its next step."""
        self._stopping = True

    def standing(self) -> RunStatus:
        """How the run stands."""
        lately = time.monotonic() - _SILENCE
        return RunStatus(
            remaining=len(self._schedule.keys("waiting", "held", "running")) + self._is_open,
            present=frozenset(gang for gang, when in self._heard.items() if when > lately),
            halted=self._halted,
        )

    def taken(self, gang: str) -> int:
        """How many experiments a gang took so far."""
        return self._taken.get(gang, 0)

    def bundles(self, gang: str) -> list[Any]:
        """The placement groups that the groups of a gang had; told once."""
        return [each for each in self._bundles.pop(gang, []) if each is not None]
