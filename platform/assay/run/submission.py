"""Where a script's run happens: here, on a cluster that is joined, or as a job that is submitted."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from assay.cluster.connection import cluster_address, is_in_job
from assay.cluster.worker_checks import require_absolute
from assay.errors import UserError
from assay.run.flags import takes_jobs
from assay.run.listeners import say


def submit_this(address: str) -> int:
    """Submit the script that runs as a job, follow it, and return its exit code."""
    from assay.cluster.jobs import submit

    return submit(address, _without_address(sys.argv), root=_root(), say=say)


def check_places(asked: argparse.Namespace) -> None:
    """Refuse before anything is planned what can be neither written to nor joined."""
    in_job = is_in_job()
    submits = takes_jobs(asked.address)
    if submits and in_job:
        raise UserError(
            f"--address {asked.address}: this is a job of a cluster already, and submits no other one; leave --address"
            " out, and it runs on that cluster."
        )
    require_absolute(asked.out, multi_node=False, in_job=in_job or submits)
    if asked.address and not submits:
        cluster_address(asked.address, os.environ)


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
