"""Who trains a plan: this process, or gangs on a Ray that runs already or is started for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from assay.experiment import Experiment, Runtime
from assay.places import Places
from assay.resolve import Resolved, Resolver
from assay.run.news import News
from assay.signals import Stopped
from assay.store.claims import Observer
from assay.store.local import LocalStore
from assay.study.attempt import Worker
from assay.study.plan import Plan
from assay.study.printed import Where
from assay.study.runner import Feed, Nothing, run_here

if TYPE_CHECKING:
    from assay.cluster.shape import Shape


@dataclasses.dataclass(frozen=True, kw_only=True)
class Crew:
    """What the flags say of where and with how many workers is trained."""

    out: Path
    written_out: str  # as the user wrote it
    places: Places
    runtime: Runtime
    address: str | None
    gangs: int | None
    workers: int
    gpus_per_worker: float | None

    @property
    def store(self) -> LocalStore:
        """The results of all studies."""
        return LocalStore(self.out / "store")

    def where(self, tasks: int, *, ask: bool) -> Where:
        """Where so much is worked off: as asked; else in this process, the faster one on a machine without a GPU.

        ask: whether to find out how many gangs there are room for, and refuse what can never fit
        """
        gangs = self._gangs()
        if not gangs or not ask or not tasks:
            return Where(gangs=gangs, workers=self.workers, as_many_as_fit=self.gangs is None)
        from assay.cluster.preview import preview

        shape, on = preview(self._shape(gangs), tasks, address=self.address)
        return Where(gangs=shape.gangs, workers=shape.workers, on=on)

    def resolved_elsewhere(self, missing: Sequence[Experiment], *, say: Callable[[str], None]) -> list[Resolved]:
        """What the nodes of a cluster resolve of what this machine cannot."""
        if not missing or not self._gangs():
            return []
        from assay.cluster.resolving import resolve_on_nodes

        return resolve_on_nodes(missing, self.places, address=self.address, say=say)

    def _gangs(self) -> int:
        if self.gangs is not None:
            return self.gangs
        if self.workers > 1 or self.address or self.gpus_per_worker is not None:
            return 1
        from assay.cluster.where import gangs_by_default

        return gangs_by_default()

    def _shape(self, gangs: int) -> Shape:
        from assay.cluster.shape import Shape

        return Shape(
            gangs=gangs,
            workers=self.workers,
            gpus_per_worker=self.gpus_per_worker,
            widen=self.gangs is None,
        )

    def train(
        self,
        plan: Plan,
        gangs: int,
        *,
        run: str,
        stopped: Stopped,
        news: News,
        say: Callable[[str], None],
        feed: Feed | None = None,
        tasks: int,
    ) -> None:
        """Work a plan off, and what a feed adds to it, of which `tasks` can be trained at once at the most."""
        feed = feed or Nothing()
        if not gangs:
            self._train_here(plan, run, stopped, news, feed)
            return
        from assay.cluster import gangs as cluster

        work = cluster.Run(
            plan=plan,
            store=self.store,
            out=self.out,
            places=self.places,
            runtime=self.runtime.replace(threads=1),  # a gang's worker has one CPU; more threads would fight over it
            name=run,
            address=self.address,
            shape=self._shape(gangs),
            written_out=self.written_out,
            feed=feed,
            tasks=tasks,
        )
        cluster.run_gangs(work, stop=stopped, told=news, idle=news.idle, say=say)

    def _train_here(self, plan: Plan, run: str, stopped: Stopped, news: News, feed: Feed) -> None:
        worker = Worker(
            store=self.store,
            resolver=Resolver(self.places),
            places=self.places,
            runtime=self.runtime,
            run=run,
            observer=Observer(),
        )
        experiments = {key: node.resolved.experiment for key, node in plan.nodes.items()}
        run_here(plan.schedule(), experiments, worker, stop=stopped.is_set, told=news, idle=news.idle, feed=feed)
