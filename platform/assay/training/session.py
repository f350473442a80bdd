"""One session of one experiment in a store: claim, continue, train, and write down what came of it."""

from __future__ import annotations

import contextlib
import io
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed as dist

from assay.errors import AssayError, LostClaim, OutOfMemory
from assay.experiment import Runtime
from assay.nets.count import multiply_adds, parameters
from assay.nets.network import Network
from assay.places import Places
from assay.ranks import rank, world_size
from assay.resolve import Resolved
from assay.store import checkpoints, records
from assay.store.claims import Claim, acquire
from assay.store.documents import line as json_line
from assay.store.store import Log, Store, StoreError
from assay.training import environment
from assay.training.loop import Training
from assay.training.model import random_parameters
from assay.training.progress import Progress

WEIGHTS = "weights.pt"  # the networks after the last step
SESSIONS = "sessions.json"  # where the experiment was trained, session by session


def train(
    resolved: Resolved,
    store: Store,
    *,
    places: Places,
    runtime: Runtime,
    stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = print,
) -> dict[str, Any] | None:
    """The experiment's result: read where there is one, else trained; None if it was stopped before the end.

    With several ranks every rank calls this, and rank 0 alone writes.
    """
    key = resolved.key
    done: dict[str, Any] | None = _agreed(lambda: records.read_json(store, key, records.RESULT))
    if done is not None:
        return done
    # Built before anything is claimed or written: what cannot be built leaves the store as it was.
    training = Training(resolved, places=places, runtime=runtime)
    claim = _agreed_claim(store, key)
    try:
        return _train(training, store, claim, stop=stop, say=say)
    except Exception as error:
        problem = _explained(error, resolved)
        _remember(problem, store, key)
        if problem is error:
            raise
        raise problem from error
    finally:
        if claim is not None:
            claim.release()


def _remember(problem: Exception, store: Store, key: str) -> None:
    """Keep the error with the experiment, if it is the experiment's; a full disk or a lost claim is not.

    An error on purpose would come again, so the experiment is failed; any other may pass, so it is interrupted.
    """
    if rank() != 0 or isinstance(problem, (LostClaim, StoreError)):
        return
    with contextlib.suppress(StoreError):
        records.add_failure(store, key, _failure(problem), final=isinstance(problem, AssayError))


def _agreed(read: Callable[[], Any]) -> Any:
    """What rank 0 reads, on all ranks: two ranks that look at a shared folder may see different moments."""
    found = [read() if rank() == 0 else None]
    if world_size() > 1:
        dist.broadcast_object_list(found, src=0)
    return found[0]


def _agreed_claim(store: Store, key: str) -> Claim | None:
    """Rank 0's claim; where it is refused, every rank is told why instead of waiting."""
    claim, refusal = None, None
    if rank() == 0:
        try:
            claim = acquire(store, key)
        except Exception as error:
            refusal = error
    refusal = _agreed(lambda: refusal)
    if refusal is not None:
        raise refusal
    return claim


