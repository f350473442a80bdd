"""The controller of a search: it decides what is trained next, and records the outcome of every configuration."""

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
from assay.search.space import Point, is_complete
from assay.store import records
from assay.store.store import Store


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """The limits of a search. No new configuration begins once one of them is reached."""

    configurations: int  # of all runs together
    hours: float | None = None  # of wall clock in this run, from its first training on
    device_hours: float | None = None  # of all trainings of the search


@dataclasses.dataclass
class ActiveTrial:
    """A configuration in training."""

    number: int
    keys: tuple[str, ...]  # one for each seed
    rung: int = 0
    waits_for: set[str] = dataclasses.field(default_factory=set)  # keys that have not reached the rung
    error: str = ""


class SearchController:
    """The task source and a listener of a run: it receives states of trainings and returns the next tasks."""

    def __init__(
        self,
        configurations: Configurations,
        optuna_study: OptunaStudy,
        store: Store,
        resolve: Callable[[Experiment], Resolved],
        *,
        objectives: tuple[Objective, ...],
        rungs: tuple[int, ...],
        scheduler: Scheduler,
        budget: Budget,
        display: Display,
    ) -> None:
        """Begin or continue a search; `rungs` end with the last step of a training."""
        self.plan = Plan(nodes={})
        self._configurations, self._optuna_study = configurations, optuna_study
        self._store, self._resolve = store, resolve
        self._objectives, self._rungs, self._scheduler, self._budget = objectives, rungs, scheduler, budget
        self._display = display
        self._proposals = Proposals(configurations, optuna_study, display.note)
        self._active_trials: list[ActiveTrial] = []
        self._max_active = 1
        self._deadline = math.inf  # on this process's monotonic clock
        self._restored_tasks: dict[str, Task] = {}  # of trials that an earlier run left
        self._restore()

    # --- the task source of a run ----------------------------------------------------------------------------

    def begin(self, gangs: int) -> None:
        """Set the number of active trials: as many as keep all gangs busy."""
        self._max_active = max(1, math.ceil(gangs / len(self._configurations.selection.seeds)))

    @property
    def is_open(self) -> bool:
        """True while a trial is active, or a new one may be proposed."""
        return bool(self._active_trials) or self._may_propose()

    def experiment(self, key: str) -> Experiment:
        """Return the experiment of a task."""
        return self.plan.nodes[key].resolved.experiment

    def more(self) -> list[Task]:
        """Advance trials as far as the store allows, start new ones in free places, and return the tasks to train."""
        tasks, self._restored_tasks = self._restored_tasks, {}
        changed = True
        while changed:
            changed = False
            for trial in list(self._active_trials):
                changed = self._advance(trial, tasks) or changed
            while len(self._active_trials) < self._max_active and self._may_propose():
                proposal = self._proposals.next()
                if proposal is not None:
                    self._start(*proposal, tasks)
                changed = True
        return list(tasks.values())

    def on_event(self, event: Event) -> None:
        """Record a state. The first one starts this run's hours, since it shows that a worker is there."""
        if not isinstance(event, StateChanged):
            return
        if self._budget.hours is not None and self._deadline == math.inf:
            self._deadline = time.monotonic() + 3600 * self._budget.hours
        for trial in self._active_trials:
            if event.key in trial.waits_for and event.state in ("paused", "done"):
                trial.waits_for.discard(event.key)
            elif event.key in trial.keys and event.state in ("failed", "blocked"):
                trial.error = f"{event.key}: {event.error}"

    def on_idle(self) -> None:
        """Do nothing."""

    # --- an active trial ---------------------------------------------------------------------------------------

    def _advance(self, trial: ActiveTrial, tasks: dict[str, Task]) -> bool:
        """Record the rung or the end that a trial reached; return whether it reached one."""
        if trial.error:
            self._finish(trial)
            self._fail(trial.number, trial.error)
            return True
        if trial.waits_for:
            return False
        step = self._rungs[trial.rung]
        means = self._means(trial, step)
        if self._configurations.search.objectives == PRUNABLE_OBJECTIVES:  # then the means are the objective so far
            self._optuna_study.report(trial.number, means)
        if step == self._rungs[-1]:
            self._finish(trial)
            self._optuna_study.complete(trial.number, self._values(trial))
            self._note(trial.number, f"complete, mean mIoU {100 * means[step]:.2f}")
        elif not self._scheduler.should_continue(trial.number, step, means[step]):
            self._finish(trial)
            self._optuna_study.prune(trial.number, step)
            self._note(trial.number, f"pruned at step {step}, mean mIoU {100 * means[step]:.2f}")
        else:
            trial.rung += 1
            self._optuna_study.annotate(trial.number, "rung", trial.rung)  # the decision is final
            self._submit(trial, tasks)
        return True

    def _note(self, number: int, text: str) -> None:
        self._display.note(f"configuration {number} {text}")

    def _fail(self, number: int, error: str) -> None:
        self._optuna_study.fail(number, error)
        self._note(number, f"failed: {error}")

    def _finish(self, trial: ActiveTrial) -> None:
        """Remove a trial from the active ones, and pause the trainings that no other active trial needs."""
        self._active_trials.remove(trial)
        unneeded = set(trial.keys) - {key for other in self._active_trials for key in other.keys}
        self.plan.paused |= unneeded
        self._display.remove(unneeded)

    def _submit(self, trial: ActiveTrial, tasks: dict[str, Task]) -> None:
        """Add the tasks that bring a trial to its rung; none for trainings that are there already."""
        step = self._rungs[trial.rung]
        for key in trial.keys:
            state = records.state(self._store, key)
            if state.name == "failed":
                trial.error = f"{key}: {state.detail}"
            elif state.name != "done" and step not in records.scores(self._store, key):
                trial.waits_for.add(key)
                self._submit_training(key, step, tasks)

    def _submit_training(self, key: str, step: int, tasks: dict[str, Task]) -> None:
        """Add the task that trains a key to a step, and those that train its inputs to their end."""
        inputs = [resolved.key for resolved in self.plan.nodes[key].resolved.inputs.values()]
        missing = tuple(each for each in inputs if records.state(self._store, each).name != "done")
        for each in missing:
            self._submit_training(each, self.experiment(each).recipe.steps, tasks)
        self.plan.until[key] = max(step, self.plan.until.get(key, 0))
        self.plan.paused.discard(key)
        # A run waits for the tasks that it was given alone, so inputs from earlier runs are not needed any more.
        tasks[key] = dataclasses.replace(self.plan.task(key), needs=missing)

    def _means(self, trial: ActiveTrial, last: int) -> dict[int, float]:
        """Return the mean over seeds at every evaluated step up to the last one."""
        scores = [records.scores(self._store, key) for key in trial.keys]
        common = sorted(set.intersection(*map(set, scores)))
        means = {step: sum(by_step[step] for by_step in scores) / len(scores) for step in common if step <= last}
        if last not in means:
            raise UserError(
                f"configuration {trial.number} was trained to step {last}, but the logs of {', '.join(trial.keys)} hold"
                " no evaluation there; forget these trainings with --force-row of the study, and start again."
            )
        return means

    def _values(self, trial: ActiveTrial) -> list[float]:
        """Return every objective as the mean over seeds."""
        results = [records.read_json(self._store, key, records.RESULT) or {} for key in trial.keys]
        return [sum(objective.read(result) for result in results) / len(results) for objective in self._objectives]

    # --- a new trial -------------------------------------------------------------------------------------------

    def _may_propose(self) -> bool:
        if self._proposals.is_exhausted or time.monotonic() >= self._deadline:
            return False
        if self._device_seconds_spent() >= 3600 * (self._budget.device_hours or math.inf):
            return False
        return len(self._optuna_study.proposals()) < self._budget.configurations

    def _device_seconds_spent(self) -> float:
        """Return the cost of all trainings so far; 0 where no limit needs it."""
        if self._budget.device_hours is None:
            return 0.0
        all_attributes = [trial.user_attrs for trial in self._optuna_study.proposals()]
        keys = {key for attributes in all_attributes for key in (*attributes["keys"], *attributes.get("stand on", []))}
        return sum(device_seconds(self._store, key) for key in keys)

    def _start(self, number: int, point: Point, tasks: dict[str, Task]) -> None:
        try:
            trial = ActiveTrial(number=number, keys=self._add_to_plan(number, point))
        except UserError as error:  # the check before the search tried only some values
            self._refuse(number, error, [])
            return
        self._optuna_study.annotate(number, "stand on", self._inputs(trial.keys))
        self._optuna_study.annotate(number, "keys", list(trial.keys))
        self._active_trials.append(trial)
        self._submit(trial, tasks)

    def _refuse(self, number: int, error: UserError, keys: list[str]) -> None:
        """Record an impossible configuration as failed; the search continues."""
        self._optuna_study.annotate(number, "keys", keys)
        self._fail(number, str(error))

    def _inputs(self, keys: Iterable[str]) -> list[str]:
        """Return the trainings that these keys need, such as teachers, and the ones that those need."""
        result: list[str] = []
        for key in keys:
            needed = [resolved.key for resolved in self.plan.nodes[key].resolved.inputs.values()]
            result += [*needed, *self._inputs(needed)]
        return list(dict.fromkeys(result))

    def _add_to_plan(self, number: int, point: Point) -> tuple[str, ...]:
        """Add the experiments of a configuration to the plan, and return their keys."""
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
                self.plan.paused.add(key)  # until a trial needs it
            keys.append(resolved.key)
        self._display.add(labels)
        return tuple(keys)

    # --- trials of an earlier run ------------------------------------------------------------------------------

    def _restore(self) -> None:
        """Continue the trials that an earlier run left, and restore the scheduler from all that were recorded."""
        for recorded in self._optuna_study.trials():
            number, attributes = recorded.number, recorded.user_attrs
            if recorded.state == TrialState.RUNNING and "keys" in attributes:
                self._resume(recorded)
            elif recorded.state == TrialState.RUNNING and is_complete(self._configurations.parameters, recorded.params):
                if self._proposals.is_new(number, recorded.params):
                    self._start(number, recorded.params, self._restored_tasks)
            elif recorded.state == TrialState.RUNNING:
                self._optuna_study.fail(number, "its process ended while it was drawn")
            elif "repeats" not in attributes:
                self._scheduler.restore(number, recorded.intermediate_values)

    def _resume(self, recorded: FrozenTrial) -> None:
        """Continue an interrupted trial with the rung that it was trained for."""
        number, attributes = recorded.number, recorded.user_attrs
        try:
            keys, rung = self._add_to_plan(number, recorded.params), attributes.get("rung", 0)
        except UserError as error:
            self._refuse(number, error, attributes["keys"])
            return
        # An earlier run was killed while it refused this configuration; what was missing is here now.
        if list(keys) != attributes["keys"]:
            self._optuna_study.annotate(number, "keys", list(keys))
        passed = {step: recorded.intermediate_values[step] for step in self._rungs[:rung]}
        self._scheduler.restore(number, passed)
        trial = ActiveTrial(number=number, keys=keys, rung=rung)
        self._active_trials.append(trial)
        self._submit(trial, self._restored_tasks)
