"""What the search's benchmark computes from its runs."""

from __future__ import annotations

import math

import pytest

from studies.benchmarks.search_benchmark import verdicts
from studies.benchmarks.search_runs import Tried, best, more_that_fit, overhead, overheads, within

RUNGS = (200, 600, 800)


def tried(steps: int, miou: float | None = None, origin: str = "sampler") -> Tried:
    state = "pruned" if miou is None else "complete"
    return Tried(values={}, origin=origin, state=state, steps=steps, miou=miou, seconds=1.0, key="")


def test_a_budget_holds_the_first_configurations_whose_steps_it_covers_to_the_last_one() -> None:
    found = [tried(800, 50.0), tried(200), tried(600), tried(200), tried(800, 60.0)]
    assert within(1800, found) == found[:4]
    assert within(1799, found) == found[:3]
    assert within(799, found) == []
    assert within(10_000, found) == found


def test_a_small_one_behind_a_large_one_that_does_not_fit_is_left_out_too() -> None:
    assert within(1000, [tried(600), tried(800, 50.0), tried(200)]) == [tried(600)]


def test_the_best_is_the_highest_of_those_trained_to_the_end() -> None:
    assert best([tried(800, 50.0), tried(200), tried(800, 52.0), tried(800, 51.0)]) == 52.0
    assert math.isnan(best([tried(200), tried(600)]))


@pytest.mark.parametrize(
    ("used", "more"),
    [
        ([], 9),  # 7200 steps hold nine that are trained to the end
        ([200] * 20, 4),  # 3200 are left
        ([800] * 8 + [200], 1),  # 600 are left: one that is pruned fits, one that is not does not
        ([800] * 8 + [200, 600], 0),
        ([800] * 8 + [800, 200], 0),
    ],
)
def test_as_many_are_added_as_surely_fit_then_one_by_one(used: list[int], more: int) -> None:
    assert more_that_fit(7200, [tried(each) for each in used], rungs=RUNGS) == more


def test_a_search_raised_so_passes_its_budget_by_its_last_configuration_at_the_most() -> None:
    found: list[Tried] = []
    cycle = (200, 800, 200, 200, 600)
    while more := more_that_fit(7200, found, rungs=RUNGS):
        found += [tried(cycle[(len(found) + index) % 5]) for index in range(more)]
    assert len(found) - len(within(7200, found)) <= 1
    assert 7200 - sum(each.steps for each in within(7200, found)) < 800


def test_overhead_is_what_a_slot_takes_per_training_beyond_the_training() -> None:
    # Two slots at work for 6 s are 12 s for four trainings of 2 s: 1 s each is not training.
    ends = [(13.0, 2.0), (13.0, 2.0), (16.0, 2.0), (16.0, 2.0)]
    assert overhead(10.0, ends, slots=2) == pytest.approx(1.0)


def test_the_second_half_does_not_count_how_long_gangs_took_to_come() -> None:
    ends = [(103.0, 2.0), (103.0, 2.0), (106.0, 2.0), (106.0, 2.0)]
    assert overheads(0.0, ends, slots=2) == pytest.approx({"overhead": 51.0, "overhead_in_second_half": 1.0})


def test_every_aim_has_a_verdict() -> None:
    rows = [
        {"part": "a", "what": "search, two gangs", "overhead": 1.2, "overhead_in_second_half": 0.3},
        {"part": "a", "what": "study, two gangs", "overhead": 1.0, "overhead_in_second_half": 0.2},
        {"part": "a", "what": "Tune, relays that train nothing", "overhead": 1.0, "overhead_in_second_half": 0.4},
        {"part": "b", "what": "from the corner, median", "below_grid": -0.1},
        {"part": "c", "what": "fit() in every trial, 2 steps", "times_as_long": 4.9},
    ]
    said = list(verdicts(rows))
    assert [line.rpartition(": ")[2] for line in said if "met" in line] == ["not met)", "met)", "met)", "not met)"]
    assert "a search adds 0.10 s to a study's; relays alone 0.40 s" in said[2]
