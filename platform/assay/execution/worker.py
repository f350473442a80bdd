"""One attempt at one experiment in this process, for a gang's worker and for a run in process."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from assay.errors import AssayError, LostClaim, OutOfMemory, UserError
from assay.execution.events import Evaluated, Event, StepDone
from assay.execution.schedule import Outcome, OutcomeKind
from assay.experiment import Experiment, Runtime
from assay.places import Places
from assay.resolve import Resolver
from assay.store import checkpoints, records
from assay.store.claims import ClaimedElsewhere, Observer
from assay.store.store import DamagedDocument, Log, Store, StoreError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Worker:
    """The parts that all attempts of one process share."""

    store: Store
    resolver: Resolver
    places: Places
    runtime: Runtime
    run: str  # the name of the run, which attempts record
    observer: Observer
    is_first_rank: bool = True

    def attempt(
        self,
        key: str,
        experiment: Experiment,
        *,
        stop: Callable[[], bool],
        on_event: Callable[[Event], None],
        until: int | None = None,
    ) -> Outcome:
        """Train an experiment to its end or to step `until`; the outcome holds the error otherwise."""
        with ExperimentLog(self.store, key if self.is_first_rank else None) as log:
            try:
                kind, error = self._train(key, experiment, stop, on_event, log, until), ""
            except (ClaimedElsewhere, LostClaim) as problem:
                kind, error = "held", f"{type(problem).__name__}: {problem}"
            except DamagedDocument as problem:
                log.write(f"error: {problem}")
                kind, error = "failed", str(problem)
            except StoreError as problem:
                kind, error = "halted", str(problem)
            except AssayError as problem:
                log.write(f"error: {problem}")
                kind, error = "failed", f"{type(problem).__name__}: {problem}"
            except Exception as problem:
                log.write(traceback.format_exc())
                kind, error = _kind_of(problem), f"{type(problem).__name__}: {problem}"
            finally:
                _free_memory()
        return Outcome(key=key, kind=kind, error=error, step=(until or 0) if kind == "paused" else 0)

    def _train(
        self,
        key: str,
        experiment: Experiment,
        stop: Callable[[], bool],
        on_event: Callable[[Event], None],
        log: ExperimentLog,
        until: int | None,
    ) -> OutcomeKind:
        from assay.training.session import SessionOptions, train

        resolved = self.resolver.resolve(experiment)
        if resolved.key != key:
            raise UserError(
                f"experiment {key} is {resolved.key} in this process, which reads other lists, weights or code than the"
                " one that planned it; give all of them the same."
            )
        options = SessionOptions(
            print_line=log.write,
            progress=_event_progress(key, on_event),
            patience=0.0,
            observer=self.observer,
            run=self.run,
            until=until,
            record_user_errors=True,
        )
        with _capture_warnings(log):
            result = train(resolved, self.store, places=self.places, runtime=self.runtime, stop=stop, options=options)
        if result is not None:
            return "done"
        reached = max(checkpoints.steps(self.store.names(key)), default=0)
        return "paused" if until is not None and reached >= until else "stopped"


def _kind_of(problem: Exception) -> OutcomeKind:
    from assay.training.failures import is_transient

    return "lost" if is_transient(problem) else "failed"


def _event_progress(key: str, on_event: Callable[[Event], None]) -> Any:
    """Return a progress that turns steps and evaluations into events."""
    from assay.training.progress import Progress

    class EventProgress(Progress):
        def step(self, step: int, loss: float) -> None:
            on_event(StepDone(key=key, step=step, loss=loss))

        def line(self, line: Mapping[str, Any]) -> None:
            miou = records.official_miou(line)
            if miou is not None:
                on_event(Evaluated(key=key, step=line["step"], miou=miou))

    return EventProgress()


def _free_memory() -> None:
    """Free what the last experiment left in memory, before the next one begins."""
    gc.collect()
    _freeze_imports()
    with contextlib.suppress(ImportError):
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@functools.cache
def _freeze_imports() -> None:
    """Move imported objects out of garbage collection; runs once, after the first experiment."""
    gc.freeze()


def restarts_worker(outcome: Outcome) -> bool:
    """Return True where the process must be replaced: its memory ran out, or its device may be broken."""
    return outcome.kind == "lost" or outcome.error.startswith(OutOfMemory.__name__)


class ExperimentLog:
    """The log of one experiment, whose file is opened with the first line: reading an experiment leaves no file."""

    def __init__(self, store: Store, key: str | None) -> None:
        self._store, self._key = store, key
        self._log: Log | None = None

    def __enter__(self) -> ExperimentLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self._log is not None:
            self._log.close()

    def write(self, text: str) -> None:
        """Append one line or several."""
        if self._key is None:
            return
        with contextlib.suppress(StoreError):
            if self._log is None:
                self._log = self._store.open_log(
                    self._key, records.LOG, self._store.read(self._key, records.LOG) or b""
                )
            self._log.append((text.rstrip("\n") + "\n").encode("utf-8", errors="backslashreplace"))


@contextlib.contextmanager
def _capture_warnings(log: ExperimentLog) -> Iterator[None]:
    """Write warnings and log records of libraries to the experiment's log."""

    class ToLog(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            log.write(self.format(record))

    handler = ToLog(level=logging.WARNING)
    root = logging.getLogger()
    root.addHandler(handler)
    shown = warnings.showwarning
    warnings.showwarning = lambda message, category, filename, lineno, file=None, line=None: log.write(
        warnings.formatwarning(message, category, filename, lineno, line)
    )
    try:
        yield
    finally:
        warnings.showwarning = shown
        root.removeHandler(handler)
