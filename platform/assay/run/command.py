"""What a script in studies/ does with its command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from assay.cluster.connection import cluster_address
from assay.errors import AssayError, UserError
from assay.run.flags import check, parser
from assay.run.session import Session, say
from assay.store import records
from assay.study.cells import cells_of
from assay.study.plan import make_plan
from assay.study.printed import print_plan
from assay.study.tables import Study


def main(study: Study, arguments: Sequence[str] | None = None) -> int:
    """Run a study: 0 when every chosen cell is done, 1 when some failed, 2 for a user's mistake, 130/143 stopped."""
    try:
        return _run(study, parser(study).parse_args(arguments))
    except AssayError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped at once", file=sys.stderr)
        return 130


def _run(study: Study, asked: argparse.Namespace) -> int:
    check(asked)
    session = Session.of(study, asked)
    if asked.address and asked.address.startswith(("http://", "https://")):
        from assay.cluster.jobs import submit

        return submit(asked.address, _without_address(sys.argv), root=_root(), say=say)
    if asked.address:
        cluster_address(asked.address, os.environ)  # what cannot be joined is refused before anything is planned
    if asked.report_only:
        return session.finish()
    cells = cells_of(study, session.profile, session.choice)
    plan = make_plan(cells, session.store, session.places)
    if asked.retry_failed and not asked.plan:
        for node in plan.in_state("failed"):
            records.retry(session.store, node.key)
        plan = make_plan(cells, session.store, session.places)
    gangs = session.gangs(plan)
    costs = session.probe(plan) if asked.probe else {}
    real = next((each.name for each in study.profiles if not each.differs), None)
    print_plan(
        plan,
        cells,
        session.profile,
        session.store,
        gangs=None if gangs and asked.gangs is None else gangs,
        workers=asked.workers,
        probed=costs,
        real=real,
        say=say,
    )
    if asked.plan:
        return 0
    if plan.unresolved:
        raise UserError(
            f"{next(iter(plan.unresolved))} A run needs what its cells name where it is started: on a cluster, send it"
            " as a job, with --address http://HEAD:8265."
        )
    if asked.force_row:
        session.forget(asked.force_row, cells)
        plan = make_plan(cells, session.store, session.places)
    session.write_plan(cells, plan)
    return session.train(plan, gangs)


def _without_address(argv: Sequence[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for each in argv:
        if skip or each == "--address":
            skip = each == "--address" and not skip
        elif not each.startswith("--address="):
            kept.append(each)
    return kept


def _root() -> Path:
    """The folder that holds the script's own."""
    return Path(sys.argv[0]).resolve().parent.parent
