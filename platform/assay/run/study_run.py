"""One run of a study: from its options to its last file."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import UserError
from assay.execution.display import Display
from assay.execution.plan import Plan, PlannedCell, seedless_key
from assay.experiment import Runtime
from assay.overrides import apply, overrides_of
from assay.places import Places
from assay.resolve import Resolved
from assay.run.forget import forget, keys_of_rows
from assay.run.launcher import Launcher, Placement
from assay.run.options import StudyOptions
from assay.run.run_loop import RunLoop, command_with_seeds, seeds_flag
from assay.store import records
from assay.store.local import LocalStore
from assay.store.store import DamagedDocument
from assay.study.cells import profile_of
from assay.study.layouts import layout_of
from assay.study.paper import paper_number
from assay.study.tables import Nested, Profile, Study
from assay.terminal import print_line
from assay.values import Value, to_json

if TYPE_CHECKING:
    from assay.analysis.filled_table import FilledTable


@dataclasses.dataclass(frozen=True)
class StudyRun:
    """One run of a study."""

    study: Study
    profile: Profile
    options: StudyOptions

    @classmethod
    def make(cls, study: Study, options: StudyOptions) -> StudyRun:
        """Return the run that the options describe."""
        return cls(study, profile_of(study, options.profile), options)

    @property
    def launcher(self) -> Launcher:
        """The launcher of its trainings."""
        return Launcher(
            options=self.options.launch,
            runtime=self.runtime,
            parallel_by_default=self.profile.parallel_by_default,
        )

    @property
    def store(self) -> LocalStore:
        """The results of all studies."""
        return self.launcher.store

    @property
    def places(self) -> Places:
        """The folders of data sets, lists and weights."""
        return self.options.launch.places

    @property
    def runtime(self) -> Runtime:
        """The profile's runtime; no training shows progress of its own, since the run shows that of all."""
        return apply(Runtime(progress="none"), overrides_of(self.profile.runtime, f"profile {self.profile.name}"))

    @property
    def folder(self) -> Path:
        """The folder of this study's own files."""
        return self.options.launch.folder / self.study.name / self.profile.name

    def files(self) -> Any:
        """Return the tables on disk; pandas is imported only where they are written."""
        from assay.results.folder import StudyFolder

        return StudyFolder(self.folder, self.store, layout_of(self.study, self.profile))

    def probe(self, plan: Plan) -> dict[str, float]:
        """Measure here the seconds per step of every kind of experiment."""
        from assay.execution.probe import probe

        return probe(plan, self.places, self.runtime, store=self.store)

    def forget_results(self, plan: Plan) -> None:
        """Forget what the options want to be trained again."""
        forget(keys_of_rows(self.options.force_row, plan), self.store)
        if self.options.retry_failed:
            for key in plan.nodes:
                with contextlib.suppress(DamagedDocument):  # another attempt mends no damaged document
                    records.retry(self.store, key)

    def write_plan(self, plan: Plan) -> None:
        """Write the planned cells with their keys."""
        self.files().plan([_cell_record(planned) for planned in plan.cells])

    def quoted(self) -> list[dict[str, Any]]:
        """Return the cells for which the paper prints a number; those that were never planned are only quoted."""
        return [
            {"table": table.name, "row": row.label, "column": column, "paper_miou": number}
            for table in self.study.tables
            for row in table.rows
            for column in table.columns
            if (number := paper_number(table, row, column)) is not None
        ]

    def train(self, plan: Plan, placement: Placement) -> int:
        """Train the plan, write and print the report, and return the exit code."""
        keys = set(plan.nodes)
        code = RunLoop(
            name=self.study.name,
            launcher=self.launcher,
            plan=plan,
            placement=placement,
            tasks=len(plan.to_run),
            display=self._display(plan),
            rebuild=lambda: self.rebuild(with_page=False),
            report=lambda: self.report(keys),
            is_unfinished=bool,  # exit code 0: everything had ended before the signal
        ).run()
        return code or int(bool(plan.unresolved) or not plan.nodes)  # with all cells blocked no experiment was resolved

    def _display(self, plan: Plan) -> Display:
        ended = {node.key: node.state.name for node in plan.in_state("done", "failed")}
        orphans = plan.orphaned
        return Display(
            {
                node.key: (node.display_name, node.resolved.experiment.recipe.steps)
                for node in plan.nodes.values()
                if node.key not in orphans
            },
            ended=ended | {node.key: "blocked" for node in plan.blocked},
            holder=lambda key: records.state(self.store, key).detail,
            print_line=print_line,
        )

    def rebuild(self, *, with_page: bool = True) -> Any:
        """Write results, histories and tables as text, and with the page also its figures; return the results."""
        from assay.analysis.orderings import orderings_frame
        from assay.report.write import write_report, write_texts

        files = self.files()
        frame = files.rebuild(self.quoted())
        files.write_orderings(orderings_frame(frame, files.layout))
        if with_page:
            write_report(frame, files.layout, history=files.history, panel=files.panel, folder=files.path)
        else:
            write_texts(frame, files.layout, folder=files.path)
        return frame

    def report(self, keys: set[str] | None = None) -> int:
        """Rebuild everything, print the tables, and return the exit code.

        1 where one of `keys` is not done; without `keys`, 1 where any planned cell failed or is blocked.
        """
        if not (self.folder / "cells.parquet").exists():
            raise UserError(f"nothing was planned in {self.folder} yet; run the study without --report-only first.")
        frame = self.rebuild()
        tables = self._printed_tables(frame)
        self._print_tables(tables)
        states = frame["status"].value_counts()
        counts = ", ".join(f"{count} {name}" for name, count in states.items())
        print_line(f"cells: {counts}; in {self.folder / 'results.parquet'}")
        print_line(f"report: {self.folder / 'report.html'}")
        self._print_next_step(tables, keys, has_failures=bool({"failed", "blocked"} & set(states.index)))
        chosen = frame if keys is None else frame[frame["key"].isin(keys)]
        bad = chosen["status"].isin(["failed", "blocked"]) if keys is None else chosen["status"] != "done"
        return 1 if bad.any() else 0

    def _printed_tables(self, frame: Any) -> list[FilledTable]:
        """Return the chosen tables with their results, or else all that were ever planned."""
        from assay.analysis.filled_table import fill

        chosen = self.options.selection.tables
        tables = [fill(frame, layout).merged() for layout in layout_of(self.study, self.profile).tables]
        return [table for table in tables if (table.layout.name in chosen if chosen else table.is_planned)]

    def _print_tables(self, tables: Sequence[FilledTable]) -> None:
        """Print how many published orderings hold, and the tables."""
        from assay.report.text_tables import terminal, terminal_orderings

        width, color = shutil.get_terminal_size((120, 40)).columns, sys.stdout.isatty()
        if orderings := terminal_orderings(tables, width=width, color=color):
            print_line(orderings)
        for table in tables:
            remarks = self.folder / "tables" / f"{table.layout.name}.md"
            print_line(terminal(table, width=width, color=color, remarks=remarks))

    def _print_next_step(self, tables: Sequence[FilledTable], keys: set[str] | None, *, has_failures: bool) -> None:
        """Print what to run for more certainty about the published orderings of the columns that have these keys."""
        from assay.analysis.orderings import orderings_of
        from assay.report.orderings import next_step

        columns = [column for table in tables for column in orderings_of(table) if keys is None or column.keys & keys]
        if step := next_step(columns, command=self._command, has_failures=has_failures):
            print_line(step)

    def _command(self, seeds: Sequence[int]) -> str:
        """Return the command that trains what this run shows with these seeds."""
        if self.options.report_only:  # which tables, rows and changes were trained is not known here
            return f"the command that trained them, with {seeds_flag(seeds)}"
        return command_with_seeds(sys.argv, seeds)


