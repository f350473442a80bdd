"""Results for a notebook. Reading them needs pandas alone; this adds a little convenience."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd

from assay.errors import UserError
from assay.places import out_folder
from assay.results.folder import HISTORY, RESULTS


@dataclasses.dataclass(frozen=True)
class Results:
    """All results below a folder: `frame` has one row per table x row x column x seed."""

    folder: Path
    frame: pd.DataFrame

    def pivot(self, table: str, value: str = "miou") -> pd.DataFrame:
        """A table as the paper lays it out: means over the seeds that finished."""
        chosen = self.frame[self.frame["table"] == table]
        if chosen.empty:
            known = ", ".join(sorted(self.frame["table"].dropna().unique()))
            raise UserError(f"there is no table {table!r} in {self.folder}; there is: {known}.")
        origins = sorted(set(zip(chosen["study"], chosen["profile"], strict=True)))
        if len(origins) > 1:  # a mean is never taken over different data
            folders = ", ".join(f"{study}/{profile}" for study, profile in origins)
            raise UserError(f"{self.folder} holds {table!r} more than once; load one of its folders: {folders}.")
        rows, columns = (list(dict.fromkeys(chosen[name])) for name in ("row", "column"))
        return chosen.pivot_table(index="row", columns="column", values=value, aggfunc="mean", dropna=False).reindex(
            index=rows, columns=columns
        )

    def history(self) -> pd.DataFrame:
        """Everything that was logged: key, step, name, value."""
        parts = sorted({path.parent for path in self.folder.glob(f"**/{HISTORY}/*.parquet")})
        frames = [pd.read_parquet(part) for part in parts]
        if not frames:
            return pd.DataFrame({"key": [], "step": [], "name": [], "value": []})
        return pd.concat(frames).drop_duplicates(["key", "step", "name"])


def load(out: str | Path = "results") -> Results:
    """The results of every study below `out`, which may be the folder of all or of one."""
    folder = out_folder(str(out))
    found = sorted(folder.glob(f"**/{RESULTS}"))
    if not found:
        raise UserError(f"there is no {RESULTS} below {folder.absolute()}; run a study, or name another folder.")
    return Results(folder, pd.concat([pd.read_parquet(path) for path in found], ignore_index=True))
