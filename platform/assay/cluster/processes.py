"""The processes of a Ray of our own: found by the folder in their command, and seen to their end."""

from __future__ import annotations

import contextlib
import fcntl
import functools
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
_START = 19  # place of the start among what _stat returns


@contextlib.contextmanager
def own_folder() -> Iterator[str]:
    """A folder for a Ray of this process; those that killed processes left behind are taken away first."""
    above = _temp_folder()
    for lock in Path(above).glob(f"{_PREFIX}*/{_LOCK}"):
        _remove_unless_held(lock)
    while True:
        with (
            tempfile.TemporaryDirectory(prefix=_PREFIX, dir=above, ignore_cleanup_errors=True) as folder,
            (Path(folder) / _LOCK).open("wb") as lock_file,
        ):
            fcntl.flock(lock_file, fcntl.LOCK_EX)  # the kernel gives it back however this process ends
            if not (Path(folder) / _LOCK).exists():
                continue  # another program swept the folder away before it was locked
            yield folder
            return


def _remove_unless_held(lock: Path) -> None:
    with contextlib.suppress(OSError), lock.open("rb") as file:  # another user's, perhaps
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(lock.parent, ignore_errors=True)


def _temp_folder() -> str:
    folder = tempfile.gettempdir()
    return folder if len(folder) <= _LONGEST_TEMP or not os.access("/tmp", os.W_OK) else "/tmp"


@contextlib.contextmanager
def own_groups() -> Iterator[None]:
    """What Ray starts meanwhile gets process groups of its own.

    `timeout`, batch systems and shells send a signal to all of a group; it is meant for this program, which then
    needs Ray a little longer to end in order.
    """
    from ray._private import services, utils

    if not utils.detect_fate_sharing_support():  # then Ray ends its processes by this program's group
        yield
        return
    popen = services.ConsolePopen
    services.ConsolePopen = functools.partial(popen, process_group=0)
    try:
        yield
    finally:
        services.ConsolePopen = popen


def processes_of(folder: str) -> dict[int, str]:
    """The processes of the Ray in `folder`, by number with their start: this one's children, and all below them."""
    below: dict[int, list[int]] = {}
    starts: dict[int, str] = {}
    for path in _PROC.iterdir() if _PROC.is_dir() else ():
        stat = _stat(path.name) if path.name.isdecimal() else None
        if stat is not None:
            below.setdefault(int(stat[1]), []).append(int(path.name))
            starts[int(path.name)] = stat[_START]
    # Children that are not Ray's, such as a loader's workers, do not have the folder in their command.
    found = [pid for pid in below.get(os.getpid(), []) if folder in _command(pid)]
    for pid in found:
        found += below.get(pid, [])
    return {pid: starts[pid] for pid in found}


def await_end(processes: Mapping[int, str]) -> None:
    """Wait for the end of processes; those that go on are killed."""
    # Ray waits for those that it started itself; those of the dashboard take two seconds more.
    deadline = time.monotonic() + _END
    while left := [pid for pid, start in processes.items() if _runs(pid, start)]:
        if time.monotonic() > deadline:
            kill({pid: processes[pid] for pid in left})
            return
        time.sleep(0.05)


def kill(processes: Mapping[int, str]) -> None:
    """End processes that are still those they were, without asking."""
    for pid, start in processes.items():
        if _runs(pid, start):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _runs(pid: int, start: str) -> bool:
    stat = _stat(str(pid))
    return stat is not None and stat[_START] == start and stat[0] not in "ZX"


def _stat(pid: str) -> list[str] | None:
    """What the kernel says of a process from its state on, or None once it has gone."""
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
