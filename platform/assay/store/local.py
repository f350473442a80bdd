"""A store in a folder, on a disk of this machine or on one that several machines share."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from assay import atomic
from assay.store.store import Store, StoreError, checked, is_name

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
    errno.ENOENT: f"it was deleted or replaced meanwhile: stop other programs that delete files there, {_ELSEWHERE}",
    errno.ESTALE: "another process has replaced it meanwhile: only one process may write it",
    errno.EIO: f"the device reports an error: check the disk or the network, {_ELSEWHERE}",
}


class LocalStore(Store):
    """A folder for each key, a file for each name. Nothing exists before the first write, not even the root."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()  # the same folder after the process changes its working folder

    def read(self, key: str, name: str) -> bytes | None:
        path = self._path(key, name)
        with _explained("read", path):
            try:
                return atomic.read(path)
            except FileNotFoundError:
                return None

    def write(self, key: str, name: str, data: bytes) -> None:
        path = self._path(key, name)
        with _explained("write", path):
            atomic.replace(path, data)

    def create(self, key: str, name: str, data: bytes) -> bool:
        path = self._path(key, name)
        with _explained("write", path):
            return atomic.create(path, data)

    def delete(self, key: str, name: str) -> None:
        path = self._path(key, name)
        with _explained("delete", path), contextlib.suppress(FileNotFoundError):
            path.unlink()
            atomic.sync_folder(path.parent)
        with contextlib.suppress(OSError):
            path.parent.rmdir()  # only where this was its last file

    def names(self, key: str) -> list[str]:
        folder = self._folder(key)
        with (
            _explained("list", folder),
            contextlib.suppress(FileNotFoundError),
            os.scandir(folder) as entries,
        ):
            return sorted(entry.name for entry in entries if is_name(entry.name) and entry.is_file())
        return []

    def keys(self) -> list[str]:
        with (
            _explained("list", self.root),
            contextlib.suppress(FileNotFoundError),
            os.scandir(self.root) as entries,
        ):
            return sorted(entry.name for entry in entries if is_name(entry.name) and entry.is_dir())
        return []

    def open_log(self, key: str, name: str, keep: bytes) -> LocalLog:
        path = self._path(key, name)
        with _explained("write", path):
            return LocalLog(atomic.replace_and_open(path, keep), path)

    def describe(self) -> str:
        return str(self.root)

    def place(self, key: str) -> str:
        return str(self._folder(key))

    def _folder(self, key: str) -> Path:
        return self.root / checked(key, "key")

    def _path(self, key: str, name: str) -> Path:
        return self._folder(key) / checked(name, "name")


class LocalLog:
    """A log in a file. It holds the file by its descriptor, so it keeps its own file when another takes the name."""

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
                atomic.write_all(self._descriptor, data)
            except OSError:
                # Half a line would damage the next one.
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
def _explained(action: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise explain(problem, action, path) from problem


def explain(problem: OSError, action: str, path: Path) -> StoreError:
    """Return an error with one sentence: the action that failed, its place, the cause and the cure."""
    cause = _CURES.get(problem.errno or 0) or f"{problem.strerror or problem}: check the folder, {_ELSEWHERE}"
    return StoreError(f"Cannot {action} {path}: {cause}.")
