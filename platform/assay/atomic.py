"""Files and folders that change as a whole, since other processes may be reading them.

New content is first written beside its place under a hidden temporary name, the spool, and synchronised with the disk.
Only then it takes its name. A reader therefore finds the old content or the new content, and a kill or a full disk
leaves the old content. A killed writer leaves a spool behind; the next writer of the same file removes it.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

# The end of a spool's name. Earlier versions name their spools in the same way, so each removes the other's.
_SPOOL = ".tmp"
_ABANDONED_AFTER = 600.0  # seconds without a write after which a spool's writer is taken for dead

# Answers of link() where there are no hard links: FAT, many FUSE file systems, some network file systems.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EMLINK})
# Answers of fsync() for a folder where only files can be synchronised.
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF})


def replace(path: Path, data: bytes) -> Path:
    """Put `data` in place of the file at `path`, and return the path."""
    with _spooled(path, data) as (spool, _):
        _move(spool, path)
    return path


def replace_and_open(path: Path, data: bytes) -> int:
    """Put `data` in place of the file at `path`, and return a descriptor that appends to the new file."""
    with _spooled(path, data) as (spool, descriptor):
        _move(spool, path)
        return os.dup(descriptor)


def create(path: Path, data: bytes) -> bool:
    """Write `data` to a new file and return True; return False where the name is taken.

    Of several processes that create one name, one gets True.
    """
    if path.exists():
        return False  # only saves work: publish() decides
    with _spooled(path, data) as (spool, _):
        created = publish(spool, path)
        sync_folder(path.parent)
        return created


def read(path: Path) -> bytes:
    """Return the content of a file that other processes may replace."""
    return retry_if_stale(path.read_bytes)


@contextlib.contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder that takes the place of `folder` at the end, and that is deleted after any error.

    Folders are not synchronised with the disk as files are: their content can be made again.
    """
    token = secrets.token_hex(4)
    spool, old = (folder.with_name(f".{folder.name}.{token}.{kind}") for kind in ("new", "old"))
    spool.mkdir(parents=True)
    try:
        yield spool
        if folder.exists():
            folder.rename(old)
        try:
            spool.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
    finally:
        for leftover in (spool, old):
            shutil.rmtree(leftover, ignore_errors=True)


# --- spools --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _spooled(path: Path, data: bytes) -> Iterator[tuple[Path, int]]:
    """Yield a spool beside `path` that holds `data` safely, and its descriptor; remove the spool afterwards."""
    _make_folder(path.parent)
    spool = path.with_name(f".{path.name}.{secrets.token_hex(8)}{_SPOOL}")
    # Not tempfile: its files are for one user alone, and results may belong to a group.
    descriptor = os.open(spool, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
        _remove_abandoned_spools(path, now=os.fstat(descriptor).st_mtime)
        yield spool, descriptor
    finally:
        with contextlib.suppress(FileNotFoundError):
            spool.unlink()
        os.close(descriptor)


def _remove_abandoned_spools(path: Path, *, now: float) -> None:
    """Remove the spools of killed writers of `path`.

    `now` is the time of a file just written: by the clock of the file server, which also dated the other spools.
    """
    for spool in path.parent.glob(f".{glob.escape(path.name)}.*{_SPOOL}"):
        with contextlib.suppress(OSError):
            if now - spool.stat().st_mtime > _ABANDONED_AFTER:
                spool.unlink()


def _move(spool: Path, path: Path) -> None:
    spool.replace(path)
    sync_folder(path.parent)


def publish(spool: Path, path: Path) -> bool:
    """Give the finished file `spool` the name `path` as well, and return True; return False where that is taken."""
    try:
        path.hardlink_to(spool)
    except FileExistsError:
        # A network file system repeats a request whose answer was lost, and then meets its own link.
        return path.samefile(spool)
    except OSError as problem:
        if problem.errno not in _NO_LINKS:
            raise
        return publish_without_links(spool, path)
    return True


def publish_without_links(spool: Path, path: Path) -> bool:
    """Do as `publish` where there are no hard links: take the name with an empty file, and replace that file.

    A process that is killed between the two leaves the empty file, which readers take for nothing written.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    except FileExistsError:
        return False
    spool.replace(path)
    return True


# --- the file system -----------------------------------------------------------------------------------------


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a crash of the machine, as fsync does for the content of a file."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as problem:
        if problem.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`: os.write may write less."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def retry_if_stale(read: Callable[[], bytes], *, attempts: int = 5) -> bytes:
    """Return the result of `read`; try again where a network file system reports that the file was just replaced."""
    for _ in range(attempts - 1):
        try:
            return read()
        except OSError as problem:
            if problem.errno != errno.ESTALE:
                raise
    return read()


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    sync_folder(folder.parent)
