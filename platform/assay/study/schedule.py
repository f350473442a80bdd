"""Which experiment may be trained next. Pure: it knows the graph and what came of each attempt, nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Literal

State = Literal["waiting", "running", "done", "failed", "blocked", "held"]
Kind = Literal["done", "failed", "lost", "stopped", "held"]
ATTEMPTS = 3  # of one experiment in one run, where its process ended without a word


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """One experiment to train, with the keys that must be done before."""

    key: str
    needs: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an attempt.

    done; failed for good; lost (its process ended, trying again may help); stopped on request; held by another
    process, which will finish it or go away.
    """

    key: str
    kind: Kind
    error: str = ""


class Schedule:
    """Hands out tasks, each to one taker at a time."""

    def __init__(
        self, tasks: Iterable[Task], *, done: Iterable[str] = (), failed: Mapping[str, str] | None = None
    ) -> None:
        self._tasks = {task.key: task for task in tasks}
        self._state: dict[str, State] = dict.fromkeys(self._tasks, "waiting")
        self._errors: dict[str, str] = dict(failed or {})
        self._lost: dict[str, int] = {}
        self._state |= dict.fromkeys(done, "done")
        self._state |= dict.fromkeys(self._errors, "failed")
        self._block()

    def take(self) -> Task | None:
        """A task whose inputs are done, or None where there is none now."""
        for key, task in self._tasks.items():
            if self._state[key] == "waiting" and all(self._state.get(each) == "done" for each in task.needs):
                self._state[key] = "running"
                return task
        return None

    def report(self, outcome: Outcome) -> None:
        """Take in what came of an attempt; what is already known to be done stays done."""
        if self._state.get(outcome.key) in ("done", None):
            return
        if outcome.kind == "lost":
            self._lost[outcome.key] = self._lost.get(outcome.key, 0) + 1
            if self._lost[outcome.key] >= ATTEMPTS:
                said = f"its process ended {ATTEMPTS} times ({outcome.error})"
                outcome = dataclasses.replace(outcome, kind="failed", error=said)
        states: dict[str, State] = {
            "done": "done",
            "failed": "failed",
            "lost": "waiting",
            "stopped": "waiting",
            "held": "held",
        }
        self._state[outcome.key] = states[outcome.kind]
        if outcome.kind == "failed":
            self._errors[outcome.key] = outcome.error
            self._block()

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
        """Whether nothing can become available any more."""
        return not self.keys("waiting", "running", "held")
