"""Searches as values: the cell of a study from which a search starts, its space, sampler and pruning."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal, get_args

from assay.errors import UserError
from assay.search.objectives import objectives
from assay.search.pruning import PRUNABLE_OBJECTIVES, PRUNERS, Pruning, default_pruning, why_not_prunable
from assay.search.space import Choice, Space, check_space, parameters_of
from assay.study import paper
from assay.study.tables import Profile, Row, Study, Table
from assay.values import suggestion

SamplerName = Literal["tpe", "gp", "cmaes", "nsga2", "random", "grid"]
SAMPLERS: tuple[str, ...] = get_args(SamplerName)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProfileSettings:
    """The column and the budget of a search in one profile of its study."""

    column: str
    configurations: int  # of all runs together
    seeds: tuple[int, ...] = (0,)
    hours: float | None = None  # of wall clock in one run, from its first training on
    device_hours: float | None = None  # of all trainings of all runs
    pruning: Pruning | None = None  # None: the search's


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """A search around one cell of a study.

    The base is the cell in the table and the row of the search and the column of the profile's settings. A
    configuration is the base with other values at the paths of the space: an experiment like any other.
    """

    name: str
    title: str
    study: Study
    table: str
    row: str
    space: Space
    settings: Mapping[str, ProfileSettings]  # by profile
    objectives: tuple[str, ...] = ("miou",)
    sampler: SamplerName = "tpe"
    sampler_seed: int = 0
    pruning: Pruning | None = None  # None: the default for its space and its objectives
    grid_points: int = 5  # values of each number, if the sampler is "grid"

    def check(self) -> None:
        """Raise a UserError for a search that makes no sense, before anything starts."""
        self.study.check()
        check_space(self.space)
        self._check_table()
        profiles = {profile.name: profile for profile in self.study.profiles}
        for name, settings in self.settings.items():
            if name not in profiles:
                raise UserError(f"{self.name} has settings for profile {name!r}, which {self.study.name} lacks.")
            _check_settings(self, profiles[name], settings)
            if settings.pruning:
                _check_pruning(settings.pruning, PRUNABLE_OBJECTIVES)
        objectives(self.objectives)
        if self.sampler not in SAMPLERS:
            raise UserError(f"there is no sampler {self.sampler!r}{suggestion(self.sampler, SAMPLERS)}.")
        if self.sampler == "cmaes":
            _check_cmaes(self.space, self.objectives)
        _check_pruning(self.effective_pruning, self.objectives)

    def _check_table(self) -> None:
        table, _ = self.table_and_row
        try:
            paper.table(table.paper)
        except UserError as error:
            raise UserError(f"{self.name} starts from {table.name} of {self.study.name}: {error}") from None

    @property
    def effective_pruning(self) -> Pruning:
        """The pruning that applies: the search's own, or the default."""
        return self.pruning or self._default_pruning[0]

    @property
    def why_not_pruned(self) -> str:
        """The reason why the default prunes nothing; empty where it prunes, or where the search has its own pruning."""
        return "" if self.pruning else self._default_pruning[1]

    @property
    def _default_pruning(self) -> tuple[Pruning, str]:
        return default_pruning((parameter.path for parameter in parameters_of(self.space)), self.objectives)

    @property
    def table_and_row(self) -> tuple[Table, Row]:
        """The table and the row from which the search starts."""
        tables = {table.name: table for table in self.study.tables}
        if self.table not in tables:
            raise UserError(
                f"{self.name}: {self.study.name} has no table {self.table!r}{suggestion(self.table, tables)}."
            )
        rows = {row.label: row for row in tables[self.table].rows}
        if self.row not in rows:
            raise UserError(f"{self.name}: {self.table} has no row {self.row!r}{suggestion(self.row, rows)}.")
        return tables[self.table], rows[self.row]

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """The study's profiles for which the search has settings; the first is the default."""
        return tuple(profile for profile in self.study.profiles if profile.name in self.settings)


def _check_settings(search: Search, profile: Profile, settings: ProfileSettings) -> None:
    where = f"{search.name}, profile {profile.name}"
    table, _ = search.table_and_row
    if settings.column not in table.columns:
        raise UserError(
            f"{where}: {table.name} has no column {settings.column!r}{suggestion(settings.column, table.columns)}."
        )
    if profile.column(table.name, settings.column) is None:
        raise UserError(f"{where} only quotes {settings.column!r} of {table.name}: there is nothing to train.")
    if settings.configurations < 1:
        raise UserError(f"{where}: configurations must be 1 or more, got {settings.configurations}.")
    if not settings.seeds or len(set(settings.seeds)) < len(settings.seeds):
        raise UserError(f"{where}: seeds must be one or several different ones, got {settings.seeds}.")
    for name, hours in (("hours", settings.hours), ("device_hours", settings.device_hours)):
        if hours is not None and not hours > 0:
            raise UserError(f"{where}: {name} must be above 0, got {hours}.")


def _check_cmaes(space: Space, names: tuple[str, ...]) -> None:
    """Raise a UserError where CMA-ES cannot search: every configuration must have the same numbers."""
    parameters = parameters_of(space)
    numbers = [parameter.name for parameter in parameters if not isinstance(parameter.domain, Choice)]
    conditional = [parameter.name for parameter in parameters if parameter.when]
    if len(numbers) < 2 or conditional:
        raise UserError(
            f"sampler cmaes needs two numbers or more and no conditions, got the numbers {numbers} and the conditional"
            f" parameters {conditional}; use --sampler tpe."
        )
    if len(names) > 1:
        raise UserError(f"sampler cmaes takes one objective, got {', '.join(names)}; use --sampler nsga2, gp or tpe.")


def _check_pruning(pruning: Pruning, names: tuple[str, ...]) -> None:
    if pruning.name not in PRUNERS:
        raise UserError(f"there is no pruner {pruning.name!r}{suggestion(pruning.name, PRUNERS)}.")
    if not 0 < pruning.first < 1 or pruning.factor < 2:
        raise UserError(f"a pruner's first must lie between 0 and 1 and its factor be 2 or more, got {pruning}.")
    if names != PRUNABLE_OBJECTIVES and pruning.name != "none":
        raise UserError(f"pruner {pruning.name} cannot be used: {why_not_prunable(names)}; use --pruner none.")
