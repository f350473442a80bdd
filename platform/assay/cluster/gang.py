"""A gang: one long-lived group of Ray Train's workers that trains one experiment after another.

Its function runs on every rank. No rank waits inside a collective for work: each polls the dispatcher for the same
numbered assignment.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from assay.cluster.worker_checks import DriverFingerprint, check
from assay.errors import LostClaim
from assay.execution.events import Event, StepDone
from assay.execution.schedule import Outcome
from assay.execution.worker import Worker, restarts_worker
from assay.experiment import Experiment, Runtime
from assay.places import Places
from assay.resolve import Resolver
from assay.store.claims import Observer
from assay.store.local import LocalStore

NAMESPACE = "assay"
_POLL = (0.05, 0.1, 0.2, 0.5)  # seconds between two questions, rising to the last
_REPORT_EVERY = 0.5  # seconds between two messages on progress
_DISPATCHER_GONE = 60.0  # seconds in which another dispatcher may appear
_SUCCESSORS = 20  # names that are looked for
_LONG = 3600.0  # seconds of one experiment after which the next one gets a new process


@dataclasses.dataclass(frozen=True, kw_only=True)
class GangConfig:
    """What a gang's workers are started with."""

    gang: str
    dispatcher: str  # what the actors' names begin with
    out: str
    places: Places
    runtime: dict[str, Any]  # Runtime as JSON
    run: str
    expected: DriverFingerprint


def dispatcher_name(run: str, number: int) -> str:
    """The name of a run's number-th dispatcher. Each has its own: Ray goes on finding a dead actor for a while."""
    return f"{run}-{number}"


class Restart(Exception):
    """Ends this group of workers on purpose: Ray Train starts another one in its place."""


def work(config: Mapping[str, Any]) -> None:
    """Take and train until there is nothing left; what Ray Train runs on every rank."""
    from assay.collectives import broadcast_from_rank0, rank, world_size
    from assay.training.loop import reset_torch

    orders: GangConfig = config["orders"]
    check(orders.expected)
    places = orders.places.on_this_machine()
    runtime = Runtime(**orders.runtime)
    reset_torch(runtime)
    line = DispatcherClient(orders)
    generation, line.incarnation = broadcast_from_rank0(line.hello)
    worker = Worker(
        store=LocalStore(Path(orders.out) / "store"),
        resolver=Resolver(places),
        places=places,
        runtime=runtime,
        run=orders.run,
        observer=Observer(),
        is_first_rank=rank() == 0,
    )
    number = 0
    with _Watch(line, generation) as watch:
        while (given := line.next(generation, number)) is not None:
            key, experiment, until = given
            began = time.monotonic()
            with watch.training(key):
                outcome = worker.attempt(
                    key,
                    Experiment.from_json(experiment),
                    stop=watch.stop.is_set,
                    on_event=line.progress_reporter(key, rank()),
                    until=until,
                )
            if rank() == 0 or outcome.kind in ("failed", "lost", "halted"):
                line.report(outcome)
            if not watch.stop.is_set():
                _restart_if_needed(outcome, world_size(), time.monotonic() - began)
            number += 1


def _restart_if_needed(outcome: Outcome, ranks: int, seconds: float) -> None:
    """A process whose memory or device may be spoilt is replaced; so is a group in which one rank may stand alone."""
    lost_its_claim = outcome.error.startswith(LostClaim.__name__)  # which rank 0 alone has, and finds out about
    alone = outcome.kind in ("failed", "halted") and not outcome.error.startswith("NotFinite")
    if restarts_worker(outcome) or (ranks > 1 and (alone or lost_its_claim)):
        raise Restart(f"{outcome.key}: {outcome.error}")
    if seconds > _LONG:
        raise Restart("a new process after a long experiment")


class DispatcherClient:
    """This worker's line to the dispatcher, whichever actor that is at present."""

    def __init__(self, orders: GangConfig) -> None:
        self._orders = orders
        self._actor: Any = None
        self._number = 0  # of the dispatcher that is asked
        self.incarnation = ""
        self._reported = 0.0

    def _ask(self, method: str, *arguments: Any) -> Any:
        """An answer; where the dispatcher died, its successor's."""
        import ray

        end = time.monotonic() + _DISPATCHER_GONE
        while True:
            try:
                if self._actor is None:
                    self._actor = self._found()
                return ray.get(getattr(self._actor, method).remote(*arguments))
            except ray.exceptions.ActorUnavailableError as error:
                problem: Exception = error
            except ray.exceptions.RayActorError as error:
                self._actor, self._number, problem = None, self._number + 1, error
            except ValueError as error:  # there is none yet
                problem = error
            if time.monotonic() > end:
                raise Restart(f"the dispatcher is gone ({problem})") from problem
            time.sleep(_POLL[-1])

    def _found(self) -> Any:
        """The first living dispatcher from the one asked last on."""
        import ray

        for number in range(self._number, self._number + _SUCCESSORS):
            with contextlib.suppress(ValueError):
                actor = ray.get_actor(dispatcher_name(self._orders.dispatcher, number), namespace=NAMESPACE)
                self._number = number
                return actor
        raise ValueError("no dispatcher has a name")

    def hello(self) -> tuple[int, str]:
        """This group's generation, and which dispatcher said so."""
        from ray.util import get_current_placement_group

        found: tuple[int, str] = self._ask("hello", self._orders.gang, get_current_placement_group())
        return found

    def here(self, generation: int, key: str) -> bool:
        """Say that this group lives and what it trains, and hear whether it is to stop."""
        return bool(self._ask("here", self._orders.gang, generation, key))

    def next(self, generation: int, number: int) -> tuple[str, Any, int | None] | None:
        """The number-th experiment of this group, or None at the end."""
        from assay.collectives import world_size

        tries = 0
        while True:
            given = self._ask("assignment", self._orders.gang, generation, number)
            if given.incarnation != self.incarnation and world_size() > 1:
                # Another rank may have its answer from the former dispatcher.
                raise Restart("the dispatcher was replaced")
            if given.do == "end":
                return None
            if given.do == "train":
                return given.key, given.experiment, given.until
            time.sleep(_POLL[min(tries, len(_POLL) - 1)])
            tries += 1

    def report(self, outcome: Outcome) -> None:
        """Tell what came of an attempt."""
        self._ask("report", self._orders.gang, outcome)

    def progress_reporter(self, key: str, rank: int) -> Callable[[Event], None]:
        """Return a callback that sends events of rank 0 to the dispatcher now and then, without waiting for it."""

        def report(event: Event) -> None:
            now = time.monotonic()
            if rank != 0 or self._actor is None:
                return
            if isinstance(event, StepDone) and now - self._reported < _REPORT_EVERY:
                return
            self._reported = now
            self._actor.on_progress.remote(self._orders.gang, event)

        return report


class _Watch:
    """Keeps in touch in a thread of its own, so that a step never waits for an answer."""

    def __init__(self, line: DispatcherClient, generation: int) -> None:
        # The same line as the training's: what this thread finds of a new dispatcher, its progress goes to as well.
        self._line, self._generation = line, generation
        self._key = ""
        self.stop, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="in touch", daemon=True)

    def _run(self) -> None:
        while not self._over.wait(_POLL[-1]):
            with contextlib.suppress(Exception):  # the next one may be answered
                if self._line.here(self._generation, self._key):
                    self.stop.set()

    @contextlib.contextmanager
    def training(self, key: str) -> Iterator[None]:
        """For as long as this group trains `key`."""
        self._key = key
        try:
            yield
        finally:
            self._key = ""

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=5)
        gc.collect()
