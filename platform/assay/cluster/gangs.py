"""The driver's side of gangs: start them, watch them, and write down what comes of them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.cluster.connection import NodeResources, connect, count, is_in_job
from assay.cluster.gang import NAMESPACE, Orders, work
from assay.cluster.proofs import Expectation, code_hash, keep_nonce, remove_nonce, require_absolute, write_nonce
from assay.errors import AssayError, UserError
from assay.experiment import Runtime
from assay.places import Places
from assay.signals import Stopped
from assay.store.claims import Observer
from assay.store.store import Store
from assay.study.plan import Plan, make_plan_again
from assay.study.runner import look_at_held
from assay.values import to_json

_WATCH_EVERY = 0.25  # seconds between two looks of the driver
_FAILURES_OF_A_FIT = 2  # groups that may end before Ray Train gives up a fit
_TRAIN = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # how soon the end of a worker is noticed
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a relative path means in a worker what it means in the driver
}
_END_OF_A_FIT = 20.0  # seconds that a fit may take to end after its workers have
_IDLE_FITS = 1  # fits in a row that may end without an experiment having been taken


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """How many gangs of what size."""

    gangs: int
    workers: int
    gpus_per_worker: float | None  # one where there are any, if nothing is said
    widen: bool  # as many gangs as fit, instead of `gangs`


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that a run of gangs needs."""

    plan: Plan
    store: Store
    out: Path
    places: Places
    runtime: Runtime
    name: str
    address: str | None
    shape: Shape
    written_out: str  # OUT as the user wrote it


def run_gangs(
    run: Run,
    *,
    stop: Stopped,
    told: Callable[[str, Mapping[str, Any]], None],
    idle: Callable[[], None],
    say: Callable[[str], None],
) -> None:
    """Work a plan off with gangs; returns when nothing is left, or when all have stopped."""
    os.environ.update({name: value for name, value in _TRAIN.items() if name not in os.environ})
    with connect(run.address, quiet=not os.environ.get("ASSAY_RAY_LOGS")) as connection:
        stop.at_once.append(connection.kill)
        nodes = connection.resources()
        require_absolute(run.written_out, multi_node=len(nodes) > 1, in_job=is_in_job())
        shape = fitting(run.shape, nodes, len(run.plan.to_run))
        say(f"{count(shape.gangs, 'gang')} of {count(shape.workers, 'worker')} on {connection.describe()}")
        if not fits_now(shape, nodes):
            say(f"waiting for resources that others hold now. {connection.who_holds()}")
        # Several nodes need a folder that all see; what Ray Train keeps there is a few lines.
        above = run.out if len(nodes) > 1 else None
        with _expected(run) as expected, tempfile.TemporaryDirectory(prefix=".gangs-", dir=above) as folder:
            desk = Desk(run)
            gangs = [
                GangThread(f"{run.name}-{index}", run, shape, desk, expected, Path(folder))
                for index in range(shape.gangs)
            ]
            for gang in gangs if not stop.is_set() else ():
                gang.start()
            _watch(run, desk, gangs, stop, told, functools.partial(_all_idle, idle, expected))
            desk.close(told)


def _all_idle(idle: Callable[[], None], expected: Expectation) -> None:
    idle()
    keep_nonce(expected)


@contextlib.contextmanager
def _expected(run: Run) -> Iterator[Expectation]:
    """What every worker must see, for as long as the run lasts."""
    nonce = write_nonce(run.out)
    try:
        yield Expectation(
            out=run.out,
            nonce_name=nonce.name,
            nonce_value=nonce.value,
            data_root=str(run.places.data) if run.places.data.is_dir() else None,
            code=code_hash(),
        )
    finally:
        remove_nonce(run.out, nonce)