def _cell_record(planned: PlannedCell) -> dict[str, Any]:
    """Return a line of cells.parquet."""
    cell, node = planned.cell, planned.node
    return {
        "table": cell.table,
        "row": cell.row,
        "column": cell.column,
        "seed": cell.seed,
        "overrides": json.dumps(_plain(cell.changes), sort_keys=True),
        "paper_miou": cell.paper,
        "differs": cell.not_comparable,
        "key": planned.key,
        "problem": planned.problem,
        "meaning": seedless_key(node.resolved) if node else "",
        "depends": _inputs(node.resolved) if node else [],
        "experiment": json.dumps(cell.experiment.to_json() | ({"data": None} if cell.blocked_by else {})),
    }


def _inputs(resolved: Resolved) -> list[str]:
    """Return the keys of all experiments that must be trained before this one."""
    direct = list(resolved.inputs.values())
    return list(dict.fromkeys(key for inner in direct for key in [*_inputs(inner), inner.key]))


def _plain(value: Any) -> Any:
    """Return changes as JSON data; a nested experiment becomes its changes."""
    if isinstance(value, Mapping):
        return {name: _plain(content) for name, content in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, Nested):
        offset = {"offset": value.offset} if value.offset else {}
        return {"like": _plain(value.changes), "seed": value.seed} | offset  # stored cells have the name "like"
    return to_json(value) if isinstance(value, Value) else value
