"""The display of a run: a live table on a terminal, plain lines every so often elsewhere."""

from __future__ import annotations

import collections
import dataclasses
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from assay.execution.events import Evaluated, Event, GangFailed, StateChanged, StepDone, WaitingFor
from assay.wording import duration

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SECONDS_BETWEEN_LINES = 15.0
ENDS = ("done", "failed", "blocked")
SHOWN = 3  # experiments of other processes that are named


@dataclasses.dataclass
class TrainingProgress:
    """The progress of one experiment that is being trained."""

    label: str
    steps: int
    began: float = 0.0  # when the first step was reported
    first: int | None = None  # the step before the first one that was reported
    step: int = 0
    loss: float | None = None
    miou: float | None = None

    def rate(self, now: float) -> float:
        """Return steps per second in this session; 0 until there is something to measure."""
        made, took = self.step - (self.first or 0) - 1, now - self.began
        return made / took if self.first is not None and made > 0 and took > 0.5 else 0.0

    def cells(self, now: float) -> dict[str, str]:
        """Return the texts of the live table by column."""
        rate = self.rate(now)
        return {
            "loss": "-" if self.loss is None else f"{self.loss:.4f}",
            "miou": "-" if self.miou is None else f"{100 * self.miou:.2f}",
            "rate": f"{rate:.1f}" if rate > 0 else "-",
            "left": duration((self.steps - self.step) / rate) if rate > 0 else "-",
        }

    def text(self, now: float) -> str:
        """Return the progress as a part of a plain line."""
        loss = "" if self.loss is None else f" loss {self.loss:.3f}"
        rate = f" {self.rate(now):.1f} steps/s" if self.rate(now) else ""
        return f"{self.label} step {self.step}/{self.steps}{loss}{rate}"


