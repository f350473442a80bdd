"""The place of a script's run: this machine, a cluster that the script joins, or a cluster that runs it as a job."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from assay.cluster.connection import cluster_address, is_in_job
from assay.cluster.worker_checks import require_absolute
from assay.errors import UserError
from assay.run.options import LaunchOptions
from assay.terminal import print_line


def submit_this(address: str) -> int:
    """Submit the running script as a job, follow the job, and return its exit code."""
    from assay.cluster.jobs import submit

    return submit(address, _without_address(sys.argv), root=_root(), print_line=print_line)


def check_reachable(options: LaunchOptions) -> None:
    """Raise a UserError where OUT cannot be written or the address cannot be joined from here."""
    in_job = is_in_job()
    if options.job_address and in_job:
        raise UserError(
            f"--address {options.address}: this script runs as a job of a cluster already and cannot submit another"
            " job; leave --address out, and it runs on that cluster."
        )
    require_absolute(options.out, multi_node=False, in_job=in_job or options.job_address is not None)
    if options.address and not options.job_address:
        cluster_address(options.address, os.environ)


def _without_address(argv: Sequence[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for word in argv:
        if skip or word == "--address":
            skip = word == "--address" and not skip
        elif not word.startswith("--address="):
            kept.append(word)
    return kept


def _root() -> Path:
    """Return the checkout of the script, which may be several folders deep in one of the folders that are sent."""
    from assay.cluster.jobs import FOLDERS

    script = Path(sys.argv[0]).resolve()
    sent = next((folder for folder in script.parents if folder.name in FOLDERS), script.parent)
    return sent.parent
