"""What a handful of seeds can say: means with intervals, differences paired by seed, and how small a gap they see.

Every function is pure. Values are finite; a training without one is left out by the caller, never filled in.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics  # the standard library's: exact, whatever the order of the values
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from assay.data import draws

LEVEL = 0.95  # of every interval, and of the test that `detectable` plans
POWER = 0.8
MOST_ENUMERATED = 16  # differences whose 2^n sign flips are all enumerated
DRAWN_FLIPS = 20_000  # sign flips drawn where there are more differences than that
# Of the values' size: numbers equal on paper differ by some 1e-16 of it, and no measured mIoU is as fine as this.
ROUNDING = 1e-12

Seed = TypeVar("Seed", bound=Hashable)
Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """The mean of a cell's seeds, their sample standard deviation, and the t interval of the mean."""

    n: int
    mean: float | None  # None without seeds
    sd: float | None  # None below two seeds, as the interval
    low: float | None
    high: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Paired:
    """The differences other - reference of equal seeds, and two tests of their mean being zero."""

    n: int
    mean: float
    sd: float | None  # of the differences; None for one seed, as the interval
    low: float | None
    high: float | None
    level: float  # of the interval
    p: float  # two-sided sign-flip test
    exact: bool  # p is over all 2^n sign flips; otherwise over `DRAWN_FLIPS` drawn ones
    smallest_p: float  # the smallest p that so many seeds can reach, however large the gap
    t_p: float | None  # two-sided paired t test; None where it has no value


def summary(values: Iterable[float], *, level: float = LEVEL) -> Summary:
    """Mean, spread and t interval of a cell."""
    sample = _finite(values)
    if not sample.size:
        return Summary(n=0, mean=None, sd=None, low=None, high=None)
    mean, sd = _mean(sample), _deviation(sample, _rounding(sample))
    low, high = _interval(mean, sd, sample.size, level)
    return Summary(n=sample.size, mean=mean, sd=sd, low=low, high=high)


def paired(reference: Mapping[Seed, float], other: Mapping[Seed, float], *, level: float = LEVEL) -> Paired | None:
    """How `other` differs from `reference` on the seeds that both have; None where there is none."""
    common = [seed for seed in reference if seed in other]
    if not common:
        return None
    before, after = _finite(reference[seed] for seed in common), _finite(other[seed] for seed in common)
    differences, rounding = after - before, _rounding(np.concatenate([before, after]))
    n, mean, sd = len(common), _mean(differences), _deviation(differences, rounding)
    low, high = _interval(mean, sd, n, level)
    exact = n <= MOST_ENUMERATED
    return Paired(
        n=n,
        mean=mean,
        sd=sd,
        low=low,
        high=high,
        level=level,
        p=_flip_p(differences, n * rounding, exact=exact),
        exact=exact,
        smallest_p=2 / 2**n if exact else 1 / (DRAWN_FLIPS + 1),
        t_p=_t_p(differences, sd, rounding),
    )


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction of a family of tests; None is no test: it stays None and does not count."""
    tests = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(tests):
        largest = max(largest, min(1.0, (len(tests) - rank) * p))
        corrected[index] = largest
    return corrected


def detectable(sd: float, n: int, *, level: float = LEVEL, power: float = POWER) -> float | None:
    """The smallest true gap that `n` seeds find with this power in a two-sided paired t test.

    `sd` is that of the differences. None below two seeds, whose spread no test can know.
    """
    return None if n < 2 else _noncentrality(n, level, power) * sd / math.sqrt(n)


def _finite(values: Iterable[float]) -> Floats:
    sample = np.fromiter(values, dtype=np.float64)
    if not np.isfinite(sample).all():
        raise ValueError(f"statistics are of finite values, got {sample.tolist()}")
    return sample


def _rounding(values: Floats) -> float:
    """What counts as equal among values of this size."""
    return ROUNDING * float(np.abs(values).max())


def _mean(values: Floats) -> float:
    return float(statistics.mean(values.tolist()))


def _deviation(values: Floats, rounding: float) -> float | None:
    """The sample standard deviation, 0 where the values differ by rounding only."""
    if values.size < 2:
        return None
    return 0.0 if float(np.ptp(values)) <= rounding else float(statistics.stdev(values.tolist()))


def _interval(mean: float, sd: float | None, n: int, level: float) -> tuple[float | None, float | None]:
    """The t interval of a mean, which is the mean itself where nothing varies."""
    from scipy import stats

    if sd is None:
        return None, None
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * sd / math.sqrt(n)
    return mean - half, mean + half


def _flip_p(differences: Floats, tolerance: float, *, exact: bool) -> float:
    """The share of sign flips whose mean is as far from zero as the one found.

    Ties are the rule here (the unflipped differences are one of the flips), so sums equal up to rounding must count
    as equal. Sizes alone, in order, are flipped: p then depends neither on the order of the seeds nor on which of the
    two is called the reference, drawn flips included.
    """
    sizes = np.sort(np.abs(differences))
    bar = abs(math.fsum(differences)) - tolerance
    if exact:
        return float(np.mean(np.abs(_all_flips(sizes)) >= bar))
    hits = int(np.count_nonzero(np.abs(_drawn_flips(sizes)) >= bar))
    return (hits + 1) / (DRAWN_FLIPS + 1)  # the differences as found are one more flip: p is never zero


def _all_flips(sizes: Floats) -> Floats:
    """The sums under all 2^n choices of signs."""
    sums = np.zeros(1)
    for size in sizes:
        sums = np.concatenate([sums + size, sums - size])
    return sums


def _drawn_flips(sizes: Floats) -> Floats:
    """The sums under drawn choices of signs, the same ones every time."""
    generator = draws.generator("report", "sign flips")
    sums = np.zeros(DRAWN_FLIPS)
    for size in sizes:
        sums += np.where(generator.random(DRAWN_FLIPS) < 0.5, size, -size)
    return sums


def _t_p(differences: Floats, sd: float | None, rounding: float) -> float | None:
    """The paired t test; without any spread t is infinite (p = 0), or 0/0 where there is no difference either."""
    from scipy import stats

    if sd is None:
        return None
    if sd == 0:
        return 0.0 if abs(_mean(differences)) > rounding else None
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


@functools.cache
def _noncentrality(n: int, level: float, power: float) -> float:
    """The gap in standard errors at which the t test of `n` differences has this power."""
    from scipy import optimize, stats

    critical = float(stats.t.ppf((1 + level) / 2, n - 1))

    def excess(noncentrality: float) -> float:
        found = stats.nct(n - 1, noncentrality)
        far_tail = np.nan_to_num(found.cdf(-critical))  # SciPy has NaN in places where this is below 1e-6
        return float(found.sf(critical) + far_tail) - power

    if power <= 1 - level:  # the test is wrong that often without any gap
        return 0.0
    high = critical
    while excess(high) < 0:
        high *= 2
    return float(optimize.brentq(excess, 0.0, high))
