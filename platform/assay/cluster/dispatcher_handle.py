"""The driver's side of the dispatcher."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

from assay.cluster.gang import NAMESPACE, dispatcher_name
from assay.errors import AssayError
from assay.execution.events import Listener
from assay.execution.in_process import NoMoreTasks, TaskSource
from assay.execution.plan import Plan, refresh
from assay.store.store import Store

_UNAVAILABLE = 30.0  # seconds in which a dispatcher that does not answer may do so again


class DispatcherHandle:
    """The driver's side of the dispatcher, which is made anew where it died."""

    def __init__(self, name: str, plan: Plan, store: Store, feed: TaskSource | None = None) -> None:
        self.name = f"dispatcher-{name}"
        self._plan, self._store, self._feed = plan, store, feed or NoMoreTasks()
        self._number = 0  # of dispatchers so far
        self._stopping = False
        self._actor = self._started(plan)
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
            .options(
                name=dispatcher_name(self.name, self._number),
                namespace=NAMESPACE,
                num_cpus=0,
                max_restarts=0,
                scheduling_strategy=here,
            )
            .remote(
                plan.tasks(),
                schedule.keys("done"),
                {key: schedule.error(key) for key in schedule.keys("failed")},
                plan.lost() if self._number else {},  # of this run alone: a driver's own end is no experiment's fault
                {key: node.resolved.experiment.to_json() for key, node in plan.nodes.items()},
                number=self._number,
                paused=schedule.keys("paused"),
                is_open=self._feed.is_open,
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
                return self._asked(method, *arguments)
            except ray.exceptions.RayActorError:
                return self._asked_anew(method, *arguments)
            except (ray.exceptions.RayError, ConnectionError) as problem:
                raise _ray_is_gone(problem) from None

    def _asked(self, method: str, *arguments: Any) -> Any:
        """An answer of the present dispatcher; one that does not answer for a moment is asked again."""
        import ray

        deadline = time.monotonic() + _UNAVAILABLE
        while True:
            try:
                return ray.get(getattr(self._actor, method).remote(*arguments))
            except ray.exceptions.ActorUnavailableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def _asked_anew(self, method: str, *arguments: Any) -> Any:
        import ray

        with contextlib.suppress(Exception):
            ray.kill(self._actor)
        try:
            self._actor = self._started(refresh(self._plan, self._store))
            if self._stopping:
                ray.get(self._actor.stop.remote())
            return ray.get(getattr(self._actor, method).remote(*arguments))
        except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError) as problem:
            raise _ray_is_gone(problem) from None

    def feed(self) -> None:
        """Hand on what the feed adds. What it told of is in the plan too, from which a dispatcher is made anew."""
        was_open = self._feed.is_open
        tasks = self._feed.more()
        if tasks or was_open:
            experiments = {task.key: self._feed.experiment(task.key).to_json() for task in tasks}
            self.ask("add", tasks, experiments, self._feed.is_open)

    def pass_on(self, listener: Listener) -> None:
        """Pass the events since the last call to a listener."""
        for event in self.ask("events"):
            listener.on_event(event)

    def close(self, listener: Listener) -> None:
        """Pass on the last events and end the dispatcher."""
        import ray

        self.pass_on(listener)
        ray.kill(self._actor)


def _ray_is_gone(problem: BaseException) -> AssayError:
    return AssayError(
        f"Ray ended while the study ran ({first_cause(problem)}); what was trained is kept: start the study again."
    )


def first_cause(error: BaseException) -> str:
    """The last line of the error that began it, which Ray wraps several times."""
    text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if "UserError" in line or "Error:" in line]
    return (told or lines or [type(error).__name__])[-1]
