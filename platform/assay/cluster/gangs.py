"""The driver's side of gangs: it starts them, watches them, and passes their events on."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from assay.cluster.connection import Connection, connect, is_in_job
from assay.cluster.dispatcher import RunStatus
from assay.cluster.dispatcher_handle import DispatcherHandle
from assay.cluster.failures import NETWORK_CURE, USER_ERROR, cure_for
from assay.cluster.gang import GangConfig
from assay.cluster.gang_threads import GangThread, end
from assay.cluster.placement import GangShape, fit_gangs, fits_now
from assay.cluster.ray_internals import train_workers
from assay.cluster.resources import NodeResources
from assay.cluster.worker_checks import (
    DriverFingerprint,
    code_hash,
    refresh_nonce,
    remove_nonce,
    require_absolute,
    write_nonce,
)
from assay.errors import AssayError, UserError
from assay.execution.events import Event, Listener, Listeners, WaitingFor
from assay.execution.in_process import POLL_HELD_EVERY, NoMoreTasks, TaskSource, poll_held
from assay.execution.plan import Plan
from assay.experiment import Runtime
from assay.places import Places
from assay.signals import StopRequest
from assay.store.claims import Observer
from assay.store.store import Store, StoreError
from assay.values import to_json
from assay.wording import count, duration

_WATCH_EVERY = 0.25  # seconds between two rounds of the driver
_CHECK_START_EVERY = 1.0  # seconds between two checks of the resources while no gang works
_NORMAL_START, _LONG_START = 20, 60.0  # seconds in which workers usually start; seconds after which that is strange
_NO_ROOM = "waiting for resources that others hold now, or for nodes to come"
_RAY_TRAIN = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # the time until the end of a worker is noticed
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a relative path means the same in a worker as in the driver
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
    tasks: int  # the number of experiments to train, at most


def run_gangs(
    run: GangRun,
    *,
    stop: StopRequest,
    listener: Listener,
    print_line: Callable[[str], None],
) -> None:
    """Train a plan with gangs; return when nothing is left or when all gangs have stopped."""
    os.environ.update({name: value for name, value in _RAY_TRAIN.items() if name not in os.environ})
    with connect(run.address, quiet=not os.environ.get("ASSAY_RAY_LOGS")) as connection:
        stop.on_second_signal.append(connection.kill)
        nodes = connection.resources()
        require_absolute(run.written_out, multi_node=len(nodes) > 1, in_job=is_in_job())
        shape = _place(run, connection, nodes, print_line)
        # Several nodes need a folder that all of them can read and write; Ray Train writes a few lines there.
        parent = run.out if len(nodes) > 1 else None
        with (
            _fingerprint(run) as fingerprint,
            tempfile.TemporaryDirectory(prefix=".gangs-", dir=parent, ignore_cleanup_errors=True) as folder,
        ):
            _train(run, connection, shape, fingerprint, Path(folder), stop=stop, listener=listener)


def _place(
    run: GangRun, connection: Connection, nodes: Sequence[NodeResources], print_line: Callable[[str], None]
) -> GangShape:
    """Return the gangs that the nodes can hold, and print them; print what they wait for where there is no room now."""
    shape = fit_gangs(run.shape, nodes, run.tasks, at_most=connection.at_most())
    print_line(f"{count(shape.gangs, 'gang')} of {count(shape.workers, 'worker')} on {connection.describe()}")
    if not fits_now(shape, nodes):
        print_line(f"{_NO_ROOM}. {connection.holders_text()}")
    return shape


def _train(
    run: GangRun,
    connection: Connection,
    shape: GangShape,
    fingerprint: DriverFingerprint,
    folder: Path,
    *,
    stop: StopRequest,
    listener: Listener,
) -> None:
    """Start a dispatcher and its gangs, and return once they have ended.

    folder: the folder for the files of Ray Train
    """
    run.source.begin(shape.gangs)
    dispatcher = DispatcherHandle(run.name, run.plan, run.store, run.source)
    gangs = [
        GangThread(
            _config(run, f"gang-{number}", dispatcher, fingerprint),
            shape,
            dispatcher,
            folder,
            has_dashboard=not connection.is_local,
        )
        for number in range(1, shape.gangs + 1)
    ]
    for gang in gangs if not stop.is_set() else ():
        gang.start()
    start_monitor = _StartMonitor(connection, shape)
    try:
        _watch(run, dispatcher, gangs, stop, Listeners((listener, _NonceKeeper(fingerprint))), start_monitor)
    except BaseException:
        with contextlib.suppress(AssayError):
            dispatcher.call("stop")  # what is being trained still leaves a checkpoint
        raise
    finally:
        end(gangs)
    dispatcher.pass_on(listener)
    _raise_if_unfinished(dispatcher, gangs, stop)
    dispatcher.close(listener)


def _config(run: GangRun, gang: str, dispatcher: DispatcherHandle, fingerprint: DriverFingerprint) -> GangConfig:
    return GangConfig(
        gang=gang,
        dispatcher=dispatcher.name,
        out=str(run.out),
        places=run.places,
        runtime=to_json(run.runtime),
        run=run.name,
        fingerprint=fingerprint,
    )


@dataclasses.dataclass(frozen=True)
class _NonceKeeper:
    """A listener that keeps the nonce in OUT fresh, which workers read."""

    fingerprint: DriverFingerprint

    def on_event(self, event: Event) -> None:
        """Do nothing."""

    def on_idle(self) -> None:
        """Touch the nonce if it is old."""
        refresh_nonce(self.fingerprint)


@contextlib.contextmanager
def _fingerprint(run: GangRun) -> Iterator[DriverFingerprint]:
    """Yield the fingerprint that every worker must share; its nonce is in OUT within the block."""
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
    """Return whether an experiment needs the data root and this machine or a node that resolved it can read it."""
    if not run.plan.nodes:  # a search, which proposes its experiments later
        return run.places.data.is_dir()
    needing = [node for node in run.plan.to_run if node.resolved.experiment.data.source.lies_below_data_root()]
    return any(run.places.data.is_dir() or node.resolved.resolved_on for node in needing)


class _StartMonitor:
    """A check of the reason why no gang works yet."""

    def __init__(self, connection: Connection, shape: GangShape) -> None:
        self._connection, self._shape = connection, shape
        self._starting_since = time.monotonic()
        self._next_check = 0.0
        self._reason = ""

    def event(self, status: RunStatus) -> WaitingFor | None:
        """Return the reason as an event if it has changed since the last call; it is empty once a gang works."""
        now = time.monotonic()
        if not status.present and now < self._next_check:
            return None
        self._next_check = now + _CHECK_START_EVERY
        reason = "" if status.present else self._find_reason(now)
        if not reason or reason == _NO_ROOM:
            self._starting_since = now
        if reason == self._reason:
            return None
        self._reason = reason
        return WaitingFor(reason=reason)

    def _find_reason(self, now: float) -> str:
        try:
            has_room = train_workers() or fits_now(self._shape, self._connection.resources())
        except Exception:  # Ray may have ended, which the next call of the dispatcher reports
            return self._reason
        if not has_room:
            return _NO_ROOM
        return starting(self._shape, now - self._starting_since)


def starting(shape: GangShape, seconds: float) -> str:
    """Return the reason for waiting while workers start, with a cure once that takes strangely long."""
    reason = (
        f"the workers of {count(shape.gangs, 'gang')} start"
        f" ({duration(seconds)} so far; about {_NORMAL_START} s is normal)"
    )
    if seconds < _LONG_START or shape.workers == 1:
        return reason
    return f"{reason}; perhaps they cannot reach each other: {NETWORK_CURE}"


class _HeldCheck:
    """A regular check of the store for experiments that other processes hold."""

    def __init__(self, store: Store, dispatcher: DispatcherHandle) -> None:
        self._store, self._dispatcher, self._observer = store, dispatcher, Observer()
        self._next = 0.0

    def run_if_due(self) -> None:
        """Report the state of held experiments to the dispatcher, at most every POLL_HELD_EVERY seconds."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + POLL_HELD_EVERY
        with contextlib.suppress(StoreError):  # a network's file system may fail for a moment
            outcomes, released = poll_held(self._dispatcher.call("held"), self._store, self._observer)
            if outcomes or released:
                self._dispatcher.call("update_held", outcomes, released)


