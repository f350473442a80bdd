"""Hashes of the files behind images: of their names and sizes for keys, and of their contents for `--verify`."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from assay.data.source import DataBroken, Source
from assay.data.sources.decoding import unreadable
from assay.places import Places


def hash_sizes(source: Source, ids: Iterable[str], places: Places) -> str | None:
    """Return a hash of the names and sizes of the images' files, for ids in any order; None for drawn images.

    Two versions of an archive with the same file names differ in it, unless all files have equal sizes.
    """
    lines = _size_lines(source, places)
    lines.forget_changed()
    return _hash(ids, lines.line)


def require_content(source: Source, ids: Iterable[str], places: Places) -> None:
    """Raise DataBroken if a file of these images is empty."""
    lines = _size_lines(source, places)
    lines.forget_changed()
    for image_id in ids:
        lines.line(image_id)
        if image_id in lines.empty_files:
            raise unreadable(lines.empty_files[image_id])


def hash_contents(source: Source, ids: Iterable[str], places: Places) -> str | None:
    """Return a hash of the contents of the images' files, for ids in any order; None for drawn images."""
    return _hash(ids, lambda image_id: _line(image_id, source.files(image_id, places), _digest))


def _hash(ids: Iterable[str], line: Callable[[str], str]) -> str | None:
    lines = [line(image_id) for image_id in sorted(ids)]
    if not any(lines):
        return None
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _line(image_id: str, files: Iterable[Path], describe: Callable[[Path], str]) -> str:
    """Return the id with the name and the description of each file; an empty text without files."""
    parts = [f"{path.name} {describe(path)}" for path in files]
    return "\t".join((image_id, *parts, "\n")) if parts else ""


class _SizeLines:
    """The lines of images with their files' sizes, as long as no folder of these files changes.

    The splits of a plan share nearly all of their images.
    """

    def __init__(self, source: Source, places: Places) -> None:
        self._source, self._places = source, places
        self._lines: dict[str, str] = {}
        self._folders: dict[Path, int] = {}  # with their modification times
        self.empty_files: dict[str, Path] = {}  # by image

    def forget_changed(self) -> None:
        """Forget all lines if a folder has changed since they were made."""
        if any(_modified(folder) != modified for folder, modified in self._folders.items()):
            self._lines, self._folders, self.empty_files = {}, {}, {}

    def line(self, image_id: str) -> str:
        """Return the line of an image."""
        if image_id not in self._lines:
            files = self._source.files(image_id, self._places)
            for folder in {path.parent for path in files} - self._folders.keys():
                self._folders[folder] = _modified(folder)
            self._lines[image_id] = _line(image_id, files, lambda path: str(_size(path)))
            for path in files:
                if not _size(path):
                    self.empty_files[image_id] = path
        return self._lines[image_id]


@functools.lru_cache(maxsize=16)
def _size_lines(source: Source, places: Places) -> _SizeLines:
    return _SizeLines(source, places)


def _modified(folder: Path) -> int:
    """Return a folder's modification time; 0 if it cannot be read."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def _size(path: Path) -> int:
    """Return the size of a file; raise DataBroken for a file that is missing, a folder, and a link without end."""
    folder = path.parent
    try:
        size = _sizes(folder, folder.stat().st_mtime_ns).get(path.name)
    except OSError as error:
        raise unreadable(path, why=error.strerror or str(error)) from None
    if size is None:
        raise unreadable(path)
    return size


@functools.lru_cache(maxsize=4096)
def _sizes(folder: Path, _modified: int) -> dict[str, int]:
    """Return the sizes of a folder's files. On network storage, listing a folder is quicker than one file at a time."""
    sizes: dict[str, int] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # a link in a loop
                if entry.is_file():
                    sizes[entry.name] = entry.stat().st_size
    return sizes


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataBroken(f"{path} cannot be read ({error.strerror}); copy it again.") from None
