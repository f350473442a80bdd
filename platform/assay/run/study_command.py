"""What a script in studies/ does with its command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from assay.errors import UserError
from assay.execution.plan import Plan, make_plan, with_state, workers_begun
from assay.experiment import Experiment
from assay.resolve import Resolved
from assay.run.flags import check, check_beside_report, parser, takes_jobs
from assay.run.forget import check_rows, keys_of_rows
from assay.run.listeners import say
from assay.run.plan_text import print_plan
from assay.run.study_run import StudyRun
from assay.run.submission import check_places, submit_this
from assay.study.cells import Cell, cells_of, chosen_rows, chosen_tables, quoted_columns
from assay.study.tables import Study
from assay.terminal import exit_code


def run_study(study: Study, arguments: Sequence[str] | None = None) -> int:
    """Run a study: 0 when every chosen cell is done, 1 when some failed, 2 for a user's mistake, 130/143 stopped."""
    return exit_code(lambda: _run(study, parser(study).parse_args(arguments)))


def _run(study: Study, asked: argparse.Namespace) -> int:
    check(asked)
    check_places(asked)
    study_run = StudyRun.of(study, asked)
    rows = chosen_rows(study, study_run.profile, study_run.choice)
    check_rows(asked.force_row, (row.label for _, row in rows))
    check_beside_report(asked)
    if takes_jobs(asked.address):
        return submit_this(asked.address)
    if asked.report_only:
        return study_run.finish()
    cells = cells_of(study, study_run.profile, study_run.choice)
    plan = _planned(study_run, cells)
    missing = _missing(cells, plan)
    found = study_run.launcher.resolved_elsewhere(missing, say=say)
    if found:
        plan = _planned(study_run, cells, found)
    where = study_run.launcher.where(
        len(plan.to_run), ask=asked.plan or bool(asked.force_row), begun=workers_begun(plan, study_run.store)
    )
    costs = study_run.probe(plan) if asked.probe else {}
    real = next((each.name for each in study.profiles if not each.not_comparable), None)
    quoted = quoted_columns(study_run.profile, chosen_tables(study, study_run.profile, study_run.choice))
    print_plan(
        plan, cells, study_run.profile, study_run.store, where=where, quoted=quoted, probed=costs, real=real, say=say
    )
    if asked.plan:
        return 0
    if _missing(cells, plan) and not plan.nodes:
        raise UserError(
            f"{next(iter(plan.unresolved))} A run needs what its cells name, on this machine or on a cluster's nodes:"
            " send it to those as a job, with --address http://HEAD:8265, or start it on one of them."
        )
    study_run.write_plan(cells, plan)
    if asked.retry_failed or asked.force_row:  # now that nothing can refuse any more
        study_run.try_again(plan, cells)
        plan = make_plan(cells, study_run.store, study_run.places, found=found)
    return study_run.train(plan, where)


def _missing(cells: Sequence[Cell], plan: Plan) -> list[Experiment]:
    """What could not be resolved, and might be elsewhere."""
    return [cell.experiment for cell, key in zip(cells, plan.keys, strict=True) if key is None and not cell.blocked_by]


def _planned(study_run: StudyRun, cells: Sequence[Cell], found: Sequence[Resolved] = ()) -> Plan:
    """The plan as it is once what is to be trained again may be, and what is to be forgotten has been."""
    plan = make_plan(cells, study_run.store, study_run.places, found=found)
    failed = plan.in_state("failed") if study_run.asked.retry_failed else []
    plan = with_state(plan, "interrupted", [node.key for node in failed if not node.state.is_damaged])
    return with_state(plan, "absent", keys_of_rows(study_run.asked.force_row, cells, plan))
