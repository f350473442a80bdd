"""From a configuration to its experiments, and the checks that end a bad search before it begins."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from assay.errors import UserError
from assay.experiment import Experiment
from assay.identity import canonical, identity_of
from assay.search.search import ProfileSettings, Search
from assay.search.space import (
    Choice,
    Int,
    Parameter,
    Point,
    Raw,
    Unstated,
    changes,
    fill_in,
    grid,
    parameters,
    point_key,
)
from assay.study import cells
from assay.study.cells import Cell
from assay.study.tables import Profile
from assay.values import Value

_TRIED = 3  # values of each parameter that are tried before a search begins: both ends and the middle
_TRIED_WHOLE = 50  # of whole numbers all, or so many: what divides a batch is not seen at its ends


@dataclasses.dataclass(frozen=True, kw_only=True)
class Configurations:
    """Everything that a search could try in one profile."""

    search: Search
    profile: Profile
    setting: ProfileSettings
    choice: cells.Selection  # seeds, and what --set changes in all

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What is drawn."""
        return parameters(self.search.space)

    def cells(self, point: Point) -> list[Cell]:
        """One training for each seed."""
        table, row = self.search.cell_of
        changed = changes(self.parameters, point)
        return cells.cells_with(table, row, self.setting.column, self.profile, self.choice, changed)

    def base(self) -> Experiment:
        """What the search starts from, of the first seed."""
        return self.cells({})[0].experiment

    def initial_configurations(self) -> list[tuple[str, Point]]:
        """The configurations that come first, each with where it is from.

        The paper's own, also of every case that another parameter depends on; then the study's. With a grid, all of it.
        """
        of, own = self.parameters, self._own()
        deciding = {name for each in of for name, _ in each.when}
        first = [fill_in(of, {}, own)]
        for each in of:
            if each.name in deciding:
                first += [fill_in(of, {each.name: value}, own) for value in each.domain.sample_evenly(0)]
        found = [("paper", point) for point in first if _states(of, point)]
        base = fill_in(of, own, own)
        if base.keys() <= own.keys():  # elsewhere it is not the study's own
            found.append(("base", base))
        if self.search.sampler == "grid":
            found += [("grid", point) for point in grid(of, self.search.grid_points)]
        return _once(found)

    def _own(self) -> dict[str, Raw]:
        """The study's own values, where they lie inside the space."""
        base = self.base()
        values = {each.name: _label(each, _at(base, each.path)) for each in self.parameters}
        return {name: value for name, value in values.items() if not isinstance(value, Unstated)}

    def check(self) -> None:
        """Refuse a value that the method refuses, a path that does not exist, and one that changes nothing."""
        for override in self.choice.overrides:
            if override.path == "seed":
                raise UserError(f"{override.origin}: a search trains every configuration with the same seeds; --seeds.")
            if override.path in {each.path for each in self.parameters}:
                raise UserError(f"{override.origin}: the search explores {override.path}; leave it out of --set.")
        own, base = self._own(), self.base()
        for each in self.parameters:
            self._check_one(each, own, base)
        for _, point in self.initial_configurations():
            self.cells(point)

    def check_data(self, resolve: Callable[[Experiment], object]) -> None:
        """Refuse data and lists that are not here: the base's, and those of every value at a path of the data."""
        resolve(self.base())
        own = self._own()
        for each in self.parameters:
            for value in each.domain.sample_evenly(_TRIED) if _is_of_data(each) else ():
                point = fill_in(self.parameters, {**dict(each.when), each.name: value}, own)
                try:
                    resolve(self.cells(point)[0].experiment)
                except UserError as error:
                    raise self._refused(each, value, error) from None

    def _refused(self, parameter: Parameter, value: Raw, error: UserError) -> UserError:
        return UserError(f"{self.search.name}, the space at {parameter.name!r}, value {value!r}: {error}")

    def _check_one(self, parameter: Parameter, own: Mapping[str, Raw], base: Experiment) -> None:
        seen: list[str] = []
        for value in parameter.domain.sample_evenly(_TRIED_WHOLE if isinstance(parameter.domain, Int) else _TRIED):
            point = fill_in(self.parameters, {**dict(parameter.when), parameter.name: value}, own)
            try:
                experiment = self.cells(point)[0].experiment
                seen.append(identity_text(experiment))
                self._check_comparable(self._alone(parameter, value) or experiment, base)
            except UserError as error:
                raise self._refused(parameter, value, error) from None
        if len(set(seen)) == 1 and not _is_of_data(parameter):
            raise UserError(
                f"{self.search.name}, the space at {parameter.name!r}: every value gives the same experiment, since"
                " nothing reads it beside the rest of this row; leave it out, or switch on what reads it."
            )

    def _alone(self, parameter: Parameter, value: Raw) -> Experiment | None:
        """The base with this one value, so that no other parameter is blamed for it; none where it needs others."""
        try:
            return self.cells({**dict(parameter.when), parameter.name: value})[0].experiment
        except UserError:
            return None

    def _check_comparable(self, experiment: Experiment, base: Experiment) -> None:
        """Configurations are compared after the same steps: at the end, and at each rung on the way."""
        steps, every = experiment.recipe.steps, experiment.recipe.evaluation.every
        if steps != base.recipe.steps:
            raise UserError(
                f"it is trained for {steps} steps, the search's base for {base.recipe.steps}, and configurations are"
                " compared after equally many; choose them with --set recipe.steps=…, for all"
            )
        if every != base.recipe.evaluation.every and self.search.pruned_by.name != "none":
            raise UserError(
                f"it is evaluated every {every} steps, the search's base every {base.recipe.evaluation.every}, and"
                " configurations are given up at the same ones; use --pruner none"
            )


def _is_of_data(parameter: Parameter) -> bool:
    """Whether lists are behind its values, which are not read before a search begins."""
    return parameter.path.partition(".")[0] == "data"


def _states(of: tuple[Parameter, ...], point: Point) -> bool:
    """Whether the paper says anything of what is drawn."""
    return any(not isinstance(each.domain.paper, Unstated) for each in of if each.name in point)


def _once(points: Iterable[tuple[str, Point]]) -> list[tuple[str, Point]]:
    found: dict[str, tuple[str, Point]] = {}
    for origin, point in points:
        found.setdefault(point_key(point), (origin, point))
    return list(found.values())


def _at(value: Any, path: str) -> Any:
    """What stands at a path; nothing where it does not lead anywhere."""
    for step in path.split("."):
        if isinstance(value, tuple) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, Value) and hasattr(value, step):
            value = getattr(value, step)
        else:
            return None
    return value


def _label(parameter: Parameter, value: Any) -> Raw | Unstated:
    """A value as a sampler names it; unstated where the space does not hold it."""
    domain = parameter.domain
    if isinstance(domain, Choice) and isinstance(domain.options, Mapping):
        named = value.name if isinstance(value, Value) else value
        found = [label for label, option in domain.options.items() if option in (value, named)]
        return found[0] if found else Unstated()
    raw = value.name if isinstance(value, Value) else value
    return raw if domain.contains(raw) else Unstated()


def identity_text(experiment: Experiment) -> str:
    """What decides the experiment's numbers, as text; lists and files by name, since they may not be here."""
    return canonical(identity_of(experiment, {}, lambda path: identity_text(_at(experiment, path))))
