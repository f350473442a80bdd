"""A gang: one long-lived group of Ray Train's workers that trains one experiment after another.

Its function runs on every rank. No rank waits inside a collective for work: each polls the dispatcher for the same
numbered assignment.
"""

from __future__ import annotations

import dataclasses
import gc
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from assay.cluster.proofs import Expectation, check
from assay.experiment import Experiment, Runtime
from assay.places import Places
from assay.resolve import Resolver
from assay.store.claims import Observer
from assay.store.local import LocalStore
from assay.study.attempt import Worker, restarts_worker
from assay.study.schedule import Outcome

NAMESPACE = "assay"
_POLL = (0.05, 0.1, 0.2, 0.5)  # seconds between two questions, rising to the last
_TOLD_EVERY = 0.5  # seconds between two messages on progress
_DISPATCHER_GONE = 60.0  # seconds in which another dispatcher may appear


@dataclasses.dataclass(frozen=True, kw_only=True)
class Orders:
    """What a gang's workers are started with."""

    gang: str
    dispatcher: str  # the actor's name
    out: str
    places: Places
    runtime: dict[str, Any]  # Runtime as JSON
    run: str
    expected: Expectation


class Restart(Exception):
    """Ends this group of workers on purpose: Ray Train starts another one in its place."""


def work(config: Mapping[str, Any]) -> None:
    """Take and train until there is nothing left; what Ray Train runs on every rank."""
    from assay.ranks import agreed, rank, world_size
    from assay.training.loop import reset_torch

    orders: Orders = config["orders"]
    check(orders.expected)
    runtime = Runtime(**orders.runtime)
    reset_torch(runtime)
    line = Line(orders)
    generation = agreed(line.hello)
    worker = Worker(
        store=LocalStore(Path(orders.out) / "store"),
        resolver=Resolver(orders.places),
        places=orders.places,
        runtime=runtime,
        run=orders.run,
        observer=Observer(),
        is_first_rank=rank() == 0,
    )
    number = 0
    with _StopWatch(line) as stop:
        while (given := line.next(generation, number)) is not None:
            key, experiment = given
            outcome = worker.attempt(key, Experiment.from_json(experiment), stop=stop, told=line.telling(key, rank()))
            if rank() == 0 or outcome.kind in ("failed", "lost"):
                line.report(outcome)
            _restart_if_needed(outcome, world_size())
            number += 1


def _restart_if_needed(outcome: Outcome, ranks: int) -> None:
    """A process whose memory or device may be spoilt is replaced; so is a group in which one rank may stand alone."""
    alone = ranks > 1 and outcome.kind == "failed" and not outcome.error.startswith("NotFinite")
    if restarts_worker(outcome) or alone:
        raise Restart(f"{outcome.key}: {outcome.error}")


class Line:
    """This worker's line to the dispatcher, whichever actor has the name at present."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._actor: Any = None
        self._incarnation = ""
        self._said = 0.0

    def _ask(self, method: str, *arguments: Any) -> Any:
        """An answer; where the dispatcher died, its successor's."""
        import ray

        end = time.monotonic() + _DISPATCHER_GONE
        while True:
            try:
                if self._actor is None:
                    self._actor = ray.get_actor(self._orders.dispatcher, namespace=NAMESPACE)
                return ray.get(getattr(self._actor, method).remote(*arguments))
            except (ray.exceptions.RayActorError, ValueError) as error:
                self._actor = None
                if time.monotonic() > end:
                    raise Restart(f"the dispatcher is gone ({error})") from error
                time.sleep(_POLL[-1])

    def hello(self) -> int:
        """This group's generation."""
        generation: int = self._ask("hello", self._orders.gang)
        return generation

    def next(self, generation: int, number: int) -> tuple[str, Any] | None:
        """The number-th experiment of this group, or None at the end."""
        from assay.ranks import world_size

        tries = 0
        while True:
            given = self._ask("assignment", self._orders.gang, generation, number)
            if self._incarnation and given.incarnation != self._incarnation and world_size() > 1:
                # Another rank may have its answer from the former dispatcher.
                raise Restart("the dispatcher was replaced")
            self._incarnation = given.incarnation
            if given.do == "end":
                return None
            if given.do == "train":
                return given.key, given.experiment
            time.sleep(_POLL[min(tries, len(_POLL) - 1)])
            tries += 1

    def report(self, outcome: Outcome) -> None:
        """Tell what came of an attempt."""
        self._ask("report", self._orders.gang, outcome)

    def stopping(self) -> bool:
        """Whether the run is to stop."""
        return bool(self._ask("stopping"))

    def telling(self, key: str, rank: int) -> Callable[[Mapping[str, Any]], None]:
        """What passes progress on, now and then, without waiting for an answer."""

        def told(news: Mapping[str, Any]) -> None:
            now = time.monotonic()
            if rank != 0 or self._actor is None or ("miou" not in news and now - self._said < _TOLD_EVERY):
                return
            self._said = now
            self._actor.told.remote(self._orders.gang, key, dict(news))

        return told


class _StopWatch:
    """Asks in a thread of its own whether the run is to stop, so that a step never waits for an answer."""

    def __init__(self, line: Line) -> None:
        self._line = Line(line._orders)
        self._stop, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stop watch", daemon=True)

    def _watch(self) -> None:
        while not self._over.wait(_POLL[-1]):
            try:
                if self._line.stopping():
                    self._stop.set()
            except Restart:
                return
            except Exception:
                return  # Ray is going down, and this process with it

    def __enter__(self) -> Callable[[], bool]:
        self._thread.start()
        return self._stop.is_set

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=5)
        gc.collect()
