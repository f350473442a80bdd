"""Where a study runs when nobody says, and on how many CPUs."""

from __future__ import annotations

import math
import os
from pathlib import Path


def gangs_by_default() -> int:
    """Gangs, as many as fit, on a cluster or where there is a GPU; none on a laptop."""
    # The second is what Ray sets for a job's driver.
    in_cluster = bool(os.environ.get("RAY_ADDRESS") or os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR"))
    return 1 if in_cluster or any(Path("/dev").glob("nvidia[0-9]*")) else 0


def cpus_here() -> int:
    """How many CPUs a Ray of our own takes by default."""
    from ray._private.utils import get_num_cpus

    # Ray knows the quota of a container, and not which CPUs a batch system left to this process.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else math.inf
    return int(min(get_num_cpus(), allowed))
