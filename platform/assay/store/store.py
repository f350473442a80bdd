"""What the rest of the program asks of the place where results lie, be it a directory or an object store.

Everything is a pair of texts, a key (one experiment) and a name (one file of it), with bytes behind it. The
interface is as small as claims, checkpoints and records allow, so that a second kind of store is one file.
"""

from __future__ import annotations

import re
from typing import Protocol

from assay.errors import AssayError, UserError

# One path segment that needs no quoting anywhere and is never hidden: temporary files begin with a dot.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]{0,199}")


class StoreError(AssayError):
    """The store cannot be read or written; what lay there before is as it was."""


class DamagedDocument(StoreError):
    """One document is not what was written; whatever lies under other keys can be read and written as before."""


class Log(Protocol):
    """A file that only grows, for as long as its owner has it open."""

    def append(self, data: bytes) -> None:
        """Add `data` whole or not at all; it then survives the end of this process."""

    def sync(self) -> None:
        """Return once everything appended so far survives the end of the machine too."""

    def close(self) -> None:
        """Keep what was appended; nothing can be appended any more."""


class Store(Protocol):
    """Bytes by key and name. Every method may raise a StoreError, and a UserError for a name that is none."""

    def read(self, key: str, name: str) -> bytes | None:
        """The whole content, as one writer left it, or None where there is none."""

    def write(self, key: str, name: str, data: bytes) -> None:
        """Put `data` in place of what was there; a reader finds the old content or the new, whole."""

    def create(self, key: str, name: str, data: bytes) -> bool:
        """Put `data` where nothing is, and return True, to one only of several; else do nothing."""

    def delete(self, key: str, name: str) -> None:
        """Take the content away; nothing happens where there is none."""

    def names(self, key: str) -> list[str]:
        """The names under a key, sorted; none for a key that is not there."""

    def keys(self) -> list[str]:
        """All keys, sorted."""

    def open_log(self, key: str, name: str, keep: bytes) -> Log:
        """A new log that begins with `keep`, in place of the old one.

        Whoever still has the old one open appends to what nobody reads any more: a process that stood still
        and was given up cannot disturb its successor.
        """

    def describe(self) -> str:
        """Where the store is, for messages."""

    def place(self, key: str) -> str:
        """Where the files of a key are, for messages."""


def is_name(text: str) -> bool:
    """Whether `text` can serve as a key or a name."""
    return _NAME.fullmatch(text) is not None


def checked(text: str, what: str) -> str:
    """`text` if it can serve as a key or a name, which also keeps it from pointing out of the store."""
    if is_name(text):
        return text
    raise UserError(
        f"A {what} in the store is 1 to 200 letters, digits and ._=+- and begins with a letter or a digit, "
        f"got {text!r}."
    )
