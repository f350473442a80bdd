"""Ctrl-C and SIGTERM: the first asks, the second ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType


class StopRequest(threading.Event):
    """Set by the first signal."""

    signal = 0

    def __init__(self) -> None:
        super().__init__()
        self.on_second_signal: list[
            Callable[[], None]
        ] = []  # what must still be done before the second one ends the process


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """The first Ctrl-C or SIGTERM asks the training to stop at its next step; the second stops at once."""
    stopped = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        if stopped.is_set():
            for each in stopped.on_second_signal:
                with suppress(Exception):
                    each()
            with suppress(Exception):
                if sys.stdout.isatty():
                    os.write(sys.stdout.fileno(), b"\x1b[?25h")  # the cursor, which a live table hides
            os._exit(128 + number)
        stopped.signal = number
        stopped.set()
        with suppress(OSError, ValueError):  # nobody may be reading any more
            print("stopping at the next step with a checkpoint; once more stops at once", file=sys.stderr, flush=True)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
