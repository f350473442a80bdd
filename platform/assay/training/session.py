"""One session of one experiment in a store: claim, continue, train, and write down what came of it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from assay.collectives import broadcast_from_rank0, rank
from assay.errors import LostClaim
from assay.experiment import Runtime
from assay.places import Places
from assay.resolve import Resolved
from assay.store import checkpoints, records
from assay.store.claims import STALE_AFTER, Claim, Observer, acquire
from assay.store.documents import line as json_line
from assay.store.store import Log, Store, StoreError
from assay.training import environment
from assay.training.failures import discard_if_user_error, explain_out_of_memory, record_failure
from assay.training.loop import Training
from assay.training.progress import Progress
from assay.training.result import WEIGHTS, panel_of, result_of, stored_weights, weights_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """How a session behaves towards whoever started it. Nothing of it moves a number."""

    print_line: Callable[[str], None] = print
    progress: Progress | None = None  # what is told of every step; by default what the runtime asks for
    patience: float = STALE_AFTER + 5  # seconds in which an owner that gives no sign may show that it lives
    stale_after: float = STALE_AFTER  # seconds without a sign after which a claim may be taken over
    observer: Observer | None = None  # who has watched the claims already
    run: str = ""  # which run of which program this attempt belongs to
    until: int | None = None  # the step at which to stop; another session may go on from there
    record_user_errors: bool = False  # a user's mistake that shows in training is the experiment's failure


def train(
    resolved: Resolved,
    store: Store,
    *,
    places: Places,
    runtime: Runtime,
    stop: Callable[[], bool] = lambda: False,
    options: SessionOptions | None = None,
) -> dict[str, Any] | None:
    """The experiment's result: read where there is one, else trained; None if it ended before, as it was asked to.

    With several ranks every rank calls this, and rank 0 alone writes.
    """
    options = options or SessionOptions()
    key = resolved.key
    done: dict[str, Any] | None = broadcast_from_rank0(lambda: records.read_json(store, key, records.RESULT))
    if done is not None:
        return done
    # Built before anything is claimed or written: a person's mistake leaves the store as it was. In a study the claim
    # comes first: many processes look at the same keys, and what cannot be built is the experiment's failure.
    training = None if options.record_user_errors else _built(resolved, store, places, runtime)
    new = broadcast_from_rank0(lambda: not store.names(key))
    claim = _agreed_claim(store, key, options)
    problem: Exception | None = None
    try:
        # Another process may have finished it while this one was building.
        done = broadcast_from_rank0(lambda: records.read_json(store, key, records.RESULT))
        if done is not None:
            return done
        training = training or _built(resolved, store, places, runtime)
        return _train(training, store, claim, stop=stop, options=options)
    except Exception as error:
        problem = explain_out_of_memory(error, resolved)
        record_failure(problem, store, key, claim, record_user_errors=options.record_user_errors)
        if problem is error:
            raise
        raise problem from error
    finally:
        if claim is not None:
            claim.release()
            if new and not options.record_user_errors:
                discard_if_user_error(problem, store, key)


def _built(resolved: Resolved, store: Store, places: Places, runtime: Runtime) -> Training:
    """The training, with its data read and its networks made."""
    try:
        return Training(resolved, places=places, runtime=runtime, read_weights=stored_weights(store))
    except Exception as error:
        problem = explain_out_of_memory(error, resolved)
        if problem is error:
            raise
        raise problem from error


def _agreed_claim(store: Store, key: str, options: SessionOptions) -> Claim | None:
    """Rank 0's claim; where it is refused, every rank is told why instead of waiting."""
    claim, refusal = None, None
    if rank() == 0:
        try:
            claim = acquire(
                store,
                key,
                stale_after=options.stale_after,
                patience=options.patience,
                observer=options.observer,
                print_line=options.print_line,
            )
        except Exception as error:
            refusal = error
    refusal = broadcast_from_rank0(lambda: refusal)
    if refusal is not None:
        raise refusal
    return claim


def _train(
    training: Training, store: Store, claim: Claim | None, *, stop: Callable[[], bool], options: SessionOptions
) -> dict[str, Any] | None:
    key = training.resolved.key
    loaded: checkpoints.Loaded = broadcast_from_rank0(lambda: checkpoints.load(store, key))
    if loaded.payload is not None:
        training.load_state(loaded.payload)
    if claim is not None:
        _begin(training, store, claim, options, notes=loaded.notes)
    try:
        result = _to_the_end(training, store, claim, stop=stop, options=options)
    except Exception as error:
        _end_attempt(store, key, claim, type(error).__name__)
        raise
    if result is None:
        _end_attempt(store, key, claim, "stopped")
    return result


