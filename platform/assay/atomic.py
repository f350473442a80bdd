"""Files that are replaced whole: another process may be reading them."""

from __future__ import annotations

import secrets
from pathlib import Path


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
