"""Ray Tune's ASHA, asked here whether a configuration is worth going on with.

Tune's own loop is not used: it wants a process for every trial, and gangs are what trains (studies/search_benchmark.py
measures both).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from assay.search.pruning import Pruning


class Scheduler(Protocol):
    """Decides configuration by configuration, from the means over seeds."""

    def goes_on(self, number: int, step: int, mean: float) -> bool:
        """Whether configuration `number`, with this mean at this rung, is trained any further."""

    def remember(self, number: int, means: Mapping[int, float]) -> None:
        """What a configuration reached in an earlier run, at every rung that it came to."""


class Never:
    """Gives nothing up."""

    def goes_on(self, number: int, step: int, mean: float) -> bool:
        """Always."""
        return True

    def remember(self, number: int, means: Mapping[int, float]) -> None:
        """Nothing depends on it."""


class Asha:
    """Asynchronous successive halving: at each rung the best 1/factor of those that came to it go on.

    Decided as each one comes, against those that came before: the first always goes on.
    """

    def __init__(self, pruning: Pruning, rungs: tuple[int, ...]) -> None:
        from ray.tune.experiment import Trial
        from ray.tune.schedulers import AsyncHyperBandScheduler

        self._make = Trial
        self._trials: dict[int, Any] = {}
        # In Tune's time rung k is at factor^k: the ratio of our steps, but for the last one.
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

    def goes_on(self, number: int, step: int, mean: float) -> bool:
        if number not in self._trials:
            self._trials[number] = self._make("assay", trial_id=str(number), stub=True)
            self._asha.on_trial_add(None, self._trials[number])
        said = self._asha.on_trial_result(None, self._trials[number], {"time": self._times[step], "mean": mean})
        return bool(said == self._asha.CONTINUE)

    def remember(self, number: int, means: Mapping[int, float]) -> None:
        for step in list(self._times)[:-1]:
            if step in means:
                self.goes_on(number, step, means[step])  # what Tune answers was acted on then


def scheduler(pruning: Pruning, rungs: tuple[int, ...]) -> Scheduler:
    """The scheduler of that name."""
    return Asha(pruning, rungs) if pruning.name == "asha" and len(rungs) > 1 else Never()
