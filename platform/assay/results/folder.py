"""The tables of one study and profile: planned cells, results and histories."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from assay.atomic import replace
from assay.results.columns import results_frame
from assay.results.history import HISTORY, encode_history, is_current, read_histories
from assay.results.layout import StudyLayout
from assay.results.panel import Panel, decode
from assay.results.parquet import parquet
from assay.store import records
from assay.store.local import explain
from assay.store.store import DamagedDocument, Store

CELLS = "cells.parquet"  # every cell that was ever planned here
RESULTS = "results.parquet"
ORDERINGS = "orderings.parquet"
LAYOUT = "study.json"
_CELL = ["table", "row", "column"]


@dataclasses.dataclass(frozen=True)
class StudyFolder:
    """The folder OUT/<study>/<profile>. `rebuild` makes everything in it from the planned cells and the store."""

    path: Path
    store: Store
    layout: StudyLayout

    def plan(self, cells: Sequence[Mapping[str, Any]]) -> None:
        """Add cells to those ever planned here.

        A cell replaces an earlier one of the same row and column, with all its seeds, where its meaning changed: by
        `--set`, an edited script or list, or a method's new version. A mean is never taken over different
        experiments. Finished trainings stay in the store, and return when the old meaning returns.
        """
        planned = pd.DataFrame(list(cells))
        path = self.path / CELLS
        with self._locked():
            if path.exists():
                earlier = pd.read_parquet(path)
                now = earlier.set_index(_CELL).index.map(_meanings(planned.drop_duplicates(_CELL)).to_dict())
                kept = earlier[pd.isna(now) | (now == _meanings(earlier).to_numpy())]
                planned = pd.concat([kept, planned]).drop_duplicates([*_CELL, "seed"], keep="last")
            self._write(CELLS, parquet(planned))
            self._write(LAYOUT, (json.dumps(self.layout.to_json(), indent=2) + "\n").encode())

    def rebuild(self, quoted: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
        """Write results and histories from the store, and return the results.

        quoted: cells with the paper's number; each is a row of the results unless it was ever planned here
        """
        cells = pd.read_parquet(self.path / CELLS)
        planned = set(zip(cells["table"], cells["row"], cells["column"], strict=True))
        only_quoted = [cell for cell in quoted if (cell["table"], cell["row"], cell["column"]) not in planned]
        frame = results_frame(cells, only_quoted, self.store, study=self.layout.name, profile=self.layout.profile)
        self._write(RESULTS, parquet(frame))
        trainings = frame.dropna(subset=["key"]).drop_duplicates("key")
        for key, finished in zip(trainings["key"], trainings["finished"], strict=True):
            self._write_history(key, None if pd.isna(finished) else finished)
        return frame

    def write_orderings(self, frame: pd.DataFrame) -> None:
        """Write the published orderings, with the columns of `ordering_columns`."""
        self._write(ORDERINGS, parquet(frame))

    def history(self, keys: Sequence[str]) -> pd.DataFrame:
        """Return the histories of some keys as one frame."""
        paths = (self.path / HISTORY / f"{key}.parquet" for key in keys)
        return read_histories(path for path in paths if path.exists()).to_pandas()

    def panel(self, key: str) -> Panel | None:
        """Return the validation images and predictions that a key's training left; None where it left none."""
        data = self.store.read(key, records.PANEL)
        result = records.read_json(self.store, key, records.RESULT)
        return None if data is None or result is None else decode(data, result["palette"], result["classes"])

    def _write_history(self, key: str, finished: str | None) -> None:
        """Write one key's history, unless its file is complete already."""
        path = self.path / HISTORY / f"{key}.parquet"
        if is_current(path, finished):
            return
        try:
            lines = records.read_metrics(self.store, key)
        except DamagedDocument:  # costs this curve alone
            return
        data = encode_history(key, lines, finished)
        if data is None:
            path.unlink(missing_ok=True)  # the store forgot the training
        else:
            self._write(f"{HISTORY}/{key}.parquet", data)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from planning here: each would overwrite the cells that another one added."""
        lock = self.path / ".cells.lock"
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            file = lock.open("w")
        except OSError as problem:
            raise explain(problem, "write", lock) from problem
        with file:
            with contextlib.suppress(OSError):  # on a file system without locks, the last writer wins
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _write(self, name: str, data: bytes) -> None:
        path = self.path / name
        try:
            replace(path, data)
        except OSError as problem:
            raise explain(problem, "write", path) from problem


def _meanings(cells: pd.DataFrame) -> pd.Series:
    """Return by table, row and column what a cell trains apart from its seed, with its overrides."""
    # Cells of older versions have no meaning.
    trained = cells["meaning"] if "meaning" in cells else pd.Series("", index=cells.index)
    return pd.Series((trained + cells["overrides"]).to_numpy(), index=pd.MultiIndex.from_frame(cells[_CELL]))
