"""The command line of a study's script."""

from __future__ import annotations

from collections.abc import Sequence

from assay.errors import UserError
from assay.execution.plan import Plan, make_plan, with_state, workers_begun
from assay.experiment import Experiment
from assay.resolve import Resolved
from assay.run.flags import parser
from assay.run.forget import check_rows, keys_of_rows
from assay.run.options import StudyOptions
from assay.run.plan_text import print_plan
from assay.run.study_run import StudyRun
from assay.run.submission import check_reachable, submit_this
from assay.study.cells import Cell, cells_of, chosen_rows, chosen_tables, quoted_columns
from assay.study.equal_rows import rows_made_equal
from assay.study.tables import Study
from assay.terminal import exit_code, print_line


def run_study(study: Study, arguments: Sequence[str] | None = None) -> int:
    """Run a study and return its exit code.

    0: every chosen cell is done; 1: some failed; 2: a user's mistake; 130 or 143: stopped.
    """
    return exit_code(lambda: _run(study, StudyOptions.parse(parser(study).parse_args(arguments))))


def _run(study: Study, options: StudyOptions) -> int:
    check_reachable(options.launch)
    run = StudyRun.make(study, options)
    rows = chosen_rows(study, run.profile, options.selection)
    check_rows(options.force_row, (row.label for _, row in rows))
    options.check_beside_report()
    if options.launch.job_address:
        return submit_this(options.launch.job_address)
    if options.report_only:
        return run.report()
    cells = cells_of(study, run.profile, options.selection)
    plan = _plan(run, cells)
    remote = run.launcher.resolve_on_cluster(_unresolved(plan), print_line=print_line)
    if remote:
        plan = _plan(run, cells, remote)
    placement = run.launcher.place(
        len(plan.to_run),
        check_room=options.plan or bool(options.force_row),
        begun=workers_begun(plan, run.store),
    )
    print_plan(
        plan,
        run.profile,
        run.store,
        placement=placement,
        quoted=quoted_columns(run.profile, chosen_tables(study, run.profile, options.selection)),
        equal_rows=rows_made_equal(study, run.profile, options.selection, cells),
        probed=run.probe(plan) if options.probe else {},
        paper_profile=next((profile.name for profile in study.profiles if not profile.not_comparable), None),
        print_line=print_line,
    )
    if options.plan:
        return 0
    if _unresolved(plan) and not plan.nodes:
        raise UserError(
            f"{next(iter(plan.unresolved))} A run needs what its cells name, on this machine or on a cluster's nodes:"
            " send it to those as a job, with --address http://HEAD:8265, or start it on one of them."
        )
    run.write_plan(plan)
    if options.retry_failed or options.force_row:  # only now, when no check can refuse the run any more
        run.forget_results(plan)
        plan = make_plan(cells, run.store, run.places, resolved=remote)
    return run.train(plan, placement)


def _unresolved(plan: Plan) -> list[Experiment]:
    """Return the experiments that this machine cannot resolve, and another one might."""
    return [planned.cell.experiment for planned in plan.cells if planned.node is None and not planned.cell.blocked_by]


def _plan(run: StudyRun, cells: Sequence[Cell], remote: Sequence[Resolved] = ()) -> Plan:
    """Return the plan as it is once failed experiments may be retried and forced rows are forgotten."""
    plan = make_plan(cells, run.store, run.places, resolved=remote)
    failed = plan.in_state("failed") if run.options.retry_failed else []
    plan = with_state(plan, "interrupted", [node.key for node in failed if not node.state.is_damaged])
    return with_state(plan, "absent", keys_of_rows(run.options.force_row, plan))