def _train(
    training: Training,
    store: Store,
    claim: Claim | None,
    *,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> dict[str, Any] | None:
    resolved, runtime = training.resolved, training.runtime
    key = resolved.key
    loaded: checkpoints.Loaded = _agreed(lambda: checkpoints.load(store, key))
    notes = list(loaded.notes)
    if loaded.payload is not None:
        training.load_state(loaded.payload)
    sessions = _sessions(store, key, training, runtime)
    if rank() == 0:
        for note in (*resolved.images.notes, *notes):
            say(f"note: {note}")
        records.write_experiment(store, key, resolved.document())
    with Progress.of(runtime, total=training.recipe.steps, start=training.step, say=say) as progress:
        recorder = StoreRecorder(store, key, claim, progress, training.step, sessions)
        try:
            finished = training.run(recorder, stop=stop)
        finally:
            recorder.close()
    if not finished:
        return None
    result = _result(resolved, training, sessions)
    if rank() == 0 and claim is not None:
        claim.check()
        store.write(key, WEIGHTS, _weights(training))
        records.write_result(store, key, result)
        checkpoints.remove(store, key)
    return result


class StoreRecorder:
    """Writes a training's lines and checkpoints under its key; on other ranks than the first it writes nothing."""

    def __init__(
        self,
        store: Store,
        key: str,
        claim: Claim | None,
        progress: Progress,
        step: int,
        sessions: list[dict[str, Any]],
    ) -> None:
        self._store, self._key, self._claim, self._progress = store, key, claim, progress
        self._log: Log | None = None
        if claim is not None:
            store.write(key, SESSIONS, json_line({"sessions": sessions}))
            # A new file that begins with the lines up to the checkpoint: what a former owner may still append goes
            # to the old one.
            keep = records.metrics_up_to(store, key, step)
            self._log = store.open_log(key, records.METRICS, keep)

    def line(self, line: Mapping[str, Any]) -> None:
        if self._log is not None:
            self._log.append(json_line(line))
        self._progress.line(line)

    def checkpoint(self, payload: Callable[[], bytes], step: int) -> None:
        if self._claim is not None and self._log is not None:
            self._claim.check()
            self._log.sync()
            checkpoints.save(self._store, self._key, payload(), step=step)

    def progress(self, step: int, loss: float) -> None:
        self._progress.step(step, loss)

    def close(self) -> None:
        if self._log is not None:
            self._log.close()


def _sessions(store: Store, key: str, training: Training, runtime: Runtime) -> list[dict[str, Any]]:
    """The sessions so far, and this one; those whose steps were lost are left out."""
    now = environment.describe(runtime, training.device)
    stored = _agreed(lambda: records.read_json(store, key, SESSIONS)) or {"sessions": []}
    before = [each for each in stored["sessions"] if each["from_step"] < training.step]
    changed = environment.changes(before[-1], now) if before else []
    return [*before, now | {"from_step": training.step, "changed": changed}]


def _result(resolved: Resolved, training: Training, sessions: list[dict[str, Any]]) -> dict[str, Any]:
    """What is known at the end. Shares, not percent."""
    journal = training.journal
    predictors = training.predictors()
    official = next(iter(predictors))
    experiment = resolved.experiment
    return {
        "key": resolved.key,
        "official": official,
        "steps": training.step,
        "miou": journal.last[official]["miou"],
        "pixel_accuracy": journal.last[official]["pixel_accuracy"],
        "iou": journal.last[official]["iou"],
        "classes": list(experiment.data.source.classes()),
        "miou_best": journal.best_miou,
        "step_best": journal.best_step,
        "networks": journal.last,
        "cost": _cost(training),
        "data": {name: resolved.images.describe(name) for name in ("labeled", "unlabeled", "val")}
        | experiment.data.source.facts(resolved.images.labeled, training.places),
        "notes": list(resolved.images.notes),
        "random_parameters": random_parameters(training.nets),
        "accumulated": experiment.recipe.accumulate > 1,
        "seconds": round(journal.seconds, 3),
        "device_seconds": round(journal.seconds * world_size(), 3),
        "peak_memory": _peak_memory(training.device),
        "sessions": sessions,
        "same_bits": not any(each["changed"] for each in sessions),
    }


def _cost(training: Training) -> dict[str, dict[str, int]]:
    """Parameters and multiply-adds of each network on one training crop."""
    height, width = training.recipe.augment.crop
    return {
        name: {"parameters": parameters(net), "multiply_adds": multiply_adds(net, height, width)}
        for name, net in training.nets.items()
        if isinstance(net, Network)
    }


def _peak_memory(device: torch.device) -> int | None:
    """Bytes on the accelerator; None where there is none."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def _weights(training: Training) -> bytes:
    buffer = io.BytesIO()
    torch.save({name: value.cpu() for name, value in training.nets.state_dict().items()}, buffer)
    return buffer.getvalue()


def _explained(error: Exception, resolved: Resolved) -> Exception:
    """Out of memory in words; every other error as it is."""
    text = str(error)
    if not isinstance(error, (torch.OutOfMemoryError, MemoryError)) and "can't allocate memory" not in text:
        return error
    recipe = resolved.experiment.recipe
    return OutOfMemory(
        "the device's memory does not suffice; lower recipe.labeled_batch"
        f" ({recipe.labeled_batch}), recipe.unlabeled_batch ({recipe.unlabeled_batch}) or recipe.augment.crop"
        f" {recipe.augment.crop}, raise recipe.accumulate ({recipe.accumulate}), or use more ranks."
        f" torch says: {text.splitlines()[0] if text else 'nothing'}"
    )


def _failure(error: Exception) -> dict[str, Any]:
    return {
        "error": f"{type(error).__name__}: {error}",
        "traceback": "".join(traceback.format_exception(error)),
    }
