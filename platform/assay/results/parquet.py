"""Tables as the bytes of Parquet files."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

# Metadata of files whose mIoU is in percent: older versions wrote shares, and no unit, into some of them.
PERCENT: Mapping[bytes, bytes] = {b"unit": b"percent"}


def parquet(table: pa.Table | pd.DataFrame, metadata: Mapping[bytes, bytes] | None = None) -> bytes:
    """Return a table as the bytes of a Parquet file, with some metadata added to its own."""
    content = pa.Table.from_pandas(table, preserve_index=False) if isinstance(table, pd.DataFrame) else table
    if metadata:
        content = content.replace_schema_metadata({**(content.schema.metadata or {}), **metadata})
    sink = io.BytesIO()
    pq.write_table(content, sink, compression="zstd")
    return sink.getvalue()