class Display:
    """A listener that counts what is done and shows what is running."""

    def __init__(
        self,
        labels: Mapping[str, tuple[str, int]],
        *,
        ended: Mapping[str, str],
        print_line: Callable[[str], None],
        holder: Callable[[str], str] = lambda key: "",
    ) -> None:
        """Show experiments, given by key with their labels and steps.

        ended: the state of experiments that are done, failed or blocked before this run begins
        holder: returns the process that holds an experiment
        """
        self._labels, self._print_line, self._holder = dict(labels), print_line, holder
        self._running: dict[str, TrainingProgress] = {}
        self._ended = dict(ended)
        self._held: dict[str, str] = {}  # experiments that other processes train, with these processes
        self._printed = time.monotonic()
        self._steps_made = 0
        self._first_step: float | None = None  # when it was reported
        self._table: _LiveTable | None = None
        self._reason = ""  # why no experiment runs, as the run reports it

    def __enter__(self) -> Self:
        if sys.stdout.isatty():
            self._table = _LiveTable(self._title)
            self._table.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._table is not None:
            self._table.progress.stop()

    def add(self, labels: Mapping[str, tuple[str, int]]) -> None:
        """Show more experiments, given by key with their labels and steps."""
        self._labels |= labels

    def remove(self, keys: Iterable[str]) -> None:
        """Show experiments no longer that are not to be trained any further."""
        for key in keys:
            if key not in self._ended:
                self._labels.pop(key, None)
                self._stop_showing(key)

    def on_event(self, event: Event) -> None:
        """Record an event and show it."""
        match event:
            case StateChanged():
                self._on_state(event)
            case StepDone():
                self._on_step(event)
            case Evaluated():
                if event.key in self._running:
                    self._running[event.key].miou = event.miou
                    self._show(event.key)
            case WaitingFor():
                self._reason = event.reason
            case GangFailed():
                self.note(event.text())

    def on_idle(self) -> None:
        """Print the progress if nothing was printed for long."""
        if self._table is None and time.monotonic() - self._printed > SECONDS_BETWEEN_LINES:
            self._printed = time.monotonic()
            self._print_line(self._line())

    def note(self, text: str) -> None:
        """Print a line that stays."""
        if self._table is not None:
            self._table.progress.console.print(text, highlight=False, markup=False)
        else:
            self._print_line(text)

    def _on_step(self, event: StepDone) -> None:
        progress = self._running.get(event.key)
        if progress is None:
            return
        if progress.first is None:  # the clock starts with the first step that is reported
            progress.first, progress.began = event.step - 1, time.monotonic()
            self._first_step = self._first_step or progress.began
        else:
            self._steps_made += event.step - progress.step
        progress.step, progress.loss = event.step, event.loss
        self._show(event.key)

    def _on_state(self, event: StateChanged) -> None:
        key, state = event.key, event.state
        if key not in self._labels:  # removed meanwhile
            return
        label, steps = self._labels[key]
        self._held.pop(key, None)
        progress = self._stop_showing(key)
        if state == "running":
            self._running[key] = TrainingProgress(label=label, steps=steps)
            self._show(key)
        elif state == "held":
            self._held[key] = self._holder(key)
        elif state in ENDS and self._ended.get(key) != state:
            self._ended[key] = state
            miou = progress.miou if progress and state == "done" else None
            score = "" if miou is None else f"  mIoU {100 * miou:.2f}"
            error = f"  {event.error}" if event.error else ""
            self.note(f"{state:7} {len(self._ended)}/{len(self._labels)}  {key}  {label}{score}{error}")

    def _show(self, key: str) -> None:
        if self._table is not None:
            self._table.show(key, self._running[key])
        self.on_idle()

    def _stop_showing(self, key: str) -> TrainingProgress | None:
        if self._table is not None:
            self._table.remove(key)
        return self._running.pop(key, None)

    def _title(self) -> str:
        return "; ".join([self._counts(), *([] if self._running else self._waiting())])

    def _line(self) -> str:
        now = time.monotonic()
        running = [progress.text(now) for progress in self._running.values()]
        return "; ".join([self._counts(), *(running or self._waiting())])

    def _counts(self) -> str:
        """Return the number of experiments in each state and the time left."""
        counts = collections.Counter(self._ended.values())
        waiting = len(self._labels) - len(self._ended) - len(self._running)
        ends = ", ".join(f"{counts[state]} {state}" for state in ENDS if counts[state] or state == "done")
        return f"{ends} of {len(self._labels)}, {len(self._running)} running, {waiting} waiting; {self._left()}"

    def _left(self) -> str:
        """Return the time left at the rate so far; unknown before there is a rate."""
        if not self._steps_made or self._first_step is None:
            return "time left unknown"
        gone = time.monotonic() - self._first_step
        open_steps = sum(steps for key, (_, steps) in self._labels.items() if key not in self._ended)
        open_steps -= sum(progress.step for progress in self._running.values())
        return f"about {duration(open_steps * gone / self._steps_made)} left"

    def _waiting(self) -> list[str]:
        """Return the reasons for waiting, while the run trains nothing itself."""
        held = list(self._held.items())  # copied: a terminal's table is drawn in another thread
        lines = [f"waiting for {key}" + (f", held by {process}" if process else "") for key, process in held[:SHOWN]]
        lines += [f"and for {len(held) - SHOWN} more"] if held[SHOWN:] else []
        return lines or ([self._reason] if self._reason else [])


class _LiveTable:
    """A row for each running experiment below a title, drawn by rich.progress."""

    def __init__(self, title: Callable[[], str]) -> None:
        from rich.console import Group
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.text import Text

        class TitledProgress(Progress):
            def get_renderables(self) -> Iterable[Group]:
                yield Group(Text(title()), self.make_tasks_table(self.tasks))

        self._rows: dict[str, TaskID] = {}
        self.progress: Progress = TitledProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn("mIoU {task.fields[miou]}"),
            TextColumn("{task.fields[rate]} steps/s"),
            TextColumn("{task.fields[left]} left"),
            refresh_per_second=2,
            transient=True,
        )

    def show(self, key: str, progress: TrainingProgress) -> None:
        """Add the row of an experiment, or update it."""
        cells = progress.cells(time.monotonic())
        if key not in self._rows:
            self._rows[key] = self.progress.add_task(progress.label, total=progress.steps, start=True, **cells)  # type: ignore[arg-type]
        self.progress.update(self._rows[key], completed=progress.step, **cells)  # type: ignore[arg-type]

    def remove(self, key: str) -> None:
        """Remove the row of an experiment."""
        if key in self._rows:
            self.progress.remove_task(self._rows.pop(key))
