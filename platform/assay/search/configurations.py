"""Configurations as experiments, and the checks that refuse a bad search before it begins."""

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
    parameters_of,
    point_key,
)
from assay.study.cells import Cell, Selection, cells_with
from assay.study.tables import Profile
from assay.values import Value

_CHECKED = 3  # values of each parameter that are checked before a search begins: both ends and the middle
_CHECKED_WHOLE = 50  # of whole numbers up to 50: the ends do not show which ones divide a batch


@dataclasses.dataclass(frozen=True, kw_only=True)
class Configurations:
    """All configurations of a search in one profile."""

    search: Search
    profile: Profile
    settings: ProfileSettings
    selection: Selection  # the seeds, and the changes that --set makes to every experiment

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters of the space."""
        return parameters_of(self.search.space)

    def cells(self, point: Point) -> list[Cell]:
        """Return the trainings of a configuration, one for each seed."""
        table, row = self.search.table_and_row
        changed = changes(self.parameters, point)
        return cells_with(table, row, self.settings.column, self.profile, self.selection, changed)

    def base(self) -> Experiment:
        """Return the experiment from which the search starts, with the first seed."""
        return self.cells({})[0].experiment

    def initial_configurations(self) -> list[tuple[str, Point]]:
        """Return the configurations that come before the sampler's, each behind its origin.

        First the paper's, once for every value on which another parameter depends; then the study's own. The grid
        sampler adds the whole grid.
        """
        parameters, base_values = self.parameters, self._base_values()
        deciding = {name for parameter in parameters for name, _ in parameter.when}
        papers = [fill_in(parameters, {}, base_values)]
        for parameter in parameters:
            if parameter.name in deciding:
                papers += [
                    fill_in(parameters, {parameter.name: value}, base_values)
                    for value in parameter.domain.sample_evenly(0)  # all options of a choice
                ]
        result = [("paper", point) for point in papers if _has_paper_value(parameters, point)]
        base = fill_in(parameters, base_values, base_values)
        if base.keys() <= base_values.keys():  # otherwise part of it would not be the study's own
            result.append(("base", base))
        if self.search.sampler == "grid":
            result += [("grid", point) for point in grid(parameters, self.search.grid_points)]
        return _unique(result)

    def _base_values(self) -> dict[str, Raw]:
        """Return the base's values by parameter, where they lie inside the space."""
        base = self.base()
        values = {parameter.name: _raw_value(parameter, base) for parameter in self.parameters}
        return {name: value for name, value in values.items() if not isinstance(value, Unstated)}

    def check(self) -> None:
        """Raise a UserError for a value that a method refuses, an unknown path, and a path without any effect."""
        for override in self.selection.overrides:
            if override.path == "seed":
                raise UserError(
                    f"{override.origin}: a search trains every configuration with the same seeds; choose them with"
                    " --seeds."
                )
            if override.path in {parameter.path for parameter in self.parameters}:
                raise UserError(f"{override.origin}: the search explores {override.path}; leave the path out of --set.")
        base_values, base = self._base_values(), self.base()
        for parameter in self.parameters:
            self._check_parameter(parameter, base_values, base)
        for _, point in self.initial_configurations():
            self.cells(point)

    def check_data(self, resolve: Callable[[Experiment], object]) -> None:
        """Raise a UserError for missing data and lists: the base's, and those of every value at a path of the data."""
        resolve(self.base())
        base_values = self._base_values()
        for parameter in filter(_is_of_data, self.parameters):
            for value in parameter.domain.sample_evenly(_CHECKED):
                point = fill_in(self.parameters, {**dict(parameter.when), parameter.name: value}, base_values)
                try:
                    resolve(self.cells(point)[0].experiment)
                except UserError as error:
                    raise self._error_at(parameter, value, error) from None

    def _error_at(self, parameter: Parameter, value: Raw, error: UserError) -> UserError:
        return UserError(f"{self.search.name}, the space at {parameter.name!r}, value {value!r}: {error}")

    def _check_parameter(self, parameter: Parameter, base_values: Mapping[str, Raw], base: Experiment) -> None:
        texts: set[str] = set()
        count = _CHECKED_WHOLE if isinstance(parameter.domain, Int) else _CHECKED
        for value in parameter.domain.sample_evenly(count):
            point = fill_in(self.parameters, {**dict(parameter.when), parameter.name: value}, base_values)
            try:
                experiment = self.cells(point)[0].experiment
                texts.add(identity_text(experiment))
                self._check_comparable(self._base_with(parameter, value) or experiment, base)
            except UserError as error:
                raise self._error_at(parameter, value, error) from None
        if len(texts) == 1 and not _is_of_data(parameter):
            raise UserError(
                f"{self.search.name}, the space at {parameter.name!r}: every value gives the same experiment, since"
                " nothing in this row reads the path; leave the path out, or switch on the part that reads it."
            )

    def _base_with(self, parameter: Parameter, value: Raw) -> Experiment | None:
        """Return the base with only this value changed, so that no other parameter is blamed for an error.

        None where the value is invalid without other changes.
        """
        try:
            return self.cells({**dict(parameter.when), parameter.name: value})[0].experiment
        except UserError:
            return None

    def _check_comparable(self, experiment: Experiment, base: Experiment) -> None:
        """Raise a UserError where an experiment cannot be compared with the base, at its end or at a rung."""
        steps, every = experiment.recipe.steps, experiment.recipe.evaluation.every
        if steps != base.recipe.steps:
            raise UserError(
                f"an experiment is trained for {steps} steps and the search's base for {base.recipe.steps}, but"
                " configurations are compared after equally many steps; choose them for all with --set recipe.steps=…"
            )
        if every != base.recipe.evaluation.every and self.search.effective_pruning.name != "none":
            raise UserError(
                f"an experiment is evaluated every {every} steps and the search's base every"
                f" {base.recipe.evaluation.every}, but configurations are pruned at the same steps; use --pruner none"
            )


