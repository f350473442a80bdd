"""Statistics of a handful of seeds: means with intervals, differences paired by seed, the smallest detectable gap.

Every function is pure. Values are finite; the caller leaves out trainings without one and never fills them in.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
import statistics  # the standard library's: exact, whatever the order of the values
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from assay.data import draws

LEVEL = 0.95  # of every interval, and of the test that `detectable` plans
ALPHA = round(1 - LEVEL, 9)  # differences are significant up to this p
POWER = 0.8
MOST_ENUMERATED = 16  # the most differences whose 2^n sign flips are all enumerated
DRAWN_FLIPS = 20_000  # sign flips that are drawn for more differences than these
# Relative to the values: numbers that are equal on paper differ by some 1e-16 of their size, and mIoU is coarser.
ROUNDING = 1e-12

Seed = TypeVar("Seed", bound=Hashable)
Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """The mean of a cell's seeds, their sample standard deviation, and the t interval of the mean."""

    n: int
    mean: float | None  # None without seeds
    sd: float | None  # None below two seeds, like the interval
    low: float | None
    high: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairedT:
    """The differences other - reference of equal seeds, and the t test of the hypothesis that their mean is zero."""

    n: int
    mean: float
    sd: float | None  # of the differences; None for one seed, like the interval
    low: float | None
    high: float | None
    level: float  # of the interval
    t_p: float | None  # two-sided paired t test; None where it has no value

    @property
    def standard_error(self) -> float | None:
        """The standard error of the mean difference; None for one seed."""
        return None if self.sd is None else self.sd / math.sqrt(self.n)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Paired(PairedT):
    """The differences other - reference of equal seeds, and two tests of the hypothesis that their mean is zero."""

    p: float  # two-sided sign-flip test
    exact: bool  # p is over all 2^n sign flips, otherwise over `DRAWN_FLIPS` drawn ones
    smallest_p: float  # the smallest p that this number of seeds can reach, however large the gap


def summary(values: Iterable[float], *, level: float = LEVEL) -> Summary:
    """Return mean, spread and t interval of a cell."""
    sample = _finite_sample(values)
    if not sample.size:
        return Summary(n=0, mean=None, sd=None, low=None, high=None)
    mean, sd = _mean(sample), _deviation(sample, _rounding(sample))
    low, high = _interval(mean, sd, sample.size, level)
    return Summary(n=sample.size, mean=mean, sd=sd, low=low, high=high)


def paired(reference: Mapping[Seed, float], other: Mapping[Seed, float], *, level: float = LEVEL) -> Paired | None:
    """Return the differences of `other` from `reference` on their common seeds; None where there is no such seed."""
    samples = _common(reference, other)
    if samples is None:
        return None
    test, (differences, rounding) = _paired_t(*samples, level), _differences(*samples)
    exact = test.n <= MOST_ENUMERATED
    return Paired(
        **vars(test),
        p=_flip_p(differences, test.n * rounding, exact=exact),
        exact=exact,
        smallest_p=2 / 2**test.n if exact else 1 / (DRAWN_FLIPS + 1),
    )


def paired_t(reference: Mapping[Seed, float], other: Mapping[Seed, float], *, level: float = LEVEL) -> PairedT | None:
    """Return the differences as `paired` does, without its sign flips, which take 0.2 s for 16 seeds."""
    samples = _common(reference, other)
    return None if samples is None else _paired_t(*samples, level)


def _common(reference: Mapping[Seed, float], other: Mapping[Seed, float]) -> tuple[Floats, Floats] | None:
    """Return the values of the common seeds; None where there is no such seed."""
    common = [seed for seed in reference if seed in other]
    if not common:
        return None
    return _finite_sample(reference[seed] for seed in common), _finite_sample(other[seed] for seed in common)


def _differences(before: Floats, after: Floats) -> tuple[Floats, float]:
    """Return the differences, and the gap below which two of them count as equal."""
    return after - before, _rounding(np.concatenate([before, after]))


def _paired_t(before: Floats, after: Floats, level: float) -> PairedT:
    differences, rounding = _differences(before, after)
    n, mean, sd = differences.size, _mean(differences), _deviation(differences, rounding)
    low, high = _interval(mean, sd, n, level)
    return PairedT(n=n, mean=mean, sd=sd, low=low, high=high, level=level, t_p=_t_p(differences, sd, rounding))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct a family of tests by Holm's step-down method; None is no test: it stays None and does not count."""
    tests = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(tests):
        largest = max(largest, min(1.0, (len(tests) - rank) * p))
        corrected[index] = largest
    return corrected


def detectable(sd: float, n: int, *, level: float = LEVEL, power: float = POWER) -> float | None:
    """Return the smallest true gap that a two-sided paired t test of `n` seeds finds with this power.

    `sd` is the deviation of the differences. None below two seeds, which show no spread.
    """
    return None if n < 2 else _noncentrality(n, level, power) * sd / math.sqrt(n)


