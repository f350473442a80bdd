"""One run of a search: from its options to its last file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from assay.execution.display import Display
from assay.execution.plan import workers_begun
from assay.experiment import Experiment, Runtime
from assay.overrides import apply, overrides_of
from assay.run.launcher import Launcher
from assay.run.run_loop import RunLoop
from assay.run.search_options import SearchOptions
from assay.search.configurations import Configurations
from assay.search.objectives import Objective, objectives
from assay.search.search import ProfileSettings, Search
from assay.search.study_selection import StudySelection
from assay.store import records
from assay.study.cells import Selection, profile_of
from assay.study.tables import Profile
from assay.terminal import print_line
from assay.wording import count

if TYPE_CHECKING:
    import pandas as pd

    from assay.resolve import Resolved
    from assay.results.search_layout import SearchLayout
    from assay.search.controller import SearchController
    from assay.search.optuna_study import OptunaStudy


@dataclasses.dataclass(frozen=True)
class SearchRun:
    """One run of a search."""

    search: Search
    profile: Profile
    settings: ProfileSettings
    configurations: Configurations
    objectives: tuple[Objective, ...]
    options: SearchOptions

    @classmethod
    def make(cls, search: Search, options: SearchOptions) -> SearchRun:
        """Return the run that the options describe; raise a UserError for a search that makes no sense."""
        profile = profile_of(search, options.profile)
        search = options.apply_to(search, search.settings[profile.name])
        search.check()
        settings = options.settings_of(search.settings[profile.name])
        selection = Selection(seeds=settings.seeds, overrides=options.overrides)
        configurations = Configurations(search=search, profile=profile, settings=settings, selection=selection)
        return cls(search, profile, settings, configurations, objectives(search.objectives), options)

    @property
    def launcher(self) -> Launcher:
        """The launcher of its trainings."""
        changes = overrides_of(self.profile.runtime, f"profile {self.profile.name}")
        return Launcher(
            options=self.options.launch,
            runtime=apply(Runtime(progress="none"), changes),
            parallel_by_default=self.profile.parallel_by_default,
        )

    @property
    def folder(self) -> Path:
        """The folder of the search's own files."""
        return self.options.launch.folder / self.search.name / self.profile.name

    @property
    def rungs(self) -> tuple[int, ...]:
        """The steps at which configurations may be pruned, and the last step."""
        recipe = self.configurations.base().recipe
        return self.search.effective_pruning.rungs(recipe.steps, recipe.evaluation.every)

    @property
    def study_selection(self) -> StudySelection:
        """The selection of the Optuna study that this run adds to."""
        return StudySelection(self.folder, self.configurations, self.rungs)

    def optuna_study(self) -> OptunaStudy:
        """Return the selected study, and create it where there is none."""
        return self.study_selection.open([objective.direction for objective in self.objectives])

    # --- before the run --------------------------------------------------------------------------------------

    def print_plan(self) -> None:
        """Print the space, the trials so far, and the limits of the rest."""
        import pandas as pd

        from assay.report.search.text_tables import summary

        print_line(f"profile {self.profile.name}: {self.profile.note}")
        study = self.study_selection.find()
        trials = pd.DataFrame() if study is None else self._trials(study)
        print_line(summary(self._layout(), trials))
        self._print_other_study()
        self._print_budget(len(study.proposals()) if study else 0)

    def _print_other_study(self) -> None:
        note = self.study_selection.note_on_others()
        if note:
            print_line(f"note: {note}")

    def _print_budget(self, proposed: int) -> None:
        settings = self.settings
        limits = [f"up to {settings.configurations} configurations ({proposed} proposed so far)"]
        limits += [f"{settings.hours:g} h in this run"] if settings.hours else []
        limits += [f"{settings.device_hours:g} device-hours in all"] if settings.device_hours else []
        *rungs, steps = self.rungs
        pruned = f" at steps {', '.join(map(str, rungs))}" if rungs else ""
        print_line(
            f"{', '.join(limits)}; {count(len(settings.seeds), 'seed')} of {steps} steps each;"
            f" sampler {self.search.sampler}, pruner {self.search.effective_pruning.name}{pruned}"
        )
        not_pruned = self.search.why_not_pruned
        if self.search.sampler == "grid":
            points = len(self.configurations.initial_configurations())
            print_line(f"the grid has {points} configurations, with the published and own values")
        if not_pruned:
            print_line(f"note: no configuration is pruned: {not_pruned}")

    # --- the run -----------------------------------------------------------------------------------------------

    def train(self, resolve: Callable[[Experiment], Resolved]) -> int:
        """Search until the budget is spent, and return the exit code."""
        self._print_other_study()
        study = self.optuna_study()
        if self.options.retry_failed:
            for key in study.retry_failed():
                records.retry(self.launcher.store, key)
        self._record_settings(study)
        self._print_budget(len(study.proposals()))
        store = self.launcher.store
        display = Display({}, ended={}, holder=lambda key: records.state(store, key).detail, print_line=print_line)
        controller = self._controller(study, resolve, display)
        trainings = self.settings.configurations * len(self.settings.seeds)
        placement = self.launcher.place(trainings, check_room=False, begun=workers_begun(controller.plan, store))
        if placement.note:
            print_line(placement.note)
        return RunLoop(
            name=self.search.name,
            launcher=self.launcher,
            plan=controller.plan,
            placement=placement,
            tasks=trainings if controller.is_open else 0,
            display=display,
            rebuild=lambda: self._write(study),
            report=lambda: self.report(study),
            is_unfinished=lambda code: controller.is_open,
            source=controller,
            first_listeners=(controller,),
        ).run()

    def _controller(
        self, study: OptunaStudy, resolve: Callable[[Experiment], Resolved], display: Display
    ) -> SearchController:
        from assay.search.controller import Budget, SearchController
        from assay.search.schedulers import scheduler

        settings = self.settings
        return SearchController(
            self.configurations,
            study,
            self.launcher.store,
            resolve,
            objectives=self.objectives,
            rungs=self.rungs,
            scheduler=scheduler(self.search.effective_pruning, self.rungs),
            budget=Budget(
                configurations=settings.configurations, hours=settings.hours, device_hours=settings.device_hours
            ),
            display=display,
        )

    def _record_settings(self, study: OptunaStudy) -> None:
        """Write the settings of the search beside its trials."""
        from assay.search.samplers import SETTINGS

        search = self.search
        study.record_settings(
            {
                "sampler": {"name": search.sampler, "seed": search.sampler_seed, **SETTINGS[search.sampler]},
                "pruning": dataclasses.asdict(search.effective_pruning),
                **self.study_selection.distinguishing_settings(),
                "base": self.configurations.base().to_json(),
            }
        )

    # --- the report --------------------------------------------------------------------------------------------

    def _trials(self, study: OptunaStudy) -> pd.DataFrame:
        from assay.search.trials_table import trials

        return trials(self.configurations, study, self.launcher.store, self.objectives, self.rungs[-1])

    def _layout(self) -> SearchLayout:
        from assay.search.trials_table import layout

        places = self.options.launch.location_flags
        return layout(self.configurations, self.objectives, rungs=self.rungs, places=places)

    def _write(self, study: OptunaStudy) -> pd.DataFrame:
        from assay.report.search.write import write_search_report
        from assay.results.search_folder import write_search
        from assay.search.importance import importances

        trials, layout, folder = self._trials(study), self._layout(), self.study_selection.tables_folder
        weights, limits = importances(study.study, [objective.name for objective in self.objectives])
        write_search(layout, trials, weights, folder=folder)
        write_search_report(layout, trials, weights, limits, folder=folder)
        return trials

    def report(self, study: OptunaStudy | None = None) -> int:
        """Write tables and page, print a summary, and return the exit code: 1 where configurations failed."""
        from assay.report.search.text_tables import summary

        trials = self._write(study or self.optuna_study())
        print_line(summary(self._layout(), trials))
        print_line(f"{len(trials)} rows in {self.study_selection.tables_folder / 'trials.parquet'}")
        print_line(f"report: {self.study_selection.tables_folder / 'report.html'}")
        return 1 if len(trials) and (trials["state"] == "failed").any() else 0
