"""What a run does with the news of its trainings: show them, write down failures, rebuild the tables now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from assay.errors import AssayError
from assay.execution.display import Display
from assay.store import records
from assay.store.store import Store

REBUILD_EVERY = 30.0  # seconds between two rebuilds of the tables while a study runs
_REBUILD_SHARE = 0.05  # of the time, at the most: a training waits while tables of thousands of cells are written


class RunListener:
    """Hears of every step and of every experiment that ends."""

    def __init__(self, store: Store, display: Display, rebuild: Callable[[], None]) -> None:
        self.display = display
        self._store, self._rebuild = store, rebuild

    def __call__(self, key: str, news: Mapping[str, Any]) -> None:
        # Where a process ended again and again without a word, nobody was left to write it down.
        if news.get("given_up") and records.state(self._store, key).name not in ("failed", "done", "running"):
            failure = {"error": news.get("error", ""), "traceback": ""}
            records.add_failure(self._store, key, failure, final=True)
        self.display.told(key, news)
        self._rebuild()

    def idle(self) -> None:
        """Nothing happened."""
        self.display.idle()
        self._rebuild()


class Throttled:
    """Does something at most every so many seconds, and less often where it takes long."""

    def __init__(self, work: Callable[[], object], *, every: float, say: Callable[[str], None]) -> None:
        self._work, self._every, self._say = work, every, say
        self._next = time.monotonic() + every

    def __call__(self) -> None:
        began = time.monotonic()
        if began < self._next:
            return
        try:
            self._work()
        except (AssayError, OSError) as error:
            self._say(f"note: the tables could not be rebuilt now: {error}")
        ended = time.monotonic()
        self._next = ended + max(self._every, (ended - began) / _REBUILD_SHARE)


def say(text: str) -> None:
    """A line for the person at the terminal."""
    print(text, flush=True)
