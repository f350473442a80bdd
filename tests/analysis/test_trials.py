"""Trials: rows of seeds become configurations, and the best of them."""

from __future__ import annotations

import dataclasses
import statistics
from typing import Any

import pandas as pd
import pytest
from drawn_search import COST, LAYOUT, MIOU, SEEDS, Search, best_of
from hypothesis import given
from hypothesis import strategies as st

from assay.analysis.trials import Trial, front, trials_from
from assay.results.search_layout import ParameterLayout, SearchLayout


def first_in(search: Search, state: str) -> Trial:
    """Return the first trial in a state."""
    return next(trial for trial in trials_from(search.layout, search.trials) if trial.state == state)


def of_values(layout: SearchLayout, values: list[tuple[float, ...]]) -> pd.DataFrame:
    """Return a frame of completed trials of one seed with these values."""
    columns = [objective.column for objective in layout.objectives]
    lines = [
        {"trial": number, "seed": 0, "state": "complete", **dict(zip(columns, of_trial, strict=True))}
        for number, of_trial in enumerate(values)
    ]
    return pd.DataFrame(lines)


def best_in(layout: SearchLayout, frame: pd.DataFrame) -> tuple[Trial, ...]:
    return front(layout, trials_from(layout, frame))


def settings(parameter: ParameterLayout, column: list[Any]) -> list[Any]:
    """Return the settings of trials from the column of their only parameter."""
    layout = dataclasses.replace(LAYOUT, parameters=(parameter,))
    frame = of_values(layout, [(0.5,)] * len(column)).assign(**{parameter.path: column})
    return [trial.settings.get(parameter.path) for trial in trials_from(layout, frame)]


def test_the_seeds_of_a_configuration_are_one_trial(searched: Search) -> None:
    trials = trials_from(searched.layout, searched.trials)
    rows = searched.trials[searched.trials["trial"] == 0]
    assert [trial.number for trial in trials] == list(range(40))
    assert [seed for seed, _ in trials[0].keys] == list(SEEDS)
    assert trials[0].device_seconds == rows["device_seconds"].sum()
    assert trials[0].deviations == (pytest.approx(statistics.stdev(rows["miou"])),)


def test_a_trial_has_what_optuna_has(searched: Search) -> None:
    for trial, optunas in zip(trials_from(searched.layout, searched.trials), searched.study.trials, strict=True):
        assert trial.settings == optunas.params
        assert trial.state == optunas.state.name.lower().replace("fail", "failed")
        assert trial.values == (tuple(optunas.values) if optunas.state.name == "COMPLETE" else None)


def test_a_conditional_parameter_is_there_only_where_it_was_active(searched: Search) -> None:
    for trial in trials_from(searched.layout, searched.trials):
        assert ("method.momentum" in trial.settings) == (trial.settings["method.kind"] != "cps")


def test_a_pruned_trial_has_no_value_but_where_it_stopped(searched: Search) -> None:
    pruned = first_in(searched, "pruned")
    assert pruned.values is None
    assert pruned.reached(searched.layout, 0) == pruned.intermediate[-1][1]
    assert pruned.pruned_at == pruned.intermediate[-1][0]


def test_one_failed_seed_makes_a_failed_configuration(searched: Search) -> None:
    rows = searched.trials[searched.trials["trial"] == 0].copy()
    rows["state"] = ["complete", "failed"]
    assert [trial.state for trial in trials_from(searched.layout, rows)] == ["failed"]


def test_the_best_is_optunas_best(searched: Search) -> None:
    assert [trial.number for trial in best_of(searched)] == [searched.study.best_trial.number]


def test_the_front_is_optunas_front(traded: Search) -> None:
    best = best_of(traded)
    assert {trial.number for trial in best} == {trial.number for trial in traded.study.best_trials}
    values = [trial.values[0] for trial in best if trial.values]
    assert len(values) == len(best) and values == sorted(values, reverse=True)


def test_of_equal_values_the_earliest_is_the_best() -> None:
    assert [trial.number for trial in best_in(LAYOUT, of_values(LAYOUT, [(0.1,), (0.4,), (0.4,)]))] == [1]


