"""Ctrl-C and SIGTERM: the first signal requests a stop, the second ends the process."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn


class StopRequest(threading.Event):
    """An event that the first signal sets."""

    def __init__(self) -> None:
        super().__init__()
        self.signal = 0  # the number of the first signal
        self.on_second_signal: list[Callable[[], None]] = []  # called before a second signal ends the process


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within the block, let the first Ctrl-C or SIGTERM request a stop at the next step, and the second end at once."""
    stop_request = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop_request.is_set():
            _end_process(stop_request, number)
        stop_request.signal = number
        stop_request.set()
        with suppress(OSError, ValueError):  # the terminal may be closed
            print("stopping at the next step with a checkpoint; once more stops at once", file=sys.stderr, flush=True)

    handlers = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop_request
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _end_process(stop_request: StopRequest, number: int) -> NoReturn:
    for callback in stop_request.on_second_signal:
        with suppress(Exception):
            callback()
    with suppress(Exception):
        if sys.stdout.isatty():
            os.write(sys.stdout.fileno(), b"\x1b[?25h")  # shows the cursor, which a live table hides
    os._exit(128 + number)
