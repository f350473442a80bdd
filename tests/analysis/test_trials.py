"""Trials: seeds become configurations, and the best of them are found."""

from __future__ import annotations

import dataclasses
import statistics
from typing import Any

import pandas as pd
import pytest
from drawn_search import COST, LAYOUT, MIOU, SEEDS, Search
from hypothesis import given
from hypothesis import strategies as st

from assay.analysis.trials import Trial, best, front, read
from assay.results.search_layout import ParameterLayout, SearchLayout


def number(search: Search, state: str) -> Trial:
    return next(each for each in read(search.layout, search.trials) if each.state == state)


def of_values(layout: SearchLayout, values: list[tuple[float, ...]]) -> pd.DataFrame:
    """Completed trials of one seed with these values."""
    columns = [each.column for each in layout.objectives]
    lines = [
        {"trial": at, "seed": 0, "state": "complete", **dict(zip(columns, each, strict=True))}
        for at, each in enumerate(values)
    ]
    return pd.DataFrame(lines)


def setting(parameter: ParameterLayout, column: list[Any]) -> list[Any]:
    """What a column of one parameter is read as."""
    layout = dataclasses.replace(LAYOUT, parameters=(parameter,))
    frame = of_values(layout, [(0.5,)] * len(column)).assign(**{parameter.path: column})
    return [each.settings.get(parameter.path) for each in read(layout, frame)]


def test_the_seeds_of_a_configuration_are_one_trial(searched: Search) -> None:
    found = read(searched.layout, searched.trials)
    own = searched.trials[searched.trials["trial"] == 0]
    assert [each.number for each in found] == list(range(40))
    assert [seed for seed, _ in found[0].keys] == list(SEEDS)
    assert found[0].device_seconds == own["device_seconds"].sum()
    assert found[0].deviations == (pytest.approx(statistics.stdev(own["miou"])),)


def test_a_trial_has_what_optuna_has(searched: Search) -> None:
    for mine, its in zip(read(searched.layout, searched.trials), searched.study.trials, strict=True):
        assert mine.settings == its.params
        assert mine.state == its.state.name.lower().replace("fail", "failed")
        assert mine.values == (tuple(its.values) if its.state.name == "COMPLETE" else None)


def test_a_conditional_parameter_is_there_only_where_it_was_active(searched: Search) -> None:
    for trial in read(searched.layout, searched.trials):
        assert ("method.momentum" in trial.settings) == (trial.settings["method.kind"] != "cps")


def test_a_pruned_trial_has_no_value_but_where_it_stopped(searched: Search) -> None:
    pruned = number(searched, "pruned")
    assert pruned.values is None
    assert pruned.reached(searched.layout, 0) == pruned.intermediate[-1][1]
    assert pruned.pruned_at == pruned.intermediate[-1][0]


def test_one_failed_seed_makes_a_failed_configuration(searched: Search) -> None:
    rows = searched.trials[searched.trials["trial"] == 0].copy()
    rows["state"] = ["complete", "failed"]
    assert [each.state for each in read(searched.layout, rows)] == ["failed"]


def test_the_best_is_optunas_best(searched: Search) -> None:
    assert [each.number for each in best(searched.layout, searched.trials)] == [searched.study.best_trial.number]


def test_the_front_is_optunas_front(traded: Search) -> None:
    found = best(traded.layout, traded.trials)
    assert {each.number for each in found} == {each.number for each in traded.study.best_trials}
    assert [each.values[0] for each in found if each.values] == sorted((each.values[0] for each in found), reverse=True)


def test_of_equal_values_the_earliest_is_the_best() -> None:
    assert [each.number for each in best(LAYOUT, of_values(LAYOUT, [(0.1,), (0.4,), (0.4,)]))] == [1]


def test_an_objective_may_be_minimized() -> None:
    layout = dataclasses.replace(LAYOUT, objectives=(COST,))
    assert [each.number for each in best(layout, of_values(layout, [(3.0,), (1.0,), (2.0,)]))] == [1]


def test_a_completed_trial_without_a_value_is_never_the_best() -> None:
    assert [each.number for each in best(LAYOUT, of_values(LAYOUT, [(float("nan"),), (0.2,)]))] == [1]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_the_front_is_what_nothing_beats(values: list[tuple[int, int]]) -> None:
    layout = dataclasses.replace(LAYOUT, objectives=(MIOU, COST))
    expected = {
        at
        for at, (miou, cost) in enumerate(values)
        if not any(m >= miou and c <= cost and (m, c) != (miou, cost) for m, c in values)
    }
    assert {each.number for each in best(layout, of_values(layout, values))} == expected


def test_the_front_of_two_of_three_objectives_is_their_own() -> None:
    third = dataclasses.replace(COST, name="parameters")
    layout = dataclasses.replace(LAYOUT, objectives=(MIOU, COST, third))
    trials = read(layout, of_values(layout, [(0.5, 1.0, 9.0), (0.4, 2.0, 1.0), (0.3, 3.0, 1.0)]))
    fronts = {pair: [each.number for each in front(layout, trials, pair)] for pair in ((0, 1), (0, 2), (1, 2))}
    assert fronts == {(0, 1): [0], (0, 2): [0, 1], (1, 2): [0, 1]}


@pytest.mark.parametrize("frame", [pd.DataFrame(), pd.DataFrame({"trial": [], "seed": []})])
def test_a_search_without_trials_has_no_best(frame: pd.DataFrame) -> None:
    assert best(LAYOUT, frame) == ()


def test_whole_numbers_stay_whole_where_a_column_has_gaps() -> None:
    found = setting(ParameterLayout(path="a", kind="int", low=1, high=9), [3.0, None])
    assert found == [3, None]
    assert isinstance(found[0], int)


def test_numbers_among_options_are_found_again() -> None:
    parameter = ParameterLayout(path="a", kind="choice", options=("1", "0.5", "2"))
    assert setting(parameter, [1.0, 0.5, None]) == ["1", "0.5", None]


def test_yes_and_no_are_found_again() -> None:
    parameter = ParameterLayout(path="a", kind="choice", options=("true", "false"))
    assert setting(parameter, [True, False]) == ["true", "false"]


def test_nothing_may_be_an_option() -> None:
    options = ("none", "boxes")
    assert setting(ParameterLayout(path="a", kind="choice", options=options), [None, "boxes"]) == ["none", "boxes"]
    conditional = ParameterLayout(path="a", kind="choice", options=options, when=(("b", "c"),))
    assert setting(conditional, [None, "boxes"]) == [None, "boxes"]


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
def test_nothing_may_be_an_option_under_a_condition(
    condition: ParameterLayout, column: list[Any], met: tuple[str, str]
) -> None:
    options = ("None", "boxes")
    parameter = ParameterLayout(path="a", kind="choice", options=options, when=(met,))
    layout = dataclasses.replace(LAYOUT, parameters=(condition, parameter))
    frame = of_values(layout, [(0.5,)] * len(column)).assign(a=[None] * len(column), b=column)
    assert [each.settings.get("a") for each in read(layout, frame)] == ["None", None, None]


def test_options_that_differ_only_in_case_are_told_apart() -> None:
    parameter = ParameterLayout(path="a", kind="choice", options=("a", "A", "none", "None"))
    assert setting(parameter, ["A", "a", None, "none"]) == ["A", "a", "None", "none"]
