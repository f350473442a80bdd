"""Several configurations in flight at once: what is proposed, told and remembered, with nothing trained."""

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
from assay.run.search_flags import parser
from assay.run.search_options import SearchOptions
from assay.run.search_run import SearchRun
from assay.search.controller import Budget, SearchController
from assay.search.optuna_study import JOURNAL, OptunaStudy
from assay.store import records
from assay.store.documents import line
from assay.store.local import LocalStore

RUNGS = (10, 30, 40)
EVALUATIONS = (10, 20, 30, 40)
COUNT = 12
FLAGS = ("--seeds", "0", "--configurations", str(COUNT))


def miou(params: Mapping[str, Any], step: int) -> float:
    """What a configuration has at a step: best at a rate of 0.01, and always more of CPS."""
    far = abs(math.log10(params["recipe.optimizer.lr"]) + 2)
    return (0.3 + 0.3 * math.exp(-far) + 0.1 * (params["method"] == "cps")) * (1 - math.exp(-step / 20))


class BestSoFar:
    """Lets those go on that are the best of what came to a rung so far."""

    def __init__(self) -> None:
        self._seen: dict[int, set[float]] = {}

    def goes_on(self, number: int, step: int, mean: float) -> bool:
        seen = self._seen.setdefault(step, set())
        seen.add(mean)
        return mean >= max(seen)

    def remember(self, number: int, means: Mapping[int, float]) -> None:
        for step in RUNGS[:-1]:
            if step in means:
                self._seen.setdefault(step, set()).add(means[step])


class Feeding:
    """A run without workers: keys are answered in the order of their letters, which is no order of the proposals."""

    def __init__(
        self, folder: Path, make: Callable[..., OptunaStudy] = OptunaStudy, *, flags: tuple[str, ...] = FLAGS
    ) -> None:
        self.folder, self._make = folder, make
        self._exploration = SearchRun.make(
            tiny_search.SEARCH, SearchOptions.parse(parser(tiny_search.SEARCH).parse_args(list(flags)))
        )
        self.answered: list[int] = []  # numbers of configurations
        self.widest = 0  # configurations in flight
        self.reopen()

    def reopen(self) -> None:
        """As a process that begins where another one ended."""
        self.store = LocalStore(self.folder / "store")
        self.ledger = self._make(OptunaStudy.open(self.folder / JOURNAL, "study", ["maximize"]).study)
        self._waiting: dict[str, Task] = {}
        exploration = self._exploration
        self.conductor = SearchController(
            exploration.configurations,
            self.ledger,
            self.store,
            Resolver(Places()).resolve,
            objectives=exploration.objectives,
            rungs=RUNGS,
            scheduler=BestSoFar(),
            budget=Budget(configurations=exploration.setting.configurations),
            display=Display({}, ended={}, say=lambda text: None),
        )
        self.conductor.begin(2)

    def step(self) -> bool:
        """Take in what is to be trained, and answer one of it; whether anything was left to do."""
        self._waiting |= {task.key: task for task in self.conductor.more()}
        self.widest = max(self.widest, len(self.conductor._flights))
        if not self._waiting:
            return False
        self._train(self._waiting.pop(max(self._waiting)))
        return True

    def _train(self, task: Task) -> None:
        assert task.until is not None
        trial = next(each for each in self.ledger.proposals() if task.key in each.user_attrs["keys"])
        log = self.store.open_log(task.key, records.METRICS, b"")
        for step in EVALUATIONS:
            if step <= task.until:
                log.append(line({"step": step, "network/miou": miou(trial.params, step)}))
        log.close()
        if task.until == RUNGS[-1]:
            result = {"miou": miou(trial.params, task.until), "device_seconds": 1.0}
            records.write_result(self.store, task.key, result)
        self.answered.append(trial.number)
        state: TaskState = "done" if task.until == RUNGS[-1] else "paused"
        self.conductor.on_event(StateChanged(key=task.key, state=state))

    def trials(self) -> list[FrozenTrial]:
        """What the journal has in the end."""
        return OptunaStudy.open(self.folder / JOURNAL, "study", ["maximize"]).trials()


