"""Where a study runs when nobody says; answered without importing Ray."""

from __future__ import annotations

import os
from pathlib import Path


def gangs_by_default() -> int:
    """Gangs, as many as fit, on a cluster or where there is a GPU; none on a laptop."""
    # The second is what Ray sets for a job's driver.
    in_cluster = bool(os.environ.get("RAY_ADDRESS") or os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR"))
    return 1 if in_cluster or any(Path("/dev").glob("nvidia[0-9]*")) else 0
