"""The driver's side of the dispatcher."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

from assay.cluster.failures import first_cause
from assay.cluster.gang import NAMESPACE, dispatcher_name
from assay.errors import AssayError
from assay.execution.events import Listener
from assay.execution.in_process import NoMoreTasks, TaskSource
from assay.execution.plan import Plan, refresh
from assay.store.store import Store

_UNAVAILABLE = 30.0  # seconds in which a dispatcher that does not answer may do so again


class DispatcherHandle:
    """A handle of the run's dispatcher, which it starts anew where the dispatcher died."""

    def __init__(self, name: str, plan: Plan, store: Store, source: TaskSource | None = None) -> None:
        self.name = f"dispatcher-{name}"
        self._plan, self._store, self._source = plan, store, source or NoMoreTasks()
        self._number = 0  # of dispatchers so far
        self._stopping = False
        self._actor = self._start(plan)
        self._lock = threading.Lock()

    def _start(self, plan: Plan) -> Any:
        import ray

        from assay.cluster.dispatcher import Dispatcher

        schedule = plan.schedule()
        this_node = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        actor = (
            ray.remote(Dispatcher)
            .options(
                name=dispatcher_name(self.name, self._number),
                namespace=NAMESPACE,
                num_cpus=0,
                max_restarts=0,
                scheduling_strategy=this_node,
            )
            .remote(
                plan.tasks(),
                schedule.keys("done"),
                {key: schedule.error(key) for key in schedule.keys("failed")},
                plan.lost() if self._number else {},  # of this run only: a driver's own end is no experiment's fault
                {key: node.resolved.experiment.to_json() for key, node in plan.nodes.items()},
                number=self._number,
                paused=schedule.keys("paused"),
                is_open=self._source.is_open,
            )
        )
        ray.get(actor.status.remote())
        self._number += 1
        return actor

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the dispatcher; a dead dispatcher is first replaced from the store's present state."""
        import ray

        with self._lock:
            self._stopping = self._stopping or method == "stop"
            try:
                return self._call_present(method, *arguments)
            except ray.exceptions.RayActorError:
                return self._call_successor(method, *arguments)
            except (ray.exceptions.RayError, ConnectionError) as problem:
                raise _ray_ended(problem) from None

    def _call_present(self, method: str, *arguments: Any) -> Any:
        """Call the present dispatcher, again and again while it is unavailable for a moment."""
        import ray

        deadline = time.monotonic() + _UNAVAILABLE
        while True:
            try:
                return ray.get(getattr(self._actor, method).remote(*arguments))
            except ray.exceptions.ActorUnavailableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def _call_successor(self, method: str, *arguments: Any) -> Any:
        """Start another dispatcher and call it."""
        import ray

        with contextlib.suppress(Exception):
            ray.kill(self._actor)
        try:
            self._actor = self._start(refresh(self._plan, self._store))
            if self._stopping:
                ray.get(self._actor.stop.remote())
            return ray.get(getattr(self._actor, method).remote(*arguments))
        except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError) as problem:
            raise _ray_ended(problem) from None

    def add_tasks(self) -> None:
        """Pass on the tasks that the source adds; it adds them to the plan as well, for the next dispatcher."""
        was_open = self._source.is_open
        tasks = self._source.more()
        if tasks or was_open:
            experiments = {task.key: self._source.experiment(task.key).to_json() for task in tasks}
            self.call("add", tasks, experiments, self._source.is_open)

    def pass_on(self, listener: Listener) -> None:
        """Pass the events since the last call to a listener."""
        for event in self.call("events"):
            listener.on_event(event)

    def close(self, listener: Listener) -> None:
        """Pass on the last events and end the dispatcher."""
        import ray

        self.pass_on(listener)
        ray.kill(self._actor)


def _ray_ended(problem: BaseException) -> AssayError:
    return AssayError(
        f"Ray ended while the run trained ({first_cause(problem)}); everything trained so far is kept: start the same"
        " command again."
    )
