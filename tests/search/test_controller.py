"""Searches with several active trials: proposals, outcomes and restarts, without any training."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import tiny_search
from optuna.trial import FrozenTrial, TrialState

from assay.execution.display import Display
from assay.execution.events import StateChanged, TaskState
from assay.execution.schedule import Task
from assay.places import Places
from assay.resolve import Resolver
from assay.results.search_folder import JOURNAL
from assay.run.search_flags import parser
from assay.run.search_options import SearchOptions
from assay.run.search_run import SearchRun
from assay.search.controller import Budget, SearchController
from assay.search.optuna_study import OptunaStudy
from assay.store import records
from assay.store.documents import line
from assay.store.local import LocalStore

RUNGS = (10, 30, 40)
EVALUATIONS = (10, 20, 30, 40)
COUNT = 12
FLAGS = ("--seeds", "0", "--configurations", str(COUNT))


def miou(params: Mapping[str, Any], step: int) -> float:
    """Return a made-up mIoU at a step: best at a rate of 0.01, and always higher for CPS."""
    distance = abs(math.log10(params["recipe.optimizer.lr"]) + 2)
    return (0.3 + 0.3 * math.exp(-distance) + 0.1 * (params["method"] == "cps")) * (1 - math.exp(-step / 20))


class BestSoFar:
    """A scheduler that continues a configuration if it is the best at its rung so far."""

    def __init__(self) -> None:
        self._means: dict[int, set[float]] = {}

    def should_continue(self, number: int, step: int, mean: float) -> bool:
        means = self._means.setdefault(step, set())
        means.add(mean)
        return mean >= max(means)

    def restore(self, number: int, means: Mapping[int, float]) -> None:
        for step in RUNGS[:-1]:
            if step in means:
                self._means.setdefault(step, set()).add(means[step])


class SimulatedRun:
    """A run without workers. Trainings end in the alphabetical order of their keys, not in that of the proposals."""

    def __init__(
        self, folder: Path, make: Callable[..., OptunaStudy] = OptunaStudy, *, flags: tuple[str, ...] = FLAGS
    ) -> None:
        self.folder, self._make = folder, make
        self._search_run = SearchRun.make(
            tiny_search.SEARCH, SearchOptions.parse(parser(tiny_search.SEARCH).parse_args(list(flags)))
        )
        self.trained: list[int] = []  # numbers of configurations, in the order in which their trainings ended
        self.most_active = 0
        self.reopen()

    def reopen(self) -> None:
        """Begin like a new process that continues an earlier run."""
        self.store = LocalStore(self.folder / "store")
        self.optuna_study = self._make(OptunaStudy.open(self.folder / JOURNAL, "study", ["maximize"]).study)
        self._waiting: dict[str, Task] = {}
        search_run = self._search_run
        self.controller = SearchController(
            search_run.configurations,
            self.optuna_study,
            self.store,
            Resolver(Places()).resolve,
            objectives=search_run.objectives,
            rungs=RUNGS,
            scheduler=BestSoFar(),
            budget=Budget(configurations=search_run.settings.configurations),
            display=Display({}, ended={}, print_line=lambda text: None),
        )
        self.controller.begin(2)

    def step(self) -> bool:
        """Collect the next tasks and finish one; return whether there was one."""
        self._waiting |= {task.key: task for task in self.controller.more()}
        self.most_active = max(self.most_active, len(self.controller._active_trials))
        if not self._waiting:
            return False
        self._train(self._waiting.pop(max(self._waiting)))
        return True

    def _train(self, task: Task) -> None:
        assert task.until is not None
        trial = next(each for each in self.optuna_study.proposals() if task.key in each.user_attrs["keys"])
        log = self.store.open_log(task.key, records.METRICS, b"")
        for step in EVALUATIONS:
            if step <= task.until:
                log.append(line({"step": step, "network/miou": miou(trial.params, step)}))
        log.close()
        if task.until == RUNGS[-1]:
            result = {"miou": miou(trial.params, task.until), "device_seconds": 1.0}
            records.write_result(self.store, task.key, result)
        self.trained.append(trial.number)
        state: TaskState = "done" if task.until == RUNGS[-1] else "paused"
        self.controller.on_event(StateChanged(key=task.key, state=state))

    def trials(self) -> list[FrozenTrial]:
        """Return the trials in the journal."""
        return OptunaStudy.open(self.folder / JOURNAL, "study", ["maximize"]).trials()


def without_times(trials: list[FrozenTrial]) -> list[tuple[int, TrialState, str]]:
    """Return everything that is recorded of trials except their times."""
    return [
        (
            trial.number,
            trial.state,
            json.dumps(
                [trial.params, trial.values, trial.intermediate_values, trial.user_attrs | {"proposed": None}],
                sort_keys=True,
            ),
        )
        for trial in trials
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> SimulatedRun:
    """Return a search with two active trials that was never interrupted."""
    run = SimulatedRun(tmp_path_factory.mktemp("whole"))
    while run.step():
        pass
    return run


def test_two_trials_are_active_and_proposals_are_recorded_in_their_order(whole: SimulatedRun) -> None:
    trials = whole.trials()
    assert whole.most_active == 2
    assert whole.trained != sorted(whole.trained), "trainings ended out of order"
    assert [trial.number for trial in trials if "repeats" not in trial.user_attrs] == list(range(COUNT))
    proposed = [trial.user_attrs["proposed"] for trial in trials]
    assert proposed == sorted(proposed)
    origins = [trial.user_attrs["origin"] for trial in trials]
    initial = [origin for origin in origins if origin != "sampler"]
    assert initial and origins == initial + ["sampler"] * (COUNT - len(initial))
    assert all(trial.user_attrs["sampler_seed"] == tiny_search.SEARCH.sampler_seed for trial in trials)


def test_outcomes_are_recorded_for_the_right_trial_although_trainings_end_out_of_order(whole: SimulatedRun) -> None:
    trials = whole.trials()
    assert {trial.state for trial in trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    for trial in trials:
        ended = trial.user_attrs.get("pruned_at", RUNGS[-1])
        assert (ended == RUNGS[-1]) == (trial.state == TrialState.COMPLETE)
        assert trial.intermediate_values == {step: miou(trial.params, step) for step in EVALUATIONS if step <= ended}
        if trial.state == TrialState.COMPLETE:
            assert trial.value == miou(trial.params, RUNGS[-1])


@pytest.mark.parametrize("every", [1, 3])
def test_a_search_that_is_reopened_with_active_trials_ends_like_an_uninterrupted_one(
    every: int, whole: SimulatedRun, tmp_path: Path
) -> None:
    run, steps = SimulatedRun(tmp_path), 0
    while run.step():
        steps += 1
        if steps % every == 0:
            run.reopen()
    assert run.trained == whole.trained
    assert without_times(run.trials()) == without_times(whole.trials())


class Killed(Exception):
    """The end of a process."""


class ShortLived(OptunaStudy):
    """A study whose process ends at the second proposal, before the keys of its trainings are recorded."""

    lives = 2

    def annotate(self, number: int, name: str, value: Any) -> None:
        self.lives -= name == "keys"
        if not self.lives:
            raise Killed
        super().annotate(number, name, value)


def test_a_proposal_is_continued_if_its_process_ended_before_its_keys_were_recorded(
    whole: SimulatedRun, tmp_path: Path
) -> None:
    run, kills, unfinished = SimulatedRun(tmp_path, ShortLived), 0, True
    while unfinished:
        try:
            unfinished = run.step()
        except Killed:
            kills += 1
            run.reopen()
    assert kills > COUNT / 2
    assert without_times(run.trials()) == without_times(whole.trials())


def test_a_proposal_that_was_not_drawn_completely_is_recorded_as_failed_and_does_not_count(tmp_path: Path) -> None:
    optuna_study = OptunaStudy.open(tmp_path / JOURNAL, "study", ["maximize"])
    optuna_study.study.ask().suggest_float("recipe.optimizer.lr", 0.001, 0.1, log=True)  # here its process ended
    run = SimulatedRun(tmp_path)
    while run.step():
        pass
    first, *others = run.trials()
    assert first.state == TrialState.FAIL and "keys" not in first.user_attrs
    assert len(others) == COUNT
