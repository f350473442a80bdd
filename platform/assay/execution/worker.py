"""One attempt at one experiment, in this process: what a gang's worker and the run in process both do."""

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
from assay.execution.schedule import Outcome, OutcomeKind
from assay.experiment import Experiment, Runtime
from assay.places import Places
from assay.resolve import Resolver
from assay.store import checkpoints, records
from assay.store.claims import ClaimedElsewhere, Observer
from assay.store.store import DamagedDocument, Log, Store, StoreError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Worker:
    """What attempts of one process share."""

    store: Store
    resolver: Resolver
    places: Places
    runtime: Runtime
    run: str  # which run of which program it works for
    observer: Observer
    is_first_rank: bool = True

    def attempt(
        self,
        key: str,
        experiment: Experiment,
        *,
        stop: Callable[[], bool],
        told: Callable[[Mapping[str, Any]], None],
        until: int | None = None,
    ) -> Outcome:
        """Train an experiment to its end or to step `until`, or say why not."""
        with ExperimentLog(self.store, key if self.is_first_rank else None) as log:
            try:
                kind, error = self._train(key, experiment, stop, told, log, until), ""
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
                _tidy()
        return Outcome(key=key, kind=kind, error=error, step=(until or 0) if kind == "paused" else 0)

    def _train(
        self,
        key: str,
        experiment: Experiment,
        stop: Callable[[], bool],
        told: Callable[[Mapping[str, Any]], None],
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
            progress=_event_progress(told),
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


def _event_progress(told: Callable[[Mapping[str, Any]], None]) -> Any:
    """A progress that passes steps and evaluations on."""
    from assay.training.progress import Progress

    class Telling(Progress):
        def step(self, step: int, loss: float) -> None:
            told({"step": step, "loss": loss})

        def line(self, line: Mapping[str, Any]) -> None:
            miou = records.official_miou(line)
            if miou is not None:
                told({"step": line["step"], "miou": miou})

    return Telling()


def _tidy() -> None:
    """Leave the process as it was: what an experiment left lying must not reach the next one."""
    gc.collect()
    _freeze_imports()
    with contextlib.suppress(ImportError):
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@functools.cache
def _freeze_imports() -> None:
    """Once, after the first experiment, which imports what trains: it stays for good, and is looked through no more."""
    gc.freeze()


def restarts_worker(outcome: Outcome) -> bool:
    """Whether the process should be replaced after this outcome: memory is gone, or a device may be broken."""
    return outcome.kind == "lost" or outcome.error.startswith(OutOfMemory.__name__)


class ExperimentLog:
    """The log of one key; it is opened with the first line, so that looking at a key leaves nothing there."""

    def __init__(self, store: Store, key: str | None) -> None:
        self._store, self._key = store, key
        self._log: Log | None = None

    def __enter__(self) -> ExperimentLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self._log is not None:
            self._log.close()

    def write(self, text: str) -> None:
        """Add a line, or several."""
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
    """Warnings and log records of libraries go to the experiment's log."""

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
