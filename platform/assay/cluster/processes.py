"""The folder and the processes of a local Ray: the processes are recognised by the folder in their command lines."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

_END = 10.0  # seconds in which Ray's processes must have ended, else they are killed
_PREFIX, _LOCK = "assay-ray-", "held.lock"
_LONGEST_TEMP = 24  # characters; Ray's sockets lie some 83 below, and the path of a socket ends at 107
_PROC = Path("/proc")
_STATE, _PARENT, _START = 0, 1, 19  # places in the list that _stat returns


@contextlib.contextmanager
def local_ray_folder() -> Iterator[str]:
    """Yield a folder for a local Ray; remove the folders that killed processes left behind first."""
    parent = _temp_folder()
    for lock in Path(parent).glob(f"{_PREFIX}*/{_LOCK}"):
        _remove_unless_held(lock)
    while True:
        with (
            tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent, ignore_cleanup_errors=True) as folder,
            (Path(folder) / _LOCK).open("wb") as lock_file,
        ):
            fcntl.flock(lock_file, fcntl.LOCK_EX)  # the kernel releases it, however this process ends
            if not (Path(folder) / _LOCK).exists():
                continue  # another program removed the folder before it was locked
            yield folder
            return


def _remove_unless_held(lock: Path) -> None:
    with contextlib.suppress(OSError), lock.open("rb") as file:  # the lock may be another user's
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(lock.parent, ignore_errors=True)


def _temp_folder() -> str:
    folder = tempfile.gettempdir()
    return folder if len(folder) <= _LONGEST_TEMP or not os.access("/tmp", os.W_OK) else "/tmp"


def local_ray_processes(folder: str) -> dict[int, str]:
    """Return the processes of the Ray in `folder` with their start times: children of this process, and all below."""
    children: dict[int, list[int]] = {}
    starts: dict[int, str] = {}
    for path in _PROC.iterdir() if _PROC.is_dir() else ():
        stat = _stat(path.name) if path.name.isdecimal() else None
        if stat is not None:
            children.setdefault(int(stat[_PARENT]), []).append(int(path.name))
            starts[int(path.name)] = stat[_START]
    # Children that are not Ray's, such as a loader's workers, do not have the folder in their command.
    processes = [pid for pid in children.get(os.getpid(), []) if folder in _command(pid)]
    for pid in processes:
        processes += children.get(pid, [])  # the loop goes on with them
    return {pid: starts[pid] for pid in processes}


def wait_for_end(processes: Mapping[int, str]) -> None:
    """Wait until processes have ended; kill those that go on."""
    # Ray waits for the processes that it started itself; those of the dashboard take two seconds more.
    deadline = time.monotonic() + _END
    while running := [pid for pid, start in processes.items() if _runs(pid, start)]:
        if time.monotonic() > deadline:
            kill({pid: processes[pid] for pid in running})
            return
        time.sleep(0.05)


def kill(processes: Mapping[int, str]) -> None:
    """Kill processes, given by number and start time; a number that another process has since is left alone."""
    for pid, start in processes.items():
        if _runs(pid, start):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _runs(pid: int, start: str) -> bool:
    stat = _stat(str(pid))
    return stat is not None and stat[_START] == start and stat[_STATE] not in "ZX"


def _stat(pid: str) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the state on, or None once the process has gone."""
    try:
        # The field before is the program's name in brackets, which may hold spaces and brackets itself.
        return (_PROC / pid / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def _command(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
