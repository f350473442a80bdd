"""What every worker must share with the driver before its first claim: the folder OUT, the data, and the code.

A folder of the same name on another node's own disk takes results that nobody reads, and other code trains another
method under the same key; neither shows by itself.
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
PATIENCE = 5.0  # seconds; a network's file system may show a file of another node that much later
_PAUSE = 0.25
_NONCE = ".seen-by-all-nodes-"
_ABANDONED_AFTER = 86400.0  # seconds for which no living run leaves its nonce untouched


@dataclasses.dataclass(frozen=True)
class Nonce:
    """A file in OUT that only the driver's file system can hold."""

    name: str
    value: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class DriverFingerprint:
    """What the driver sees and every worker must see too; it travels to the workers."""

    out: Path
    nonce_name: str
    nonce_value: str
    places: Places | None  # None where no data are read
    code: str  # the driver's `code_hash`


def write_nonce(out: Path) -> Nonce:
    """Leave a new random value in OUT, which is made if it is not there."""
    # A name that was never used before: a network's file system may remember for a minute that a name is missing.
    nonce = Nonce(name=f"{_NONCE}{secrets.token_hex(8)}", value=secrets.token_hex(16))
    try:
        out.mkdir(parents=True, exist_ok=True)
        with (out / nonce.name).open("x", encoding="ascii") as file:
            file.write(nonce.value)
            file.flush()
            os.fsync(file.fileno())
            _sweep(out, now=os.fstat(file.fileno()).st_mtime)
    except OSError as problem:
        raise UserError(
            f"cannot write to {out} ({problem.strerror}): OUT must be a folder that you may write to."
        ) from None
    return nonce


def _sweep(out: Path, *, now: float) -> None:
    """Remove the nonces of runs that were killed; `now` is the file server's time, as theirs are."""
    for each in out.glob(f"{_NONCE}*"):
        with contextlib.suppress(OSError):
            if now - each.stat().st_mtime > _ABANDONED_AFTER:
                each.unlink()


def keep_nonce(expectation: DriverFingerprint) -> None:
    """Show now and then that the run still lasts, so that nobody sweeps its nonce away."""
    path = expectation.out / expectation.nonce_name
    with contextlib.suppress(OSError):
        if time.time() - path.stat().st_mtime > _ABANDONED_AFTER / 24:
            os.utime(path)


def remove_nonce(out: Path, nonce: Nonce) -> None:
    """Take the value away again; nothing happens if it has gone."""
    with contextlib.suppress(OSError):
        (out / nonce.name).unlink()


def check(expectation: DriverFingerprint, *, patience: float = PATIENCE) -> None:
    """Raise a UserError that names this node unless it shares OUT, the data and the code with the driver."""
    _check_out(expectation, patience)
    data = expectation.places.on_this_machine().data if expectation.places is not None else None
    if data is not None and not data.is_dir():
        raise UserError(
            f"node {_node()} does not see {data} (no such folder): the data must lie on all nodes, at the same place or"
            " where the ASSAY_DATA of a node's own environment says."
        )
    check_code(expectation.code)


def check_code(expected: str) -> None:
    """Raise a UserError that names this node if its code is not the driver's, whose hash is `expected`."""
    here = code_hash()
    if here != expected:
        raise UserError(
            f"node {_node()} runs other code than the driver ({here[:12]} at {_code_places()}, the driver's is "
            f"{expected[:12]}): install the same version on all nodes, or submit the script as a job."
        )


def _check_out(expectation: DriverFingerprint, patience: float) -> None:
    path = expectation.out / expectation.nonce_name
    deadline = time.monotonic() + patience
    while True:
        try:
            found = path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as problem:
            reason = f"no file {path.name}" if isinstance(problem, FileNotFoundError) else str(problem)
        else:
            if found == expectation.nonce_value:
                return
            reason = f"{path.name} holds something else"
        if time.monotonic() >= deadline:
            raise UserError(
                f"node {_node()} does not see {expectation.out} ({reason}): "
                "OUT must be on a file system that all nodes share."
            )
        time.sleep(_PAUSE)


def code_hash() -> str:
    """The hash over all source files of the packages: their names below the package, and their content."""
    digest = hashlib.sha256()
    for package, folder in packages().items():
        for path in sorted(folder.rglob("*.py"), key=lambda each: each.relative_to(folder).parts):
            content = path.read_bytes()
            name = (Path(package) / path.relative_to(folder)).as_posix()
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


@functools.cache
def packages() -> dict[str, Path]:
    """The folder of each of the project's packages that can be imported here; nothing is imported."""
    found = {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            found[package] = Path(spec.origin).parent.resolve()
    return found


def require_absolute(out: str, *, multi_node: bool, in_job: bool) -> None:
    """Raise a UserError unless OUT, as it was written, names the same folder on all nodes."""
    if not out_folder(out).is_absolute() and (in_job or multi_node):
        where = "inside a job, whose working folder is thrown away" if in_job else "with more than one node"
        raise UserError(f"OUT must be an absolute path {where}, got {out!r}: name a folder that all nodes share.")


def _node() -> str:
    return socket.gethostname()


def _code_places() -> str:
    return ", ".join(sorted({str(folder.parent) for folder in packages().values()}))
