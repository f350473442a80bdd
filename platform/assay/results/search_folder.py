"""The tables of a search in one profile: its trials and the importances of its parameters."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from assay.atomic import replace
from assay.results.parquet import PERCENT, parquet
from assay.results.search_columns import importances_frame, old_trials_in_percent, trials_frame, trials_in_percent
from assay.results.search_layout import SearchLayout
from assay.store.local import explain

TRIALS = "trials.parquet"
IMPORTANCES = "importances.parquet"
JOURNAL = "optuna.journal"  # of all studies of a search; it lies in the folder of the first one's tables


def write_search(layout: SearchLayout, trials: pd.DataFrame, importances: pd.DataFrame, *, folder: Path) -> None:
    """Write the trials, which come with shares and are stored in percent, and the importances."""
    percent = trials_in_percent(layout, trials_frame(layout, trials))
    files = {TRIALS: parquet(percent, PERCENT), IMPORTANCES: parquet(importances_frame(importances))}
    try:
        for name, data in files.items():
            replace(folder / name, data)
    except OSError as problem:
        raise explain(problem, "write", folder) from problem


def read_trials(path: Path) -> pd.DataFrame:
    """Return the trials of a file in percent, whichever version wrote it."""
    frame = pd.read_parquet(path)
    metadata = pq.read_schema(path).metadata or {}
    return frame if PERCENT.items() <= metadata.items() else old_trials_in_percent(frame)
