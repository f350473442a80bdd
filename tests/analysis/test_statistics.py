"""The statistics of tables, against tables of quantiles, brute force, simulation and exact arithmetic."""

from __future__ import annotations

import collections
import itertools
import math
import random
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from assay.analysis.statistics import (
    DRAWN_FLIPS,
    MOST_ENUMERATED,
    ROUNDING,
    Paired,
    detectable,
    holm,
    paired,
    paired_t,
    seeds_needed,
    summary,
)
from assay.data import draws

ROOT = Path(__file__).parents[2]
T_QUANTILES = {2: 12.7062, 3: 4.3027, 4: 3.1824, 5: 2.7764, 10: 2.2622}  # two-sided 95 %, by number of values

tenths = st.integers(0, 1000)  # percentages as papers print them, in tenths of a point: exact as integers
tenth_pairs = st.lists(st.tuples(tenths, tenths), min_size=1, max_size=9)
close_pairs = st.lists(st.tuples(st.integers(500, 503), st.integers(500, 503)), min_size=1, max_size=9)
percentages = st.floats(0, 100)
percentage_pairs = st.lists(st.tuples(percentages, percentages), min_size=1, max_size=8)
p_values = st.lists(st.none() | st.floats(0, 1), max_size=8)


def of(pairs: list[tuple[float, float]], *, scale: float = 1) -> Paired:
    """Return the comparison of (reference, other) pairs, divided by `scale`; seeds are counted from 0."""
    result = paired(
        {seed: before / scale for seed, (before, _) in enumerate(pairs)},
        {seed: after / scale for seed, (_, after) in enumerate(pairs)},
    )
    assert result is not None
    return result


def of_differences(differences: list[float]) -> Paired:
    return of([(0.0, difference) for difference in differences])


def reference_p(differences: np.ndarray, tolerance: float) -> float:
    """Return the share of sign flips by the plain sums that earlier versions enumerated or drew."""
    sizes, bar = np.sort(np.abs(differences)), abs(math.fsum(differences)) - tolerance
    if len(sizes) <= MOST_ENUMERATED:
        sums = np.zeros(1)
        for size in sizes:
            sums = np.concatenate([sums + size, sums - size])
        return float(np.mean(np.abs(sums) >= bar))
    generator, sums = draws.generator("report", "sign flips"), np.zeros(DRAWN_FLIPS)
    for size in sizes:
        sums += np.where(generator.random(DRAWN_FLIPS) < 0.5, size, -size)
    return (int(np.count_nonzero(np.abs(sums) >= bar)) + 1) / (DRAWN_FLIPS + 1)


