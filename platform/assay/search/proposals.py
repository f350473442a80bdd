"""Which configuration comes next: what is wished for, then what the sampler draws; nothing twice."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from optuna.trial import FrozenTrial, TrialState

from assay.search.configurations import Configurations
from assay.search.optuna_study import OptunaStudy
from assay.search.samplers import sampler
from assay.search.space import Point, all_points, point_key

REPEATS = 100  # proposals in a row that were made before: then the space holds nothing new for this sampler


class Proposals:
    """Draws configurations into the ledger."""

    def __init__(self, configurations: Configurations, ledger: OptunaStudy, note: Callable[[str], None]) -> None:
        self._configurations, self._ledger, self._note = configurations, ledger, note
        self._wishes = [*ledger.given_back(), *configurations.initial_configurations()]
        points = all_points(configurations.parameters)
        self._all = None if points is None else {point_key(each) for each in points}
        self.are_used_up = False

    def next(self) -> tuple[int, Point] | None:
        """The number and the values of one that was not proposed before; none where there is no such one."""
        for _ in range(REPEATS):
            known = self._known()
            origin, wish = next((each for each in self._wishes if point_key(each[1]) not in known), ("sampler", None))
            is_grid = self._configurations.search.sampler == "grid"
            if (wish is None and is_grid) or (self._all is not None and self._all <= known.keys()):
                break
            number, point = self._drawn(origin, wish)
            if self.is_new(number, point):
                return number, point
        self.are_used_up = True
        self._note(
            f"sampler {self._configurations.search.sampler} has no configuration left that was not proposed:"
            f" {len(self._known())} were" + (f", of {len(self._all)} in all" if self._all else "")
        )
        return None

    def is_new(self, number: int, point: Point) -> bool:
        """Whether what was drawn was not proposed before; a repetition is told what came of the first."""
        before = self._known().get(point_key(point))
        if before is None:
            return True
        self._ledger.annotate(number, "repeats", before.number)
        if before.state == TrialState.COMPLETE:
            self._ledger.complete(number, before.values)
        else:
            self._ledger.fail(number, f"the same as {before.number}")
        return False

    def _known(self) -> dict[str, FrozenTrial]:
        """What was proposed before, by configuration."""
        return {point_key(each.params): each for each in self._ledger.proposals()}

    def _drawn(self, origin: str, wish: Point | None) -> tuple[int, Point]:
        search = self._configurations.search
        facts = {
            "origin": origin,
            "sampler": search.sampler,
            "sampler_seed": search.sampler_seed,
            "proposed": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        }
        drawer = sampler(search.sampler, search.sampler_seed, len(self._ledger.trials()))
        return self._ledger.propose(self._configurations.parameters, drawer, facts, wish)
