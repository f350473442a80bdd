"""Processes, as others on the same or on another machine see them."""

from __future__ import annotations

import dataclasses
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

_PROC = Path("/proc")
_COMMAND_LENGTH = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class Owner:
    """A process that owns something. Two owners in one process differ by `token`."""

    token: str
    host: str
    system: str  # which running kernel, and which of its spaces of process numbers; "" where that cannot be known
    pid: int
    started: int | None  # in ticks since the kernel started: numbers of processes come again, with another start
    command: str

    @classmethod
    def this_process(cls, token: str) -> Self:
        """This process as an owner."""
        pid = os.getpid()
        state = _process_state(pid)
        return cls(
            token=token,
            host=socket.gethostname(),
            system=_system(),
            pid=pid,
            started=state[1] if state else None,
            command=" ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:_COMMAND_LENGTH] if sys.argv else "",
        )

    @classmethod
    def unknown(cls) -> Self:
        """An owner of which nothing is known; it is never found dead."""
        return cls(token="", host="", system="", pid=0, started=None, command="")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The owner that was written; what a later version added is left out."""
        return cls(**{each.name: data[each.name] for each in dataclasses.fields(cls)})

    def describe(self) -> str:
        """Who it is, for messages."""
        command = f" ({self.command})" if self.command else ""
        return f"process {self.pid} on {self.host}{command}" if self.host else "a process that left no name"

    def is_dead(self) -> bool:
        """Whether the process has certainly ended; one that cannot be seen from here never has."""
        # Containers may share a host's name and still number their processes apart.
        if not self.host or (self.host, self.system) != (socket.gethostname(), _system()):
            return False
        if not _exists(self.pid):
            return True
        state = _process_state(self.pid)
        if state is None:
            return False  # not Linux, or /proc hides other users' processes
        # A killed process whose parent has not asked for it yet still has its number.
        return state[0] in "ZX" or (self.started is not None and state[1] != self.started)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _process_state(pid: int) -> tuple[str, int] | None:
    """The state letter of a process and its start, or None where it cannot be seen."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the program's name in brackets, which may hold spaces and brackets itself.
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def _system() -> str:
    parts: list[str] = []
    try:
        parts.append((_PROC / "sys/kernel/random/boot_id").read_text().strip())
        parts.append(str((_PROC / "self/ns/pid").readlink()))
    except OSError:
        return ""
    return " ".join(parts)
