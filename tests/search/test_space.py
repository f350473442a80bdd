"""Domains, configurations and grids."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import UserError
from assay.search.space import (
    Choice,
    Float,
    Int,
    Space,
    When,
    all_points,
    changes,
    check_space,
    fill_in,
    grid,
    parameters_of,
    point_key,
)

PAIRS = {"narrow": (0.1, 0.2), "wide": (0.1, 0.5)}
SPACE: Space = {
    "method": Choice(("cps", "mean_teacher"), paper="cps"),
    "method.weight": When("method", {"cps": Float(0.1, 10.0, log=True, paper=1.5), "mean_teacher": Float(1.0, 100.0)}),
    "method.cutmix.area": When("method", {"cps": Choice(PAIRS, paper="wide")}),
    "recipe.steps": Int(100, 300, step=100),
}


def test_a_path_with_several_domains_is_several_parameters_with_conditions() -> None:
    conditions = {parameter.name: parameter.condition() for parameter in parameters_of(SPACE)}
    assert conditions == {
        "method": "",
        "method.weight | cps": "method = cps",
        "method.weight | mean_teacher": "method = mean_teacher",
        "method.cutmix.area | cps": "method = cps",
        "recipe.steps": "",
    }


def test_a_configuration_is_the_map_that_flags_and_rows_write() -> None:
    parameters = parameters_of(SPACE)
    point = {"method": "cps", "method.weight | cps": 2.0, "method.cutmix.area | cps": "narrow", "recipe.steps": 200}
    assert changes(parameters, point) == {
        "method": "cps",
        "method.weight": 2.0,
        "method.cutmix.area": (0.1, 0.2),
        "recipe.steps": 200,
    }


def test_values_are_filled_in_from_initial_ones_then_the_paper_then_the_study_then_the_middle() -> None:
    parameters = parameters_of(SPACE)
    assert fill_in(parameters, {"recipe.steps": 100}, {"method": "mean_teacher"}) == {
        "method": "cps",
        "method.weight | cps": 1.5,
        "method.cutmix.area | cps": "wide",
        "recipe.steps": 100,
    }
    assert fill_in(parameters, {"method": "mean_teacher"}, {"recipe.steps": 300}) == {
        "method": "mean_teacher",
        "method.weight | mean_teacher": 50.5,
        "recipe.steps": 300,
    }


def test_a_grid_has_every_combination_once_and_no_inactive_parameters() -> None:
    points = grid(parameters_of(SPACE), 3)
    with_cps = [point for point in points if point["method"] == "cps"]
    assert len(with_cps) == 3 * 2 * 3 and len(points) == len(with_cps) + 3 * 3
    assert all("method.cutmix.area | cps" not in point for point in points if point["method"] != "cps")
    assert not any(point == other for point, other in itertools.combinations(points, 2))


@given(low=st.floats(1e-3, 1e3), factor=st.floats(1.01, 1e3), log=st.booleans(), count=st.integers(2, 9))
def test_values_of_a_range_ascend_from_end_to_end_and_stay_inside(
    low: float, factor: float, log: bool, count: int
) -> None:
    domain = Float(low, low * factor, log=log)
    values = domain.sample_evenly(count)
    assert len(values) == count and values == sorted(values) and all(map(domain.contains, values))
    assert (values[0], values[-1]) == (low, low * factor)


def test_a_range_in_steps_ends_at_its_high_end_despite_rounding() -> None:
    assert 0.1 + 0.1 * 2 != 0.3
    assert Float(0.1, 0.3, step=0.1).sample_evenly(3) == [0.1, 0.2, 0.3]
    assert Float(0.1, 0.35, step=0.1).sample_evenly(3)[-1] < 0.35


def test_the_ends_of_a_grid_are_those_of_the_range() -> None:
    rates = [point["lr"] for point in grid(parameters_of({"lr": Float(0.001, 0.1, log=True)}), 3)]
    assert (rates[0], rates[-1]) == (0.001, 0.1)


@given(low=st.integers(1, 50), width=st.integers(1, 60), step=st.integers(1, 7), count=st.integers(2, 9))
def test_values_of_a_whole_number_are_whole_and_on_its_steps(low: int, width: int, step: int, count: int) -> None:
    domain = Int(low, low + width, step=step)
    values = domain.sample_evenly(count)
    whole = list(range(low, low + width + 1, step))
    assert values == whole if count >= len(whole) else len(set(values)) == len(values) == count
    assert (values[0], values[-1]) == (whole[0], whole[-1]) and all(map(domain.contains, values))


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_values_in_steps_are_taken_from_end_to_end_or_all(count: int) -> None:
    values = Float(0.0, 1.0, step=0.5).sample_evenly(count)
    assert values == {1: [0.0], 2: [0.0, 1.0]}.get(count, [0.0, 0.5, 1.0])


@pytest.mark.parametrize(
    ("space", "count"),
    [
        (SPACE, None),  # a weight is any number
        ({"method": SPACE["method"], "recipe.steps": Int(100, 300, step=100)}, 6),
        ({"method": SPACE["method"], "method.cutmix.area": SPACE["method.cutmix.area"]}, 3),
        ({"method.weight": Float(0.0, 1.0, step=0.25)}, 5),
        ({"recipe.steps": Int(1, 100_000)}, None),
        ({"recipe.steps": Int(1, 200), "net.encoder.width": Int(1, 200)}, None),
        ({"recipe.steps": Int(1, 1900, log=True)}, 1900),
        ({"recipe.steps": Int(0, 2**60)}, None),
        ({"method.weight": Float(0.0, 1.0, step=1e-9)}, None),
        (
            {
                "method": Choice(tuple("abcdef")),
                "method.weight": When("method", {letter: Int(1, 11) for letter in "abcdef"}),
            },
            66,
        ),
    ],
)
def test_all_configurations_of_a_space_are_enumerated_unless_they_are_too_many(space: Space, count: int | None) -> None:
    points = all_points(parameters_of(space))
    assert (None if points is None else len({point_key(point) for point in points})) == count


def test_numbers_that_differ_by_rounding_are_equal() -> None:
    assert point_key({"a": 0.1 + 0.2, "b": 1}) == point_key({"a": 0.3, "b": 1.0})
    assert len({point_key({"a": value}) for value in (0.3, 0.3001, "0.3", True, None)}) == 5


def test_a_few_values_of_a_huge_range_take_no_time() -> None:
    assert Int(0, 2**60).sample_evenly(3) == [0, 2**59, 2**60]
    assert Float(0.0, 5.0, step=1e-9).sample_evenly(3) == [0.0, pytest.approx(2.5), 5.0]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "space is empty"),
        ({"method.weight": Float(3.0, 1.0)}, "low 3 is not below high 1"),
        ({"method.weight": Int(3, 3)}, "low 3 is not below high 3"),
        ({"method.weight": Float(0.0, 1.0, log=True)}, "log needs low above 0"),
        ({"method.weight": Float(0.0, float("inf"))}, "must be finite"),
        (
            {"method.weight": Float(0.0, 1.0, paper=1.5)},
            "the paper's value 1.5 is outside the domain (0 to 1); widen the domain",
        ),
        ({"method.boxes": Int(1, 9, step=2, paper=4)}, "the paper's value 4 is outside the domain"),
        ({"method": Choice(("cps",))}, "two different options or more"),
        ({"method": Choice(("cps", "mkd", "cps"))}, "the options of a choice must differ"),
        ({"method": Choice(("cps", "mkd"), paper="kd")}, "the paper's value 'kd' is outside the domain"),
        (
            {"method.weight": When("method", {"cps": Float(0.0, 1.0)})},
            "depends on 'method', and a condition needs the whole name of an earlier parameter: there is none",
        ),
        (
            {"method": Choice(("cps", "mkd")), "method.weight": When("method", {"kd": Float(0.0, 1.0)})},
            "'method' is never 'kd'; its domain is cps, mkd",
        ),
    ],
)
def test_an_invalid_space_is_refused(space: Space, message: str) -> None:
    with pytest.raises(UserError) as problem:
        check_space(space)
    assert message in str(problem.value)
