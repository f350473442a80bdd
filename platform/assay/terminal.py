"""Output to a terminal or a pipe that works in any locale and after its reader has gone.

Output decides no number and no result, so a failure to write it must not end a training.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from assay.errors import AssayError

INTERRUPTED = 130  # the exit code after Ctrl-C


@contextlib.contextmanager
def fault_tolerant_output() -> Iterator[None]:
    """Within the block, let stdout and stderr drop what cannot be written, and replace signs that the locale lacks.

    A reader that goes away (`| head`, a pager that is closed, a `tee` that is killed) then ends neither a training
    nor the writing of its results.
    """
    original = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_fault_tolerant(stream) for stream in original)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = original


def exit_code(run: Callable[[], int]) -> int:
    """Run a command line and return its exit code; report an error or a Ctrl-C in one line."""
    with fault_tolerant_output():
        try:
            return run()
        except AssayError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
        except KeyboardInterrupt:
            _print_interrupted()
            return INTERRUPTED


def interrupt_in_one_line() -> None:
    """Report a Ctrl-C that no code catches, such as one during imports, in one line without a traceback."""
    inherited = sys.excepthook

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> Any:
        if not issubclass(kind, KeyboardInterrupt):
            return inherited(kind, error, trace)
        with fault_tolerant_output():
            _print_interrupted()
        os._exit(INTERRUPTED)  # after a return the interpreter would end itself by the signal

    sys.excepthook = report


def _print_interrupted() -> None:
    print("stopped at once", file=sys.stderr, flush=True)


def command_line(argv: Sequence[str]) -> str:
    """Return a command as one line that a shell splits into the same arguments again."""
    return shlex.join(argv)


class _LossyFile(io.FileIO):
    """A file that silently drops what cannot be written."""

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = rest.nbytes
        with contextlib.suppress(OSError):  # the reader has gone, the terminal is closed, a log's disk is full
            while rest and (written := super().write(rest)):
                rest = rest[written:]
        return size


def _fault_tolerant(stream: TextIO | None) -> TextIO:
    if stream is None:  # closed by the shell (>&-)
        return Path(os.devnull).open("w", encoding="utf-8")
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # with PYTHONUNBUFFERED the buffer itself is the raw file
    if not isinstance(stream, io.TextIOWrapper) or not isinstance(raw, io.FileIO):
        return stream  # a notebook's or a test's
    with contextlib.suppress(OSError):
        stream.flush()
    # closefd=False, so that the original stream can be used again after the block.
    file: Any = _LossyFile(raw.fileno(), "w", closefd=False)
    # No buffer between the two: it would write a line again if Ctrl-C came right after the line was written.
    return io.TextIOWrapper(file, encoding=stream.encoding, errors="replace", line_buffering=True)


def print_line(text: str) -> None:
    """Print a line for the user at once."""
    print(text, flush=True)
