"""Who trains a plan: this process, or gangs on a Ray that runs already or is started for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import UserError
from assay.execution.in_process import NoMoreTasks, TaskSource, run_in_process
from assay.execution.plan import Plan
from assay.execution.worker import Worker
from assay.experiment import Experiment, Runtime
from assay.places import Places
from assay.resolve import Resolved, Resolver
from assay.run.listeners import RunListener
from assay.run.plan_text import Placement
from assay.signals import StopRequest
from assay.store.claims import Observer
from assay.store.local import LocalStore

if TYPE_CHECKING:
    from assay.cluster.placement import GangShape


@dataclasses.dataclass(frozen=True, kw_only=True)
class Launcher:
    """What the flags say of where and with how many workers is trained."""

    out: Path
    written_out: str  # as the user wrote it
    places: Places
    runtime: Runtime
    address: str | None
    gangs: int | None
    workers: int | None  # None: as many as what is continued was begun with
    gpus_per_worker: float | None
    parallel_by_default: bool = (
        False  # whether several trainings are long enough for a core each, though Ray starts first
    )

    @property
    def store(self) -> LocalStore:
        """The results of all studies."""
        return LocalStore(self.out / "store")

    def where(self, tasks: int, *, ask: bool, begun: Collection[int] = ()) -> Placement:
        """Where so much is worked off: as asked; else, on a machine without a GPU, in this process, which is the
        faster one to a first step, or in a gang on every core, which has several long trainings done sooner.

        ask: whether to find out how many gangs there are room for, and refuse what can never fit
        begun: the numbers of workers that what is continued was begun with; a single one is kept where it can be
        """
        if self.workers is not None or self.gangs == 0 or not set(begun) - {1}:
            return self._where(tasks, self.workers or 1, ask=ask)
        return self._as_begun(tasks, sorted(begun), ask=ask)

    def _as_begun(self, tasks: int, begun: Sequence[int], *, ask: bool) -> Placement:
        from assay.cluster.placement import DoesNotFit

        if len(begun) > 1:
            numbers = f"{', '.join(map(str, begun[:-1]))} and {begun[-1]}"
            note = f"begun with {numbers} workers, which one run cannot both keep: goes on with 1; --workers chooses"
            return dataclasses.replace(self._where(tasks, 1, ask=ask), note=note)
        workers = begun[0]
        try:
            where = self._where(tasks, workers, ask=True)
        except DoesNotFit:
            note = f"begun with {workers} workers, for which there is no room: goes on with 1"
            return dataclasses.replace(self._where(tasks, 1, ask=ask), note=note)
        note = f"begun with {workers} workers, which are kept for the same numbers; --workers chooses others"
        return dataclasses.replace(where, note=note)

    def _where(self, tasks: int, workers: int, *, ask: bool) -> Placement:
        gangs = self._gangs(workers, tasks)
        if not gangs or not ask or not tasks:
            return Placement(gangs=gangs, workers=workers, as_many_as_fit=self.gangs is None)
        from assay.cluster.placement import preview

        shape, on = preview(self._shape(gangs, workers), tasks, address=self.address)
        return Placement(gangs=shape.gangs, workers=workers, on=on)

    def resolved_elsewhere(self, missing: Sequence[Experiment], *, say: Callable[[str], None]) -> list[Resolved]:
        """What the nodes of a cluster resolve of what this machine cannot."""
        if not missing or not self._gangs(self.workers or 1, 0):
            return []
        from assay.cluster.remote_resolve import resolve_on_nodes

        return resolve_on_nodes(missing, self.places, address=self.address, say=say)

    def resolving(self, say: Callable[[str], None]) -> Callable[[Experiment], Resolved]:
        """What resolves one experiment after another, as they come: here, else on a cluster's nodes."""
        resolver = Resolver(self.places)

        def resolve(experiment: Experiment) -> Resolved:
            try:
                return resolver.resolve(experiment)
            except UserError:
                found = self.resolved_elsewhere([experiment], say=say)
                if not found:
                    raise
                resolver.adopt(found[0])
                return resolver.resolve(experiment)

        return resolve

    def _gangs(self, workers: int, tasks: int) -> int:
        if self.gangs is not None:
            return self.gangs
        if workers > 1 or self.address or self.gpus_per_worker is not None:
            return 1
        from assay.cluster.placement import gangs_by_default
        from assay.cluster.ray_internals import cpus_here

        return gangs_by_default() or int(self.parallel_by_default and tasks > 1 and cpus_here() > 1)

    def _shape(self, gangs: int, workers: int) -> GangShape:
        from assay.cluster.placement import GangShape

        return GangShape(
            gangs=gangs,
            workers=workers,
            gpus_per_worker=self.gpus_per_worker,
            widen=self.gangs is None,
        )

    def train(
        self,
        plan: Plan,
        where: Placement,
        *,
        run: str,
        stop_request: StopRequest,
        news: RunListener,
        say: Callable[[str], None],
        feed: TaskSource | None = None,
        tasks: int,
    ) -> None:
        """Work a plan off, and what a feed adds to it, of which `tasks` can be trained at once at the most."""
        feed = feed or NoMoreTasks()
        if not where.gangs:
            self._train_here(plan, run, stop_request, news, feed)
            return
        from assay.cluster import gangs as cluster

        work = cluster.GangRun(
            plan=plan,
            store=self.store,
            out=self.out,
            places=self.places,
            runtime=self.runtime.replace(threads=1),  # a gang's worker has one CPU; more threads would fight over it
            name=run,
            address=self.address,
            shape=self._shape(where.gangs, where.workers),
            written_out=self.written_out,
            feed=feed,
            tasks=tasks,
        )
        cluster.run_gangs(work, stop=stop_request, told=news, idle=news.idle, say=say)

    def _train_here(self, plan: Plan, run: str, stop_request: StopRequest, news: RunListener, feed: TaskSource) -> None:
        worker = Worker(
            store=self.store,
            resolver=Resolver(self.places),
            places=self.places,
            runtime=self.runtime,
            run=run,
            observer=Observer(),
        )
        experiments = {key: node.resolved.experiment for key, node in plan.nodes.items()}
        run_in_process(
            plan.schedule(), experiments, worker, stop=stop_request.is_set, told=news, idle=news.idle, feed=feed
        )
