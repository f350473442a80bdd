"""The threads of gangs: each runs a fit of Ray Train, and starts another fit where that can help."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.cluster.dispatcher_handle import DispatcherHandle
from assay.cluster.failures import USER_ERROR, describe, first_cause, is_failure
from assay.cluster.gang import DispatcherClient, GangConfig, work
from assay.cluster.placement import GangShape, worker_needs
from assay.cluster.ray_internals import (
    CLEANER_CALLBACK,
    DATASETS_CALLBACK,
    failure_callback,
    kill_train_controllers,
    torch_trainer,
)
from assay.errors import AssayError

# Groups that may end before Ray Train gives up a fit. Not -1, with which Ray Train would start one group after another
# for ever where none can work: the third group that ends also ends the fit, and `_IDLE_FITS` limits the fits.
_FAILURES_OF_A_FIT = 2
_IDLE_FITS = 1  # fits in a row that may end without an experiment taken; one, since a killed controller ends its fit
_END_OF_A_FIT = 20.0  # seconds that a fit may take to end after its workers have
_END_FROM_OUTSIDE = 60.0  # seconds, where a fit is still importing when it is ended


class GangThread(threading.Thread):
    """One gang: a fit of Ray Train in a thread, since fit() in the main thread takes over the signals."""

    def __init__(
        self,
        config: GangConfig,
        shape: GangShape,
        dispatcher: DispatcherHandle,
        folder: Path,
        *,
        has_dashboard: bool,
    ) -> None:
        super().__init__(name=config.gang, daemon=True)
        self._unused_callbacks = (DATASETS_CALLBACK,) if has_dashboard else (DATASETS_CALLBACK, CLEANER_CALLBACK)
        self._config, self._shape, self._dispatcher, self._folder = config, shape, dispatcher, folder
        self.error = ""
        self.had_workers = False
        self.no_more_fits = threading.Event()

    def run(self) -> None:
        """Run fits until one ends without an error, or until fits in a row took no experiment."""
        idle, fits = 0, 0
        try:
            while idle <= _IDLE_FITS and not self.no_more_fits.is_set():
                taken = self._dispatcher.call("taken", self.name)
                try:
                    _silence_ray_train()
                    self._trainer(fits).fit()
                    return
                except Exception as error:
                    if self.no_more_fits.is_set():
                        return
                    self._report_failure(error)
                    if self.error.startswith(USER_ERROR):
                        return  # a node that does not share OUT, data or code fails the next time as well
                    fits += 1
                    self._free_resources()
                    idle = 0 if self._dispatcher.call("taken", self.name) > taken else idle + 1
        except AssayError as error:
            self.error = str(error)
        finally:
            with contextlib.suppress(AssayError):
                self._dispatcher.call("gang_ended", self.name)

    def _report_failure(self, error: Exception) -> None:
        """Keep the cause, and report a failure that the callback could not report, such as a killed controller."""
        self.error = first_cause(error)
        if is_failure(error):
            cause, node = describe(error, {})
            self._dispatcher.call("gang_failed", self.name, cause, node)

    def _free_resources(self) -> None:
        """Free what former groups held; Ray does not where the controller of a group was killed."""
        import ray

        for group in self._dispatcher.call("placement_groups", self.name):
            with contextlib.suppress(Exception):
                ray.util.remove_placement_group(group)

    def _trainer(self, fits: int) -> Any:
        from ray.train import FailureConfig, RunConfig, ScalingConfig

        gpus = self._shape.gpus_per_worker
        callback = failure_callback(_FailureReporter(self._config))
        return torch_trainer(first_callback=callback, unused_callbacks=self._unused_callbacks)(
            work,
            train_loop_config={"config": self._config},
            scaling_config=ScalingConfig(
                num_workers=self._shape.workers, use_gpu=bool(gpus), resources_per_worker=worker_needs(gpus or 0.0)
            ),
            run_config=RunConfig(
                name=f"{self.name}-{fits}",
                storage_path=str(self._folder),
                failure_config=FailureConfig(max_failures=_FAILURES_OF_A_FIT),
            ),
        )


class _FailureReporter:
    """A function that reports failures of a gang's groups to the dispatcher, from the process of the controller."""

    def __init__(self, config: GangConfig) -> None:
        self._config = config

    def __call__(self, error: Exception, nodes: Mapping[int, str]) -> None:
        if is_failure(error):
            DispatcherClient(self._config).report_failure(*describe(error, nodes))


def end(gangs: Sequence[GangThread]) -> None:
    """Wait for the end of all fits, and end those from outside that would wait for their resources for ever.

    No thread may be left in a call to Ray when the connection ends: the process would crash.
    """
    for gang in gangs:
        gang.no_more_fits.set()
    deadline = time.monotonic() + _END_OF_A_FIT
    for gang in gangs:
        if gang.had_workers:
            gang.join(max(0.0, deadline - time.monotonic()))
    deadline = time.monotonic() + _END_FROM_OUTSIDE
    while any(gang.is_alive() for gang in gangs) and time.monotonic() < deadline:
        kill_train_controllers()  # again and again: a fit that is just starting has no controller yet
        time.sleep(0.2)


def _silence_ray_train() -> None:
    """Silence the log lines of Ray Train."""
    for name in ("ray", "ray.train", "ray.tune", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
