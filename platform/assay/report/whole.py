"""Files that are replaced as a whole: somebody may be reading them."""

from __future__ import annotations

import io
import secrets
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


def replace(path: Path, data: bytes) -> Path:
    """Write a file whole, or leave the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    spool = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        spool.write_bytes(data)
        spool.replace(path)
    except BaseException:
        spool.unlink(missing_ok=True)
        raise
    return path


def parquet(table: pa.Table | pd.DataFrame) -> bytes:
    """A table as the bytes of a Parquet file."""
    sink = io.BytesIO()
    made = pa.Table.from_pandas(table, preserve_index=False) if isinstance(table, pd.DataFrame) else table
    pq.write_table(made, sink, compression="zstd")
    return sink.getvalue()
