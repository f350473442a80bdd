"""The progress of a running training: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from assay.collectives import rank
from assay.experiment import Runtime
from assay.store.records import official_miou

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """A progress that shows nothing; the subclasses show bars and lines."""

    @staticmethod
    def of(runtime: Runtime, *, total: int, start: int, print_line: Callable[[str], None]) -> Progress:
        """Return the progress that the runtime names; on other ranks than 0, one that shows nothing."""
        kind = runtime.progress
        if kind == "auto":
            kind = "bar" if sys.stderr.isatty() else "lines"
        if rank() != 0 or kind == "none":
            return Progress()
        return _Bar(total, start) if kind == "bar" else _Lines(total, start, print_line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def step(self, step: int, loss: float) -> None:
        """Show that `step` steps are over."""

    def line(self, line: Mapping[str, Any]) -> None:
        """Show the mIoU of a line of metrics, where it has one."""


class _Lines(Progress):
    """Lines: one every few seconds, and one for every evaluation."""

    def __init__(self, total: int, start: int, print_line: Callable[[str], None]) -> None:
        self._total, self._start, self._print_line = total, start, print_line
        self._began = self._printed = time.monotonic()

    def step(self, step: int, loss: float) -> None:
        now = time.monotonic()
        if now - self._printed < SECONDS_BETWEEN_LINES and step != self._total:
            return
        self._printed = now
        rate = (step - self._start) / max(now - self._began, 1e-9)
        left = (self._total - step) / rate
        self._print_line(f"step {step}/{self._total}  loss {loss:.4f}  {rate:.1f} steps/s  {left:.0f} s left")

    def line(self, line: Mapping[str, Any]) -> None:
        miou = official_miou(line)
        if miou is not None:
            self._print_line(f"step {line['step']}/{self._total}  mIoU {100 * miou:.2f} %")


class _Bar(Progress):
    """A bar with loss, mIoU, rate and time left."""

    def __init__(self, total: int, start: int) -> None:
        self._bar = Bar(  # on stderr, the stream that was checked for a terminal: stdout may go to a file
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}  loss {task.fields[loss]}  mIoU {task.fields[miou]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._start, self._began = start, time.monotonic()
        self._task = self._bar.add_task("train", total=total, completed=start, rate="", loss="-", miou="-")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, step: int, loss: float) -> None:
        rate = (step - self._start) / max(time.monotonic() - self._began, 1e-9)
        self._bar.update(self._task, completed=step, loss=f"{loss:.4f}", rate=f"{rate:.1f} steps/s")

    def line(self, line: Mapping[str, Any]) -> None:
        miou = official_miou(line)
        if miou is not None:
            self._bar.update(self._task, miou=f"{100 * miou:.2f} %")
