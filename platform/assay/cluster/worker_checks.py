"""Checks before a worker's first claim that it shares the folder OUT, the data and the code with the driver.

A folder of the same name on another node's own disk takes results that nobody reads, and other code trains another
method under the same key. Nobody would notice either.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import importlib.util
import os
import secrets
import socket
import time
from pathlib import Path

from assay.errors import UserError
from assay.places import Places, out_folder

PACKAGES = ("assay", "methods", "studies")
PATIENCE = 5.0  # seconds; a network's file system may show another node's file that much later
_PAUSE = 0.25  # seconds between two reads of the nonce
_NONCE = ".seen-by-all-nodes-"
_ABANDONED_AFTER = 86400.0  # seconds; every run that lives touches its nonce more often


@dataclasses.dataclass(frozen=True)
class Nonce:
    """A file with a random value, which shows a worker that its OUT is the driver's."""

    name: str
    value: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class DriverFingerprint:
    """The driver's OUT, data and code, which the driver sends to every worker for comparison."""

    out: Path
    nonce_name: str
    nonce_value: str
    places: Places | None  # None where no data are read
    code: str  # the driver's `code_hash`


def write_nonce(out: Path) -> Nonce:
    """Write a new nonce to OUT, and create OUT if it is missing."""
    # A new name each time: a network's file system may remember for a minute that a name is missing.
    nonce = Nonce(name=f"{_NONCE}{secrets.token_hex(8)}", value=secrets.token_hex(16))
    try:
        out.mkdir(parents=True, exist_ok=True)
        with (out / nonce.name).open("x", encoding="ascii") as file:
            file.write(nonce.value)
            file.flush()
            os.fsync(file.fileno())
            _remove_abandoned(out, now=os.fstat(file.fileno()).st_mtime)
    except OSError as problem:
        raise UserError(
            f"cannot write to {out} ({problem.strerror}): OUT must be a folder that you may write to."
        ) from None
    return nonce


def _remove_abandoned(out: Path, *, now: float) -> None:
    """Remove the nonces of killed runs; `now` is the file server's time, like the times of the files."""
    for path in out.glob(f"{_NONCE}*"):
        with contextlib.suppress(OSError):
            if now - path.stat().st_mtime > _ABANDONED_AFTER:
                path.unlink()


def refresh_nonce(fingerprint: DriverFingerprint) -> None:
    """Touch the nonce of a running run now and then, so that no other run removes it."""
    path = fingerprint.out / fingerprint.nonce_name
    with contextlib.suppress(OSError):
        if time.time() - path.stat().st_mtime > _ABANDONED_AFTER / 24:
            os.utime(path)


def remove_nonce(out: Path, nonce: Nonce) -> None:
    """Remove the nonce if it is still there."""
    with contextlib.suppress(OSError):
        (out / nonce.name).unlink()


def check_worker(fingerprint: DriverFingerprint, *, patience: float = PATIENCE) -> None:
    """Raise a UserError that names this node unless it shares OUT, the data and the code with the driver."""
    _check_out(fingerprint, patience)
    data = fingerprint.places.on_this_machine().data if fingerprint.places is not None else None
    if data is not None and not data.is_dir():
        raise UserError(
            f"node {_node()} does not see {data} (no such folder): all nodes must have the data, at the same place or"
            " where the variable ASSAY_DATA in the node's own environment says."
        )
    check_code(fingerprint.code)


def check_code(expected: str) -> None:
    """Raise a UserError that names this node if its code is not the driver's, whose hash is `expected`."""
    present = code_hash()
    if present != expected:
        raise UserError(
            f"node {_node()} runs other code than the driver ({present[:12]} at {_code_places()}, the driver's is "
            f"{expected[:12]}): install the same version on all nodes, or submit the script as a job."
        )


def _check_out(fingerprint: DriverFingerprint, patience: float) -> None:
    path = fingerprint.out / fingerprint.nonce_name
    deadline = time.monotonic() + patience
    while True:
        try:
            value = path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as problem:
            reason = f"no file {path.name}" if isinstance(problem, FileNotFoundError) else str(problem)
        else:
            if value == fingerprint.nonce_value:
                return
            reason = f"{path.name} holds something else"
        if time.monotonic() >= deadline:
            raise UserError(
                f"node {_node()} does not see {fingerprint.out} ({reason}): "
                "OUT must be on a file system that all nodes share."
            )
        time.sleep(_PAUSE)


def code_hash() -> str:
    """Return a hash of all source files of the packages: their names below the package, and their content."""
    digest = hashlib.sha256()
    for package, folder in packages().items():
        for path in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).parts):
            content = path.read_bytes()
            name = (Path(package) / path.relative_to(folder)).as_posix()
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


@functools.cache
def packages() -> dict[str, Path]:
    """Return the folders of the project's packages that can be imported here, without importing them."""
    folders = {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            folders[package] = Path(spec.origin).parent.resolve()
    return folders


def require_absolute(out: str, *, multi_node: bool, in_job: bool) -> None:
    """Raise a UserError unless OUT, as the user wrote it, names the same folder on all nodes."""
    if not out_folder(out).is_absolute() and (in_job or multi_node):
        where = "inside a job, whose working folder is thrown away" if in_job else "with more than one node"
        raise UserError(f"OUT must be an absolute path {where}, got {out!r}: name a folder that all nodes share.")


def _node() -> str:
    return socket.gethostname()


def _code_places() -> str:
    return ", ".join(sorted({str(folder.parent) for folder in packages().values()}))
