"""Listeners of a run: one records failures, one rebuilds the tables now and then."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from assay.errors import AssayError
from assay.execution.events import Event, StateChanged
from assay.store import records
from assay.store.store import Store

REBUILD_EVERY = 30.0  # seconds between two rebuilds of the tables while a run trains
_REBUILD_SHARE = 0.05  # of the time at most: a training waits while tables of thousands of cells are written


@dataclasses.dataclass(frozen=True)
class FailureRecorder:
    """A listener that records the failure of an experiment whose process crashed in every attempt."""

    store: Store

    def on_event(self, event: Event) -> None:
        """Record a failure that no process is left to record."""
        if not isinstance(event, StateChanged) or not event.is_unrecorded:
            return
        if records.state(self.store, event.key).name not in ("failed", "done", "running"):
            failure = {"error": event.error, "traceback": ""}
            records.add_failure(self.store, event.key, failure, final=True)

    def on_idle(self) -> None:
        """Do nothing."""


class Throttled:
    """A listener that does some work at most every so many seconds, and less often where the work takes long."""

    def __init__(self, work: Callable[[], object], *, every: float, print_line: Callable[[str], None]) -> None:
        self._work, self._every, self._print_line = work, every, print_line
        self._next = time.monotonic() + every

    def on_event(self, event: Event) -> None:
        """Do the work if it is due."""
        self.on_idle()

    def on_idle(self) -> None:
        """Do the work if it is due."""
        began = time.monotonic()
        if began < self._next:
            return
        try:
            self._work()
        except (AssayError, OSError) as error:
            self._print_line(f"note: the tables could not be rebuilt now: {error}")
        ended = time.monotonic()
        self._next = ended + max(self._every, (ended - began) / _REBUILD_SHARE)
