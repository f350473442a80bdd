"""The driver's side of gangs: start them, watch them, and write down what comes of them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from assay.cluster.connection import connect, is_in_job
from assay.cluster.dispatcher_handle import DispatcherHandle
from assay.cluster.gang import GangConfig
from assay.cluster.gang_threads import GangThread, end
from assay.cluster.placement import GangShape, fits_now, fitting
from assay.cluster.resources import count
from assay.cluster.worker_checks import (
    DriverFingerprint,
    code_hash,
    keep_nonce,
    remove_nonce,
    require_absolute,
    write_nonce,
)
from assay.errors import AssayError, UserError
from assay.execution.events import Event, Listener, Listeners
from assay.execution.in_process import POLL_HELD_EVERY, NoMoreTasks, TaskSource, poll_held
from assay.execution.plan import Plan
from assay.experiment import Runtime
from assay.places import Places
from assay.signals import StopRequest
from assay.store.claims import Observer
from assay.store.store import Store, StoreError
from assay.values import to_json

_WATCH_EVERY = 0.25  # seconds between two looks of the driver
_TRAIN = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # how soon the end of a worker is noticed
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a relative path means in a worker what it means in the driver
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class GangRun:
    """Everything that a run of gangs needs."""

    plan: Plan
    store: Store
    out: Path
    places: Places
    runtime: Runtime
    name: str
    address: str | None
    shape: GangShape
    written_out: str  # OUT as the user wrote it
    source: TaskSource = dataclasses.field(default_factory=NoMoreTasks)
    tasks: int  # how many experiments there are to train, at the most


def run_gangs(
    run: GangRun,
    *,
    stop: StopRequest,
    listener: Listener,
    print_line: Callable[[str], None],
) -> None:
    """Work a plan off with gangs; returns when nothing is left, or when all have stopped."""
    os.environ.update({name: value for name, value in _TRAIN.items() if name not in os.environ})
    with connect(run.address, quiet=not os.environ.get("ASSAY_RAY_LOGS")) as connection:
        stop.on_second_signal.append(connection.kill)
        nodes = connection.resources()
        require_absolute(run.written_out, multi_node=len(nodes) > 1, in_job=is_in_job())
        shape = fitting(run.shape, nodes, run.tasks, at_most=connection.at_most())
        print_line(f"{count(shape.gangs, 'gang')} of {count(shape.workers, 'worker')} on {connection.describe()}")
        if not fits_now(shape, nodes):
            print_line(f"waiting for resources that others hold now, or for nodes to come. {connection.who_holds()}")
        # Several nodes need a folder that all see; what Ray Train keeps there is a few lines.
        above = run.out if len(nodes) > 1 else None
        with (
            _expected(run) as expected,
            tempfile.TemporaryDirectory(prefix=".gangs-", dir=above, ignore_cleanup_errors=True) as folder,
        ):
            run.source.begin(shape.gangs)
            desk = DispatcherHandle(run.name, run.plan, run.store, run.source)
            gangs = [
                GangThread(
                    _orders(run, f"{run.name}-{index}", desk, expected),
                    shape,
                    desk,
                    Path(folder),
                    has_dashboard=not connection.is_local,
                )
                for index in range(shape.gangs)
            ]
            for gang in gangs if not stop.is_set() else ():
                gang.start()
            try:
                _watch(run, desk, gangs, stop, Listeners((listener, _NonceKeeper(expected))))
            except BaseException:
                with contextlib.suppress(AssayError):
                    desk.ask("stop")  # what is being trained still leaves a checkpoint
                raise
            finally:
                end(gangs)
            _check(desk, gangs, stop)
            desk.close(listener)


def _orders(run: GangRun, gang: str, desk: DispatcherHandle, expected: DriverFingerprint) -> GangConfig:
    return GangConfig(
        gang=gang,
        dispatcher=desk.name,
        out=str(run.out),
        places=run.places,
        runtime=to_json(run.runtime),
        run=run.name,
        expected=expected,
    )


@dataclasses.dataclass(frozen=True)
class _NonceKeeper:
    """A listener that keeps the nonce in OUT fresh, which workers look for."""

    expected: DriverFingerprint

    def on_event(self, event: Event) -> None:
        """Do nothing."""

    def on_idle(self) -> None:
        """Write the nonce again if it is old."""
        keep_nonce(self.expected)


@contextlib.contextmanager
def _expected(run: GangRun) -> Iterator[DriverFingerprint]:
    """What every worker must see, for as long as the run lasts."""
    nonce = write_nonce(run.out)
    try:
        yield DriverFingerprint(
            out=run.out,
            nonce_name=nonce.name,
            nonce_value=nonce.value,
            places=run.places if _reads_data(run) else None,
            code=code_hash(),
        )
    finally:
        remove_nonce(run.out, nonce)


def _reads_data(run: GangRun) -> bool:
    """Whether the data root is there, for this machine or for one that resolved instead, and anything needs it."""
    if not run.plan.nodes:  # a search, of which nothing is known yet
        return run.places.data.is_dir()
    needing = [each for each in run.plan.to_run if each.resolved.experiment.data.source.lies_below_data_root()]
    return any(run.places.data.is_dir() or each.resolved.resolved_on for each in needing)


def _watch(
    run: GangRun,
    desk: DispatcherHandle,
    gangs: list[GangThread],
    stop: StopRequest,
    listener: Listener,
) -> None:
    observer = Observer()
    asked, next_look = False, 0.0
    while any(gang.is_alive() for gang in gangs):
        time.sleep(_WATCH_EVERY)
        if stop.is_set() and not asked:
            desk.ask("stop")
            asked = True
        desk.pass_on(listener)
        if not stop.is_set():
            desk.feed()
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + POLL_HELD_EVERY
            with contextlib.suppress(StoreError):  # a network's file system may fail for a moment
                outcomes, released = poll_held(desk.ask("held"), run.store, observer)
                if outcomes or released:
                    desk.ask("looked", outcomes, released)
        standing = desk.ask("standing")
        for gang in gangs:
            gang.has_worked = gang.has_worked or gang.name in standing.present
        # A gang that still waits for its place ends only with the connection.
        if not standing.present and (stop.is_set() or standing.halted or not standing.remaining):
            break
        listener.on_idle()


def _check(desk: DispatcherHandle, gangs: list[GangThread], stop: StopRequest) -> None:
    """Refuse an end that leaves work behind and was not asked for."""
    standing = desk.ask("standing")
    if standing.halted:
        raise AssayError(standing.halted)
    errors = [gang.error for gang in gangs if gang.error]
    if errors and standing.remaining and not stop.is_set():
        kind = UserError if UserError.__name__ in errors[0] else AssayError
        raise kind(f"the gangs could not go on: {errors[0]}")