def seeds_needed(mean: float, sd: float, most: int, *, level: float = LEVEL, power: float = POWER) -> int | None:
    """Return the fewest seeds, at least two, with which the paired t test finds a true gap of `mean` with this power.

    `sd` is the deviation of the differences. None where more than `most` seeds are needed, as for a gap of zero.
    """
    if mean == 0:
        return None
    gaps = ((n, _noncentrality(n, level, power) * sd / math.sqrt(n)) for n in range(2, most + 1))
    return next((n for n, gap in gaps if gap <= abs(mean)), None)


def finite_or_none(value: object) -> float | None:
    """Return a number as a float; None for an absent value, NaN and infinity."""
    return float(value) if isinstance(value, numbers.Real) and math.isfinite(value) else None


def _finite_sample(values: Iterable[float]) -> Floats:
    sample = np.fromiter(values, dtype=np.float64)
    if not np.isfinite(sample).all():
        raise ValueError(f"statistics are of finite values, got {sample.tolist()}")
    return sample


def _rounding(values: Floats) -> float:
    """Return the gap below which values of this size count as equal."""
    return ROUNDING * float(np.abs(values).max())


def _mean(values: Floats) -> float:
    return float(statistics.mean(values.tolist()))


def _deviation(values: Floats, rounding: float) -> float | None:
    """Return the sample standard deviation; 0 where the values differ by rounding only."""
    if values.size < 2:
        return None
    return 0.0 if float(np.ptp(values)) <= rounding else float(statistics.stdev(values.tolist()))


def _interval(mean: float, sd: float | None, n: int, level: float) -> tuple[float | None, float | None]:
    """Return the t interval of a mean; the mean itself where nothing varies."""
    from scipy import stats

    if sd is None:
        return None, None
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * sd / math.sqrt(n)
    return mean - half, mean + half


def _flip_p(differences: Floats, tolerance: float, *, exact: bool) -> float:
    """Return the share of sign flips under which the mean is at least as far from zero as the observed mean.

    Sums that differ by rounding only must count as equal, because ties are the rule here: the observed signs are one
    of the flips. The sorted sizes are flipped, without their signs, so that p depends neither on the order of the
    seeds nor on the choice of the reference, even where flips are drawn.
    """
    sizes = np.sort(np.abs(differences))
    bar = abs(math.fsum(differences)) - tolerance
    if exact:
        return _exact_p(tuple(sizes.tolist()), bar)
    hits = int(np.count_nonzero(np.abs(_drawn_sums(sizes)) >= bar))
    return (hits + 1) / (DRAWN_FLIPS + 1)  # the observed signs are one more flip: p is never zero


@functools.cache  # a report is written again and again, and 16 differences take 0.2 s
def _exact_p(sizes: tuple[float, ...], bar: float) -> float:
    """Return the share of all 2^n choices of signs that reach the bar."""
    from scipy import stats

    def reaches(flipped: Floats, axis: int) -> Floats:
        # SciPy's tolerance is relative to the statistic, which may be zero. So the comparison itself is the statistic.
        return (np.abs(flipped.sum(axis)) >= bar).astype(np.float64)

    if len(sizes) == 1:  # SciPy wants two; one size is as far from zero with either sign
        return 1.0
    test = stats.permutation_test(
        (np.array(sizes),),
        reaches,
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=2 ** len(sizes),
    )
    return float(test.pvalue)


def _drawn_sums(sizes: Floats) -> Floats:
    """Return the sums under drawn choices of signs: the same choices in every report, which SciPy cannot be given."""
    generator = draws.generator("report", "sign flips")
    sums = np.zeros(DRAWN_FLIPS)
    for size in sizes:
        sums += np.where(generator.random(DRAWN_FLIPS) < 0.5, size, -size)
    return sums


def _t_p(differences: Floats, sd: float | None, rounding: float) -> float | None:
    """Return p of the paired t test; without any spread t is infinite (p = 0), or 0/0 where the mean is zero (None)."""
    from scipy import stats

    if sd is None:
        return None
    if sd == 0:
        return 0.0 if abs(_mean(differences)) > rounding else None
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


@functools.cache
def _noncentrality(n: int, level: float, power: float) -> float:
    """Return the gap in standard errors at which the t test of `n` differences has this power."""
    from scipy import optimize, stats

    critical = float(stats.t.ppf((1 + level) / 2, n - 1))

    def excess(noncentrality: float) -> float:
        distribution = stats.nct(n - 1, noncentrality)
        far_tail = np.nan_to_num(distribution.cdf(-critical))  # SciPy has NaN in places where this is below 1e-6
        return float(distribution.sf(critical) + far_tail) - power

    if power <= 1 - level:  # without any gap the test finds one as often
        return 0.0
    high = critical
    while excess(high) < 0:
        high *= 2
    return float(optimize.brentq(excess, 0.0, high))
