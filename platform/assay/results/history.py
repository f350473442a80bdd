"""`history.parquet/`: a file for each key with everything that its training logged, a row for each step and name.

Values are as the training logged them, with one exception: mIoU and pixel accuracy of an evaluation
(`val/<network>/miou`, `val/<network>/pixel_accuracy`) are in percent, as in `results.parquet`. A `share/…` of pixels,
such as `share/pseudo_accuracy`, stays a share between 0 and 1. The store keeps shares. Files of older versions have
shares throughout; their metadata name no unit, and `read_histories` converts them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assay.results.parquet import PERCENT, parquet

HISTORY = "history.parquet"  # a folder
SCHEMA = pa.schema([("key", pa.string()), ("step", pa.int64()), ("name", pa.string()), ("value", pa.float64())])
_FINISHED = b"finished"  # in the metadata: the time at which the training ended
_IN_PERCENT = r"^val/.*/(miou|pixel_accuracy)$"


def is_current(path: Path, finished: str | None) -> bool:
    """Return whether a file has the whole history of a training that ended at this time, in today's units."""
    if not finished or not path.exists():
        return False
    metadata = pq.read_schema(path).metadata or {}
    return metadata.get(_FINISHED) == finished.encode() and PERCENT.items() <= metadata.items()


def is_in_percent(name: str) -> bool:
    """Return whether the values of this name are shares in the store, and percent where people read them."""
    return re.match(_IN_PERCENT, name) is not None


def encode_history(key: str, lines: Iterable[Mapping[str, Any]], finished: str | None) -> bytes | None:
    """Return the file of one key from the lines of its log; None where these hold no number."""
    rows = [
        (key, line["step"], name, 100 * float(value) if is_in_percent(name) else float(value))
        for line in lines
        for name, value in line.items()
        if name != "step" and isinstance(value, (int, float)) and math.isfinite(value)
    ]
    if not rows:
        return None
    metadata = {**PERCENT, **({_FINISHED: finished.encode()} if finished else {})}
    columns = [list(column) for column in zip(*rows, strict=True)]
    return parquet(pa.table(columns, schema=SCHEMA.with_metadata(metadata)))


def read_histories(paths: Iterable[Path]) -> pa.Table:
    """Return the rows of several files."""
    tables = [_read(path) for path in paths]
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table()


def _read(path: Path) -> pa.Table:
    # Read as one file: pandas would take "key" of a folder's name for a partition.
    table = pq.ParquetFile(path).read(columns=SCHEMA.names)
    is_percent = PERCENT.items() <= (table.schema.metadata or {}).items()
    table = table.replace_schema_metadata(None).cast(SCHEMA)
    if is_percent:
        return table
    shares = pc.match_substring_regex(table["name"], _IN_PERCENT)
    values = pc.if_else(shares, pc.multiply(table["value"], 100.0), table["value"])
    return table.set_column(SCHEMA.get_field_index("value"), SCHEMA.field("value"), values)
