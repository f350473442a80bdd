"""Decides what is trained next: brings configurations from rung to rung, and tells what came of them."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable

from optuna.trial import FrozenTrial, TrialState

from assay.errors import UserError
from assay.execution.costs import device_seconds
from assay.execution.display import Display
from assay.execution.events import Event, StateChanged
from assay.execution.plan import Plan, add_experiment
from assay.execution.schedule import Task
from assay.experiment import Experiment
from assay.resolve import Resolved
from assay.search.configurations import Configurations
from assay.search.objectives import Objective
from assay.search.optuna_study import OptunaStudy
from assay.search.proposals import Proposals
from assay.search.pruning import PRUNABLE_OBJECTIVES
from assay.search.schedulers import Scheduler
from assay.search.space import Point, is_whole
from assay.store import records
from assay.store.store import Store


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """How much is searched."""

    configurations: int  # of all runs together
    hours: float | None = None  # of wall clock in this run, from its first training on
    device_hours: float | None = None  # of all trainings of the search


@dataclasses.dataclass
class ActiveTrial:
    """A configuration that is being trained."""

    number: int
    keys: tuple[str, ...]  # one for each seed
    rung: int = 0
    waits_for: set[str] = dataclasses.field(default_factory=set)  # keys that have not come to the rung
    error: str = ""


class SearchController:
    """The feed of a run: hears what becomes of every training, and hands out what is to be trained next."""

    def __init__(
        self,
        configurations: Configurations,
        ledger: OptunaStudy,
        store: Store,
        resolve: Callable[[Experiment], Resolved],
        *,
        objectives: tuple[Objective, ...],
        rungs: tuple[int, ...],
        scheduler: Scheduler,
        budget: Budget,
        display: Display,
    ) -> None:
        self.plan = Plan(nodes={})
        self._configurations, self._ledger, self._store, self._resolve = configurations, ledger, store, resolve
        self._objectives, self._rungs, self._scheduler, self._budget = objectives, rungs, scheduler, budget
        self._display = display
        self._proposals = Proposals(configurations, ledger, display.note)
        self._flights: list[ActiveTrial] = []
        self._side_by_side = 1  # configurations
        self._ends = math.inf  # on this process's clock
        self._left_over: dict[str, Task] = {}  # of an earlier run
        self._continue()

    # --- as the feed of a run --------------------------------------------------------------------------------

    def begin(self, gangs: int) -> None:
        """As many configurations side by side as it takes to keep all gangs at work."""
        self._side_by_side = max(1, math.ceil(gangs / len(self._configurations.choice.seeds)))

    @property
    def is_open(self) -> bool:
        """Whether anything is being trained, or may still be proposed."""
        return bool(self._flights) or self._may_propose()

    def experiment(self, key: str) -> Experiment:
        """The experiment behind a task."""
        return self.plan.nodes[key].resolved.experiment

    def more(self) -> list[Task]:
        """Bring configurations as far as the store allows, fill up with new ones, and say what is to be trained."""
        tasks, self._left_over = self._left_over, {}
        moved = True
        while moved:
            moved = False
            for flight in list(self._flights):
                moved = self._moved(flight, tasks) or moved
            while len(self._flights) < self._side_by_side and self._may_propose():
                found = self._proposals.next()
                if found is not None:
                    self._take_off(*found, tasks)
                moved = True
        return list(tasks.values())

    def on_event(self, event: Event) -> None:
        """Take in an event. With the first state of a training this run's hours begin: a worker has come."""
        if not isinstance(event, StateChanged):
            return
        if self._budget.hours is not None and self._ends == math.inf:
            self._ends = time.monotonic() + 3600 * self._budget.hours
        for flight in self._flights:
            if event.key in flight.waits_for and event.state in ("paused", "done"):
                flight.waits_for.discard(event.key)
            elif event.key in flight.keys and event.state in ("failed", "blocked"):
                flight.error = f"{event.key}: {event.error}"

    def on_idle(self) -> None:
        """Do nothing."""

    # --- one configuration -----------------------------------------------------------------------------------

    def _moved(self, flight: ActiveTrial, tasks: dict[str, Task]) -> bool:
        """Whether a configuration came to a rung, or to its end."""
        if flight.error:
            self._leave(flight)
            self._ledger.fail(flight.number, flight.error)
            self._display.note(f"configuration {flight.number} failed: {flight.error}")
            return True
        if flight.waits_for:
            return False
        step = self._rungs[flight.rung]
        means = self._means(flight, step)
        if (
            self._configurations.search.objectives == PRUNABLE_OBJECTIVES
        ):  # what is reported is the objective, as far as it came
            self._ledger.report(flight.number, means)
        if step == self._rungs[-1]:
            self._leave(flight)
            self._ledger.complete(flight.number, self._values(flight))
            self._display.note(f"configuration {flight.number} complete, mean mIoU {100 * means[step]:.2f}")
        elif not self._scheduler.goes_on(flight.number, step, means[step]):
            self._leave(flight)
            self._ledger.prune(flight.number, step)
            self._display.note(
                f"configuration {flight.number} given up at step {step}, mean mIoU {100 * means[step]:.2f}"
            )
        else:
            flight.rung += 1
            self._ledger.annotate(flight.number, "rung", flight.rung)  # decided once and for all
            self._hand_out(flight, tasks)
        return True

    def _leave(self, flight: ActiveTrial) -> None:
        """No longer follow a configuration; what nobody else wants trained stays as it is."""
        self._flights.remove(flight)
        unwanted = set(flight.keys) - {key for each in self._flights for key in each.keys}
        self.plan.paused |= unwanted
        self._display.remove(unwanted)

    def _hand_out(self, flight: ActiveTrial, tasks: dict[str, Task]) -> None:
        """Have a configuration trained to its rung, as far as it is not."""
        step = self._rungs[flight.rung]
        for key in flight.keys:
            state = records.state(self._store, key)
            if state.name == "failed":
                flight.error = f"{key}: {state.detail}"
            elif state.name != "done" and step not in records.scores(self._store, key):
                flight.waits_for.add(key)
                self._want(key, step, tasks)

    def _want(self, key: str, step: int, tasks: dict[str, Task]) -> None:
        """Train a key to a step, and to their end whatever it needs."""
        for inner in self.plan.nodes[key].resolved.inputs.values():
            if records.state(self._store, inner.key).name != "done":
                self._want(inner.key, self.plan.nodes[inner.key].resolved.experiment.recipe.steps, tasks)
        self.plan.until[key] = max(step, self.plan.until.get(key, 0))
        self.plan.paused.discard(key)
        tasks[key] = self.plan.task(key)

    def _means(self, flight: ActiveTrial, step: int) -> dict[int, float]:
        """The mean over seeds at every evaluation up to a step."""
        scores = [records.scores(self._store, key) for key in flight.keys]
        common = sorted(set.intersection(*map(set, scores)))
        means = {each: sum(one[each] for one in scores) / len(scores) for each in common if each <= step}
        if step not in means:
            raise UserError(
                f"configuration {flight.number} was trained to step {step}, and the logs of {', '.join(flight.keys)}"
                " hold no evaluation there; let --force-row of its study forget them, and start again."
            )
        return means

    def _values(self, flight: ActiveTrial) -> list[float]:
        """Every objective, the mean over seeds."""
        results = [records.read_json(self._store, key, records.RESULT) or {} for key in flight.keys]
        return [sum(each.read(result) for result in results) / len(results) for each in self._objectives]

    # --- another configuration ---------------------------------------------------------------------------------

    def _may_propose(self) -> bool:
        if self._proposals.are_used_up or time.monotonic() >= self._ends:
            return False
        if self._spent() >= 3600 * (self._budget.device_hours or math.inf):
            return False
        return len(self._ledger.proposals()) < self._budget.configurations

    def _spent(self) -> float:
        if self._budget.device_hours is None:
            return 0.0
        facts = [each.user_attrs for each in self._ledger.proposals()]
        keys = {key for each in facts for key in (*each["keys"], *each.get("stand on", []))}
        return sum(device_seconds(self._store, key) for key in keys)

    def _take_off(self, number: int, point: Point, tasks: dict[str, Task]) -> None:
        try:
            flight = ActiveTrial(number=number, keys=self._planned(number, point))
        except UserError as refusal:  # of a value between those that were tried before the search began
            self._refuse(number, refusal, [])
            return
        self._ledger.annotate(number, "stand on", self._inputs(flight.keys))
        self._ledger.annotate(number, "keys", list(flight.keys))
        self._flights.append(flight)
        self._hand_out(flight, tasks)

    def _refuse(self, number: int, refusal: UserError, keys: list[str]) -> None:
        """A configuration that there cannot be counts as a failed one, and the search goes on."""
        self._ledger.annotate(number, "keys", keys)
        self._ledger.fail(number, str(refusal))
        self._display.note(f"configuration {number} failed: {refusal}")

    def _inputs(self, keys: Iterable[str]) -> list[str]:
        """The trainings that these stand on, such as teachers."""
        found: list[str] = []
        for key in keys:
            inner = [each.key for each in self.plan.nodes[key].resolved.inputs.values()]
            found += [*inner, *self._inputs(inner)]
        return list(dict.fromkeys(found))

    def _planned(self, number: int, point: Point) -> tuple[str, ...]:
        """The experiments of a configuration, in the plan."""
        keys: list[str] = []
        labels: dict[str, tuple[str, int]] = {}
        for cell in self._configurations.cells(point):
            resolved = self._resolve(cell.experiment)
            before = set(self.plan.nodes)
            add_experiment(self.plan, resolved, lambda key: records.state(self._store, key))
            self.plan.nodes[resolved.key].shown_in = f"configuration {number} | seed {cell.seed}"
            for key in set(self.plan.nodes) - before:
                node = self.plan.nodes[key]
                labels[key] = (node.display_name, node.resolved.experiment.recipe.steps)
                self.plan.paused.add(key)  # until somebody wants it
            keys.append(resolved.key)
        self._display.add(labels)
        return tuple(keys)

    # --- going on where an earlier run ended -----------------------------------------------------------------

    def _continue(self) -> None:
        """Take up what an earlier run left, and let the scheduler know all that was reached."""
        for trial in self._ledger.trials():
            if trial.state == TrialState.RUNNING and "keys" in trial.user_attrs:
                self._take_up(trial)
            elif trial.state == TrialState.RUNNING and is_whole(self._configurations.parameters, trial.params):
                if self._proposals.is_new(trial.number, trial.params):
                    self._take_off(trial.number, trial.params, self._left_over)
            elif trial.state == TrialState.RUNNING:
                self._ledger.fail(trial.number, "its process ended while it was drawn")
            elif "repeats" not in trial.user_attrs:
                self._scheduler.remember(trial.number, trial.intermediate_values)

    def _take_up(self, trial: FrozenTrial) -> None:
        """Bring an interrupted configuration to the rung that it was on its way to."""
        try:
            keys, rung = self._planned(trial.number, trial.params), trial.user_attrs.get("rung", 0)
        except UserError as refusal:
            self._refuse(trial.number, refusal, trial.user_attrs["keys"])
            return
        if list(keys) != trial.user_attrs["keys"]:  # killed while it was refused, for what is here again
            self._ledger.annotate(trial.number, "keys", list(keys))
        passed = {step: trial.intermediate_values[step] for step in self._rungs[:rung]}
        self._scheduler.remember(trial.number, passed)
        flight = ActiveTrial(number=trial.number, keys=keys, rung=rung)
        self._flights.append(flight)
        self._hand_out(flight, self._left_over)