def _watch(
    run: GangRun,
    dispatcher: DispatcherHandle,
    gangs: Sequence[GangThread],
    stop: StopRequest,
    listener: Listener,
    start_monitor: _StartMonitor,
) -> None:
    """Pass on events and tasks until no gang works any more."""
    held = _HeldCheck(run.store, dispatcher)
    stop_sent = False
    while any(gang.is_alive() for gang in gangs):
        time.sleep(_WATCH_EVERY)
        if stop.is_set() and not stop_sent:
            dispatcher.call("stop")
            stop_sent = True
        dispatcher.pass_on(listener)
        if not stop.is_set():
            dispatcher.add_tasks()
        held.run_if_due()
        status: RunStatus = dispatcher.call("status")
        for gang in gangs:
            gang.had_workers = gang.had_workers or gang.name in status.present
        # A gang that still waits for its resources ends only with the connection.
        if not status.present and (stop.is_set() or status.halted or not status.remaining):
            break
        event = start_monitor.event(status)
        if event is not None:
            listener.on_event(event)
        listener.on_idle()


def _raise_if_unfinished(dispatcher: DispatcherHandle, gangs: Sequence[GangThread], stop: StopRequest) -> None:
    """Raise an error where experiments are left and the user did not stop the run."""
    status: RunStatus = dispatcher.call("status")
    if status.halted:
        raise AssayError(status.halted)
    errors = [gang.error for gang in gangs if gang.error]
    if errors and status.remaining and not stop.is_set():
        kind = UserError if errors[0].startswith(USER_ERROR) else AssayError
        cause = errors[0].removeprefix(USER_ERROR).rstrip(".")
        raise kind(f"the gangs could not go on: {cause}. {cure_for(cause)}".rstrip())