def brute_force_p(differences: list[int]) -> float:
    """Return p by every choice of signs, one after the other, in whole numbers."""
    bar = abs(sum(differences))
    sums = [
        abs(sum(sign * difference for sign, difference in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    return sum(total >= bar for total in sums) / len(sums)


def counted_p(differences: list[int]) -> float:
    """Return the same p for many differences, by the number of choices of signs that give each sum."""
    counts = collections.Counter({0: 1})
    for difference in differences:
        longer: collections.Counter[int] = collections.Counter()
        for total, count in counts.items():
            longer[total + difference] += count
            longer[total - difference] += count
        counts = longer
    bar = abs(sum(differences))
    return sum(count for total, count in counts.items() if abs(total) >= bar) / 2 ** len(differences)


def textbook_holm(values: list[float | None]) -> list[float | None]:
    """Return the definition: the largest p times the number of tests not smaller, over all tests at most as large."""
    tested = sorted(value for value in values if value is not None)
    return [
        None
        if value is None
        else min(1.0, max((len(tested) - index) * p for index, p in enumerate(tested) if p <= value))
        for value in values
    ]


# --- a cell ---------------------------------------------------------------------------------------------------


def test_no_values_have_no_mean() -> None:
    result = summary([])
    assert (result.n, result.mean, result.sd, result.low, result.high) == (0, None, None, None, None)


def test_one_value_has_no_spread() -> None:
    result = summary([71.3])
    assert (result.n, result.mean, result.sd, result.low, result.high) == (1, 71.3, None, None, None)


@pytest.mark.parametrize("n", T_QUANTILES)
def test_the_interval_is_that_of_the_tables(n: int) -> None:
    values = [50 + math.sin(index) for index in range(n)]
    mean = sum(values) / n
    sd = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))
    half = T_QUANTILES[n] * sd / math.sqrt(n)
    result = summary(values)
    assert result.mean == pytest.approx(mean)
    assert result.sd == pytest.approx(sd)
    assert (result.low, result.high) == (pytest.approx(mean - half, rel=1e-5), pytest.approx(mean + half, rel=1e-5))


def test_the_level_sets_the_width() -> None:
    result = summary([1.0, 2.0, 3.0, 4.0, 5.0], level=0.99)
    assert result.high == pytest.approx(3 + 4.6041 * math.sqrt(2.5 / 5), rel=1e-4)


def test_equal_values_have_an_interval_without_width() -> None:
    result = summary([0.1, 0.1, 0.1])
    assert (result.mean, result.sd, result.low, result.high) == (0.1, 0.0, 0.1, 0.1)


def test_values_that_are_equal_but_for_rounding_do_not_vary() -> None:
    assert summary([0.1 + 0.2, 0.3]).sd == 0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        summary([1.0, value])
    with pytest.raises(ValueError, match="finite"):
        paired({0: 1.0}, {0: value})


@given(st.lists(percentages, min_size=1, max_size=8))
def test_the_mean_lies_among_the_values_and_in_its_interval(values: list[float]) -> None:
    result = summary(values)
    assert result.mean is not None
    assert min(values) <= result.mean <= max(values)
    if result.low is not None and result.high is not None:
        assert result.low <= result.mean <= result.high


# --- differences by seed --------------------------------------------------------------------------------------


def test_differences_are_those_of_common_seeds() -> None:
    result = paired({0: 50.0, 1: 52.0, 2: 99.0}, {1: 55.0, 0: 51.0, 7: 0.0})
    assert result is not None
    assert (result.n, result.mean) == (2, 2.0)
    assert result.sd == pytest.approx(math.sqrt(2))
    assert result.low == pytest.approx(2 - T_QUANTILES[2], rel=1e-4)
    assert result.high == pytest.approx(2 + T_QUANTILES[2], rel=1e-4)


def test_without_a_common_seed_there_is_no_comparison() -> None:
    for compare in (paired, paired_t):
        assert compare({0: 50.0}, {1: 51.0}) is None
        assert compare({}, {1: 51.0}) is None


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=8))
def test_without_sign_flips_the_differences_are_the_same(pairs: list[tuple[float, float]]) -> None:
    before, after = ({seed: pair[side] for seed, pair in enumerate(pairs)} for side in range(2))
    alone, whole = paired_t(before, after), paired(before, after)
    assert alone is not None and whole is not None
    assert vars(alone).items() <= vars(whole).items()


def test_the_standard_error_is_that_of_the_mean_difference() -> None:
    pairs = [(50.0, 51.0), (50.0, 54.0), (50.0, 52.5)]
    expected = stats.sem([after - before for before, after in pairs])
    assert of(pairs).standard_error == pytest.approx(expected)
    assert of(pairs[:1]).standard_error is None


@pytest.mark.parametrize(("mean", "sd"), [(3.0, 1.0), (-1.2, 1.0), (0.5, 1.0), (1.0, 0.01)])
def test_the_seeds_needed_are_the_fewest_that_detect_the_gap(mean: float, sd: float) -> None:
    n = seeds_needed(mean, sd, 50)
    assert n is not None and (detectable(sd, n) or 0) <= abs(mean)
    assert n == 2 or (detectable(sd, n - 1) or 0) > abs(mean)
    assert seeds_needed(mean, sd, n - 1) is None


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (0.0, 0.0), (0.1, 1.0)])
def test_no_number_of_seeds_is_named_for_a_gap_out_of_reach(mean: float, sd: float) -> None:
    assert seeds_needed(mean, sd, 50) is None


def test_one_seed_gives_a_difference_and_nothing_more() -> None:
    result = of_differences([3.0])
    assert (result.mean, result.sd, result.low, result.high, result.t_p) == (3.0, None, None, None, None)
    assert (result.p, result.smallest_p) == (1.0, 1.0)


@given(tenth_pairs | close_pairs)
def test_p_is_that_of_all_sign_flips_in_exact_arithmetic(pairs: list[tuple[int, int]]) -> None:
    result = of(pairs, scale=10)
    assert result.exact
    assert result.p == brute_force_p([after - before for before, after in pairs])


