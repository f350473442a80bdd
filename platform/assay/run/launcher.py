"""The launcher of a plan: this process, or gangs on a Ray that runs already or is started for the plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import UserError
from assay.execution.events import Listener
from assay.execution.in_process import TaskSource, run_in_process
from assay.execution.plan import Plan
from assay.execution.worker import Worker
from assay.experiment import Experiment, Runtime
from assay.places import Places
from assay.resolve import Resolved, Resolver
from assay.run.options import LaunchOptions
from assay.signals import StopRequest
from assay.store.claims import Observer
from assay.store.local import LocalStore
from assay.wording import count

if TYPE_CHECKING:
    from assay.cluster.placement import GangShape


@dataclasses.dataclass(frozen=True, kw_only=True)
class Placement:
    """The place where a plan is trained."""

    gangs: int  # 0: in this process
    workers: int
    machines: str = ""  # this machine or a cluster, where the launcher has asked
    as_many_as_fit: bool = False  # whether `gangs` stands for as many as there is room for
    note: str = ""  # the reason for this number of workers, where no option chose it

    def describe(self) -> str:
        """Return the placement in words."""
        if not self.gangs:
            return "this process"
        gangs = "as many gangs as fit" if self.as_many_as_fit else count(self.gangs, "gang")
        return f"{gangs} of {count(self.workers, 'worker')}" + (f" on {self.machines}" if self.machines else "")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Launcher:
    """The options of a launch, applied to plans."""

    options: LaunchOptions
    runtime: Runtime
    parallel_by_default: bool = False  # one training on each core, although Ray starts first

    @property
    def out(self) -> Path:
        """The folder of all results."""
        return self.options.folder

    @property
    def places(self) -> Places:
        """The folders of data sets, lists and weights."""
        return self.options.places

    @property
    def store(self) -> LocalStore:
        """The results of all studies."""
        return LocalStore(self.out / "store")

    def place(self, tasks: int, *, check_room: bool, begun: Collection[int] = ()) -> Placement:
        """Choose where so many tasks are trained.

        Options decide first. Without options a machine without a GPU trains in this process, which is the faster way
        to a first step, or in a gang on every core, which finishes several long trainings sooner.

        check_room: whether to find out how many gangs there is room for, and to refuse gangs that can never fit
        begun: the numbers of workers with which unfinished trainings began; a single number is kept where it can be
        """
        if self.options.workers is not None or self.options.gangs == 0 or not set(begun) - {1}:
            return self._place(tasks, self.options.workers or 1, check_room=check_room)
        return self._place_as_begun(tasks, sorted(begun), check_room=check_room)

    def _place_as_begun(self, tasks: int, begun: Sequence[int], *, check_room: bool) -> Placement:
        from assay.cluster.placement import DoesNotFit

        if len(begun) > 1:
            numbers = f"{', '.join(map(str, begun[:-1]))} and {begun[-1]}"
            note = f"begun with {numbers} workers, which one run cannot both keep: goes on with 1; --workers chooses"
            return dataclasses.replace(self._place(tasks, 1, check_room=check_room), note=note)
        workers = begun[0]
        try:
            placement = self._place(tasks, workers, check_room=True)
        except DoesNotFit:
            note = f"begun with {workers} workers, for which there is no room: goes on with 1"
            return dataclasses.replace(self._place(tasks, 1, check_room=check_room), note=note)
        note = f"begun with {workers} workers, which are kept for the same numbers; --workers chooses others"
        return dataclasses.replace(placement, note=note)

    def _place(self, tasks: int, workers: int, *, check_room: bool) -> Placement:
        gangs = self._gangs(workers, tasks)
        if not gangs or not check_room or not tasks:
            return Placement(gangs=gangs, workers=workers, as_many_as_fit=self.options.gangs is None)
        from assay.cluster.placement import preview

        shape, machines = preview(self._shape(gangs, workers), tasks, address=self.options.address)
        return Placement(gangs=shape.gangs, workers=workers, machines=machines)

    def resolve_on_cluster(
        self, experiments: Sequence[Experiment], *, print_line: Callable[[str], None]
    ) -> list[Resolved]:
        """Resolve on a cluster's nodes what this machine cannot resolve; return what they resolved."""
        if not experiments or not self._gangs(self.options.workers or 1, 0):
            return []
        from assay.cluster.remote_resolve import resolve_on_nodes

        return resolve_on_nodes(experiments, self.places, address=self.options.address, print_line=print_line)

    def resolver(self, print_line: Callable[[str], None]) -> Callable[[Experiment], Resolved]:
        """Return a function that resolves an experiment here, or else on a cluster's nodes."""
        resolver = Resolver(self.places)

        def resolve(experiment: Experiment) -> Resolved:
            try:
                return resolver.resolve(experiment)
            except UserError:
                remote = self.resolve_on_cluster([experiment], print_line=print_line)
                if not remote:
                    raise
                resolver.add(remote[0])
                return resolver.resolve(experiment)

        return resolve

    def _gangs(self, workers: int, tasks: int) -> int:
        if self.options.gangs is not None:
            return self.options.gangs
        if workers > 1 or self.options.address or self.options.gpus_per_worker is not None:
            return 1
        from assay.cluster.placement import uses_gangs_by_default
        from assay.cluster.ray_internals import cpus_here

        return int(uses_gangs_by_default() or (self.parallel_by_default and tasks > 1 and cpus_here() > 1))

    def _shape(self, gangs: int, workers: int) -> GangShape:
        from assay.cluster.placement import GangShape

        return GangShape(
            gangs=gangs,
            workers=workers,
            gpus_per_worker=self.options.gpus_per_worker,
            widen=self.options.gangs is None,
        )

    def train(
        self,
        plan: Plan,
        placement: Placement,
        *,
        run: str,
        stop: StopRequest,
        listener: Listener,
        print_line: Callable[[str], None],
        source: TaskSource,
        tasks: int,
    ) -> None:
        """Train a plan and the tasks that its source adds; `tasks` is the number of all of them at most."""
        if not placement.gangs:
            self._train_in_process(plan, run, stop, listener, source)
            return
        from assay.cluster.gangs import GangRun, run_gangs

        gang_run = GangRun(
            plan=plan,
            store=self.store,
            out=self.out,
            places=self.places,
            runtime=self.runtime.replace(threads=1),  # a gang's worker has one CPU; more threads would fight over it
            name=run,
            address=self.options.address,
            shape=self._shape(placement.gangs, placement.workers),
            written_out=self.options.out,
            source=source,
            tasks=tasks,
        )
        run_gangs(gang_run, stop=stop, listener=listener, print_line=print_line)

    def _train_in_process(
        self, plan: Plan, run: str, stop: StopRequest, listener: Listener, source: TaskSource
    ) -> None:
        worker = Worker(
            store=self.store,
            resolver=Resolver(self.places),
            places=self.places,
            runtime=self.runtime,
            run=run,
            observer=Observer(),
        )
        experiments = {key: node.resolved.experiment for key, node in plan.nodes.items()}
        run_in_process(plan.schedule(), experiments, worker, stop=stop.is_set, listener=listener, source=source)
