"""Typed events of a run, and the listeners that receive them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal, Protocol

TaskState = Literal["waiting", "running", "paused", "done", "failed", "blocked", "held"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StateChanged:
    """A new state of a task: after its own attempt, or after one that it needs."""

    key: str
    state: TaskState
    error: str = ""
    is_unrecorded: bool = False  # no process was left to record the error


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepDone:
    """An optimiser step of a training."""

    key: str
    step: int
    loss: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluated:
    """An evaluation of a training's official network."""

    key: str
    step: int
    miou: float  # a share


@dataclasses.dataclass(frozen=True, kw_only=True)
class WaitingFor:
    """The reason why a run trains nothing now; empty once it trains."""

    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class GangFailed:
    """A failure of a whole group of workers, before or between its experiments."""

    gang: str
    cause: str
    node: str = ""  # where it failed, if that is known
    cure: str = ""

    def text(self) -> str:
        """Return the failure as one line for the user."""
        where = f" on node {self.node}" if self.node else ""
        cure = f" {self.cure}" if self.cure else ""
        return f"{self.gang} failed{where}: {self.cause.rstrip('.')}.{cure}"


Event = StateChanged | StepDone | Evaluated | WaitingFor | GangFailed


class Listener(Protocol):
    """A receiver of a run's events."""

    def on_event(self, event: Event) -> None:
        """Receive an event."""

    def on_idle(self) -> None:
        """Receive a tick: between experiments, and while a run waits."""


@dataclasses.dataclass(frozen=True)
class Listeners:
    """Several listeners as one; each receives every event, in this order."""

    listeners: Sequence[Listener]

    def on_event(self, event: Event) -> None:
        """Pass an event on."""
        for listener in self.listeners:
            listener.on_event(event)

    def on_idle(self) -> None:
        """Pass a tick on."""
        for listener in self.listeners:
            listener.on_idle()
