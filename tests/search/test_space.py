"""Domains, configurations, and the grids that are made of them."""

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
    check_names,
    fill_in,
    grid,
    parameters,
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
    found = {each.name: each.condition() for each in parameters(SPACE)}
    assert found == {
        "method": "",
        "method.weight | cps": "method = cps",
        "method.weight | mean_teacher": "method = mean_teacher",
        "method.cutmix.area | cps": "method = cps",
        "recipe.steps": "",
    }


def test_a_configuration_is_the_map_that_set_and_rows_write() -> None:
    of = parameters(SPACE)
    point = {"method": "cps", "method.weight | cps": 2.0, "method.cutmix.area | cps": "narrow", "recipe.steps": 200}
    assert changes(of, point) == {
        "method": "cps",
        "method.weight": 2.0,
        "method.cutmix.area": (0.1, 0.2),
        "recipe.steps": 200,
    }


def test_a_completed_point_takes_the_wish_then_the_paper_then_the_studys_value_then_the_middle() -> None:
    of = parameters(SPACE)
    assert fill_in(of, {"recipe.steps": 100}, {"method": "mean_teacher"}) == {
        "method": "cps",
        "method.weight | cps": 1.5,
        "method.cutmix.area | cps": "wide",
        "recipe.steps": 100,
    }
    assert fill_in(of, {"method": "mean_teacher"}, {"recipe.steps": 300}) == {
        "method": "mean_teacher",
        "method.weight | mean_teacher": 50.5,
        "recipe.steps": 300,
    }


def test_a_grid_has_every_combination_once_and_no_inactive_parameter() -> None:
    found = grid(parameters(SPACE), 3)
    with_cps = [each for each in found if each["method"] == "cps"]
    assert len(with_cps) == 3 * 2 * 3 and len(found) == len(with_cps) + 3 * 3
    assert all("method.cutmix.area | cps" not in each for each in found if each["method"] != "cps")
    assert not any(one == other for one, other in itertools.combinations(found, 2))


@given(low=st.floats(1e-3, 1e3), factor=st.floats(1.01, 1e3), log=st.booleans(), count=st.integers(2, 9))
def test_values_of_a_range_rise_from_end_to_end_and_stay_inside(
    low: float, factor: float, log: bool, count: int
) -> None:
    domain = Float(low, low * factor, log=log)
    values = domain.some(count)
    assert len(values) == count and values == sorted(values) and all(map(domain.holds, values))
    assert (values[0], values[-1]) == (low, low * factor)


def test_a_range_in_steps_ends_where_it_was_written_to_end() -> None:
    assert 0.1 + 0.1 * 2 != 0.3
    assert Float(0.1, 0.3, step=0.1).some(3) == [0.1, 0.2, 0.3]
    assert Float(0.1, 0.35, step=0.1).some(3)[-1] < 0.35


def test_the_ends_of_a_grid_are_those_of_the_range() -> None:
    found = [point["lr"] for point in grid(parameters({"lr": Float(0.001, 0.1, log=True)}), 3)]
    assert (found[0], found[-1]) == (0.001, 0.1)


@given(low=st.integers(1, 50), width=st.integers(1, 60), step=st.integers(1, 7), count=st.integers(2, 9))
def test_whole_numbers_are_whole_and_on_their_steps(low: int, width: int, step: int, count: int) -> None:
    domain = Int(low, low + width, step=step)
    values = domain.some(count)
    whole = list(range(low, low + width + 1, step))
    assert values == whole if count >= len(whole) else len(set(values)) == len(values) == count
    assert (values[0], values[-1]) == (whole[0], whole[-1]) and all(map(domain.holds, values))


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_steps_between_numbers_are_taken_from_end_to_end_or_all(count: int) -> None:
    values = Float(0.0, 1.0, step=0.5).some(count)
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
                "method.weight": When("method", {each: Int(1, 11) for each in "abcdef"}),
            },
            66,
        ),
    ],
)
def test_a_space_knows_how_many_configurations_it_holds_unless_they_are_too_many(
    space: Space, count: int | None
) -> None:
    found = all_points(parameters(space))
    assert (None if found is None else len({point_key(each) for each in found})) == count


def test_a_number_is_the_same_however_it_was_rounded_on_the_way() -> None:
    assert point_key({"a": 0.1 + 0.2, "b": 1}) == point_key({"a": 0.3, "b": 1.0})
    assert len({point_key({"a": each}) for each in (0.3, 0.3001, "0.3", True, None)}) == 5


def test_a_few_values_of_a_huge_range_are_found_at_once() -> None:
    assert Int(0, 2**60).some(3) == [0, 2**59, 2**60]
    assert Float(0.0, 5.0, step=1e-9).some(3) == [0.0, pytest.approx(2.5), 5.0]


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({}, "space is empty"),
        ({"method.weight": Float(3.0, 1.0)}, "low 3 is not below high 1"),
        ({"method.weight": Int(3, 3)}, "low 3 is not below high 3"),
        ({"method.weight": Float(0.0, 1.0, log=True)}, "log asks for low above 0"),
        ({"method.weight": Float(0.0, float("inf"))}, "must be finite"),
        ({"method.weight": Float(0.0, 1.0, paper=1.5)}, "the paper's value 1.5 is not in it (0 to 1); widen it"),
        ({"method.boxes": Int(1, 9, step=2, paper=4)}, "the paper's value 4 is not in it"),
        ({"method": Choice(("cps",))}, "two different options or more"),
        ({"method": Choice(("cps", "mkd", "cps"))}, "an option stands there twice"),
        ({"method": Choice(("cps", "mkd"), paper="kd")}, "the paper's value 'kd' is not in it"),
        (
            {"method.weight": When("method", {"cps": Float(0.0, 1.0)})},
            "depends on 'method', which must stand before it",
        ),
        (
            {"method": Choice(("cps", "mkd")), "method.weight": When("method", {"kd": Float(0.0, 1.0)})},
            "'method' never is 'kd'; it is cps, mkd",
        ),
    ],
)
def test_a_space_that_holds_nothing_or_contradicts_itself_is_refused(space: Space, said: str) -> None:
    with pytest.raises(UserError) as problem:
        check_names(space)
    assert said in str(problem.value)
