"""The options of a study's run, parsed once and checked."""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path

from assay.errors import UserError
from assay.overrides import Override
from assay.places import Places, out_folder
from assay.run.flags import OUT
from assay.study.cells import Selection


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaunchOptions:
    """The options that studies and searches share: where files are, and how trainings run."""

    out: str = OUT  # as the user wrote it
    data_root: str | None = None
    splits: str | None = None
    weights: str | None = None
    cache: str | None = None
    address: str | None = None
    gangs: int | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None

    @classmethod
    def parse(cls, namespace: argparse.Namespace) -> LaunchOptions:
        """Return the options of parsed flags; raise a UserError where they contradict each other."""
        options = cls(**{field.name: getattr(namespace, field.name) for field in dataclasses.fields(cls)})
        options.check()
        return options

    @property
    def folder(self) -> Path:
        """The folder of all results."""
        return out_folder(self.out).absolute()

    @property
    def places(self) -> Places:
        """The folders of data sets, lists, weights and decoded images."""
        return Places.from_environment(data=self.data_root, splits=self.splits, weights=self.weights, cache=self.cache)

    @property
    def job_address(self) -> str | None:
        """The address to which the script is submitted as a job; None where it runs here or joins a cluster."""
        return self.address if self.address and self.address.startswith(("http://", "https://")) else None

    @property
    def location_flags(self) -> tuple[str, ...]:
        """The flags of folders that differ from their defaults, as the user wrote them."""
        values = {
            "--out": None if self.out == OUT else self.out,
            "--data-root": self.data_root,
            "--splits": self.splits,
            "--weights": self.weights,
            "--cache": self.cache,
        }
        return tuple(part for flag, value in values.items() if value for part in (flag, value))

    def check(self) -> None:
        """Raise a UserError where options are out of range or contradict each other."""
        if self.gangs is not None and self.gangs < 0:
            raise UserError(f"--gangs must be 0 or more, got {self.gangs}.")
        if self.workers is not None and self.workers < 1:
            raise UserError(f"--workers must be 1 or more, got {self.workers}.")
        if self.gpus_per_worker is not None:
            _check_gpus(self.gpus_per_worker)
        if self.gangs == 0 and not self.job_address:
            self._check_without_gangs()

    def _check_without_gangs(self) -> None:
        if self.workers is not None and self.workers > 1:
            raise UserError("--workers above 1 needs gangs: --gangs 0 trains in this one process; use --gangs 1.")
        for flag, value in (("--gpus-per-worker", self.gpus_per_worker), ("--address", self.address)):
            if value is not None:
                raise UserError(
                    f"{flag} {value} is for gangs: --gangs 0 trains in this one process; leave one of the two out."
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """The options of a study's run."""

    launch: LaunchOptions
    profile: str | None = None  # None: the first
    selection: Selection = dataclasses.field(default_factory=Selection)
    plan: bool = False
    probe: bool = False
    report_only: bool = False
    retry_failed: bool = False
    force_row: tuple[str, ...] = ()

    @classmethod
    def parse(cls, namespace: argparse.Namespace) -> StudyOptions:
        """Return the options of parsed flags; raise a UserError where they contradict each other."""
        options = cls(
            launch=LaunchOptions.parse(namespace),
            profile=namespace.profile,
            selection=Selection(
                tables=tuple(namespace.tables),
                rows=tuple(namespace.rows),
                columns=tuple(namespace.columns),
                seeds=parse_seeds(namespace.seeds),
                overrides=tuple(Override.parse(text) for text in namespace.overrides),
            ),
            plan=namespace.plan,
            probe=namespace.probe,
            report_only=namespace.report_only,
            retry_failed=namespace.retry_failed,
            force_row=tuple(namespace.force_row),
        )
        if options.probe and not options.plan:
            raise UserError("--probe measures for --plan; give both.")
        return options

    def check_beside_report(self) -> None:
        """Raise a UserError where an option has no meaning beside --report-only."""
        if not self.report_only:
            return
        beside = {"--plan": self.plan, "--retry-failed": self.retry_failed, "--force-row": bool(self.force_row)}
        for flag in (name for name, given in beside.items() if given):
            raise UserError(
                f"--report-only trains nothing, so {flag} has no meaning beside it; leave one of the two out."
            )
        selection = self.selection
        chosen = {
            "--rows": bool(selection.rows),
            "--columns": bool(selection.columns),
            "--seeds": bool(selection.seeds),
            "--set": bool(selection.overrides),
        }
        for flag in (name for name, given in chosen.items() if given):
            raise UserError(
                f"--report-only shows every cell that was ever planned, so {flag} has no meaning beside it; leave it"
                " out, or choose with --tables what is printed."
            )


def parse_seeds(seeds: list[int]) -> tuple[int, ...]:
    """Return different seeds in the order in which they were given; raise a UserError for a negative one."""
    for seed in seeds:
        if seed < 0:
            raise UserError(f"--seeds must be 0 or more, got {seed}.")
    return tuple(dict.fromkeys(seeds))


def _check_gpus(number: float) -> None:
    if not math.isfinite(number) or number < 0 or (number > 1 and number != int(number)):
        raise UserError(f"--gpus-per-worker must be 0, a share of one GPU or a whole number of them, got {number:g}.")