def test_an_objective_may_be_minimized() -> None:
    layout = dataclasses.replace(LAYOUT, objectives=(COST,))
    assert [trial.number for trial in best_in(layout, of_values(layout, [(3.0,), (1.0,), (2.0,)]))] == [1]


def test_a_completed_trial_without_a_value_is_never_the_best() -> None:
    assert [trial.number for trial in best_in(LAYOUT, of_values(LAYOUT, [(float("nan"),), (0.2,)]))] == [1]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_the_front_is_all_that_no_trial_dominates(values: list[tuple[int, int]]) -> None:
    layout = dataclasses.replace(LAYOUT, objectives=(MIOU, COST))
    expected = {
        number
        for number, (miou, cost) in enumerate(values)
        if not any(m >= miou and c <= cost and (m, c) != (miou, cost) for m, c in values)
    }
    assert {trial.number for trial in best_in(layout, of_values(layout, values))} == expected


def test_the_front_of_two_of_three_objectives_is_their_own() -> None:
    third = dataclasses.replace(COST, name="parameters")
    layout = dataclasses.replace(LAYOUT, objectives=(MIOU, COST, third))
    trials = trials_from(layout, of_values(layout, [(0.5, 1.0, 9.0), (0.4, 2.0, 1.0), (0.3, 3.0, 1.0)]))
    fronts = {pair: [trial.number for trial in front(layout, trials, pair)] for pair in ((0, 1), (0, 2), (1, 2))}
    assert fronts == {(0, 1): [0], (0, 2): [0, 1], (1, 2): [0, 1]}


@pytest.mark.parametrize("frame", [pd.DataFrame(), pd.DataFrame({"trial": [], "seed": []})])
def test_a_search_without_trials_has_no_best(frame: pd.DataFrame) -> None:
    assert best_in(LAYOUT, frame) == ()


def test_whole_numbers_stay_whole_where_a_column_has_gaps() -> None:
    numbers = settings(ParameterLayout(path="a", kind="int", low=1, high=9), [3.0, None])
    assert numbers == [3, None]
    assert isinstance(numbers[0], int)


def test_numbers_are_matched_to_their_options() -> None:
    parameter = ParameterLayout(path="a", kind="choice", options=("1", "0.5", "2"))
    assert settings(parameter, [1.0, 0.5, None]) == ["1", "0.5", None]


def test_true_and_false_are_matched_to_their_options() -> None:
    parameter = ParameterLayout(path="a", kind="choice", options=("true", "false"))
    assert settings(parameter, [True, False]) == ["true", "false"]


def test_none_may_be_an_option() -> None:
    options = ("none", "boxes")
    assert settings(ParameterLayout(path="a", kind="choice", options=options), [None, "boxes"]) == ["none", "boxes"]
    conditional = ParameterLayout(path="a", kind="choice", options=options, when=(("b", "c"),))
    assert settings(conditional, [None, "boxes"]) == [None, "boxes"]


@pytest.mark.parametrize(
    ("condition", "column", "met"),
    [
        (ParameterLayout(path="b", kind="choice", options=("c", "C")), ["c", "C", None], ("b", "c")),
        (ParameterLayout(path="b", kind="choice", options=("True", "False")), [True, False, None], ("b", "True")),
        (ParameterLayout(path="b", kind="int", low=1, high=2), [1, 2, None], ("b", "1")),
        (ParameterLayout(path="b", kind="float", low=1, high=2), [1.0, 1.5, None], ("b", "1")),
    ],
    ids=["an option", "yes", "a whole number", "a number"],
)
def test_none_may_be_an_option_under_a_condition(
    condition: ParameterLayout, column: list[Any], met: tuple[str, str]
) -> None:
    options = ("None", "boxes")
    parameter = ParameterLayout(path="a", kind="choice", options=options, when=(met,))
    layout = dataclasses.replace(LAYOUT, parameters=(condition, parameter))
    frame = of_values(layout, [(0.5,)] * len(column)).assign(a=[None] * len(column), b=column)
    assert [trial.settings.get("a") for trial in trials_from(layout, frame)] == ["None", None, None]


def test_options_that_differ_only_in_case_stay_different() -> None:
    parameter = ParameterLayout(path="a", kind="choice", options=("a", "A", "none", "None"))
    assert settings(parameter, ["A", "a", None, "none"]) == ["A", "a", "None", "none"]
