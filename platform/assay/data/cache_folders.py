"""The caches in a folder: their sizes, their content, and their removal."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import Any

from assay.data.cache import RECORD, decoders

_NAME = re.compile(r"[a-z0-9_]+-[0-9a-f]{12}")
_EVICTED = ".evicted-"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CacheFolder:
    """The cache of one data set, as it lies on the disk."""

    path: Path
    images: int
    size: int  # bytes
    last_use: float | None  # seconds since 1970; None where the record is missing
    made_of: dict[str, Any]  # empty where the record is missing or damaged

    @property
    def is_current(self) -> bool:
        """False for a cache that other versions of the readers made; this installation does not use it."""
        return self.made_of.get("decoders") == decoders()


def cache_folders(folder: Path) -> list[CacheFolder]:
    """Return the caches in a folder, by name."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [_describe(path) for path in paths if _NAME.fullmatch(path.name)]


def evict(cache: CacheFolder) -> None:
    """Delete a cache. Processes that read it keep the images that they have mapped, and decode the others."""
    # Under another name first: what other processes write meanwhile goes to a new folder.
    evicted = cache.path.with_name(f"{_EVICTED}{cache.path.name}.{secrets.token_hex(4)}")
    cache.path.rename(evicted)
    shutil.rmtree(evicted)


def finish_evictions(folder: Path) -> None:
    """Delete what killed evictions left."""
    for path in folder.glob(f"{_EVICTED}*"):
        shutil.rmtree(path, ignore_errors=True)


def _describe(path: Path) -> CacheFolder:
    images = size = 0
    for parent, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # evicted or replaced meanwhile
                size += Path(parent, name).stat().st_size
                images += not name.startswith(".") and name != RECORD
    last_use: float | None = None
    made_of: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError, RecursionError):
        last_use = (path / RECORD).stat().st_mtime
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
        made_of = record if _is_record(record) else {}
    return CacheFolder(path=path, images=images, size=size, last_use=last_use, made_of=made_of)


def _is_record(record: Any) -> bool:
    """Return True for the content that a cache writes into its record: the data set, and the folder of its files."""
    if not isinstance(record, dict) or not isinstance(record.get("data", 0), str | None):
        return False
    source = record.get("source")
    return isinstance(source, dict) and isinstance(source.get("name"), str)
