"""A store in a directory, on a disk of this machine or on one that several machines share."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from assay.store.store import Store, StoreError, checked, is_name

_SPOOL = ".tmp"  # how the names of temporary files end; they begin with a dot, which no name in the store does
_ABANDONED_AFTER = 600.0  # seconds without a write after which a temporary file's writer is taken for dead

# What link() answers where there are no hard links: FAT, many FUSE file systems, some network file systems.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EMLINK})
# What fsync() answers for a directory where only files can be synchronised.
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF})

_ELSEWHERE = "or choose another folder for the store"
_CURES = {
    errno.ENOSPC: f"no space is left there: free some, {_ELSEWHERE}",
    errno.EDQUOT: f"your quota there is used up: free some, {_ELSEWHERE}",
    errno.EFBIG: f"the file would be larger than allowed: raise the limit (ulimit -f), {_ELSEWHERE}",
    errno.EACCES: f"permission is denied: ask for write access, {_ELSEWHERE}",
    errno.EPERM: f"permission is denied: ask for write access, {_ELSEWHERE}",
    errno.EROFS: f"the file system is read-only: mount it for writing, {_ELSEWHERE}",
    errno.ENOTDIR: f"a file stands where a folder must be: move it away, {_ELSEWHERE}",
    errno.EEXIST: f"a file stands where a folder must be: move it away, {_ELSEWHERE}",
    errno.EISDIR: f"a folder stands where a file must be: move it away, {_ELSEWHERE}",
    errno.ENOENT: f"it was deleted or replaced meanwhile: let nothing else tidy up there, {_ELSEWHERE}",
    errno.ESTALE: "another process has replaced it meanwhile: only one may write it",
    errno.EIO: f"the device reports an error: check the disk or the network, {_ELSEWHERE}",
}


class LocalStore(Store):
    """A folder per key and a file per name. Nothing is created, not even the root, before the first write."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()  # the same folder wherever the process goes afterwards

    def read(self, key: str, name: str) -> bytes | None:
        path = self._path(key, name)
        with _explained("read", path):
            try:
                return again_if_stale(path.read_bytes)
            except FileNotFoundError:
                return None

    def write(self, key: str, name: str, data: bytes) -> None:
        path = self._path(key, name)
        with _explained("write", path), _spooled(path, data) as (spool, _):
            spool.replace(path)
            _sync_folder(path.parent)

    def create(self, key: str, name: str, data: bytes) -> bool:
        path = self._path(key, name)
        with _explained("write", path):
            if path.exists():
                return False  # only saves work: what decides is publish()
            with _spooled(path, data) as (spool, _):
                created = publish(spool, path)
                _sync_folder(path.parent)
                return created

    def delete(self, key: str, name: str) -> None:
        path = self._path(key, name)
        with _explained("delete", path), contextlib.suppress(FileNotFoundError):
            path.unlink()
            _sync_folder(path.parent)
        with contextlib.suppress(OSError):
            path.parent.rmdir()  # only where this was its last file

    def names(self, key: str) -> list[str]:
        folder = self._folder(key)
        with (
            _explained("list", folder),
            contextlib.suppress(FileNotFoundError),
            os.scandir(folder) as entries,
        ):
            return sorted(each.name for each in entries if is_name(each.name) and each.is_file())
        return []

    def keys(self) -> list[str]:
        with (
            _explained("list", self.root),
            contextlib.suppress(FileNotFoundError),
            os.scandir(self.root) as entries,
        ):
            return sorted(each.name for each in entries if is_name(each.name) and each.is_dir())
        return []

    def open_log(self, key: str, name: str, keep: bytes) -> LocalLog:
        path = self._path(key, name)
        with _explained("write", path), _spooled(path, keep) as (spool, descriptor):
            spool.replace(path)
            _sync_folder(path.parent)
            return LocalLog(os.dup(descriptor), path)

    def describe(self) -> str:
        return str(self.root)

    def place(self, key: str) -> str:
        return str(self._folder(key))

    def _folder(self, key: str) -> Path:
        return self.root / checked(key, "key")

    def _path(self, key: str, name: str) -> Path:
        return self._folder(key) / checked(name, "name")


class LocalLog:
    """A log in a file. It knows its file by descriptor, so it follows it nowhere when it is replaced."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path
        self._size = os.fstat(descriptor).st_size
        self._open = True

    def append(self, data: bytes) -> None:
        if not self._open:
            raise StoreError(f"Cannot write {self._path}: the log is closed.")
        with _explained("write", self._path):
            try:
                _write_all(self._descriptor, data)
            except OSError:
                # Half a line would spoil the next one.
                os.ftruncate(self._descriptor, self._size)
                raise
        self._size += len(data)

    def sync(self) -> None:
        with _explained("write", self._path):
            os.fsync(self._descriptor)

    def close(self) -> None:
        if self._open:
            self._open = False
            with _explained("write", self._path):
                os.close(self._descriptor)


@contextlib.contextmanager
def _spooled(path: Path, data: bytes) -> Iterator[tuple[Path, int]]:
    """A temporary file beside `path` that holds `data` safely, and its descriptor; it is gone afterwards."""
    _make_folder(path.parent)
    spool = path.with_name(f".{path.name}.{secrets.token_hex(8)}{_SPOOL}")
    # Not tempfile: its files are for one user alone, and a store may belong to a group.
    descriptor = os.open(spool, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        _write_all(descriptor, data)
        os.fsync(descriptor)
        _sweep(path, now=os.fstat(descriptor).st_mtime)
        yield spool, descriptor
    finally:
        with contextlib.suppress(FileNotFoundError):
            spool.unlink()
        os.close(descriptor)


def _sweep(path: Path, *, now: float) -> None:
    """Remove the temporary files of writers of `path` that were killed.

    `now` is the time of a file just written: the clock of the file server, which wrote their times too.
    """
    for each in path.parent.glob(f".{path.name}.*{_SPOOL}"):
        with contextlib.suppress(OSError):
            if now - each.stat().st_mtime > _ABANDONED_AFTER:
                each.unlink()


def publish(spool: Path, path: Path) -> bool:
    """Give the finished file `spool` the name `path` too, unless that is taken."""
    try:
        path.hardlink_to(spool)
    except FileExistsError:
        # A network file system repeats a request whose answer was lost, and then finds its own link.
        return path.samefile(spool)
    except OSError as problem:
        if problem.errno not in _NO_LINKS:
            raise
        return publish_without_links(spool, path)
    return True


def publish_without_links(spool: Path, path: Path) -> bool:
    """`publish` where there are no hard links: the name is taken by an empty file, which is then replaced.

    A process that is killed between the two leaves the empty file; readers take that for nothing written.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    except FileExistsError:
        return False
    spool.replace(path)
    return True


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder survive the end of the machine, as fsync does for the content of a file."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as problem:
        if problem.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def again_if_stale(read: Callable[[], bytes], *, attempts: int = 5) -> bytes:
    """What `read` returns, trying again where a network file system says that the file was just replaced."""
    for _ in range(attempts - 1):
        try:
            return read()
        except OSError as problem:
            if problem.errno != errno.ESTALE:
                raise
    return read()


@contextlib.contextmanager
def _explained(action: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise explain(problem, action, path) from problem


def explain(problem: OSError, action: str, path: Path) -> StoreError:
    """The sentence for a person: what could not be done, where, why, and what helps."""
    cause = _CURES.get(problem.errno or 0) or f"{problem.strerror or problem}: check the folder, {_ELSEWHERE}"
    return StoreError(f"Cannot {action} {path}: {cause}.")
