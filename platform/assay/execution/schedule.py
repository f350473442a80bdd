"""The order of trainings. A schedule knows the graph of inputs and the outcome of each attempt, nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Literal

from assay.execution.events import StateChanged, TaskState

ATTEMPTS = 5  # of one experiment in one run, in a row and without getting further, where its process ends each time
OutcomeKind = Literal["done", "paused", "failed", "lost", "stopped", "held", "halted"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """One experiment to train, with the keys that must be done before."""

    key: str
    needs: tuple[str, ...] = ()
    until: int | None = None  # the step at which it pauses; None: its end


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of an attempt.

    - done
    - paused: at the step that its task names
    - failed: another attempt would fail as well
    - lost: its process ended, and another attempt may help
    - stopped: on request
    - held: by another process, which will finish it or release it
    - halted: the store cannot be written any more, which is no failure of the experiment
    """

    key: str
    kind: OutcomeKind
    error: str = ""
    step: int = 0  # the last step that was reported; the step at which it paused


class TaskSchedule:
    """Tasks with their states; each task is given to one taker at a time."""

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
        self._state: dict[str, TaskState] = dict.fromkeys(self._tasks, "waiting")
        self._errors: dict[str, str] = dict(failed or {})
        self._lost: dict[str, int] = dict(lost or {})  # crashes in a row
        self._furthest: dict[str, int] = {}
        self._state |= dict.fromkeys(paused, "paused")
        self._state |= dict.fromkeys(done, "done")
        self._state |= dict.fromkeys(self._errors, "failed")
        self._block()

    def add(self, tasks: Iterable[Task]) -> None:
        """Add tasks, or continue paused ones; done, failed and blocked tasks stay as they are."""
        for task in tasks:
            self._tasks[task.key] = task
            if self._state.get(task.key, "paused") == "paused":
                self._state[task.key] = "waiting"
        self._block()

    def take(self) -> Task | None:
        """Return a task whose inputs are done and mark it as running; None where there is none now."""
        for key, task in self._tasks.items():
            if self._state[key] == "waiting" and all(self._state.get(each) == "done" for each in task.needs):
                self._state[key] = "running"
                return task
        return None

    def report(self, outcome: Outcome) -> list[StateChanged]:
        """Record an outcome and return the changes of state; a task that is done stays done."""
        if self._state.get(outcome.key) in ("done", None):
            return []
        before = dict(self._state)
        if outcome.kind == "paused" and not self._is_far_enough(outcome):
            outcome = dataclasses.replace(outcome, kind="stopped")  # its task goes further since
        tried_enough = outcome.kind == "lost" and self._count_lost(outcome) >= ATTEMPTS
        states: dict[OutcomeKind, TaskState] = {"done": "done", "paused": "paused", "failed": "failed", "held": "held"}
        self._state[outcome.key] = "failed" if tried_enough else states.get(outcome.kind, "waiting")
        if self._state[outcome.key] == "done" and before[outcome.key] == "failed":  # another process got it done
            self._errors.pop(outcome.key)
            self._unblock()
        if self._state[outcome.key] == "failed":
            self._errors[outcome.key] = f"tried {ATTEMPTS} times: {outcome.error}" if tried_enough else outcome.error
            self._block()
        return [
            StateChanged(key=key, state=state, error=self.error(key), is_unrecorded=tried_enough and key == outcome.key)
            for key, state in self._state.items()
            if state != before[key]
        ]

    def _is_far_enough(self, outcome: Outcome) -> bool:
        until = self._tasks[outcome.key].until
        return until is not None and outcome.step >= until

    def _count_lost(self, outcome: Outcome) -> int:
        """Count a lost attempt; an attempt that went further than the one before starts the count again."""
        furthest = self._furthest.get(outcome.key)
        went_on = furthest is not None and outcome.step > furthest
        self._furthest[outcome.key] = max(outcome.step, furthest or 0)
        self._lost[outcome.key] = 1 if went_on else self._lost.get(outcome.key, 0) + 1
        return self._lost[outcome.key]

    def adopt(self, key: str) -> bool:
        """Mark a task as running that a former dispatcher gave to a group; return False if it does not wait."""
        if self._state.get(key) != "waiting":
            return False
        self._state[key] = "running"
        return True

    def release(self, key: str) -> None:
        """Let a held task wait again."""
        if self._state[key] == "held":
            self._state[key] = "waiting"

    def _block(self) -> None:
        """Block every task that needs a failed one, directly or through others."""
        changed = True
        while changed:
            changed = False
            for key, task in self._tasks.items():
                bad = [each for each in task.needs if self._state.get(each) in ("failed", "blocked")]
                if bad and self._state[key] in ("waiting", "held"):
                    self._state[key], self._errors[key] = "blocked", f"needs {bad[0]}, which failed"
                    changed = True

    def _unblock(self) -> None:
        for key in self.keys("blocked"):
            self._state[key] = "waiting"
            self._errors.pop(key)
        self._block()

    def keys(self, *states: TaskState) -> list[str]:
        """Return the keys in one of these states, in the order of the plan."""
        return [key for key, state in self._state.items() if state in states]

    def state(self, key: str) -> TaskState:
        """Return the state of a task."""
        return self._state[key]

    def error(self, key: str) -> str:
        """Return the error of a failed or blocked task; empty for all others."""
        return self._errors.get(key, "")

    @property
    def is_over(self) -> bool:
        """True when no task can become available any more, unless one is added."""
        return not self.keys("waiting", "running", "held")
