"""What a search in studies/ does with its command line."""

from __future__ import annotations

import argparse
import dataclasses
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.execution.display import Display
from assay.execution.plan import workers_begun
from assay.experiment import Experiment, Runtime
from assay.overrides import Override, apply, overrides_of
from assay.places import Places, out_folder
from assay.run.flags import said_places, takes_jobs
from assay.run.launcher import Launcher
from assay.run.listeners import REBUILD_EVERY, RunListener, Throttled, say
from assay.run.search_flags import check, parser
from assay.run.search_options import profile_as_asked, search_as_asked, setting_as_asked
from assay.run.submission import check_places, submit_this
from assay.search.configurations import Configurations
from assay.search.objectives import Objective, objectives
from assay.search.search import ProfileSettings, Search
from assay.search.study_selection import StudySelection
from assay.signals import stop_on_signals
from assay.store import records
from assay.store.local import LocalStore
from assay.study.cells import Selection
from assay.study.tables import Profile
from assay.terminal import exit_code

if TYPE_CHECKING:
    import pandas as pd

    from assay.resolve import Resolved
    from assay.results.search_layout import SearchLayout
    from assay.search.controller import SearchController
    from assay.search.optuna_study import OptunaStudy


def run_search(search: Search, arguments: Sequence[str] | None = None) -> int:
    """Run a search: 0 at its budget's end, 1 where configurations failed, 2 for a user's mistake, 130/143 stopped."""
    return exit_code(lambda: _run(search, parser(search).parse_args(arguments)))


def _run(search: Search, asked: argparse.Namespace) -> int:
    check(asked)
    check_places(asked)
    search_run = SearchRun.of(search, asked)
    search_run.configurations.check()
    if takes_jobs(asked.address):
        return submit_this(asked.address)
    if asked.plan:
        search_run.print_plan()
        return 0
    resolve = search_run.launcher.resolving(say)
    if asked.report_only:
        search_run.study.check_there()
    else:
        search_run.configurations.check_data(resolve)  # before anything is written
    with search_run.study.alone():
        return search_run.finish() if asked.report_only else search_run.run(resolve)


