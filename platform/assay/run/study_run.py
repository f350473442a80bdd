"""One run of a study: from what the flags say to the last file."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import secrets
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.errors import UserError
from assay.execution.display import Display
from assay.execution.plan import Plan, seedless_key
from assay.experiment import Runtime
from assay.overrides import Override, apply, overrides_of
from assay.places import Places, out_folder
from assay.resolve import Resolved
from assay.run.forget import forget, keys_of_rows
from assay.run.launcher import Launcher
from assay.run.listeners import REBUILD_EVERY, RunListener, Throttled, say
from assay.run.plan_text import Placement
from assay.signals import stop_on_signals
from assay.store import records
from assay.store.local import LocalStore
from assay.store.store import DamagedDocument
from assay.study.cells import Cell, Selection, layout_of, paper_number, profile_of
from assay.study.tables import Nested, Profile, Study
from assay.values import Value, to_json


@dataclasses.dataclass(frozen=True)
class StudyRun:
    """One run of a study."""

    study: Study
    profile: Profile
    choice: Selection
    places: Places
    out: Path
    asked: argparse.Namespace

    @classmethod
    def of(cls, study: Study, asked: argparse.Namespace) -> StudyRun:
        """What the flags say."""
        overrides = tuple(Override.parse(text) for text in asked.overrides)
        choice = Selection(
            tables=tuple(asked.tables),
            rows=tuple(asked.rows),
            columns=tuple(asked.columns),
            seeds=tuple(dict.fromkeys(asked.seeds)),
            overrides=overrides,
        )
        places = Places.from_environment(data=asked.data_root, splits=asked.splits)
        out = out_folder(asked.out).absolute()
        return cls(study, profile_of(study, asked.profile), choice, places, out, asked)

    @property
    def store(self) -> LocalStore:
        """The results of all studies."""
        return LocalStore(self.out / "store")

    @property
    def runtime(self) -> Runtime:
        """What the profile says of loader processes and the like; progress is shown for the study as a whole."""
        return apply(Runtime(progress="none"), overrides_of(self.profile.runtime, f"profile {self.profile.name}"))

    @property
    def folder(self) -> Path:
        """This study's own files."""
        return self.out / self.study.name / self.profile.name

    def files(self) -> Any:
        """The tables on disk; pandas is imported only where they are written."""
        from assay.results.folder import StudyFolder

        return StudyFolder(self.folder, self.store, layout_of(self.study, self.profile))

    @property
    def launcher(self) -> Launcher:
        """Who trains."""
        asked = self.asked
        return Launcher(
            out=self.out,
            written_out=asked.out,
            places=self.places,
            runtime=self.runtime,
            address=asked.address,
            gangs=asked.gangs,
            workers=asked.workers,
            gpus_per_worker=asked.gpus_per_worker,
            parallel_by_default=self.profile.parallel_by_default,
        )

    def probe(self, plan: Plan) -> dict[str, float]:
        """Seconds per step of every kind of experiment, measured here."""
        from assay.execution.probe import probe

        return probe(plan, self.places, self.runtime, store=self.store)

    def try_again(self, plan: Plan, cells: Sequence[Cell]) -> None:
        """Forget what the flags say is to be trained once more."""
        forget(keys_of_rows(self.asked.force_row, cells, plan), self.store)
        if self.asked.retry_failed:
            for key in plan.nodes:
                with contextlib.suppress(DamagedDocument):  # which no other try mends
                    records.retry(self.store, key)

    def write_plan(self, cells: Sequence[Cell], plan: Plan) -> None:
        """Write down what was planned, with its keys."""
        planned = []
        for cell, key, problem in zip(cells, plan.keys, plan.problems, strict=True):
            depends = _needed(plan.nodes[key].resolved) if key else []
            planned.append(
                {
                    "table": cell.table,
                    "row": cell.row,
                    "column": cell.column,
                    "seed": cell.seed,
                    "overrides": json.dumps(_plain(cell.changes), sort_keys=True),
                    "paper_miou": cell.paper,
                    "differs": cell.not_comparable,
                    "key": key,
                    "problem": problem,
                    "meaning": seedless_key(plan.nodes[key].resolved) if key else "",
                    "depends": depends,
                    "experiment": json.dumps(cell.experiment.to_json() | ({"data": None} if cell.blocked_by else {})),
                }
            )
        self.files().plan(planned)

    def quoted(self) -> list[dict[str, Any]]:
        """The cells of which the paper has a number; those that were never planned here are only quoted."""
        return [
            {"table": table.name, "row": row.label, "column": column, "paper_miou": number}
            for table in self.study.tables
            for row in table.rows
            for column in table.columns
            if (number := paper_number(table, row, column)) is not None
        ]

    def train(self, plan: Plan, where: Placement) -> int:
        """Work the plan off, and write down what came of it."""
        run = f"{self.study.name}-{secrets.token_hex(4)}"
        news = self._news(plan)
        try:
            with stop_on_signals() as stop_request, news.display:
                if plan.to_run:
                    tasks = len(plan.to_run)
                    self.launcher.train(
                        plan, where, run=run, stop_request=stop_request, news=news, say=say, tasks=tasks
                    )
        except Exception:  # its tables show how far the run came, before the error is told
            self._finish_anyway(set(plan.nodes))
            raise
        code = self.finish(set(plan.nodes))
        if stop_request.is_set() and code:  # else everything had ended already
            say(f"stopped, with checkpoints. The same command continues: {_command()}")
            return 128 + stop_request.signal
        return 1 if plan.unresolved or not plan.nodes else code  # where all is blocked nothing was resolved at all

    def _news(self, plan: Plan) -> RunListener:
        ended = {node.key: node.state.name for node in plan.in_state("done", "failed")}
        idle = plan.orphaned
        display = Display(
            {
                node.key: (node.display_name, node.resolved.experiment.recipe.steps)
                for node in plan.nodes.values()
                if node.key not in idle
            },
            ended=ended | {node.key: "blocked" for node in plan.blocked},
            holder=lambda key: records.state(self.store, key).detail,
            say=say,
        )
        rebuild = Throttled(lambda: self.rebuild(report=False), every=REBUILD_EVERY, say=say)
        return RunListener(self.store, display, rebuild)

    def _finish_anyway(self, keys: set[str]) -> None:
        """Rebuild and print after an error, which alone is told if this fails too."""
        try:
            self.finish(keys)
        except Exception as problem:
            say(f"note: the tables could not be rebuilt: {problem}")

    def rebuild(self, *, report: bool = True) -> Any:
        """Write results, histories and tables as text, with `report` also figures and the page; return the results."""
        from assay.report.write import write_report, write_texts

        files = self.files()
        frame = files.rebuild(self.quoted())
        if report:
            write_report(frame, files.layout, history=files.history, panel=files.panel, folder=files.path)
        else:
            write_texts(frame, files.layout, folder=files.path)
        return frame

    def finish(self, keys: set[str] | None = None) -> int:
        """Rebuild everything, print the tables; 1 where one of `keys` is not done, or, of no keys, any failed."""
        if not (self.folder / "cells.parquet").exists():
            raise UserError(f"nothing was planned in {self.folder} yet; run the study without --report-only first.")
        frame = self.rebuild()
        from assay.analysis.filled_table import fill
        from assay.report.text_tables import terminal

        width = shutil.get_terminal_size((120, 40)).columns
        for table in layout_of(self.study, self.profile).tables:
            filled = fill(frame, table).merged()
            if table.name in self.choice.tables if self.choice.tables else filled.is_planned:
                say(terminal(filled, width=width, color=sys.stdout.isatty()))
        states = frame["status"].value_counts()
        counts = ", ".join(f"{count} {name}" for name, count in states.items())
        say(f"cells: {counts}; in {self.folder / 'results.parquet'}")
        say(f"report: {self.folder / 'report.html'}")
        chosen = frame if keys is None else frame[frame["key"].isin(keys)]
        bad = chosen["status"].isin(["failed", "blocked"]) if keys is None else chosen["status"] != "done"
        return 1 if bad.any() else 0


def _needed(resolved: Resolved) -> list[str]:
    """The keys of everything that must be trained before, however far below."""
    direct = list(resolved.inputs.values())
    return list(dict.fromkeys(key for each in direct for key in [*_needed(each), each.key]))


def _plain(value: Any) -> Any:
    """Changes as JSON holds them; a nested experiment by its own JSON."""
    if isinstance(value, Mapping):
        return {name: _plain(content) for name, content in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, Nested):
        offset = {"offset": value.offset} if value.offset else {}
        return {"like": _plain(value.changes), "seed": value.seed} | offset
    return to_json(value) if isinstance(value, Value) else value


def _command() -> str:
    """What continues a stopped run: the same again, without forgetting the same rows again."""
    kept: list[str] = []
    forgetting = False
    for each in sys.argv:
        forgetting = each.split("=")[0] == "--force-row" or (forgetting and not each.startswith("-"))
        if not forgetting:
            kept.append(each)
    return shlex.join(["python", *kept])