def _watch(
    run: Run,
    desk: Desk,
    gangs: list[GangThread],
    stop: Stopped,
    told: Callable[[str, Mapping[str, Any]], None],
    idle: Callable[[], None],
) -> None:
    observer = Observer()
    asked = False
    while any(gang.is_alive() for gang in gangs):
        time.sleep(_WATCH_EVERY)
        if stop.is_set() and not asked:
            desk.ask("stop")
            asked = True
        desk.pass_on(told)
        outcomes, released = look_at_held(desk.ask("held"), run.store, observer)
        if outcomes or released:
            desk.ask("looked", outcomes, released)
        standing = desk.ask("standing")
        for gang in gangs:
            gang.has_worked = gang.has_worked or gang.name in standing.present
        # A gang that still waits for its place ends only with the connection.
        if not standing.present and (stop.is_set() or standing.halted or not standing.remaining):
            break
        idle()
    _end(gangs)
    standing = desk.ask("standing")
    if standing.halted:
        raise AssayError(standing.halted)
    errors = [gang.error for gang in gangs if gang.error]
    if errors and standing.remaining and not stop.is_set():
        raise AssayError(f"the gangs could not go on: {errors[0]}")


def _end(gangs: Sequence[GangThread]) -> None:
    """See the fits to their end; one that waits for a place would go on for ever, and is ended from outside.

    No thread may be left in a call to Ray when the connection ends: the process would crash.
    """
    deadline = time.monotonic() + _END_OF_A_FIT
    for gang in gangs:
        gang.over.set()
        if gang.has_worked:
            gang.join(max(0.0, deadline - time.monotonic()))
    if any(gang.is_alive() for gang in gangs):
        _kill_controllers()
    for gang in gangs:
        if gang.is_alive():
            gang.join(_END_OF_A_FIT)


def _kill_controllers() -> None:
    """End the controllers of this program's fits, to which Ray Train gives no handle outside the main thread."""
    import ray
    from ray._private import state, worker

    job = ray.JobID.from_hex(ray.get_runtime_context().get_job_id())
    for actor, facts in state.actors(job_id=job, actor_state_name="ALIVE").items():
        if "TrainController" in facts["ActorClassName"]:
            with contextlib.suppress(Exception):
                worker.global_worker.core_worker.kill_actor(ray.ActorID.from_hex(actor), True)


def fitting(asked: Shape, nodes: Sequence[NodeResources], tasks: int) -> Shape:
    """The gangs that can be placed once nobody else is there; what can never be is refused by name."""
    has_gpus = any(node.total.get("GPU") for node in nodes)
    gpus = asked.gpus_per_worker if asked.gpus_per_worker is not None else float(has_gpus)
    name, each = ("GPU", gpus) if gpus else ("CPU", 1.0)
    places = sum(int(node.total.get(name, 0.0) / each) for node in nodes)
    if places < asked.workers:
        raise UserError(
            f"a gang of {asked.workers} workers needs {asked.workers * each:g} {name}, and there are places for"
            f" {places} such workers on {len(nodes)} nodes; lower --workers or --gpus-per-worker."
        )
    most = places // asked.workers
    if not asked.widen and asked.gangs > most:
        raise UserError(
            f"{asked.gangs} gangs of {asked.workers} workers need {asked.gangs * asked.workers * each:g} {name}, and"
            f" there are places for {places} such workers; lower --gangs to {most}."
        )
    wanted = most if asked.widen else asked.gangs
    return dataclasses.replace(asked, gangs=max(1, min(wanted, tasks)), gpus_per_worker=gpus)


def fits_now(shape: Shape, nodes: Sequence[NodeResources]) -> bool:
    """Whether one gang can be placed beside what others hold."""
    name, each = ("GPU", shape.gpus_per_worker) if shape.gpus_per_worker else ("CPU", 1.0)
    return sum(int(node.free.get(name, 0.0) / each) for node in nodes) >= shape.workers