def test_ties_count_although_floating_point_sums_differ() -> None:
    differences = [0.1, 0.2, -0.3]  # their sum is 0 on paper and not in floating point; every flip reaches it
    assert math.fsum(differences) != 0
    assert of_differences(differences).p == 1.0


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 8, 10, 12, 13, MOST_ENUMERATED, MOST_ENUMERATED + 1, 40])
@pytest.mark.parametrize("digits", [0, 1, 2, 6], ids=lambda digits: f"{digits} decimals")
def test_p_is_that_of_the_plain_sums_of_earlier_versions(n: int, digits: int) -> None:
    """Few decimals make many ties, some of them with a sum of zero."""
    generator = np.random.default_rng([n, digits])
    for _ in range(25 if n <= 10 else 1):
        before = generator.uniform(50, 60, n).round(digits)
        after = (before + generator.normal(generator.choice([0, 0.5, 2]), 1, n)).round(digits)
        result = of(list(zip(before.tolist(), after.tolist(), strict=True)))
        tolerance = n * ROUNDING * float(np.abs([before, after]).max())
        assert result.p == reference_p(after - before, tolerance)


@given(st.lists(st.floats(0.5, 3).map(lambda gap: round(gap, 6)), min_size=2, max_size=8))
@settings(max_examples=20)
def test_p_is_scipys_where_scipy_meets_no_ties(differences: list[float]) -> None:
    differences[0] *= -1
    distinct = {round(abs(sum(s * d for s, d in zip(signs, differences, strict=True))), 9)
                for signs in itertools.product((1, -1), repeat=len(differences))}  # fmt: skip
    if len(distinct) < 2 ** (len(differences) - 1):
        return
    theirs = stats.permutation_test(
        (np.array(differences),), lambda d, axis: d.mean(axis), permutation_type="samples", n_resamples=np.inf
    )
    assert of_differences(differences).p == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize("n", [2, 3, 5, MOST_ENUMERATED])
def test_the_smallest_p_is_reached_when_every_seed_agrees(n: int) -> None:
    result = of_differences([1.0 + index for index in range(n)])
    assert result.exact
    assert result.p == result.smallest_p == 2 / 2**n


@pytest.mark.parametrize("shift", [0.0, 2.0, 5.0])
def test_drawn_flips_come_near_all_flips(shift: float) -> None:
    drawn = random.Random(3)
    differences = [round(10 * drawn.gauss(shift / 10, 1)) for _ in range(24)]
    result = of_differences([difference / 10 for difference in differences])
    assert not result.exact
    assert result.p == pytest.approx(counted_p(differences), abs=0.012)  # 3.5 standard errors at p = 0.5


def test_p_of_drawn_flips_is_never_zero_because_the_observed_signs_count() -> None:
    result = of_differences([1.0] * 40)
    assert not result.exact
    assert result.p == result.smallest_p == 1 / (DRAWN_FLIPS + 1)


def test_flips_are_enumerated_up_to_the_documented_number() -> None:
    assert of_differences([1.0] * MOST_ENUMERATED).exact
    assert not of_differences([1.0] * (MOST_ENUMERATED + 1)).exact


@pytest.mark.parametrize("n", [6, 30])
def test_the_order_of_seeds_does_not_matter(n: int) -> None:
    drawn = random.Random(5)
    before, after = ({seed: drawn.uniform(50, 60) for seed in range(n)} for _ in range(2))
    shuffled = dict(sorted(before.items(), key=lambda item: item[1]))
    first, second = paired(before, after), paired(shuffled, after)
    assert first is not None and second is not None
    assert (first.p, first.mean) == (second.p, second.mean)