def _is_of_data(parameter: Parameter) -> bool:
    """Return whether a parameter changes the data, whose lists are not part of an identity before they are read."""
    return parameter.path.partition(".")[0] == "data"


def _has_paper_value(parameters: tuple[Parameter, ...], point: Point) -> bool:
    """Return whether the paper states a value of any active parameter."""
    return any(not isinstance(parameter.domain.paper, Unstated) for parameter in parameters if parameter.name in point)


def _unique(points: Iterable[tuple[str, Point]]) -> list[tuple[str, Point]]:
    """Drop repeated configurations; the first one keeps its origin."""
    result: dict[str, tuple[str, Point]] = {}
    for origin, point in points:
        result.setdefault(point_key(point), (origin, point))
    return list(result.values())


def _value_at(value: Any, path: str) -> Any:
    """Return the value at a path; None where the path leads nowhere."""
    for step in path.split("."):
        if isinstance(value, tuple) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, Value) and hasattr(value, step):
            value = getattr(value, step)
        else:
            return None
    return value


def _raw_value(parameter: Parameter, experiment: Experiment) -> Raw | Unstated:
    """Return an experiment's value of a parameter as a sampler draws it; Unstated where it is outside the domain."""
    domain, value = parameter.domain, _value_at(experiment, parameter.path)
    raw = value.name if isinstance(value, Value) else value
    if isinstance(domain, Choice) and isinstance(domain.options, Mapping):
        labels = [label for label, option in domain.options.items() if option in (value, raw)]
        return labels[0] if labels else Unstated()
    return raw if domain.contains(raw) else Unstated()


def identity_text(experiment: Experiment) -> str:
    """Return what decides an experiment's numbers, as text, without its lists and files: these may be elsewhere.

    Names of stored Optuna studies hash this text; `identity_as_written` has lists and files as they are written.
    """
    return canonical(identity_of(experiment, {}, lambda path: identity_text(_value_at(experiment, path))))
