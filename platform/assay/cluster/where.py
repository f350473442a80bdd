"""Where a study runs when nobody says; answered without importing Ray."""

from __future__ import annotations

import os
from pathlib import Path


def in_cluster() -> bool:
    """Whether this process belongs to a Ray cluster already: its address is set, or it is a job's driver."""
    return bool(os.environ.get("RAY_ADDRESS") or os.environ.get("RAY_JOB_ID"))


def gangs_by_default() -> int:
    """One gang on a cluster or where there is a GPU, to be widened to what fits; none on a laptop."""
    return 1 if in_cluster() or any(Path("/dev").glob("nvidia[0-9]*")) else 0
