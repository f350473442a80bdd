"""The dispatcher: one actor per run that hands experiments to gangs. It holds no CPU and touches no file.

Answers are idempotent: the n-th assignment of a group of workers is the same for all its ranks, however often they
ask. When it dies, the driver makes another one from plan and store; nothing is kept here that is not there.
"""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Mapping
from typing import Any, Literal

from assay.study.schedule import Outcome, Schedule, Task


@dataclasses.dataclass(frozen=True)
class Assignment:
    """What a group is to do next."""

    do: Literal["train", "wait", "end"]
    key: str = ""
    experiment: Any = None  # as JSON
    incarnation: str = ""  # of the dispatcher


class Dispatcher:
    """A schedule that several gangs draw from. Calls come one at a time."""

    def __init__(
        self, tasks: list[Task], done: list[str], failed: Mapping[str, str], experiments: Mapping[str, Any]
    ) -> None:
        self._schedule = Schedule(tasks, done=done, failed=failed)
        self._experiments = experiments
        self._incarnation = secrets.token_hex(4)
        self._given: dict[tuple[str, int, int], Assignment] = {}  # by gang, generation, number
        self._generation: dict[str, int] = {}
        self._working: dict[str, str] = {}  # gang → the key that it trains
        self._events: list[tuple[str, dict[str, Any]]] = []
        self._stopping = False
        self._taken: dict[str, int] = {}  # gang → experiments that it took

    def hello(self, gang: str) -> int:
        """A group of workers of this gang has started: its generation. What the one before it held is lost."""
        self._generation[gang] = self._generation.get(gang, 0) + 1
        key = self._working.pop(gang, None)
        if key is not None:
            self._take_in(Outcome(key=key, kind="lost", error="its worker ended"))
        return self._generation[gang]

    def assignment(self, gang: str, generation: int, number: int) -> Assignment:
        """The number-th thing that this group has to do; to wait is no answer that is kept."""
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
        if self._stopping or not self._schedule.keys("waiting", "held"):
            return Assignment("end", incarnation=self._incarnation)
        task = self._schedule.take()
        if task is None:
            return Assignment("wait", incarnation=self._incarnation)
        self._working[gang] = task.key
        self._taken[gang] = self._taken.get(gang, 0) + 1
        self._events.append((task.key, {"state": "running"}))
        return Assignment("train", task.key, self._experiments[task.key], self._incarnation)

    def report(self, gang: str, outcome: Outcome) -> None:
        """What came of an attempt; that it was lost is heard once, however many ranks say so."""
        holds = self._working.get(gang) == outcome.key
        if outcome.kind == "lost" and not holds:
            return
        if holds:
            del self._working[gang]
        self._take_in(outcome)

    def _take_in(self, outcome: Outcome) -> None:
        before = {key: self._schedule.state(key) for key in self._schedule.keys("waiting", "held", "running")}
        self._schedule.report(outcome)
        for key, state in before.items():
            now = self._schedule.state(key)
            if now != state:
                self._events.append((key, {"state": now, "error": self._schedule.error(key)}))

    def told(self, gang: str, key: str, news: dict[str, Any]) -> None:
        """How far a gang is with an experiment."""
        if self._working.get(gang) == key:
            self._events.append((key, news | {"time": time.time()}))

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """What happened since the last question."""
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

    def stopping(self) -> bool:
        """Whether gangs are to stop."""
        return self._stopping

    def taken(self, gang: str) -> int:
        """How many experiments a gang took so far."""
        return self._taken.get(gang, 0)

    def remaining(self) -> int:
        """How many experiments are neither done nor failed nor blocked."""
        return len(self._schedule.keys("waiting", "held", "running"))
