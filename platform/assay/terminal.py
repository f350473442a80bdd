"""What is written to the terminal or into a pipe: shown in any locale, and no harm where nobody reads it any more.

Nothing here decides a number or a result, so nothing that is written here may end a training.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from assay.errors import AssayError

INTERRUPTED = 130  # the exit code after Ctrl-C


@contextlib.contextmanager
def lasting_output() -> Iterator[None]:
    """Within the block stdout and stderr lose what cannot be written, and replace signs that the locale lacks.

    A reader that goes away (`| head`, a pager that is left, a `tee` that was killed) ends neither a training nor the
    writing of its results.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_lasting(stream) for stream in before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before


def exit_code(run: Callable[[], int]) -> int:
    """What a command line ends with: its own code, or an error's or a Ctrl-C's after one line about it."""
    with lasting_output():
        try:
            return run()
        except AssayError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
        except KeyboardInterrupt:
            say_interrupted()
            return INTERRUPTED


def interrupt_in_one_line() -> None:
    """Let a Ctrl-C that nothing else catches, such as one during imports, end with a line and no traceback."""
    inherited = sys.excepthook

    def shown(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> Any:
        if not issubclass(kind, KeyboardInterrupt):
            return inherited(kind, error, trace)
        with lasting_output():
            say_interrupted()
        os._exit(INTERRUPTED)  # returning would let the interpreter end itself by the signal

    sys.excepthook = shown


def say_interrupted() -> None:
    """What is said where Ctrl-C ends everything at once."""
    print("stopped at once", file=sys.stderr, flush=True)


class _Lasting(io.FileIO):
    """A file in which what cannot be written is lost without a word."""

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = rest.nbytes
        with contextlib.suppress(OSError):  # the reader has gone, the terminal was closed, the disk of a log is full
            while rest and (written := super().write(rest)):
                rest = rest[written:]
        return size


def _lasting(stream: TextIO | None) -> TextIO:
    if stream is None:  # closed by the shell (>&-)
        return Path(os.devnull).open("w", encoding="utf-8")
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # with PYTHONUNBUFFERED there is nothing between the two
    if not isinstance(stream, io.TextIOWrapper) or not isinstance(raw, io.FileIO):
        return stream  # a notebook's, or a test's
    with contextlib.suppress(OSError):
        stream.flush()
    # A descriptor of its own, so that the stream that was there before can be used again afterwards.
    file: Any = _Lasting(raw.fileno(), "w", closefd=False)
    # Without a buffer between them, which would write a line again where Ctrl-C came right after it was written.
    return io.TextIOWrapper(file, encoding=stream.encoding, errors="replace", line_buffering=True)
