"""Checkpoints under a key: the newest and the one before, each a header and a payload of bytes.

    checkpoint-000001200.pt        the step is in the name

No kill at any moment loses the last good checkpoint. Each step has its own file, so saving never touches an earlier
one, and older checkpoints than the one before are removed only after the new one is complete and on the disk. A kill
leaves two checkpoints, or three until the next save.

Two fixed names (a and b, last and previous) would be worse. A save would have to read both files to know the good
one, and a process that was paused while a successor went on would overwrite the successor's newest checkpoint; here
it writes the file of its own step.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import struct

from assay.store.store import Store

_NAME = re.compile(r"checkpoint-(\d{9,})\.pt")
_MAGIC = b"assay-ck"
_VERSION = 1
_HEADER = struct.Struct("<8sIQQ32s")  # magic, format version, step, length of the payload, its SHA-256


@dataclasses.dataclass(frozen=True)
class Loaded:
    """The newest checkpoint that is whole, and a sentence for each newer one that is not."""

    payload: bytes | None  # None: no checkpoint, or none that is whole
    step: int
    notes: tuple[str, ...]


def save(store: Store, key: str, payload: bytes, *, step: int) -> None:
    """Add the checkpoint of `step`, and keep only the one before it.

    Later checkpoints stay. They are a successor's, if this process was paused; or they are damaged, and are replaced
    once training reaches their step.
    """
    header = _HEADER.pack(_MAGIC, _VERSION, step, len(payload), hashlib.sha256(payload).digest())
    store.write(key, _name(step), header + payload)
    earlier = [saved for saved in steps(store.names(key)) if saved < step]
    for old in earlier[:-1]:
        store.delete(key, _name(old))


def load(store: Store, key: str) -> Loaded:
    """Return the newest checkpoint that is whole."""
    notes: list[str] = []
    for step in reversed(steps(store.names(key))):
        data = store.read(key, _name(step))
        if data is None:
            continue  # its owner removed it since the names were listed
        damage = _damage(data, step)
        if damage is None:
            return Loaded(data[_HEADER.size :], step, tuple(notes))
        notes.append(f"The checkpoint of step {step} in {store.place(key)} is not used: {damage}.")
    return Loaded(None, 0, tuple(notes))


def remove(store: Store, key: str) -> None:
    """Delete all checkpoints of a key."""
    for step in steps(store.names(key)):
        store.delete(key, _name(step))


def steps(names: list[str]) -> list[int]:
    """Return the steps of the checkpoints among the names of a key, ascending."""
    return sorted(int(match[1]) for match in map(_NAME.fullmatch, names) if match)


def _name(step: int) -> str:
    return f"checkpoint-{step:09d}.pt"


def _damage(data: bytes, step: int) -> str | None:
    """Return the damage of a checkpoint's file as the end of a sentence; None for a whole file."""
    if len(data) < _HEADER.size:
        return f"it ends after {len(data)} bytes, within its header"
    magic, version, written_step, length, digest = _HEADER.unpack_from(data)
    size = len(data) - _HEADER.size
    if magic != _MAGIC:
        return "it does not begin with a checkpoint's header"
    if version != _VERSION:
        return f"its format is {version}, this program reads {_VERSION}"
    if written_step != step:
        return f"its header names step {written_step}"
    if size != length:
        return f"it holds {size} of {length} bytes"
    if hashlib.sha256(memoryview(data)[_HEADER.size :]).digest() != digest:
        return "its content has changed since it was written (the checksum differs)"
    return None