def _to_the_end(
    training: Training, store: Store, claim: Claim | None, *, stop: Callable[[], bool], options: SessionOptions
) -> dict[str, Any] | None:
    key, runtime = training.resolved.key, training.runtime
    # Under the claim: two processes that begin one experiment must not both predict for it.
    if not training.fetch_masks(store, print_line=options.print_line, stop=stop):
        return None
    sessions = _sessions(store, key, training, runtime)
    if claim is not None:
        store.write(key, records.SESSIONS, json_line({"sessions": sessions}))
        for note in environment.notes(sessions[-2:]):
            options.print_line(f"note: {note}")
    progress = options.progress or Progress.of(
        runtime, total=training.recipe.steps, start=training.step, print_line=options.print_line
    )
    with progress:
        recorder = StoreRecorder(store, key, claim, progress, training.step)
        try:
            finished = training.run(recorder, stop=stop, until=options.until)
        finally:
            recorder.close()
    if not finished:
        return None
    result = result_of(training, sessions)
    if claim is not None:
        _finish(training, store, claim, result)
    return result


def _begin(training: Training, store: Store, claim: Claim, options: SessionOptions, *, notes: tuple[str, ...]) -> None:
    """Say what is odd, and write down what is about to be trained, where and by whom."""
    resolved, key = training.resolved, training.resolved.key
    for note in (*resolved.images.notes, *training.recipe.notes(), *notes):
        options.print_line(f"note: {note}")
    records.write_experiment(store, key, resolved.document())
    records.clear_errors_of_ranks(store, key)
    attempt = {"run": options.run, "claim": claim.generation, "from_step": training.step, "at": now()}
    records.begin_attempt(store, key, attempt)


def _end_attempt(store: Store, key: str, claim: Claim | None, how: str) -> None:
    """An attempt that ends without this is one whose process was killed, or crashed."""
    with contextlib.suppress(StoreError, LostClaim):
        if claim is not None:
            claim.check()
            records.end_attempt(store, key, how)


def _finish(training: Training, store: Store, claim: Claim, result: dict[str, Any]) -> None:
    key = training.resolved.key
    weights = weights_of(training)
    claim.check()
    store.write(key, records.PANEL, panel_of(training))
    store.write(key, WEIGHTS, weights)
    result["weights_sha256"] = hashlib.sha256(weights).hexdigest()
    result["finished"] = now()
    records.write_result(store, key, result)
    checkpoints.remove(store, key)


class StoreRecorder:
    """Writes a training's lines and checkpoints under its key; on other ranks than the first it writes nothing."""

    def __init__(self, store: Store, key: str, claim: Claim | None, progress: Progress, step: int) -> None:
        self._store, self._key, self._claim, self._progress = store, key, claim, progress
        self._log: Log | None = None
        if claim is not None:
            # A new file that begins with the lines up to the checkpoint: what a former owner may still append goes
            # to the old one.
            keep = records.metrics_up_to(store, key, step)
            self._log = store.open_log(key, records.METRICS, keep)

    def write_line(self, line: Mapping[str, Any]) -> None:
        if self._log is not None:
            self._log.append(json_line(line))
        self._progress.line(line)

    def save_checkpoint(self, payload: Callable[[], bytes], step: int) -> None:
        if self._claim is not None and self._log is not None:
            self._claim.check()
            self._log.sync()
            checkpoints.save(self._store, self._key, payload(), step=step)

    def report_step(self, step: int, loss: float) -> None:
        self._progress.step(step, loss)

    def close(self) -> None:
        if self._log is not None:
            self._log.close()


def _sessions(store: Store, key: str, training: Training, runtime: Runtime) -> list[dict[str, Any]]:
    """The sessions so far, and this one; those whose steps were lost are left out."""
    here = environment.describe(runtime, training.device)
    if training.plan.stored:
        here["stored_masks"] = {name: masks.digest for name, masks in training.plan.stored.items()}
    stored = broadcast_from_rank0(lambda: records.read_json(store, key, records.SESSIONS)) or {"sessions": []}
    before = [each for each in stored["sessions"] if each["from_step"] < training.step]
    changed = environment.changes(before[-1], here) if before else []
    return [*before, here | {"from_step": training.step, "changed": changed, "started": now()}]


def now() -> str:
    """The time of day as the store writes it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
