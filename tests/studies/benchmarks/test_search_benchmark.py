"""The numbers that the search's benchmark computes from its runs."""

from __future__ import annotations

import math

import pytest

from studies.benchmarks.search_benchmark import verdicts
from studies.benchmarks.search_runs import Tried, best, more_that_fit, overhead, overheads, within

RUNGS = (200, 600, 800)


def tried(steps: int, miou: float | None = None, origin: str = "sampler") -> Tried:
    state = "pruned" if miou is None else "complete"
    return Tried(values={}, origin=origin, state=state, steps=steps, miou=miou, seconds=1.0, key="")


def test_a_budget_holds_the_first_configurations_whose_steps_it_covers_completely() -> None:
    configurations = [tried(800, 50.0), tried(200), tried(600), tried(200), tried(800, 60.0)]
    assert within(1800, configurations) == configurations[:4]
    assert within(1799, configurations) == configurations[:3]
    assert within(799, configurations) == []
    assert within(10_000, configurations) == configurations


def test_a_small_configuration_after_a_large_one_that_does_not_fit_is_left_out() -> None:
    assert within(1000, [tried(600), tried(800, 50.0), tried(200)]) == [tried(600)]


def test_the_best_is_the_highest_of_the_complete_configurations() -> None:
    assert best([tried(800, 50.0), tried(200), tried(800, 52.0), tried(800, 51.0)]) == 52.0
    assert math.isnan(best([tried(200), tried(600)]))


@pytest.mark.parametrize(
    ("used", "more"),
    [
        ([], 9),  # 7200 steps hold nine complete ones
        ([200] * 20, 4),  # 3200 are left
        ([800] * 8 + [200], 1),  # 600 are left: a pruned one fits, a complete one does not
        ([800] * 8 + [200, 600], 0),
        ([800] * 8 + [800, 200], 0),
    ],
)
def test_as_many_configurations_are_added_as_surely_fit_then_one_at_a_time(used: list[int], more: int) -> None:
    assert more_that_fit(7200, [tried(steps) for steps in used], rungs=RUNGS) == more


def test_a_search_extended_this_way_exceeds_its_budget_by_at_most_its_last_configuration() -> None:
    configurations: list[Tried] = []
    cycle = (200, 800, 200, 200, 600)
    while more := more_that_fit(7200, configurations, rungs=RUNGS):
        configurations += [tried(cycle[(len(configurations) + index) % 5]) for index in range(more)]
    assert len(configurations) - len(within(7200, configurations)) <= 1
    assert 7200 - sum(configuration.steps for configuration in within(7200, configurations)) < 800


def test_overhead_is_the_worker_seconds_per_training_beyond_the_training() -> None:
    # Two workers for 6 s are 12 s for four trainings of 2 s: 1 s of each is overhead.
    ends = [(13.0, 2.0), (13.0, 2.0), (16.0, 2.0), (16.0, 2.0)]
    assert overhead(10.0, ends, workers=2) == pytest.approx(1.0)


def test_the_second_half_does_not_count_the_start_of_gangs() -> None:
    ends = [(103.0, 2.0), (103.0, 2.0), (106.0, 2.0), (106.0, 2.0)]
    assert overheads(0.0, ends, workers=2) == pytest.approx({"overhead": 51.0, "overhead_in_second_half": 1.0})


def test_every_aim_has_a_verdict() -> None:
    rows = [
        {"part": "a", "what": "search, two gangs", "overhead": 1.2, "overhead_in_second_half": 0.3},
        {"part": "a", "what": "study, two gangs", "overhead": 1.0, "overhead_in_second_half": 0.2},
        {"part": "a", "what": "Tune, relays that train nothing", "overhead": 1.0, "overhead_in_second_half": 0.4},
        {"part": "b", "what": "from the corner, median", "below_grid": -0.1},
        {"part": "c", "what": "fit() in every trial, 2 steps", "times_as_long": 4.9},
    ]
    lines = list(verdicts(rows))
    assert [line.rpartition(": ")[2] for line in lines if "met" in line] == ["not met)", "met)", "met)", "not met)"]
    assert "a search adds 0.10 s to a study's; relays alone 0.40 s" in lines[2]
