"""Tables as the bytes of Parquet files."""

from __future__ import annotations

import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


def parquet(table: pa.Table | pd.DataFrame) -> bytes:
    """A table as the bytes of a Parquet file."""
    sink = io.BytesIO()
    made = pa.Table.from_pandas(table, preserve_index=False) if isinstance(table, pd.DataFrame) else table
    pq.write_table(made, sink, compression="zstd")
    return sink.getvalue()
