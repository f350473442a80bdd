"""What a person sees while a study runs: a live table on a terminal, plain lines every so often elsewhere."""

from __future__ import annotations

import collections
import dataclasses
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

SECONDS_BETWEEN_LINES = 15.0
ENDS = ("done", "failed", "blocked")
SHOWN = 3  # experiments of others that are named


@dataclasses.dataclass
class TrainingProgress:
    """What is known of one experiment that is being trained."""

    label: str
    steps: int
    began: float = 0.0
    first: int | None = None  # the step at which it was first heard of
    step: int = 0
    loss: float | None = None
    miou: float | None = None

    def rate(self, now: float) -> float:
        """Steps a second in this session; 0 until there is something to measure."""
        # The clock starts when the first step is heard of.
        made, took = self.step - (self.first or 0) - 1, now - self.began
        return made / took if self.first is not None and made > 0 and took > 0.5 else 0.0


class Display:
    """Counts what is done, and shows what is running."""

    def __init__(
        self,
        labels: Mapping[str, tuple[str, int]],
        *,
        ended: Mapping[str, str],
        say: Callable[[str], None],
        holder: Callable[[str], str] = lambda key: "",
    ) -> None:
        """What is shown of experiments, by key with their labels and steps.

        ended: those that are done, failed or blocked before this run begins
        holder: says who holds an experiment that another process trains
        """
        self._labels, self._say, self._holder = dict(labels), say, holder
        self._running: dict[str, TrainingProgress] = {}
        self._ended = dict(ended)
        self._held: dict[str, str] = {}  # those that another process trains, and who
        self._said = time.monotonic()
        self._steps_made = 0
        self._first_step: float | None = None  # when it was heard of
        self._live: Any = None

    def __enter__(self) -> Self:
        if sys.stdout.isatty():
            from rich.live import Live

            self._live = Live(get_renderable=self._table, refresh_per_second=2, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def expect(self, labels: Mapping[str, tuple[str, int]]) -> None:
        """More experiments, with their labels and steps."""
        self._labels |= labels

    def no_longer(self, keys: Iterable[str]) -> None:
        """Experiments that are left as they are."""
        for key in keys:
            if key not in self._ended:
                self._labels.pop(key, None)
                self._running.pop(key, None)

    def told(self, key: str, news: Mapping[str, Any]) -> None:
        """Something happened to an experiment."""
        state = news.get("state")
        if state is not None:
            self._state_is(key, state, news.get("error", ""))
            return
        seen = self._running.get(key)
        if seen is None:
            return
        if "loss" in news:
            if seen.first is None:
                seen.first, seen.began = news["step"] - 1, time.monotonic()
                self._first_step = self._first_step or seen.began
            else:
                self._steps_made += news["step"] - seen.step
            seen.step, seen.loss = news["step"], news["loss"]
        seen.miou = news.get("miou", seen.miou)
        self.idle()

    def idle(self) -> None:
        """Time passes: say how things stand if nothing was said for long."""
        if self._live is None and time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            self._say(self._line())

    def _state_is(self, key: str, state: str, error: str) -> None:
        if key not in self._labels:  # it was left as it is meanwhile
            return
        label, steps = self._labels[key]
        self._held.pop(key, None)
        seen = self._running.pop(key, None)
        if state == "running":
            self._running[key] = TrainingProgress(label=label, steps=steps)
        elif state == "held":
            self._held[key] = self._holder(key)
        elif state in ENDS and self._ended.get(key) != state:
            self._ended[key] = state
            score = f"  mIoU {100 * seen.miou:.2f}" if state == "done" and seen and seen.miou is not None else ""
            self.note(f"{state:7} {self._count()}  {key}  {label}{score}{f'  {error}' if error else ''}")

    def note(self, text: str) -> None:
        """A line that stays."""
        if self._live is not None:
            self._live.console.print(text, highlight=False, markup=False)
        else:
            self._say(text)

    def _count(self) -> str:
        return f"{len(self._ended)}/{len(self._labels)}"

    def _counts(self) -> str:
        """Every experiment, in one state each."""
        counts = collections.Counter(self._ended.values())
        waiting = len(self._labels) - len(self._ended) - len(self._running)
        ends = ", ".join(f"{counts[state]} {state}" for state in ENDS if counts[state] or state == "done")
        return f"{ends} of {len(self._labels)}, {len(self._running)} running, {waiting} waiting; {self._left()}"

    def _left(self) -> str:
        """The time left at the rate so far; unknown before there is one."""
        if not self._steps_made or self._first_step is None:
            return "time left unknown"
        gone = time.monotonic() - self._first_step
        open_steps = sum(steps for key, (_, steps) in self._labels.items() if key not in self._ended)
        open_steps -= sum(seen.step for seen in self._running.values())
        return f"about {duration(open_steps * gone / self._steps_made)} left"

    def _line(self) -> str:
        now = time.monotonic()
        parts = [
            f"{seen.label} step {seen.step}/{seen.steps}"
            + (f" loss {seen.loss:.3f}" if seen.loss is not None else "")
            + (f" {seen.rate(now):.1f} steps/s" if seen.rate(now) else "")
            for seen in self._running.values()
        ]
        return "; ".join([self._counts(), *parts, *([] if parts else self._waited_for())])

    def _waited_for(self) -> list[str]:
        """What others train, where nothing is trained here."""
        held = list(self._held.items())  # at once: a terminal's table is drawn in another thread
        said = [f"waiting for {key}" + (f", held by {who}" if who else "") for key, who in held[:SHOWN]]
        return said + ([f"and for {len(held) - SHOWN} more"] if held[SHOWN:] else [])

    def _table(self) -> Any:
        from rich.table import Table

        title = "; ".join([self._counts(), *([] if self._running else self._waited_for())])
        table = Table(title=title, title_justify="left", expand=True)
        for name in ("running", "step", "loss", "last mIoU", "steps/s", "left"):
            table.add_column(name, justify="left" if name == "running" else "right")
        now = time.monotonic()
        for seen in list(self._running.values()):
            rate = seen.rate(now)
            table.add_row(
                seen.label,
                f"{seen.step}/{seen.steps}",
                "-" if seen.loss is None else f"{seen.loss:.4f}",
                "-" if seen.miou is None else f"{100 * seen.miou:.2f}",
                f"{rate:.1f}" if rate > 0 else "-",
                duration((seen.steps - seen.step) / rate) if rate > 0 else "-",
            )
        return table


def duration(seconds: float) -> str:
    """A time span for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
