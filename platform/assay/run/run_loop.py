"""The loop that studies and searches share: train, report whatever happens, and say how to continue."""

from __future__ import annotations

import dataclasses
import secrets
import sys
from collections.abc import Callable, Sequence

from assay.execution.display import Display
from assay.execution.events import Listener, Listeners
from assay.execution.in_process import NoMoreTasks, TaskSource
from assay.execution.plan import Plan
from assay.run.launcher import Launcher, Placement
from assay.run.listeners import REBUILD_EVERY, FailureRecorder, Throttled
from assay.signals import stop_on_signals
from assay.terminal import command_line, print_line

LISTED_SEEDS = 10  # the most seeds that a command lists one by one


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunLoop:
    """One run, from its first training to its report."""

    name: str
    launcher: Launcher
    plan: Plan
    placement: Placement
    tasks: int  # the number of experiments to train at most
    display: Display
    rebuild: Callable[[], object]  # writes the tables while the run goes on
    report: Callable[[], int]  # writes and prints everything at the end; returns the exit code
    is_unfinished: Callable[[int], bool]  # whether work is left after this exit code
    source: TaskSource = dataclasses.field(default_factory=NoMoreTasks)
    first_listeners: tuple[Listener, ...] = ()

    def run(self) -> int:
        """Train everything, report, and return the exit code."""
        throttled = Throttled(self.rebuild, every=REBUILD_EVERY, print_line=print_line)
        listener = Listeners((*self.first_listeners, FailureRecorder(self.launcher.store), self.display, throttled))
        try:
            with stop_on_signals() as stop, self.display:
                if self.tasks:
                    self.launcher.train(
                        self.plan,
                        self.placement,
                        run=f"{self.name}-{secrets.token_hex(4)}",
                        stop=stop,
                        listener=listener,
                        print_line=print_line,
                        source=self.source,
                        tasks=self.tasks,
                    )
        except Exception:  # the tables show how far the run came; the error is printed last
            self._report_after_error()
            raise
        code = self.report()
        if stop.is_set() and self.is_unfinished(code):
            print_line(f"stopped, with checkpoints. The same command continues: {continue_command(sys.argv)}")
            return 128 + stop.signal
        return code

    def _report_after_error(self) -> None:
        """Write and print the report; a failure of the report itself becomes a note."""
        try:
            self.report()
        except Exception as problem:
            print_line(f"note: the tables could not be rebuilt: {problem}")


def continue_command(argv: Sequence[str]) -> str:
    """Return the shell command that continues a stopped run: the same one, but it does not forget rows again."""
    return command_line(["python", *_without(argv, "--force-row")])


def command_with_seeds(argv: Sequence[str], seeds: Sequence[int]) -> str:
    """Return the shell command that trains the same with these seeds, and does not forget rows again."""
    return f"{command_line(['python', *_without(argv, '--force-row', '--seeds')])} {seeds_flag(seeds)}"


def seeds_flag(seeds: Sequence[int]) -> str:
    """Return `--seeds` with its values as a shell reads them; a long run of numbers is a `seq`."""
    first, last = seeds[0], seeds[-1]
    if len(seeds) > LISTED_SEEDS and list(seeds) == list(range(first, last + 1)):
        return f"--seeds $(seq {first} {last})"
    return f"--seeds {' '.join(map(str, seeds))}"


def _without(argv: Sequence[str], *flags: str) -> list[str]:
    """Return a command without some flags and their values."""
    kept: list[str] = []
    leaving_out = False
    for word in argv:
        leaving_out = word.split("=")[0] in flags or (leaving_out and not word.startswith("-"))
        if not leaving_out:
            kept.append(word)
    return kept
