"""A cache of decoded images: a folder for each data set, with a file for each image.

Every process may read and fill it at any time. A file is complete from the moment that it has a name
(`data/decoded_file.py`), so a killed process leaves nothing wrong behind. A file is used only while its origin is the
same: the image's files have the times, sizes and inodes that they had when the image was decoded, and the folder is
that of the same data set, read by the same code with the same decoders.

Images are decoded at the first request, one at a time in each of 256 subfolders: the kernel frees the lock of a process
that dies. Where the cache cannot be filled, because its disk is full or read-only, images are decoded as without it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import functools
import hashlib
import importlib.metadata
import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import features

from assay import atomic
from assay.data import decoded_file
from assay.data.notes import note
from assay.data.source import Source
from assay.places import Places
from assay.values import to_json
from assay.wording import byte_size

RECORD = "made_of.json"  # what the images of a folder were decoded from; its time is that of the last use
RESERVE = 10**9  # bytes that the cache leaves free on its disk, for checkpoints and results
# Seconds after which a change of a file gives it another time, on any file system; FAT's times are the coarsest.
TIME_STEP = 2.0
_PATIENCE = 5.0  # seconds; whoever decodes an image for longer may have been suspended
_PAUSE = 0.002  # seconds between two looks at a lock
_TOUCH_EVERY = 600.0  # seconds between two records of use
_LOCK = ".lock"
_PACKAGES = ("pillow", "scipy")  # the packages that decode images and masks


@dataclasses.dataclass(frozen=True)
class Origin:
    """The state of an image's files."""

    digest: bytes
    changed: float  # when the newest of them was changed

    @property
    def is_settled(self) -> bool:
        """False for files changed just now: another change in the same step of the clock would look the same."""
        return time.time() - self.changed > TIME_STEP


