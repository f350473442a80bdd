"""Hashes of the files behind images: of their names and sizes for keys, and of their contents for `--verify`."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from assay.data.source import DataBroken, Source
from assay.places import Places


def hash_sizes(source: Source, ids: Iterable[str], places: Places) -> str | None:
    """Return a hash of the names and sizes of the images' files, for ids in any order; None for drawn images.

    Two versions of an archive with the same file names differ in it, unless all files have equal sizes.
    """
    return _hash(source, ids, places, lambda path: str(_size(path)))


def hash_contents(source: Source, ids: Iterable[str], places: Places) -> str | None:
    """Return a hash of the contents of the images' files, for ids in any order; None for drawn images."""
    return _hash(source, ids, places, _digest)


def _hash(source: Source, ids: Iterable[str], places: Places, describe: Callable[[Path], str]) -> str | None:
    total = hashlib.sha256()
    has_files = False
    for image_id in sorted(ids):
        files = source.files(image_id, places)
        has_files = has_files or bool(files)
        parts = (f"{path.name} {describe(path)}" for path in files)
        total.update("\t".join((image_id, *parts, "\n")).encode("utf-8", "surrogateescape"))
    return total.hexdigest()[:16] if has_files else None


def _size(path: Path) -> int:
    folder = path.parent
    try:
        return _sizes(folder, folder.stat().st_mtime_ns)[path.name]
    except (OSError, KeyError):
        raise DataBroken(f"{path} is missing; other files of the data set refer to it.") from None


@functools.lru_cache(maxsize=4096)
def _sizes(folder: Path, _modified: int) -> dict[str, int]:
    """Return the sizes of a folder's files. On network storage, listing a folder is quicker than one file at a time."""
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataBroken(f"{path} cannot be read ({error.strerror}); copy it again.") from None
