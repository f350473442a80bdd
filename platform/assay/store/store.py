"""The interface of a store of results: a folder, or later perhaps an object store.

The address of a content is a pair of texts: a key (one experiment) and a name (one of its files). The content is
bytes. The interface is as small as claims, checkpoints and records allow, so that a second kind of store is one file.
"""

from __future__ import annotations

import re
from typing import Protocol

from assay.errors import AssayError, UserError

# One path segment that needs no quoting anywhere and is never hidden: spools begin with a dot.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]{0,199}")


class StoreError(AssayError):
    """The store cannot be read or written; its content is unchanged."""


class DamagedDocument(StoreError):
    """One document is damaged; the content under other keys can be read and written as before."""


class Log(Protocol):
    """A file that only grows while its owner has it open."""

    def append(self, data: bytes) -> None:
        """Append `data` whole or not at all; it then survives the end of this process."""

    def sync(self) -> None:
        """Return once everything appended so far also survives a crash of the machine."""

    def close(self) -> None:
        """Close the log. Its content stays, and cannot grow any more."""


class Store(Protocol):
    """Bytes by key and name. Every method may raise a StoreError, and a UserError for a name that breaks the rule."""

    def read(self, key: str, name: str) -> bytes | None:
        """Return the whole content, as one writer left it; None where there is none."""

    def write(self, key: str, name: str, data: bytes) -> None:
        """Replace the content with `data`; a reader finds the whole old content or the whole new one."""

    def create(self, key: str, name: str, data: bytes) -> bool:
        """Write `data` under a free name and return True; return False where the name is taken.

        Of several processes that create one name, one gets True.
        """

    def delete(self, key: str, name: str) -> None:
        """Delete the content; do nothing where there is none."""

    def names(self, key: str) -> list[str]:
        """Return the names under a key, sorted; an empty list for a key that is not there."""

    def keys(self) -> list[str]:
        """Return all keys, sorted."""

    def open_log(self, key: str, name: str, keep: bytes) -> Log:
        """Return a new log that begins with `keep` and takes the place of the old one.

        A process that still has the old log open appends to a file that is no longer read. So a process that was
        paused and lost its claim cannot disturb its successor.
        """

    def describe(self) -> str:
        """Return the place of the store, for messages."""

    def place(self, key: str) -> str:
        """Return the place of a key's files, for messages."""


def is_name(text: str) -> bool:
    """Return whether `text` can serve as a key or a name."""
    return _NAME.fullmatch(text) is not None


def checked(text: str, kind: str) -> str:
    """Return `text` if it can serve as a key or a name; else raise a UserError. No such text leads out of the store."""
    if is_name(text):
        return text
    raise UserError(
        f"A {kind} in the store is 1 to 200 letters, digits and ._=+- and begins with a letter or a digit, "
        f"got {text!r}."
    )