@dataclasses.dataclass(frozen=True)
class SearchRun:
    """One run of a search."""

    search: Search
    profile: Profile
    setting: ProfileSettings
    configurations: Configurations
    objectives: tuple[Objective, ...]
    launcher: Launcher
    asked: argparse.Namespace

    @classmethod
    def of(cls, search: Search, asked: argparse.Namespace) -> SearchRun:
        """What the flags say."""
        search = search_as_asked(search, asked)
        search.check()
        profile = profile_as_asked(search, asked.profile)
        setting = setting_as_asked(search.settings[profile.name], asked)
        overrides = tuple(Override.parse(text) for text in asked.overrides)
        choice = Selection(seeds=setting.seeds, overrides=overrides)
        configurations = Configurations(search=search, profile=profile, setting=setting, choice=choice)
        launcher = Launcher(
            out=out_folder(asked.out).absolute(),
            written_out=asked.out,
            places=Places.from_environment(data=asked.data_root, splits=asked.splits),
            runtime=apply(Runtime(progress="none"), overrides_of(profile.runtime, f"profile {profile.name}")),
            address=asked.address,
            gangs=asked.gangs,
            workers=asked.workers,
            gpus_per_worker=asked.gpus_per_worker,
        )
        return cls(search, profile, setting, configurations, objectives(search.objectives), launcher, asked)

    @property
    def folder(self) -> Path:
        """The search's own files."""
        return self.launcher.out / self.search.name / self.profile.name

    @property
    def rungs(self) -> tuple[int, ...]:
        """The steps at which configurations are given up, and the last one."""
        recipe = self.configurations.base().recipe
        return self.search.pruned_by.rungs(recipe.steps, recipe.evaluation.every)

    @property
    def study(self) -> StudySelection:
        """The study that this run adds to."""
        return StudySelection(self.folder, self.configurations, self.rungs)

    def ledger(self) -> OptunaStudy:
        """What it remembers."""
        return self.study.open([each.direction for each in self.objectives])

    # --- what is said before -----------------------------------------------------------------------------------

    def print_plan(self) -> None:
        """The space, what there is already, and what it takes at the most."""
        import pandas as pd

        from assay.report.search.text_tables import summary

        say(f"profile {self.profile.name}: {self.profile.note}")
        ledger = self.study.look()
        found = pd.DataFrame() if ledger is None else self._trials(ledger)
        say(summary(self._layout(), found))
        self._say_apart()
        self._say_budget(len(ledger.proposals()) if ledger else 0)

    def _say_apart(self) -> None:
        apart = self.study.apart()
        if apart:
            say(f"note: {apart}")

    def _say_budget(self, proposed: int) -> None:
        setting, seeds = self.setting, len(self.setting.seeds)
        limits = [f"up to {setting.configurations} configurations ({proposed} proposed so far)"]
        limits += [f"{setting.hours:g} h in this run"] if setting.hours else []
        limits += [f"{setting.device_hours:g} device-hours in all"] if setting.device_hours else []
        rungs, why_not = ", ".join(map(str, self.rungs)), self.search.why_not_pruned
        say(
            f"{', '.join(limits)}; {seeds} {'seed' if seeds == 1 else 'seeds'} of {self.rungs[-1]} steps each,"
            f" decided at {rungs}; sampler {self.search.sampler}, pruner {self.search.pruned_by.name}"
        )
        if self.search.sampler == "grid":
            count = len(self.configurations.initial_configurations())
            say(f"the grid has {count} configurations, with the published and own values")
        if why_not:
            say(f"note: nothing is given up on the way: {why_not}")

    # --- the run -----------------------------------------------------------------------------------------------

    def run(self, resolve: Callable[[Experiment], Resolved]) -> int:
        """Search until the budget is spent."""
        self._say_apart()
        ledger = self.ledger()
        if self.asked.retry_failed:
            self._give_back(ledger)
        self._note(ledger)
        self._say_budget(len(ledger.proposals()))
        display = Display({}, ended={}, holder=lambda key: records.state(self.launcher.store, key).detail, say=say)
        controller = self._controller(ledger, resolve, display)
        rebuild = Throttled(lambda: self._write(ledger), every=REBUILD_EVERY, say=say)
        news = _Both(self.launcher.store, display, rebuild, controller)
        begun = workers_begun(controller.plan, self.launcher.store)
        where = self.launcher.where(self._at_once(), ask=False, begun=begun)
        if where.note:
            say(where.note)
        try:
            with stop_on_signals() as stop_request, display:
                if controller.is_open:
                    self.launcher.train(
                        controller.plan,
                        where,
                        run=f"{self.search.name}-{secrets.token_hex(4)}",
                        stop_request=stop_request,
                        news=news,
                        say=say,
                        feed=controller,
                        tasks=self._at_once(),
                    )
        except Exception:  # its tables show how far it came, before the error is told
            self._finish_anyway(ledger)
            raise
        code = self.finish(ledger)
        if stop_request.is_set() and controller.is_open:
            say(f"stopped, with checkpoints. The same command continues: python {' '.join(sys.argv)}")
            return 128 + stop_request.signal
        return code

    def _at_once(self) -> int:
        return self.setting.configurations * len(self.setting.seeds)

    def _controller(
        self, ledger: OptunaStudy, resolve: Callable[[Experiment], Resolved], display: Display
    ) -> SearchController:
        from assay.search.controller import Budget, SearchController
        from assay.search.schedulers import scheduler

        setting = self.setting
        return SearchController(
            self.configurations,
            ledger,
            self.launcher.store,
            resolve,
            objectives=self.objectives,
            rungs=self.rungs,
            scheduler=scheduler(self.search.pruned_by, self.rungs),
            budget=Budget(
                configurations=setting.configurations, hours=setting.hours, device_hours=setting.device_hours
            ),
            display=display,
        )

    def _note(self, ledger: OptunaStudy) -> None:
        """Write down with what it is searched, beside what it finds."""
        from assay.search.samplers import SETTINGS

        search = self.search
        ledger.note(
            {
                "sampler": {"name": search.sampler, "seed": search.sampler_seed, **SETTINGS[search.sampler]},
                "pruning": dataclasses.asdict(search.pruned_by),
                **self.study.facts(),
                "base": self.configurations.base().to_json(),
            }
        )

    def _give_back(self, ledger: OptunaStudy) -> None:
        """Have failed configurations tried again."""
        for key in ledger.give_back_failed():
            records.retry(self.launcher.store, key)

    # --- what is left ------------------------------------------------------------------------------------------

    def _trials(self, ledger: OptunaStudy) -> pd.DataFrame:
        from assay.search.trials_table import trials

        return trials(self.configurations, ledger, self.launcher.store, self.objectives, self.rungs[-1])

    def _layout(self) -> SearchLayout:
        from assay.search.trials_table import layout

        return layout(self.configurations, self.objectives, rungs=self.rungs, places=said_places(self.asked))

    def _write(self, ledger: OptunaStudy) -> pd.DataFrame:
        from assay.report.search.write import write_search_report
        from assay.results.search_folder import write_search
        from assay.search.importance import importances

        found, layout, folder = self._trials(ledger), self._layout(), self.study.tables
        weighed, reason = importances(ledger.study, [each.name for each in self.objectives])
        write_search(layout, found, weighed, folder=folder)
        write_search_report(layout, found, weighed, reason, folder=folder)
        return found

    def _finish_anyway(self, ledger: OptunaStudy) -> None:
        """Write and print after an error, which alone is told if this fails too."""
        try:
            self.finish(ledger)
        except Exception as problem:
            say(f"note: the tables could not be rebuilt: {problem}")

    def finish(self, ledger: OptunaStudy | None = None) -> int:
        """Write tables and report, and print what was found; 1 where configurations failed."""
        from assay.report.search.text_tables import summary

        found = self._write(ledger or self.ledger())
        say(summary(self._layout(), found))
        tables = self.study.tables
        say(f"{len(found)} rows in {tables / 'trials.parquet'}")
        say(f"report: {tables / 'report.html'}")
        return 1 if len(found) and (found["state"] == "failed").any() else 0


class _Both(RunListener):
    """The news of a run, which the conductor hears first."""

    def __init__(self, store: LocalStore, display: Display, rebuild: Throttled, controller: SearchController) -> None:
        super().__init__(store, display, rebuild)
        self._controller = controller

    def __call__(self, key: str, news: Mapping[str, Any]) -> None:
        self._controller.told(key, news)
        super().__call__(key, news)