class Desk:
    """The driver's side of the dispatcher, which is made anew where it died."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.name = f"dispatcher-{run.name}"
        self._number = 0  # of dispatchers so far
        self._stopping = False
        self._actor = self._started(run.plan)
        self._lock = threading.Lock()

    def _started(self, plan: Plan) -> Any:
        import ray

        from assay.cluster.dispatcher import Dispatcher

        schedule = plan.schedule()
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        actor = (
            ray.remote(Dispatcher)
            .options(name=self.name, namespace=NAMESPACE, num_cpus=0, max_restarts=0, scheduling_strategy=here)
            .remote(
                plan.tasks(),
                schedule.keys("done"),
                {key: schedule.error(key) for key in schedule.keys("failed")},
                plan.lost(),
                {key: node.resolved.experiment.to_json() for key, node in plan.nodes.items()},
                number=self._number,
            )
        )
        ray.get(actor.standing.remote())
        self._number += 1
        return actor

    def ask(self, method: str, *arguments: Any) -> Any:
        """The dispatcher's answer; a dead one is replaced first, from the store as it is then."""
        import ray

        with self._lock:
            self._stopping = self._stopping or method == "stop"
            try:
                return ray.get(getattr(self._actor, method).remote(*arguments))
            except ray.exceptions.RayActorError:
                stopping = self._stopping
                try:
                    self._actor = self._started(make_plan_again(self._run.plan, self._run.store))
                    if stopping:
                        ray.get(self._actor.stop.remote())
                    return ray.get(getattr(self._actor, method).remote(*arguments))
                except (ray.exceptions.RayError, ConnectionError, RuntimeError) as problem:
                    raise _ray_is_gone(problem) from None
            except (ray.exceptions.RayError, ConnectionError) as problem:
                raise _ray_is_gone(problem) from None

    def pass_on(self, told: Callable[[str, Mapping[str, Any]], None]) -> None:
        """Tell what happened since the last time."""
        for key, news in self.ask("events"):
            told(key, news)

    def close(self, told: Callable[[str, Mapping[str, Any]], None]) -> None:
        """Hear the last news, and end the dispatcher."""
        import ray

        self.pass_on(told)
        ray.kill(self._actor)


def _ray_is_gone(problem: BaseException) -> AssayError:
    return AssayError(
        f"Ray ended while the study ran ({_first_cause(problem)}); what was trained is kept: start the study again."
    )


class GangThread(threading.Thread):
    """One gang: a fit of Ray Train in a thread, since fit() in the main thread takes the signals."""

    def __init__(
        self,
        name: str,
        run: Run,
        shape: Shape,
        desk: Desk,
        expected: Expectation,
        folder: Path,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._shape, self._desk, self._folder = shape, desk, folder
        self._orders = Orders(
            gang=name,
            dispatcher=desk.name,
            out=str(run.out),
            places=run.places,
            runtime=to_json(run.runtime),
            run=run.name,
            expected=expected,
        )
        self.error = ""
        self.has_worked = False  # whether it had workers
        self.over = threading.Event()  # no other fit is to follow

    def run(self) -> None:
        idle, fits = 0, 0
        try:
            while idle <= _IDLE_FITS and not self.over.is_set():
                before = self._desk.ask("taken", self.name)
                try:
                    with _quiet():
                        self._trainer(fits).fit()
                    return
                except Exception as error:
                    if self.over.is_set():
                        return
                    self.error = _first_cause(error)
                    fits += 1
                    self._give_back()
                    idle = 0 if self._desk.ask("taken", self.name) > before else idle + 1
        except AssayError as error:
            self.error = str(error)

    def _give_back(self) -> None:
        """Free what former groups held, which Ray does not where the controller of a group was killed."""
        import ray

        for group in self._desk.ask("bundles", self.name):
            with contextlib.suppress(Exception):
                ray.util.remove_placement_group(group)

    def _trainer(self, fits: int) -> Any:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        gpus = self._shape.gpus_per_worker
        resources = {"CPU": 1.0} | ({"GPU": gpus} if gpus else {})
        return TorchTrainer(
            work,
            train_loop_config={"orders": self._orders},
            scaling_config=ScalingConfig(
                num_workers=self._shape.workers, use_gpu=bool(gpus), resources_per_worker=resources
            ),
            run_config=RunConfig(
                name=f"{self.name}-{fits}",
                storage_path=str(self._folder),
                failure_config=FailureConfig(max_failures=_FAILURES_OF_A_FIT),
            ),
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Ray Train's own log lines stay out of the way."""
    for name in ("ray", "ray.train", "ray.tune", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    yield


def _first_cause(error: BaseException) -> str:
    """The last line of the error that began it, which Ray wraps several times."""
    text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if "UserError" in line or "Error:" in line]
    return (told or lines or [type(error).__name__])[-1]