@pytest.mark.parametrize("n", [6, 30])
def test_exchanging_the_two_sides_turns_only_the_signs(n: int) -> None:
    drawn = random.Random(6)
    pairs = [(drawn.uniform(50, 60), drawn.uniform(50, 60)) for _ in range(n)]
    ours, theirs = of(pairs), of([(after, before) for before, after in pairs])
    assert (ours.p, ours.mean, ours.low) == (theirs.p, -theirs.mean, -(theirs.high or 0))
    assert ours.t_p == pytest.approx(theirs.t_p)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_t_test_is_scipys_paired_one(n: int) -> None:
    drawn = random.Random(n)
    pairs = [(drawn.uniform(50, 60), drawn.uniform(52, 62)) for _ in range(n)]
    theirs = stats.ttest_rel([after for _, after in pairs], [before for before, _ in pairs])
    result = of(pairs)
    assert result.t_p == pytest.approx(theirs.pvalue)
    interval = theirs.confidence_interval(0.95)
    assert (result.low, result.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_equal_differences_collapse_the_interval_to_the_mean() -> None:
    result = of([(50.1, 50.4), (60.2, 60.5), (70.7, 71.0)])  # 0.3 each, up to rounding
    assert (result.sd, result.t_p) == (0.0, 0.0)
    assert result.low == result.mean == result.high == pytest.approx(0.3)
    assert result.p == 0.25


def test_no_difference_at_all_is_no_evidence() -> None:
    result = of([(50.0, 50.0), (60.0, 60.0), (70.0, 70.0)])
    assert (result.mean, result.sd, result.low, result.high, result.t_p, result.p) == (0.0, 0.0, 0.0, 0.0, None, 1.0)


def test_a_difference_that_is_rounding_is_none() -> None:
    result = of([(0.3, 0.1 + 0.2), (0.3, 0.1 + 0.2)])
    assert (result.t_p, result.p) == (None, 1.0)


@given(percentage_pairs | st.tuples(percentages, percentages).map(lambda pair: [pair] * 3))
def test_nothing_is_ever_not_a_number_and_nothing_warns(pairs: list[tuple[float, float]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = of(pairs)
        gap = None if result.sd is None else detectable(result.sd, result.n)
    numbers = (result.mean, result.sd, result.low, result.high, result.p, result.smallest_p, result.t_p, gap)
    assert all(math.isfinite(number) for number in numbers if number is not None)
    assert result.smallest_p <= result.p <= 1


# --- many comparisons -----------------------------------------------------------------------------------------


def test_holm_on_a_textbook_example() -> None:
    # In order 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1; the last may not be below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_stops_at_one() -> None:
    assert holm([0.6, 0.7, 0.9]) == [1.0, 1.0, 1.0]


def test_a_missing_p_stays_missing_and_does_not_count() -> None:
    assert holm([0.04, None, 0.01]) == [0.04, None, 0.02]


def test_a_family_of_none_and_of_one() -> None:
    assert holm([]) == []
    assert holm([0.03]) == [0.03]


@given(p_values)
def test_holm_is_its_definition(values: list[float | None]) -> None:
    assert holm(values) == textbook_holm(values)


@given(p_values)
def test_holm_lies_between_p_and_bonferroni(values: list[float | None]) -> None:
    count = sum(value is not None for value in values)
    for value, corrected in zip(values, holm(values), strict=True):
        if value is not None and corrected is not None:
            assert value <= corrected <= min(1.0, count * value)


# --- detectable gaps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "level", "power"), [(2, 0.95, 0.8), (3, 0.95, 0.8), (3, 0.8, 0.3), (5, 0.95, 0.9), (8, 0.99, 0.5)]
)
def test_simulated_tests_find_the_gap_as_often_as_the_power_states(n: int, level: float, power: float) -> None:
    sd, trials = 0.7, 40_000
    gap = detectable(sd, n, level=level, power=power)
    sample = np.random.default_rng(11).normal(gap, sd, size=(trials, n))
    result = np.abs(sample.mean(1)) / (sample.std(1, ddof=1) / math.sqrt(n)) > stats.t.ppf((1 + level) / 2, n - 1)
    assert result.mean() == pytest.approx(power, abs=0.01)  # 4 standard errors


def test_detectable_agrees_with_published_sample_sizes() -> None:
    # Tables of the paired t test, two-sided 5 %: 34 pairs for an effect of 0.5 at 80 %, 15 for 0.8, 44 for 0.5 at 90 %.
    assert detectable(1, 34) == pytest.approx(0.5, abs=0.01)
    assert detectable(1, 15) == pytest.approx(0.8, abs=0.03)
    assert detectable(1, 44, power=0.9) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_seeds_detect_nothing(n: int) -> None:
    assert detectable(0.5, n) is None


def test_without_spread_every_gap_is_detected() -> None:
    assert detectable(0.0, 3) == 0.0


def test_the_gap_grows_with_the_spread() -> None:
    one, three = detectable(1.0, 4), detectable(3.0, 4)
    assert one is not None
    assert three == pytest.approx(3 * one)


def test_the_gap_shrinks_with_every_seed() -> None:
    gaps = [detectable(1.0, n) or 0 for n in (*range(2, 40), 100, 1000)]
    assert all(later < earlier for earlier, later in itertools.pairwise(gaps))
    assert gaps[-1] > 0


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_the_gap_grows_with_the_power(level: float) -> None:
    for n in (2, 3, 8, 30):
        gaps = [detectable(1.0, n, level=level, power=power) or 0 for power in (0.25, 0.5, 0.8, 0.9, 0.99)]
        assert gaps == sorted(gaps) and len(set(gaps)) == len(gaps)


def test_a_power_below_the_rate_of_false_alarms_needs_no_gap() -> None:
    assert detectable(1.0, 3, power=0.05) == 0.0


def test_the_module_loads_nothing_heavy() -> None:
    check = "import assay.analysis.statistics, sys; print({'torch', 'pandas', 'scipy'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", check],
        cwd=ROOT,
        env={"PYTHONPATH": "platform:.", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "set()"
