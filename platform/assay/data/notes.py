"""Notes for the user that reading data gives rise to, in whichever process they arise."""

from __future__ import annotations

import functools
import logging
import multiprocessing

_LOGGER = logging.getLogger(__name__)  # in a study, the log of the experiment (`assay log KEY`); else stderr
_waiting: list[str] = []


def note(text: str) -> None:
    """Show a note; in a loader process, which has no log, keep the note for the trainer."""
    if multiprocessing.current_process().daemon:
        _waiting.append(text)
    else:
        show(text)


@functools.cache
def show(text: str) -> None:
    """Show a note, once in each process: all loader processes may have the same one."""
    _LOGGER.warning("note: %s", text)


def take_waiting() -> tuple[str, ...]:
    """Return the notes of this loader process that the trainer has not got yet."""
    taken = tuple(_waiting)
    _waiting.clear()
    return taken
