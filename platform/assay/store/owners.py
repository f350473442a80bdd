"""Processes that own a claim, as other processes on the same or on another machine identify them."""

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
    """A process that owns a claim. Two owners in one process differ by `token`."""

    token: str
    host: str
    system: str  # the running kernel and its namespace of process numbers; "" where they are unknown
    pid: int
    started: int | None  # in ticks since the kernel started: a process number is used again, with another start
    command: str

    @classmethod
    def this_process(cls, token: str) -> Self:
        """Return this process as an owner."""
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
        """Return an owner without any known property, which `is_dead` never calls dead."""
        return cls(token="", host="", system="", pid=0, started=None, command="")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the owner that was written; ignore fields that a later version added."""
        return cls(**{field.name: data[field.name] for field in dataclasses.fields(cls)})

    def describe(self) -> str:
        """Return number, host and command of the process, for messages."""
        command = f" ({self.command})" if self.command else ""
        return f"process {self.pid} on {self.host}{command}" if self.host else "a process that left no name"

    def is_dead(self) -> bool:
        """Return whether the process has certainly ended; False for a process that is not visible from here."""
        # Containers may share a host's name and still number their processes apart.
        if not self.host or (self.host, self.system) != (socket.gethostname(), _system()):
            return False
        if not _exists(self.pid):
            return True
        state = _process_state(self.pid)
        if state is None:
            return False  # not Linux, or /proc hides other users' processes
        # A killed process keeps its number until its parent has waited for it.
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
    """Return the state letter of a process and its start; None where they are not visible."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the program's name in brackets; the name itself may hold spaces and brackets.
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
