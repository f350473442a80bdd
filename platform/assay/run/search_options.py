"""The options of a search's run, parsed once and checked."""

from __future__ import annotations

import argparse
import dataclasses

from assay.errors import UserError
from assay.overrides import Override
from assay.run.options import LaunchOptions, parse_seeds
from assay.search.pruning import PrunerName, Pruning
from assay.search.search import ProfileSettings, SamplerName, Search


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """The options of a search's run; None or empty means what the script says."""

    launch: LaunchOptions
    profile: str | None = None
    configurations: int | None = None
    hours: float | None = None
    device_hours: float | None = None
    seeds: tuple[int, ...] = ()
    objectives: tuple[str, ...] = ()
    sampler: SamplerName | None = None
    sampler_seed: int | None = None
    grid_points: int | None = None
    pruner: PrunerName | None = None
    overrides: tuple[Override, ...] = ()
    plan: bool = False
    report_only: bool = False
    retry_failed: bool = False

    @classmethod
    def parse(cls, namespace: argparse.Namespace) -> SearchOptions:
        """Return the options of parsed flags; raise a UserError where they contradict each other."""
        options = cls(
            launch=LaunchOptions.parse(namespace),
            profile=namespace.profile,
            configurations=namespace.configurations,
            hours=namespace.hours,
            device_hours=namespace.device_hours,
            seeds=tuple(sorted(parse_seeds(namespace.seeds))),  # in one order, which the keys of a trial have as well
            objectives=tuple(namespace.objectives),
            sampler=namespace.sampler,
            sampler_seed=namespace.sampler_seed,
            grid_points=namespace.grid_points,
            pruner=namespace.pruner,
            overrides=tuple(Override.parse(text) for text in namespace.overrides),
            plan=namespace.plan,
            report_only=namespace.report_only,
            retry_failed=namespace.retry_failed,
        )
        options.check()
        return options

    def check(self) -> None:
        """Raise a UserError where options are out of range or contradict each other."""
        for name in ("configurations", "hours", "device_hours", "grid_points"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UserError(f"--{name.replace('_', '-')} must be above 0, got {value:g}.")
        if self.grid_points is not None and self.grid_points < 2:
            raise UserError(f"--grid-points must be 2 or more, got {self.grid_points}.")
        if self.plan and self.retry_failed:
            raise UserError("--plan trains nothing, so --retry-failed has no meaning beside it.")
        if self.report_only and (self.plan or self.retry_failed):
            raise UserError("--report-only trains nothing, so --plan and --retry-failed have no meaning beside it.")

    def apply_to(self, search: Search, settings: ProfileSettings) -> Search:
        """Return the search with what a profile's settings and the options change."""
        pruning = settings.pruning or search.pruning
        if self.pruner:
            pruning = dataclasses.replace(pruning or Pruning(), name=self.pruner)
        if self.objectives and self.objectives != search.objectives and not self.pruner:
            pruning = None  # a script's pruning was chosen for the script's own objectives
        return dataclasses.replace(
            search,
            sampler=self.sampler or search.sampler,
            sampler_seed=search.sampler_seed if self.sampler_seed is None else self.sampler_seed,
            pruning=pruning,
            objectives=self.objectives or search.objectives,
            grid_points=self.grid_points or search.grid_points,
        )

    def settings_of(self, settings: ProfileSettings) -> ProfileSettings:
        """Return a profile's settings with what the options change."""
        return dataclasses.replace(
            settings,
            configurations=self.configurations or settings.configurations,
            seeds=self.seeds or tuple(sorted(set(settings.seeds))),
            hours=self.hours or settings.hours,
            device_hours=self.device_hours or settings.device_hours,
        )
