"""Which experiment may be trained next. Pure: it knows the graph and what came of each attempt, nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Literal

State = Literal["waiting", "running", "paused", "done", "failed", "blocked", "held"]
ATTEMPTS = 5  # of one experiment in one run, in a row and without getting further, where its process ends each time
OutcomeKind = Literal["done", "paused", "failed", "lost", "stopped", "held", "halted"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """One experiment to train, with the keys that must be done before."""

    key: str
    needs: tuple[str, ...] = ()
    until: int | None = None  # the step at which it pauses; it is trained to its end if none


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an attempt.

    done; paused at the step that its task names; failed for good; lost (its process ended, trying again may help);
    stopped on request; held by another process, which will finish it or go away; halted (nobody's failed experiment:
    nothing can be written any more).
    """

    key: str
    kind: OutcomeKind
    error: str = ""
    step: int = 0  # the furthest that was heard of; where it paused


@dataclasses.dataclass(frozen=True, kw_only=True)
class StateChange:
    """What an outcome made of a task: its own, or one that needs it."""

    key: str
    state: State
    error: str = ""
    given_up: bool = False  # after the last attempt ended without a word, so that nobody wrote it down


class Schedule:
    """Hands out tasks, each to one taker at a time."""

    def __init__(
        self,
        tasks: Iterable[Task],
        *,
        done: Iterable[str] = (),
        failed: Mapping[str, str] | None = None,
        lost: Mapping[str, int] | None = None,
        paused: Iterable[str] = (),
    ) -> None:
        self._tasks = {task.key: task for task in tasks}
        self._state: dict[str, State] = dict.fromkeys(self._tasks, "waiting")
        self._errors: dict[str, str] = dict(failed or {})
        self._lost: dict[str, int] = dict(lost or {})  # attempts in a row that ended without a word
        self._furthest: dict[str, int] = {}
        self._state |= dict.fromkeys(paused, "paused")
        self._state |= dict.fromkeys(done, "done")
        self._state |= dict.fromkeys(self._errors, "failed")
        self._block()

    def add(self, tasks: Iterable[Task]) -> None:
        """More to train, or a paused task that is to go on; what is done, failed or blocked stays so."""
        for task in tasks:
            self._tasks[task.key] = task
            if self._state.get(task.key, "paused") == "paused":
                self._state[task.key] = "waiting"
        self._block()

    def take(self) -> Task | None:
        """A task whose inputs are done, or None where there is none now."""
        for key, task in self._tasks.items():
            if self._state[key] == "waiting" and all(self._state.get(each) == "done" for each in task.needs):
                self._state[key] = "running"
                return task
        return None

    def report(self, outcome: Outcome) -> list[StateChange]:
        """Take in what came of an attempt, and say what changed; what is known to be done stays done."""
        if self._state.get(outcome.key) in ("done", None):
            return []
        before = dict(self._state)
        if outcome.kind == "paused" and not self._is_far_enough(outcome):
            outcome = dataclasses.replace(outcome, kind="stopped")  # it was asked to go further since
        tried_enough = outcome.kind == "lost" and self._count_lost(outcome) >= ATTEMPTS
        states: dict[OutcomeKind, State] = {"done": "done", "paused": "paused", "failed": "failed", "held": "held"}
        self._state[outcome.key] = "failed" if tried_enough else states.get(outcome.kind, "waiting")
        if self._state[outcome.key] == "done" and before[outcome.key] == "failed":  # another process got it done
            self._errors.pop(outcome.key)
            self._unblock()
        if self._state[outcome.key] == "failed":
            self._errors[outcome.key] = f"tried {ATTEMPTS} times: {outcome.error}" if tried_enough else outcome.error
            self._block()
        return [
            StateChange(key=key, state=state, error=self.error(key), given_up=tried_enough and key == outcome.key)
            for key, state in self._state.items()
            if state != before[key]
        ]

    def _is_far_enough(self, outcome: Outcome) -> bool:
        until = self._tasks[outcome.key].until
        return until is not None and outcome.step >= until

    def _count_lost(self, outcome: Outcome) -> int:
        """Count a lost attempt; one that went further than the one before begins the count anew."""
        furthest = self._furthest.get(outcome.key)
        went_on = furthest is not None and outcome.step > furthest
        self._furthest[outcome.key] = max(outcome.step, furthest or 0)
        self._lost[outcome.key] = 1 if went_on else self._lost.get(outcome.key, 0) + 1
        return self._lost[outcome.key]

    def adopt(self, key: str) -> bool:
        """A group trains this already, on the word of a dispatcher that is gone; False if it is not waiting."""
        if self._state.get(key) != "waiting":
            return False
        self._state[key] = "running"
        return True

    def released(self, key: str) -> None:
        """A held task is free again."""
        if self._state[key] == "held":
            self._state[key] = "waiting"

    def _block(self) -> None:
        """Whatever needs something that failed, however far below, cannot be trained."""
        found = True
        while found:
            found = False
            for key, task in self._tasks.items():
                bad = [each for each in task.needs if self._state.get(each) in ("failed", "blocked")]
                if bad and self._state[key] in ("waiting", "held"):
                    self._state[key], self._errors[key] = "blocked", f"needs {bad[0]}, which failed"
                    found = True

    def _unblock(self) -> None:
        for key in self.keys("blocked"):
            self._state[key] = "waiting"
            self._errors.pop(key)
        self._block()

    def keys(self, *states: State) -> list[str]:
        """The keys in one of these states, in the order of the plan."""
        return [key for key, state in self._state.items() if state in states]

    def state(self, key: str) -> State:
        """How far a key is."""
        return self._state[key]

    def error(self, key: str) -> str:
        """Why a key failed or is blocked."""
        return self._errors.get(key, "")

    @property
    def is_over(self) -> bool:
        """Whether nothing can become available any more, unless something is added."""
        return not self.keys("waiting", "running", "held")
