"""Every private part of Ray that this project uses, behind functions with plain names.

No other file names `ray._private`, `ray._raylet` or another private name of Ray; tests/cluster/test_ray_internals.py
checks that all of these names exist in the installed version. Ray is imported inside functions, so that `--help` and
mistakes in an address are answered without it.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

# Loggers that report each package that is sent and each connection that ends, and that set their levels themselves.
JOB_LOGGERS = (
    "ray._private.runtime_env.packaging",
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
)
# Helper processes that Ray Train starts with every group of workers and that a gang does not need: one splits Ray
# datasets, which gangs do not have; the other frees what a group held whose controller was killed, but asks a
# dashboard, which a local Ray lacks.
DATASETS_CALLBACK = "DatasetsCallback"
CLEANER_CALLBACK = "PlacementGroupCleanerCallback"
_CONTROLLER_CLASS, _WORKER_CLASS = "TrainController", "RayTrainWorker"

OnGroupFailure = Callable[[Exception, Mapping[int, str]], None]  # the error, and the node of every rank


# --- starting Ray -------------------------------------------------------------------------------------------------


def import_disconnected_ray() -> Any:
    """Return the module `ray`; raise RuntimeError where this process has a connection already."""
    import ray

    if ray.is_initialized():
        raise RuntimeError("this process has a connection to Ray already")
    return ray


def init(ray: Any, *, quiet: bool, folder: str | None = None, **arguments: Any) -> Any:
    """Call ray.init and keep this program's own handler of SIGTERM.

    folder: the folder of a local Ray's files
    """
    handler = signal.getsignal(signal.SIGTERM)
    level = logging.ERROR if quiet else logging.INFO
    if folder is not None:
        arguments["_temp_dir"] = folder
    context = ray.init(log_to_driver=not quiet, logging_level=level, **arguments)
    if handler is not signal.SIG_DFL:  # else Ray's handler, which exits, ends the connection in good order
        _set_handler(handler)
    return context


@contextlib.contextmanager
def restored_handler() -> Iterator[None]:
    """Restore SIGTERM's handler after the block."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        _set_handler(handler)


def _set_handler(handler: Any) -> None:
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


