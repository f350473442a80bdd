"""The fits of Ray Train that gangs are: each in a thread of its own, begun again where that can help."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from assay.cluster.dispatcher_handle import DispatcherHandle, first_cause
from assay.cluster.gang import GangConfig, work
from assay.cluster.placement import GangShape, worker_needs
from assay.errors import AssayError, UserError

# Groups that may end before Ray Train gives up a fit. Not -1, with which it would begin one after another for ever
# where none can work: the third group that ends also ends the fit, and `_IDLE_FITS` counts those that took nothing.
_FAILURES_OF_A_FIT = 2
_END_OF_A_FIT = 20.0  # seconds that a fit may take to end after its workers have
_END_FROM_OUTSIDE = 60.0  # seconds, where a fit is still importing when it is ended
_USERS = f"{UserError.__name__}: "
# What brings a process with every worker group, for nothing: one splits Ray datasets, of which there are none; the
# other gives back what a group held whose controller was killed, and asks a dashboard, which a Ray of our own lacks.
_NO_DATASETS = ("DatasetsCallback",)
_NO_DASHBOARD = ("PlacementGroupCleanerCallback",)
_IDLE_FITS = 1  # fits in a row that may end without an experiment taken: one, since a killed controller ends one too


class GangThread(threading.Thread):
    """One gang: a fit of Ray Train in a thread, since fit() in the main thread takes the signals."""

    def __init__(
        self, orders: GangConfig, shape: GangShape, desk: DispatcherHandle, folder: Path, *, has_dashboard: bool
    ) -> None:
        super().__init__(name=orders.gang, daemon=True)
        self._unused = _NO_DATASETS if has_dashboard else _NO_DATASETS + _NO_DASHBOARD
        self._orders, self._shape, self._desk, self._folder = orders, shape, desk, folder
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
                    self.error = first_cause(error)
                    if _USERS in self.error:
                        return  # a node that does not share OUT, data or code will not do so the next time either
                    fits += 1
                    self._give_back()
                    idle = 0 if self._desk.ask("taken", self.name) > before else idle + 1
        except AssayError as error:
            self.error = str(error)
        finally:
            with contextlib.suppress(AssayError):
                self._desk.ask("gone", self.name)

    def _give_back(self) -> None:
        """Free what former groups held, which Ray does not where the controller of a group was killed."""
        import ray

        for group in self._desk.ask("bundles", self.name):
            with contextlib.suppress(Exception):
                ray.util.remove_placement_group(group)

    def _trainer(self, fits: int) -> Any:
        from ray.train import FailureConfig, RunConfig, ScalingConfig

        gpus = self._shape.gpus_per_worker
        return _lean_trainer(self._unused)(
            work,
            train_loop_config={"orders": self._orders},
            scaling_config=ScalingConfig(
                num_workers=self._shape.workers, use_gpu=bool(gpus), resources_per_worker=worker_needs(gpus or 0.0)
            ),
            run_config=RunConfig(
                name=f"{self.name}-{fits}",
                storage_path=str(self._folder),
                failure_config=FailureConfig(max_failures=_FAILURES_OF_A_FIT),
            ),
        )


def _lean_trainer(unused: tuple[str, ...]) -> Any:
    """Ray's TorchTrainer without these helper processes, each of which takes seconds to start.

    Ray has no public way to leave them out. Where a version of it names things otherwise, they are started.
    """
    from ray.train.torch import TorchTrainer

    class LeanTrainer(TorchTrainer):  # type: ignore[misc]  # Ray is not checked
        """A TorchTrainer whose worker group brings no process along that it does not need."""

        def _create_default_callbacks(self) -> list[Any]:
            callbacks = super()._create_default_callbacks()
            return [each for each in callbacks if type(each).__name__ not in unused]

    return LeanTrainer


def end(gangs: Sequence[GangThread]) -> None:
    """See the fits to their end; one that waits for a place would go on for ever, and is ended from outside.

    No thread may be left in a call to Ray when the connection ends: the process would crash.
    """
    for gang in gangs:
        gang.over.set()
    deadline = time.monotonic() + _END_OF_A_FIT
    for gang in gangs:
        if gang.has_worked:
            gang.join(max(0.0, deadline - time.monotonic()))
    deadline = time.monotonic() + _END_FROM_OUTSIDE
    while any(gang.is_alive() for gang in gangs) and time.monotonic() < deadline:
        _kill_controllers()  # again and again: a fit that is just being begun has none yet
        time.sleep(0.2)


def _kill_controllers() -> None:
    """End the controllers of this program's fits, to which Ray Train gives no handle outside the main thread."""
    import ray
    from ray._private import state, worker

    job = ray.JobID.from_hex(ray.get_runtime_context().get_job_id())
    for actor, facts in state.actors(job_id=job).items():
        if "TrainController" in facts["ActorClassName"] and facts["State"] != "DEAD":
            with contextlib.suppress(Exception):
                worker.global_worker.core_worker.kill_actor(ray.ActorID.from_hex(actor), True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Ray Train's own log lines stay out of the way."""
    for name in ("ray", "ray.train", "ray.tune", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    yield
