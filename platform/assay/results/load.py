"""Results for a notebook. Reading them needs pandas alone; this adds some convenience."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from assay.errors import UserError
from assay.places import out_folder
from assay.results.columns import COLUMNS
from assay.results.folder import ORDERINGS, RESULTS
from assay.results.history import HISTORY, read_histories
from assay.results.ordering_columns import ORDERING_COLUMNS
from assay.results.search_columns import IMPORTANCE_COLUMNS, TRIAL_COLUMNS
from assay.results.search_folder import IMPORTANCES, JOURNAL, TRIALS, read_trials

# The origin of a search's rows; `tables` is the folder of their file: a journal may hold several studies.
_LABELS = {"search": "string", "profile": "string", "tables": "string"}


@dataclasses.dataclass(frozen=True)
class Results:
    """All results below a folder; a frame without results is empty."""

    folder: Path
    frame: pd.DataFrame  # of studies: a row per table x row x column x seed
    orderings: pd.DataFrame  # of studies: a row per table x column x pair of rows whose printed numbers differ
    trials: pd.DataFrame  # of searches: a row per search x profile x trial x seed
    importances: pd.DataFrame  # of searches: a row per search x profile x objective x evaluator x parameter

    def pivot(self, table: str, value: str = "miou") -> pd.DataFrame:
        """Return a table with the paper's layout: means over the finished seeds."""
        rows = self.frame[self.frame["table"] == table]
        if rows.empty:
            tables = ", ".join(sorted(self.frame["table"].dropna().unique())) or "none"
            raise UserError(f"there is no table {table!r} in {self.folder}; there is: {tables}.")
        origins = sorted(set(zip(rows["study"], rows["profile"], strict=True)))
        if len(origins) > 1:  # a mean is never taken over different data
            folders = ", ".join(f"{study}/{profile}" for study, profile in origins)
            raise UserError(f"{self.folder} holds {table!r} more than once; load one of its folders: {folders}.")
        labels = {name: list(dict.fromkeys(rows[name])) for name in ("row", "column")}
        return rows.pivot_table(index="row", columns="column", values=value, aggfunc="mean", dropna=False).reindex(
            index=labels["row"], columns=labels["column"]
        )

    def history(self) -> pd.DataFrame:
        """Return everything that the studies' trainings logged: key, step, name, value."""
        paths = sorted(self.folder.glob(f"**/{HISTORY}/*.parquet"))
        # One training may stand in several studies.
        return read_histories(paths).to_pandas().drop_duplicates(["key", "step", "name"])


def load(out: str | Path = "results") -> Results:
    """Return the results of every study and search below `out`: the folder of all of them, or of one."""
    folder = out_folder(str(out), "out")
    studies, searches = sorted(folder.glob(f"**/{RESULTS}")), sorted(folder.glob(f"**/{TRIALS}"))
    if not studies and not searches:
        raise UserError(
            f"there is no {RESULTS} below {folder.absolute()}, and no {TRIALS}; run a study or a search, or name"
            " another folder."
        )
    trials = [_labelled(read_trials(path), path) for path in searches]
    orderings = [pd.read_parquet(path) for path in sorted(folder.glob(f"**/{ORDERINGS}"))]
    importances = [_labelled(pd.read_parquet(path), path) for path in sorted(folder.glob(f"**/{IMPORTANCES}"))]
    return Results(
        folder,
        frame=_stacked([pd.read_parquet(path) for path in studies], COLUMNS),
        orderings=_stacked(orderings, ORDERING_COLUMNS),
        trials=_stacked(trials, _LABELS | TRIAL_COLUMNS),
        importances=_stacked(importances, _LABELS | IMPORTANCE_COLUMNS),
    )


def _stacked(frames: Sequence[pd.DataFrame], types: Mapping[str, str]) -> pd.DataFrame:
    """Return frames as one; where none has a row, no rows in these columns."""
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=list(types)).astype(dict(types))


def _labelled(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return a table of a search with three more columns in front, which name its origin."""
    tables = path.parent.absolute()
    # The first study of a journal has its tables beside it, each later study in a folder below.
    folder = tables.parent if (tables.parent / JOURNAL).exists() else tables
    labels = {"search": folder.parent.name, "profile": folder.name, "tables": str(tables)}
    labelled = frame.assign(**labels).astype(_LABELS)
    return labelled[[*_LABELS, *frame.columns]]
