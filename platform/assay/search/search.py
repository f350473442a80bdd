"""A search as a value: which cell of which study it starts from, what it explores, and how."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal, get_args

from assay.errors import UserError
from assay.search.objectives import objectives
from assay.search.pruning import PRUNABLE_OBJECTIVES, PRUNERS, Pruning, default_pruning, no_order
from assay.search.space import Choice, Space, check_names, parameters
from assay.study import paper
from assay.study.tables import Profile, Row, Study, Table
from assay.values import suggestion

SamplerName = Literal["tpe", "gp", "cmaes", "nsga2", "random", "grid"]
SAMPLERS: tuple[str, ...] = get_args(SamplerName)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProfileSettings:
    """How much is searched in a profile of the study, and in which of its columns."""

    column: str
    configurations: int
    seeds: tuple[int, ...] = (0,)
    hours: float | None = None  # of wall clock in one run, from its first training on
    device_hours: float | None = None  # of all trainings so far


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """Where in a study the search starts, and what it explores around it.

    The base is a cell: the study's table and row, and the column that the profile's setting names. A configuration is
    that cell with other values at the space's paths, an experiment like any other.
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
    pruning: Pruning | None = None  # none given: what its space and its objectives allow
    grid_points: int = 5  # of each number, where the sampler is "grid"

    def check(self) -> None:
        """Refuse what means nothing before anything starts."""
        self.study.check()
        check_names(self.space)
        self._check_table()
        known = {each.name: each for each in self.study.profiles}
        for name, setting in self.settings.items():
            if name not in known:
                raise UserError(f"{self.name} has settings for {name!r}, and {self.study.name} no such profile.")
            _check_setting(self, known[name], setting)
        objectives(self.objectives)
        if self.sampler not in SAMPLERS:
            raise UserError(f"there is no sampler {self.sampler!r}{suggestion(self.sampler, SAMPLERS)}.")
        if self.sampler == "cmaes":
            _check_cmaes(self.space, self.objectives)
        _check_pruning(self.pruned_by, self.objectives)

    def _check_table(self) -> None:
        table, _ = self.cell_of
        try:
            paper.table(table.paper)
        except UserError as error:
            raise UserError(f"{self.name} starts from {table.name} of {self.study.name}: {error}") from None

    @property
    def pruned_by(self) -> Pruning:
        """When configurations are given up."""
        return self.pruning or self._usual[0]

    @property
    def why_not_pruned(self) -> str:
        """Why nothing is given up, where nobody asked for that."""
        return "" if self.pruning else self._usual[1]

    @property
    def _usual(self) -> tuple[Pruning, str]:
        return default_pruning((each.path for each in parameters(self.space)), self.objectives)

    @property
    def cell_of(self) -> tuple[Table, Row]:
        """The table and the row that it starts from."""
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
        """The study's profiles that it has settings for; the first is the default."""
        return tuple(each for each in self.study.profiles if each.name in self.settings)


def _check_setting(search: Search, profile: Profile, setting: ProfileSettings) -> None:
    where = f"{search.name}, profile {profile.name}"
    table, _ = search.cell_of
    if setting.column not in table.columns:
        raise UserError(
            f"{where}: {table.name} has no column {setting.column!r}{suggestion(setting.column, table.columns)}."
        )
    if profile.column(table.name, setting.column) is None:
        raise UserError(f"{where} only quotes {setting.column!r} of {table.name}: there is nothing to train.")
    if setting.configurations < 1:
        raise UserError(f"{where}: configurations must be 1 or more, got {setting.configurations}.")
    if not setting.seeds or len(set(setting.seeds)) < len(setting.seeds):
        raise UserError(f"{where}: seeds must be one or several different ones, got {setting.seeds}.")
    for name, hours in (("hours", setting.hours), ("device_hours", setting.device_hours)):
        if hours is not None and not hours > 0:
            raise UserError(f"{where}: {name} must be above 0, got {hours}.")


def _check_cmaes(space: Space, names: tuple[str, ...]) -> None:
    """CMA-ES moves a cloud of points, whose coordinates must be the same numbers in all of them."""
    numbers = [each.name for each in parameters(space) if not isinstance(each.domain, Choice)]
    conditional = [each.name for each in parameters(space) if each.when]
    if len(numbers) < 2 or conditional:
        raise UserError(
            f"sampler cmaes needs two numbers or more and no conditions, got the numbers {numbers} and the conditional"
            f" parameters {conditional}; use --sampler tpe."
        )
    if len(names) > 1:
        raise UserError(f"sampler cmaes knows one objective, got {', '.join(names)}; use --sampler nsga2, gp or tpe.")


def _check_pruning(pruning: Pruning, names: tuple[str, ...]) -> None:
    if pruning.name not in PRUNERS:
        raise UserError(f"there is no pruner {pruning.name!r}{suggestion(pruning.name, PRUNERS)}.")
    if not 0 < pruning.first < 1 or pruning.factor < 2:
        raise UserError(f"a pruner's first must lie between 0 and 1 and its factor be 2 or more, got {pruning}.")
    if names != PRUNABLE_OBJECTIVES and pruning.name != "none":
        raise UserError(f"pruner {pruning.name} has nothing to go by: {no_order(names)}; use --pruner none.")
