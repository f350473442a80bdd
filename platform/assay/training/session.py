"""One session of one experiment in a store: claim the key, continue from its checkpoint, train, write the result."""

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
    """Options of a session that move no number: messages, patience with other processes, where to stop."""

    print_line: Callable[[str], None] = print
    heading: str = ""  # printed before the claim, when the networks are built and so no setting is invalid
    progress: Progress | None = None  # receives every step; by default the progress that the runtime names
    patience: float = STALE_AFTER + 5  # seconds that an owner without a sign of life gets to show one
    stale_after: float = STALE_AFTER  # seconds without a sign of life after which a claim may be taken over
    observer: Observer | None = None  # one that has watched the claims already
    run: str = ""  # the run of a program that this attempt belongs to
    until: int | None = None  # the step at which to stop; another session may continue from there
    record_user_errors: bool = False  # a user error in training is recorded as the experiment's failure


def train(
    resolved: Resolved,
    store: Store,
    *,
    places: Places,
    runtime: Runtime,
    stop: Callable[[], bool] = lambda: False,
    options: SessionOptions | None = None,
) -> dict[str, Any] | None:
    """Return the experiment's result: from the store where it is there, else by training.

    Return None where the session ended before the experiment's end, because of `stop` or `options.until`. With several
    ranks every rank calls this function, and rank 0 alone writes.
    """
    options = options or SessionOptions()
    key = resolved.key
    result = _stored_result(store, key)
    if result is not None:
        return result
    # Built before anything is claimed or written, so that a person's mistake leaves the store as it was. In a study
    # the claim comes first: many processes try the same keys, and an experiment that cannot be built has failed.
    training = None if options.record_user_errors else _build(resolved, store, places, runtime)
    is_first_session = broadcast_from_rank0(lambda: not store.names(key))
    claim = _claim_on_rank0(store, key, options)
    problem: Exception | None = None
    try:
        result = _stored_result(store, key)  # another process may have finished while this one was building
        if result is not None:
            return result
        training = training or _build(resolved, store, places, runtime)
        return _train_claimed(training, store, claim, stop=stop, options=options)
    except Exception as error:
        problem = explain_out_of_memory(error, resolved)
        record_failure(problem, store, key, claim, record_user_errors=options.record_user_errors)
        if problem is error:
            raise
        raise problem from error
    finally:
        if claim is not None:
            claim.release()
            if is_first_session and not options.record_user_errors:
                discard_if_user_error(problem, store, key)


def _stored_result(store: Store, key: str) -> dict[str, Any] | None:
    """Return rank 0's view of the result, since all ranks must take the same way."""
    result: dict[str, Any] | None = broadcast_from_rank0(lambda: records.read_json(store, key, records.RESULT))
    return result


def _build(resolved: Resolved, store: Store, places: Places, runtime: Runtime) -> Training:
    """Return the training, with its data read and its networks made."""
    try:
        return Training(resolved, places=places, runtime=runtime, read_weights=stored_weights(store))
    except Exception as error:
        problem = explain_out_of_memory(error, resolved)
        if problem is error:
            raise
        raise problem from error


def _claim_on_rank0(store: Store, key: str, options: SessionOptions) -> Claim | None:
    """Return rank 0's claim, and None on other ranks; where it is refused, raise the refusal on every rank."""
    claim, refusal = None, None
    if rank() == 0:
        if options.heading:
            options.print_line(options.heading)
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


def _train_claimed(
    training: Training, store: Store, claim: Claim | None, *, stop: Callable[[], bool], options: SessionOptions
) -> dict[str, Any] | None:
    """Continue from the newest checkpoint and train; write down the attempt's beginning and its end."""
    key = training.resolved.key
    loaded: checkpoints.Loaded = broadcast_from_rank0(lambda: checkpoints.load(store, key))
    if loaded.payload is not None:
        training.load_state(loaded.payload)
    if claim is not None:
        _begin_attempt(training, store, claim, options, notes=loaded.notes)
    try:
        result = _train_to_end(training, store, claim, stop=stop, options=options)
    except Exception as error:
        _end_attempt(store, key, claim, type(error).__name__)
        raise
    if result is None:
        _end_attempt(store, key, claim, "stopped")
    return result


def _train_to_end(
    training: Training, store: Store, claim: Claim | None, *, stop: Callable[[], bool], options: SessionOptions
) -> dict[str, Any] | None:
    """Train, and return the result; return None if stopped."""
    key, runtime = training.resolved.key, training.runtime
    # Under the claim: of two processes that begin one experiment only one should predict its masks.
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
    with progress, contextlib.closing(StoreRecorder(store, key, claim, progress, training.step)) as recorder:
        is_finished = training.run(recorder, stop=stop, until=options.until)
    if not is_finished:
        return None
    result = result_of(training, sessions)
    if claim is not None:
        _write_result(training, store, claim, result)
    return result


def _begin_attempt(
    training: Training, store: Store, claim: Claim, options: SessionOptions, *, notes: tuple[str, ...]
) -> None:
    """Print the notes, and write down the experiment and the attempt: where it begins, and in which run."""
    resolved, key = training.resolved, training.resolved.key
    for note in (*training.notes(), *notes):
        options.print_line(f"note: {note}")
    records.write_experiment(store, key, resolved.document())
    records.clear_errors_of_ranks(store, key)
    attempt = {"run": options.run, "claim": claim.generation, "from_step": training.step, "at": now()}
    records.begin_attempt(store, key, attempt)


def _end_attempt(store: Store, key: str, claim: Claim | None, how: str) -> None:
    """Write down how an attempt ended; an attempt without this end was killed, or crashed."""
    with contextlib.suppress(StoreError, LostClaim):
        if claim is not None:
            claim.check()
            records.end_attempt(store, key, how)


def _write_result(training: Training, store: Store, claim: Claim, result: dict[str, Any]) -> None:
    """Write the panel, the weights and at last the result, which makes the key done; delete its checkpoints."""
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
    """A recorder that writes lines and checkpoints under a key. Without a claim (other ranks) it writes nothing."""

    def __init__(self, store: Store, key: str, claim: Claim | None, progress: Progress, step: int) -> None:
        self._store, self._key, self._claim, self._progress = store, key, claim, progress
        self._log: Log | None = None
        if claim is not None:
            # A new file that begins with the lines up to the checkpoint: lines that a former owner still appends go
            # to the old file.
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
    """Return the sessions so far and this one; leave out sessions whose steps were all lost."""
    here = environment.describe(runtime, training.device)
    if training.plan.stored:
        here["stored_masks"] = {name: masks.digest for name, masks in training.plan.stored.items()}
    stored = broadcast_from_rank0(lambda: records.read_json(store, key, records.SESSIONS)) or {"sessions": []}
    earlier = [session for session in stored["sessions"] if session["from_step"] < training.step]
    changed = environment.changes(earlier[-1], here) if earlier else []
    return [*earlier, here | {"from_step": training.step, "changed": changed, "started": now()}]


def now() -> str:
    """Return the time of day as the store writes it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
