"""A gang: one long-lived group of Ray Train's workers that trains one experiment after another.

`work` runs on every rank. No rank waits inside a collective for work: every rank polls the dispatcher for the same
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

from assay.cluster.worker_checks import DriverFingerprint, check_worker
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
_POLL = (0.05, 0.1, 0.2, 0.5)  # seconds between two calls while there is nothing to do, rising to the last
_REPORT_EVERY = 0.5  # seconds between two messages on progress
_DISPATCHER_GONE = 60.0  # seconds in which another dispatcher may appear
_SUCCESSORS = 20  # names of dispatchers that are tried
_LONG = 3600.0  # seconds of one experiment after which the next one gets a new process


@dataclasses.dataclass(frozen=True, kw_only=True)
class GangConfig:
    """The configuration with which a gang's workers start."""

    gang: str
    dispatcher: str  # the prefix of the actors' names
    out: str
    places: Places
    runtime: dict[str, Any]  # Runtime as JSON
    run: str
    fingerprint: DriverFingerprint


def dispatcher_name(run: str, number: int) -> str:
    """Return the name of a run's number-th dispatcher; each has a new one, since Ray finds a dead actor for a while."""
    return f"{run}-{number}"


class Restart(Exception):
    """A deliberate end of this group of workers, in whose place Ray Train starts another one."""


def work(train_loop_config: Mapping[str, Any]) -> None:
    """Take and train experiments until none is left; Ray Train runs this on every rank."""
    from assay.collectives import broadcast_from_rank0, rank, world_size
    from assay.training.loop import reset_torch

    config: GangConfig = train_loop_config["config"]
    check_worker(config.fingerprint)
    places = config.places.on_this_machine()
    runtime = Runtime(**config.runtime)
    reset_torch(runtime)
    client = DispatcherClient(config)
    generation, client.incarnation = broadcast_from_rank0(client.register)
    worker = Worker(
        store=LocalStore(Path(config.out) / "store"),
        resolver=Resolver(places),
        places=places,
        runtime=runtime,
        run=config.run,
        observer=Observer(),
        is_first_rank=rank() == 0,
    )
    number = 0
    with _Heartbeat(client, generation) as heartbeat:
        while (assignment := client.next_experiment(generation, number)) is not None:
            key, experiment, until = assignment
            began = time.monotonic()
            with heartbeat.training(key):
                outcome = worker.attempt(
                    key,
                    Experiment.from_json(experiment),
                    stop=heartbeat.stop.is_set,
                    on_event=client.progress_reporter(rank()),
                    until=until,
                )
            if rank() == 0 or outcome.kind in ("failed", "lost", "halted"):
                client.report(outcome)
            if not heartbeat.stop.is_set():
                _restart_if_needed(outcome, world_size(), time.monotonic() - began)
            number += 1


def _restart_if_needed(outcome: Outcome, ranks: int, seconds: float) -> None:
    """Raise Restart where a process's memory or device may be broken, or where one rank may stand alone."""
    lost_its_claim = outcome.error.startswith(LostClaim.__name__)  # only rank 0 has the claim and notices its loss
    alone = outcome.kind in ("failed", "halted") and not outcome.error.startswith("NotFinite")
    if restarts_worker(outcome) or (ranks > 1 and (alone or lost_its_claim)):
        raise Restart(f"{outcome.key}: {outcome.error}")
    if seconds > _LONG:
        raise Restart("a new process after a long experiment")


class DispatcherClient:
    """A worker's connection to the dispatcher, whichever actor that is at present."""

    def __init__(self, config: GangConfig) -> None:
        self._config = config
        self._actor: Any = None
        self._number = 0  # of the present dispatcher
        self.incarnation = ""
        self._reported = 0.0

    def _call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the dispatcher; where the dispatcher died, of its successor."""
        import ray

        deadline = time.monotonic() + _DISPATCHER_GONE
        while True:
            try:
                if self._actor is None:
                    self._actor = self._find_actor()
                return ray.get(getattr(self._actor, method).remote(*arguments))
            except ray.exceptions.ActorUnavailableError as error:
                problem: Exception = error
            except ray.exceptions.RayActorError as error:
                self._actor, self._number, problem = None, self._number + 1, error
            except ValueError as error:  # there is no dispatcher yet
                problem = error
            if time.monotonic() > deadline:
                raise Restart(f"the dispatcher is gone ({problem})") from problem
            time.sleep(_POLL[-1])

    def _find_actor(self) -> Any:
        """Return the first living dispatcher, from the last one that answered on."""
        import ray

        for number in range(self._number, self._number + _SUCCESSORS):
            with contextlib.suppress(ValueError):
                actor = ray.get_actor(dispatcher_name(self._config.dispatcher, number), namespace=NAMESPACE)
                self._number = number
                return actor
        raise ValueError(f"no dispatcher runs under a name {dispatcher_name(self._config.dispatcher, self._number)!r}")

    def register(self) -> tuple[int, str]:
        """Register this group; return its generation and the dispatcher's incarnation."""
        from ray.util import get_current_placement_group

        registration: tuple[int, str] = self._call("register", self._config.gang, get_current_placement_group())
        return registration

    def heartbeat(self, generation: int, key: str) -> bool:
        """Report that this group lives and what it trains; return whether it must stop."""
        return bool(self._call("heartbeat", self._config.gang, generation, key))

    def next_experiment(self, generation: int, number: int) -> tuple[str, Any, int | None] | None:
        """Wait for the number-th experiment of this group; return its key, itself and its pause, or None at the end."""
        from assay.collectives import world_size

        tries = 0
        while True:
            assignment = self._call("assignment", self._config.gang, generation, number)
            if assignment.incarnation != self.incarnation and world_size() > 1:
                # Another rank may have its assignment from the former dispatcher.
                raise Restart("the dispatcher was replaced")
            if assignment.do == "end":
                return None
            if assignment.do == "train":
                return assignment.key, assignment.experiment, assignment.until
            time.sleep(_POLL[min(tries, len(_POLL) - 1)])
            tries += 1

    def report(self, outcome: Outcome) -> None:
        """Report the outcome of an attempt."""
        self._call("report", self._config.gang, outcome)

    def report_failure(self, cause: str, node: str) -> None:
        """Report the failure of this gang's group of workers, without waiting for the dispatcher."""
        self._find_actor().gang_failed.remote(self._config.gang, cause, node)

    def progress_reporter(self, rank: int) -> Callable[[Event], None]:
        """Return a callback that sends events of rank 0 to the dispatcher now and then, without waiting for it."""

        def report(event: Event) -> None:
            now = time.monotonic()
            if rank != 0 or self._actor is None:
                return
            if isinstance(event, StepDone) and now - self._reported < _REPORT_EVERY:
                return
            self._reported = now
            self._actor.on_progress.remote(self._config.gang, event)

        return report


class _Heartbeat:
    """A thread that sends heartbeats to the dispatcher, so that no step waits for an answer."""

    def __init__(self, client: DispatcherClient, generation: int) -> None:
        # The client of the training itself: once this thread finds a new dispatcher, progress goes there as well.
        self._client, self._generation = client, generation
        self._key = ""
        self.stop, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def _run(self) -> None:
        while not self._ended.wait(_POLL[-1]):
            with contextlib.suppress(Exception):  # the next call may succeed
                if self._client.heartbeat(self._generation, self._key):
                    self.stop.set()

    @contextlib.contextmanager
    def training(self, key: str) -> Iterator[None]:
        """Send `key` with the heartbeats within the block."""
        self._key = key
        try:
            yield
        finally:
            self._key = ""

    def __enter__(self) -> _Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=5)
        gc.collect()
