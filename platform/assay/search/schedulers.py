"""Ray Tune's ASHA, used only to decide whether a configuration continues.

Tune's own loop is not used: it needs a process for every trial, and here gangs train
(studies/benchmarks/search_benchmark.py measures both).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from assay.search.pruning import Pruning


class Scheduler(Protocol):
    """A rule that decides at each rung whether a configuration continues, by the mean over its seeds."""

    def should_continue(self, number: int, step: int, mean: float) -> bool:
        """Return whether configuration `number` is trained beyond this rung."""

    def restore(self, number: int, means: Mapping[int, float]) -> None:
        """Add the means that a configuration of an earlier run had at its rungs."""


class NoPruning:
    """A scheduler that prunes nothing."""

    def should_continue(self, number: int, step: int, mean: float) -> bool:
        """Return True."""
        return True

    def restore(self, number: int, means: Mapping[int, float]) -> None:
        """Do nothing: no decision depends on earlier means."""


class Asha:
    """Asynchronous successive halving: the best 1/factor of the configurations at a rung continue.

    Each configuration is compared with those that reached the rung before it; the first one always continues.
    """

    def __init__(self, pruning: Pruning, rungs: tuple[int, ...]) -> None:
        from ray.tune.experiment import Trial
        from ray.tune.schedulers import AsyncHyperBandScheduler

        self._make_trial = Trial
        self._trials: dict[int, Any] = {}
        # In Tune's time, rung k is at factor^k. Our steps have the same ratio, except for the last one.
        self._times = {step: pruning.factor**index for index, step in enumerate(rungs)}
        self._asha = AsyncHyperBandScheduler(
            time_attr="time",
            metric="mean",
            mode="max",
            grace_period=1,
            max_t=self._times[rungs[-1]],
            reduction_factor=pruning.factor,
            brackets=1,
        )

    def should_continue(self, number: int, step: int, mean: float) -> bool:
        if number not in self._trials:
            self._trials[number] = self._make_trial("assay", trial_id=str(number), stub=True)
            self._asha.on_trial_add(None, self._trials[number])
        decision = self._asha.on_trial_result(None, self._trials[number], {"time": self._times[step], "mean": mean})
        return bool(decision == self._asha.CONTINUE)

    def restore(self, number: int, means: Mapping[int, float]) -> None:
        for step in list(self._times)[:-1]:
            if step in means:
                self.should_continue(number, step, means[step])  # the decision itself was followed in that run


def scheduler(pruning: Pruning, rungs: tuple[int, ...]) -> Scheduler:
    """Return the scheduler that applies a pruning rule at these rungs."""
    return Asha(pruning, rungs) if pruning.name == "asha" and len(rungs) > 1 else NoPruning()
