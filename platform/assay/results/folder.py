"""The files of one study and profile: what was planned, the results, the histories and the report."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from assay.atomic import replace
from assay.report.write import write_report, write_texts
from assay.results.columns import results_frame
from assay.results.layout import StudyLayout
from assay.results.panel import IGNORE, Panel
from assay.results.parquet import parquet
from assay.store import records
from assay.store.local import explain
from assay.store.store import DamagedDocument, Store

CELLS = "cells.parquet"  # every cell that was ever planned here
RESULTS = "results.parquet"
HISTORY = "history.parquet"  # a folder with a file per key
LAYOUT = "study.json"
_CELL = ["table", "row", "column"]
_FINISHED = b"finished"  # in a history's metadata: when the training ended whose history it is, and will remain
_HISTORY_SCHEMA = pa.schema(
    [("key", pa.string()), ("step", pa.int64()), ("name", pa.string()), ("value", pa.float64())]
)


@dataclasses.dataclass(frozen=True)
class StudyFiles:
    """The folder OUT/<study>/<profile>, all of which is made anew from the store."""

    folder: Path
    store: Store
    layout: StudyLayout

    def plan(self, cells: Sequence[Mapping[str, Any]]) -> None:
        """Add cells to those ever planned here.

        A cell that means something else than before (--set, an edited script or list, a method's new version) replaces
        what it was, with all its seeds: a mean is never taken over different experiments. What was trained stays in
        the store, and comes back the same way.
        """
        new = pd.DataFrame(list(cells))
        path = self.folder / CELLS
        with self._alone():
            if path.exists():
                old = pd.read_parquet(path)
                now = old.set_index(_CELL).index.map(_meaning(new.drop_duplicates(_CELL)).to_dict())
                old = old[pd.isna(now) | (now == _meaning(old).to_numpy())]
                new = pd.concat([old, new]).drop_duplicates([*_CELL, "seed"], keep="last")
            self._write(CELLS, parquet(new))
            self._write(LAYOUT, (json.dumps(self.layout.to_json(), indent=2) + "\n").encode())

    def rebuild(self, quoted: Iterable[Mapping[str, Any]], *, report: bool = True) -> pd.DataFrame:
        """Write results, histories, tables as text and, where asked for, figures and page; returns the results."""
        cells = pd.read_parquet(self.folder / CELLS)
        planned = set(zip(cells["table"], cells["row"], cells["column"], strict=True))
        only_quoted = [each for each in quoted if (each["table"], each["row"], each["column"]) not in planned]
        frame = results_frame(cells, only_quoted, self.store, study=self.layout.name, profile=self.layout.profile)
        self._write(RESULTS, parquet(frame))
        known = frame.dropna(subset=["key"]).drop_duplicates("key")
        for key, finished in zip(known["key"], known["finished"], strict=True):
            self._write_history(key, None if pd.isna(finished) else finished)
        try:
            if report:
                write_report(frame, self.layout, history=self.history, panel=self.panel, folder=self.folder)
            else:
                write_texts(frame, self.layout, folder=self.folder)
        except OSError as problem:
            raise explain(problem, "write", self.folder) from problem
        return frame

    def history(self, keys: Sequence[str]) -> pd.DataFrame:
        """What was logged under some keys."""
        paths = [path for key in keys if (path := self._history_path(key)).exists()]
        tables = [pq.read_table(path, schema=_HISTORY_SCHEMA) for path in paths]
        return (pa.concat_tables(tables) if tables else _HISTORY_SCHEMA.empty_table()).to_pandas()

    def panel(self, key: str) -> Panel | None:
        """The validation images that the key's training left, with their predictions."""
        data = self.store.read(key, records.PANEL)
        result = records.read_json(self.store, key, records.RESULT)
        if data is None or result is None:
            return None
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            count = sum(name.startswith("image") for name in arrays)
            parts = {
                kind: [arrays[f"{kind}{index}"] for index in range(count)] for kind in ("image", "truth", "prediction")
            }
        if not count:
            return None
        return Panel(
            images=_stacked(parts["image"], fill=255),
            truths=_stacked(parts["truth"], fill=IGNORE),
            predictions=_stacked(parts["prediction"], fill=IGNORE),
            palette=[tuple(colour) for colour in result["palette"]],
            classes=result["classes"],
        )

    def _history_path(self, key: str) -> Path:
        return self.folder / HISTORY / f"{key}.parquet"

    def _write_history(self, key: str, finished: str | None) -> None:
        """One key's lines as rows; those of a training that ended are not written again, unless it was trained anew."""
        path = self._history_path(key)
        if path.exists() and finished and (pq.read_schema(path).metadata or {}).get(_FINISHED) == finished.encode():
            return
        try:
            lines = records.read_metrics(self.store, key)
        except DamagedDocument:  # costs this curve alone
            return
        rows = [
            (key, line["step"], name, float(value))
            for line in lines
            for name, value in line.items()
            if name != "step" and isinstance(value, (int, float)) and math.isfinite(value)
        ]
        if not rows:
            path.unlink(missing_ok=True)  # forgotten in the store
            return
        columns = [list(column) for column in zip(*rows, strict=True)]
        schema = _HISTORY_SCHEMA.with_metadata({_FINISHED: finished.encode()} if finished else {})
        self._write(f"{HISTORY}/{key}.parquet", parquet(pa.table(columns, schema=schema)))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from planning here: what one of them read, another would write over."""
        lock = self.folder / ".cells.lock"
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            file = lock.open("w")
        except OSError as problem:
            raise explain(problem, "write", lock) from problem
        with file:
            with contextlib.suppress(OSError):  # where a file system knows no locks, the last one to write wins
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _write(self, name: str, data: bytes) -> None:
        """Put a file in its place as a whole: somebody may be reading it."""
        path = self.folder / name
        try:
            replace(path, data)
        except OSError as problem:
            raise explain(problem, "write", path) from problem


def _meaning(cells: pd.DataFrame) -> pd.Series:
    """By cell, what it trains whatever the seed, and with what changes."""
    meant = cells["meaning"] if "meaning" in cells else pd.Series("", index=cells.index)  # of an older version
    return pd.Series((meant + cells["overrides"]).to_numpy(), index=pd.MultiIndex.from_frame(cells[_CELL]))


def _stacked(arrays: Sequence[np.ndarray], *, fill: int) -> np.ndarray:
    """Arrays of several heights and widths as one, the smaller ones filled up."""
    height, width = (max(each.shape[axis] for each in arrays) for axis in (0, 1))
    whole = np.full((len(arrays), height, width, *arrays[0].shape[2:]), fill, dtype=np.uint8)
    for index, each in enumerate(arrays):
        whole[index, : each.shape[0], : each.shape[1]] = each
    return whole