class ImageCache:
    """The decoded images of one data set."""

    def __init__(self, source: Source, places: Places, folder: Path) -> None:
        """Use the data set's folder in `folder`. Nothing is written before an image is read."""
        self.source, self.places = source, places
        self.made_of = made_of(source, places)
        digest = hashlib.sha256(json.dumps(self.made_of, sort_keys=True).encode()).hexdigest()
        self.folder = folder / f"{source.name}-{digest[:12]}"
        self.problem: OSError | None = None  # the reason for which this process fills the cache no longer
        self._touched = -_TOUCH_EVERY

    def read(self, image_id: str) -> tuple[np.ndarray, np.ndarray]:
        """Return what `Source.read` returns, from the cache where it holds the image; else decode and keep it."""
        origin = self._origin(image_id)
        if origin is None:
            return self.source.read(image_id, self.places)
        path = self._path(image_id)
        cached = decoded_file.read(path, origin.digest) or self._decode(image_id, path, origin)
        self._touch()
        return cached

    def holds(self, image_id: str) -> bool:
        """Return True if reading the image needs no decoding."""
        origin = self._origin(image_id)
        return origin is not None and decoded_file.read(self._path(image_id), origin.digest) is not None

    def state(self, ids: Iterable[str]) -> str | None:
        """Return a hash of the state of images' files, for what is computed from these images.

        Return None for drawn images, and where a file is missing or was changed just now.
        """
        total = hashlib.sha256()
        for image_id in ids:
            origin = self._origin(image_id)
            if origin is None or not origin.is_settled:
                return None
            total.update(origin.digest)
        return total.hexdigest()

    def _path(self, image_id: str) -> Path:
        name = hashlib.sha256(image_id.encode("utf-8", "surrogateescape")).hexdigest()
        return self.folder / name[:2] / name[2:32]

    def _origin(self, image_id: str) -> Origin | None:
        """Return the state of the image's files; None for a drawn image or where a file is missing."""
        try:
            states = [path.stat() for path in self.source.files(image_id, self.places)]
        except OSError:
            return None  # the data set's reader names the missing file
        if not states:
            return None
        # A user sets a file's time of modification at will, and copying may keep it; only a change sets ctime.
        text = repr([image_id, *((s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for s in states)])
        digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
        return Origin(digest, max(state.st_ctime for state in states))

    def _decode(self, image_id: str, path: Path, origin: Origin) -> tuple[np.ndarray, np.ndarray]:
        with self._turn(path.parent) as may_write:
            cached = decoded_file.read(path, origin.digest) if may_write else None
            if cached is not None:
                return cached  # another process decoded the image meanwhile
            image, mask = self.source.read(image_id, self.places)
            if may_write and origin.is_settled and self._origin(image_id) == origin:
                self._write(path, origin.digest, image, mask)
            return image, mask

    @contextlib.contextmanager
    def _turn(self, folder: Path) -> Iterator[bool]:
        """Wait until no other process decodes images of a subfolder. Yield False where no image can be written."""
        descriptor = self._open_lock(folder) if self.problem is None else None
        if descriptor is None:
            yield False
            return
        try:
            yield _lock(descriptor)
        finally:
            os.close(descriptor)

    def _open_lock(self, folder: Path) -> int | None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            try:
                return os.open(folder / _LOCK, flags, 0o666)
            except FileNotFoundError:  # a new cache, or one that was just evicted
                self._make(folder)
                return os.open(folder / _LOCK, flags, 0o666)
        except OSError as problem:
            self._stop_filling(problem)
            return None

    def _make(self, folder: Path) -> None:
        """Make a subfolder; before the first one, write what the images are made of."""
        if not (self.folder / RECORD).exists():
            atomic.replace(self.folder / RECORD, json.dumps(self.made_of, indent=1).encode())
        folder.mkdir(exist_ok=True)

    def _write(self, path: Path, origin: bytes, image: np.ndarray, mask: np.ndarray) -> None:
        try:
            if free_bytes(self.folder) < RESERVE + image.nbytes + mask.nbytes:
                raise OSError(errno.ENOSPC, f"its disk has less than {byte_size(RESERVE)} left")
            decoded_file.write(path, origin, image, mask)
        except OSError as problem:
            self._stop_filling(problem)

    def _stop_filling(self, problem: OSError) -> None:
        self.problem = problem
        note(
            f"the cache {self.folder} is not filled any further ({problem.strerror}); images that it does not hold are"
            " decoded from their files."
        )

    def _touch(self) -> None:
        """Record the time of use, which the list of caches shows."""
        now = time.monotonic()
        if now - self._touched >= _TOUCH_EVERY:
            self._touched = now
            with contextlib.suppress(OSError):
                os.utime(self.folder / RECORD)


def _lock(descriptor: int) -> bool:
    """Take the lock; return False where another process holds it for too long. Closing the descriptor frees it."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)
        except OSError:
            return True  # without locks an image may be decoded twice, and both files are right
        else:
            return True


def free_bytes(folder: Path) -> int:
    """Return the bytes that a user may still write on the disk of a folder, which need not exist yet."""
    present = next(parent for parent in (folder, *folder.parents) if parent.exists())
    state = os.statvfs(present)
    return state.f_bavail * state.f_frsize


# --- what a cache is made of ---------------------------------------------------------------------------------


def made_of(source: Source, places: Places) -> dict[str, Any]:
    """Return everything but the files of single images that decides what a data set's images are when decoded."""
    return {
        "format": decoded_file.FORMAT,
        "source": to_json(source),
        "data": str(places.data) if source.lies_below_data_root() else None,
        "facts": source.fingerprint(places),
        "decoders": decoders(),
    }


@functools.cache
def decoders() -> dict[str, str]:
    """Return what decodes images here: versions of packages, and a hash of this project's readers."""
    versions = {"libjpeg": str(features.version("libjpeg_turbo") or features.version("jpg"))}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    digest = hashlib.sha256()
    for path in sorted((Path(__file__).parent / "sources").glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return versions | {"readers": digest.hexdigest()[:12]}