@contextlib.contextmanager
def environment_variables(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Set environment variables, or remove them (None), within the block; Ray reads them again."""
    before = {name: os.environ.get(name) for name in changes}
    _set_environment(changes)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(changes: Mapping[str, str | None]) -> None:
    from ray._private import ray_constants
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]  # it is compiled

    for name, value in changes.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    # Ray read these when it was imported, and would keep them: the loopback address, the hook for uv, and the token.
    ray_constants.ENABLE_RAY_CLUSTER = ray_constants.env_bool(
        ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, not ray_constants.IS_WINDOWS_OR_OSX
    )
    ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = ray_constants.env_bool("RAY_ENABLE_UV_RUN_RUNTIME_ENV", True)
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextlib.contextmanager
def separate_process_groups() -> Iterator[None]:
    """Give each process that Ray starts within the block its own process group.

    `timeout`, batch systems and shells send a signal to a whole group. The signal is meant for this program, which
    then needs Ray a little longer to end in good order.
    """
    from ray._private import services, utils

    if not utils.detect_fate_sharing_support():  # then Ray ends its processes by this program's group
        yield
        return
    popen = services.ConsolePopen
    services.ConsolePopen = functools.partial(popen, process_group=0)
    try:
        yield
    finally:
        services.ConsolePopen = popen


# --- machines and clusters ----------------------------------------------------------------------------------------


def cpus_here() -> int:
    """Return the number of CPUs that a local Ray takes by default."""
    from ray._private.utils import get_num_cpus

    # Ray knows the quota of a container, but not which CPUs a batch system left to this process.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else math.inf
    return int(min(get_num_cpus(), allowed))


def gpus_here() -> int:
    """Return the number of GPUs that a local Ray finds."""
    from ray._private.accelerators import get_accelerator_manager_for_resource

    manager = get_accelerator_manager_for_resource("GPU")
    if manager is None:
        return 0
    installed: int = manager.get_current_node_num_accelerators()
    visible = manager.get_current_process_visible_accelerator_ids()
    return installed if visible is None else min(installed, len(visible))


def free_resources() -> dict[str, dict[str, float]]:
    """Return the free resources of every node by its id; the public functions of Ray return sums over nodes."""
    from ray._private.state import available_resources_per_node

    free: dict[str, dict[str, float]] = available_resources_per_node()
    return free


def autoscaling_limit() -> dict[str, float] | None:
    """Return all resources that a cluster's autoscaler may come to provide; None where there is no limit on record."""
    from ray._private.state import state

    limit = state.get_max_resources_from_cluster_config()
    return None if limit is None else {name: float(amount) for name, amount in limit.items()}


def head_address(cluster: str) -> str:
    """Return the address HOST:PORT of a cluster's head; "auto" is the cluster that has this machine as a node."""
    from ray._private.services import canonicalize_bootstrap_address

    return str(canonicalize_bootstrap_address(cluster) or cluster)


def require_head(address: str) -> None:
    """Raise RuntimeError or RayError unless a Ray head answers at an address HOST:PORT."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # it is compiled

    GcsClient(address=address)


# --- Ray Train ----------------------------------------------------------------------------------------------------


def torch_trainer(*, first_callback: Any, unused_callbacks: Collection[str]) -> Any:
    """Return Ray's class TorchTrainer with one more callback and without some others, whose processes start slowly.

    Ray has no public way to leave callbacks out, or to call one before that which forms the process group. Where a
    version of Ray names the unused callbacks otherwise, they are started.
    """
    from ray.train.torch import TorchTrainer

    class LeanTrainer(TorchTrainer):  # type: ignore[misc]  # Ray is not checked
        """A TorchTrainer that starts only the helper processes that a gang needs."""

        def _create_default_callbacks(self) -> list[Any]:
            callbacks = super()._create_default_callbacks()
            return [first_callback, *(each for each in callbacks if type(each).__name__ not in unused_callbacks)]

    return LeanTrainer


def failure_callback(on_failure: OnGroupFailure) -> Any:
    """Return a callback of Ray Train that reports every failure of a group of workers at once and frees its resources.

    It runs in the controller's process. Ray Train itself shows a failure only after its last attempt, and never shows
    that workers end while they start, for which it starts others without limit. Where a group cannot form its process
    group, Ray Train 2.60 forgets its placement group: the next group would wait for these resources for ever.
    """
    from ray.train.v2._internal.execution.callback import ControllerCallback, WorkerGroupCallback
    from ray.train.v2._internal.execution.controller.state import ErroredState, ReschedulingState
    from ray.util import remove_placement_group

    class FailureCallback(ControllerCallback, WorkerGroupCallback):  # type: ignore[misc]  # Ray is not checked
        """A callback that remembers the present group's nodes and placement group until the group fails."""

        def __init__(self) -> None:
            self._nodes: dict[int, str] = {}
            self._placement_group: Any = None

        def after_worker_group_start(self, worker_group: Any) -> None:
            workers = worker_group.get_workers()
            self._nodes = {worker.distributed_context.world_rank: worker.metadata.hostname for worker in workers}
            self._placement_group = worker_group.get_worker_group_state().placement_group_handle.placement_group

        def after_controller_state_update(self, previous_state: Any, current_state: Any) -> None:
            error = _training_error(current_state)
            if error is None:
                return
            with contextlib.suppress(Exception):  # an error here would end the fit
                on_failure(error, self._nodes)
            if isinstance(current_state, ReschedulingState | ErroredState):
                self._free_resources()

        def _free_resources(self) -> None:
            group, self._placement_group = self._placement_group, None
            if group is not None:
                with contextlib.suppress(Exception):  # the group may be removed already
                    remove_placement_group(group)

    return FailureCallback()


def _training_error(state: Any) -> Exception | None:
    """Return the error in a controller's state before another attempt, or in the one before the end."""
    ending = getattr(state, "next_state", None)
    errors = (getattr(each, "training_failed_error", None) for each in (state, ending))
    return next((error for error in errors if error is not None), None)


def train_workers() -> int:
    """Return the number of this program's workers of Ray Train that have been given their resources."""
    return len(_living_actors(_WORKER_CLASS))


def kill_train_controllers() -> None:
    """End the controllers of this program's fits, for which Ray Train gives no handle outside the main thread."""
    import ray
    from ray._private.worker import global_worker

    for actor in _living_actors(_CONTROLLER_CLASS):
        with contextlib.suppress(Exception):
            global_worker.core_worker.kill_actor(ray.ActorID.from_hex(actor), True)


def actor_classes(*, living: bool = False) -> list[str]:
    """Return the class of every actor that was started on the connected Ray, of any program, or of the living alone."""
    from ray._private.state import actors

    descriptions = actors().values()
    return [
        description["ActorClassName"] for description in descriptions if not living or description["State"] != "DEAD"
    ]


def _living_actors(kind: str) -> list[str]:
    """Return the ids of this program's living actors whose class has `kind` in its name."""
    import ray
    from ray._private.state import actors

    job = ray.JobID.from_hex(ray.get_runtime_context().get_job_id())
    return [
        actor
        for actor, description in actors(job_id=job).items()
        if kind in description["ActorClassName"] and description["State"] != "DEAD"
    ]
