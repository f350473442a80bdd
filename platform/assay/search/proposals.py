"""Proposals: first the initial configurations, then the sampler's; no configuration is proposed twice."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from optuna.trial import FrozenTrial, TrialState

from assay.search.configurations import Configurations
from assay.search.optuna_study import OptunaStudy
from assay.search.samplers import sampler
from assay.search.space import Point, all_points, point_key

MAX_REPEATS = 100  # repeated proposals in a row, after which the space holds nothing new for this sampler


class Proposals:
    """The source of new configurations, which are drawn into an Optuna study."""

    def __init__(
        self, configurations: Configurations, optuna_study: OptunaStudy, print_line: Callable[[str], None]
    ) -> None:
        self._configurations, self._optuna_study, self._print_line = configurations, optuna_study, print_line
        self._initial = [*optuna_study.to_retry(), *configurations.initial_configurations()]
        points = all_points(configurations.parameters)
        self._all_keys = None if points is None else {point_key(point) for point in points}
        self.is_exhausted = False

    def next(self) -> tuple[int, Point] | None:
        """Return the number and the values of a new configuration; None where the space holds no new one."""
        for _ in range(MAX_REPEATS):
            proposed = self._proposed()
            origin, initial = next(
                ((origin, point) for origin, point in self._initial if point_key(point) not in proposed),
                ("sampler", None),
            )
            is_grid = self._configurations.search.sampler == "grid"
            if (initial is None and is_grid) or (self._all_keys is not None and self._all_keys <= proposed.keys()):
                break
            number, point = self._propose(origin, initial)
            if self.is_new(number, point):
                return number, point
        self.is_exhausted = True
        self._print_line(
            f"sampler {self._configurations.search.sampler} finds no new configuration: {len(self._proposed())} were"
            " proposed" + (f", of {len(self._all_keys)} in all" if self._all_keys else "")
        )
        return None

    def is_new(self, number: int, point: Point) -> bool:
        """Return whether a drawn configuration is new; give a repeated one the outcome of the first."""
        first = self._proposed().get(point_key(point))
        if first is None:
            return True
        self._optuna_study.annotate(number, "repeats", first.number)
        if first.state == TrialState.COMPLETE:
            self._optuna_study.complete(number, first.values)
        else:
            self._optuna_study.fail(number, f"the same as {first.number}")
        return False

    def _proposed(self) -> dict[str, FrozenTrial]:
        """Return the trials of earlier proposals by configuration."""
        return {point_key(trial.params): trial for trial in self._optuna_study.proposals()}

    def _propose(self, origin: str, initial: Point | None) -> tuple[int, Point]:
        search = self._configurations.search
        attributes = {
            "origin": origin,
            "sampler": search.sampler,
            "sampler_seed": search.sampler_seed,
            "proposed": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        }
        own_sampler = sampler(search.sampler, search.sampler_seed, len(self._optuna_study.trials()))
        return self._optuna_study.propose(self._configurations.parameters, own_sampler, attributes, initial)