def told(trials: list[FrozenTrial]) -> list[tuple[int, TrialState, str]]:
    """Everything of the proposals but the time."""
    return [
        (
            each.number,
            each.state,
            json.dumps(
                [each.params, each.values, each.intermediate_values, each.user_attrs | {"proposed": None}],
                sort_keys=True,
            ),
        )
        for each in trials
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Feeding:
    """A search with two configurations in flight, in one go."""
    feeding = Feeding(tmp_path_factory.mktemp("whole"))
    while feeding.step():
        pass
    return feeding


def test_two_configurations_are_in_flight_and_every_proposal_is_recorded_in_its_order(whole: Feeding) -> None:
    trials = whole.trials()
    assert whole.widest == 2
    assert whole.answered != sorted(whole.answered), "answers came out of order"
    assert [each.number for each in trials if "repeats" not in each.user_attrs] == list(range(COUNT))
    proposed = [each.user_attrs["proposed"] for each in trials]
    assert proposed == sorted(proposed)
    origins = [each.user_attrs["origin"] for each in trials]
    wished = [origin for origin in origins if origin != "sampler"]
    assert wished and origins == wished + ["sampler"] * (COUNT - len(wished))
    assert all(each.user_attrs["sampler_seed"] == tiny_search.SEARCH.sampler_seed for each in trials)


def test_what_answers_out_of_order_is_told_of_the_configuration_that_it_belongs_to(whole: Feeding) -> None:
    trials = whole.trials()
    assert {each.state for each in trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    for trial in trials:
        ended = trial.user_attrs.get("pruned_at", RUNGS[-1])
        assert (ended == RUNGS[-1]) == (trial.state == TrialState.COMPLETE)
        assert trial.intermediate_values == {step: miou(trial.params, step) for step in EVALUATIONS if step <= ended}
        if trial.state == TrialState.COMPLETE:
            assert trial.value == miou(trial.params, RUNGS[-1])


@pytest.mark.parametrize("every", [1, 3])
def test_a_search_that_is_reopened_with_configurations_in_flight_goes_on_as_if_it_were_not(
    every: int, whole: Feeding, tmp_path: Path
) -> None:
    feeding, steps = Feeding(tmp_path), 0
    while feeding.step():
        steps += 1
        if steps % every == 0:
            feeding.reopen()
    assert feeding.answered == whole.answered
    assert told(feeding.trials()) == told(whole.trials())


class Killed(Exception):
    """The process ended here."""


class ShortLived(OptunaStudy):
    """Ends its process between the second proposal and the word that it is trained."""

    lives = 2

    def annotate(self, number: int, name: str, value: Any) -> None:
        self.lives -= name == "keys"
        if not self.lives:
            raise Killed
        super().annotate(number, name, value)


def test_a_proposal_whose_process_ended_before_its_trainings_were_named_is_taken_up(
    whole: Feeding, tmp_path: Path
) -> None:
    feeding, kills, goes_on = Feeding(tmp_path, ShortLived), 0, True
    while goes_on:
        try:
            goes_on = feeding.step()
        except Killed:
            kills += 1
            feeding.reopen()
    assert kills > COUNT / 2
    assert told(feeding.trials()) == told(whole.trials())


def test_a_proposal_that_was_not_wholly_drawn_is_told_failed_and_costs_nothing(tmp_path: Path) -> None:
    ledger = OptunaStudy.open(tmp_path / JOURNAL, "study", ["maximize"])
    ledger.study.ask().suggest_float("recipe.optimizer.lr", 0.001, 0.1, log=True)  # and its process ended
    feeding = Feeding(tmp_path)
    while feeding.step():
        pass
    first, *others = feeding.trials()
    assert first.state == TrialState.FAIL and "keys" not in first.user_attrs
    assert len(others) == COUNT
